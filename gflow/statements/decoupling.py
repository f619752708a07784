"""Decoupled dynamics: the flow splits exactly along the components of the coupling graph.

Source: Bai et al. 2024, section 4 (disconnected data); with observed zeros the components are those of the graph of
all observed entries. Rows and columns without an observation do not move. A component alone has its own number of
observations n_c, so it runs n / n_c times as fast as within the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.rounding import EPS, excess, gradient_rounding, grown_rounding, growth, product_rounding
from gflow.statements.study import DENSE_LIMIT, IntegrationFailed, Study

N_POINTS = 4
N_STATES = 12
N_TIMES = 40
N_RATES = 600
"""At most this many states at which growth rates are taken."""
LARGEST_NUMBER = 3
"""At most this many components are integrated alone, the largest first."""
FINER = 1e-2
"""The error of an integration is estimated by one whose tolerance is this many times smaller."""
SAFETY = 4.0
HOPELESS = 1e-2
"""Above this fraction of |theta| the errors explain any difference."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A component: where its parameters stand in theta, and its own problem, model and loss."""

    index: np.ndarray
    problem: gflow.MatrixCompletion
    model: gflow.Factorization
    objective: gflow.Objective
    share: float
    """n_c / n: the component's own time runs at this rate."""


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claims on the Jacobian, on the velocities, and on components integrated alone."""
    owner = _owners(study)
    lines = ("decoupling.1", "the Jacobian of the flow is block diagonal along the coupling components")
    speeds = ("decoupling.2", "the velocity of every component is that of the component alone, at n_c / n of its speed")
    alone = ("decoupling.3", "a component integrated alone takes the path it takes within the whole")
    if len(set(owner.tolist())) == 1:
        reason = "one coupling component holds every row and column: nothing can decouple"
        return tuple(Claim.unmet(*named, reason) for named in (lines, speeds, alone))
    parts = [_part(study, component) for component in study.connectivity.coupling_components]
    still = np.flatnonzero(owner < 0)
    return (_blocks(study, owner, lines), _velocities(study, parts, still, speeds), _integrated(study, parts, alone))


def _owners(study: Study) -> np.ndarray:
    """Return the number of the component of every entry of theta; each line without observation is its own, below 0."""
    d1, d2 = study.model.shape
    owner = -1 - np.arange(d1 + d2)
    for number, component in enumerate(study.connectivity.coupling_components):
        owner[[*component.rows, *(d1 + j for j in component.columns)]] = number
    return study.model.unstacked(np.repeat(owner[:, None], study.model.rank, axis=1)).astype(int)


def _part(study: Study, component: Any) -> Part:
    A, B = study.model.factors(np.arange(study.model.dim))
    index = np.concatenate([A[list(component.rows)].ravel(), B[:, list(component.columns)].ravel()])
    problem = study.normalized.restricted(component.rows, component.columns)
    model = gflow.Factorization(problem.shape, study.model.rank)
    share = problem.n_observed / study.normalized.n_observed
    return Part(index, problem, model, study.make(problem, model), share)


def _blocks(study: Study, owner: np.ndarray, named: tuple[str, str]) -> Claim:
    rng, worst = study.rng("decoupling.1"), 0.0
    for _ in range(N_POINTS):
        theta, v = rng.standard_normal((2, study.model.dim))
        inside = owner == rng.choice(owner)
        crossing = study.objective.hvp(theta, inside * v)[~inside]
        allowed = product_rounding(study.normalized, study.model, theta, inside * v)
        worst = max(worst, excess(float(np.linalg.norm(crossing)), allowed))
        if study.model.dim <= DENSE_LIMIT:
            H = study.objective.hessian(theta)
            crossing = np.where(owner[:, None] == owner, 0.0, H)
            worst = max(worst, excess(float(np.abs(crossing).max()), growth(study.model) * float(np.abs(H).max())))
    reason = f"largest entry outside the blocks at {N_POINTS} random points, in units of the running error bound"
    return Claim.bounded(*named, worst, 0.0, 1.0, reason=reason)


def _velocities(study: Study, parts: list[Part], still: np.ndarray, named: tuple[str, str]) -> Claim:
    worst = 0.0
    for theta in _states(study):
        gradient = study.objective.gradient(theta)
        allowed = gradient_rounding(study.normalized, study.model, theta)
        worst = max(worst, excess(float(np.linalg.norm(gradient[still])), allowed))
        for part in parts:
            own = part.share * part.objective.gradient(theta[part.index])
            difference = float(np.linalg.norm(gradient[part.index] - own))
            allowed = 2.0 * part.share * gradient_rounding(part.problem, part.model, theta[part.index])
            worst = max(worst, excess(difference, allowed))
    reason = (
        f"largest difference at {N_POINTS} random points and {N_STATES} states of the trajectory, in units of the "
        f"running error bound; {len(still)} parameters of lines without observation must not move"
    )
    return Claim.bounded(*named, worst, 0.0, 1.0, reason=reason)


def _states(study: Study) -> Iterator[np.ndarray]:
    rng = study.rng("decoupling.2")
    yield from rng.standard_normal((N_POINTS, study.model.dim))
    states = study.trajectory.states
    yield from states[np.unique(np.linspace(0, len(states) - 1, N_STATES).astype(int))]


def _integrated(study: Study, parts: list[Part], named: tuple[str, str]) -> Claim:
    if not study.converged:
        return Claim.undecided(*named, f"the trajectory ended with status {study.trajectory.status}")
    if study.model.dim > DENSE_LIMIT:
        return Claim.undecided(*named, f"dimension {study.model.dim} exceeds {DENSE_LIMIT}: not integrated again")
    times = _times(study, N_TIMES)[1:]
    if not times.size:
        return Claim.undecided(*named, "the start is a global minimum already: nothing to integrate")
    largest = sorted(parts, key=lambda part: -part.model.dim)[:LARGEST_NUMBER]
    try:
        whole = _paths(study, study.objective, study.start, times)
        alone = [_paths(study, part.objective, study.start[part.index], times * part.share) for part in largest]
    except IntegrationFailed as failure:
        return Claim.undecided(*named, str(failure))
    ratios, spent = [], []
    for part, (path, finer) in zip(largest, alone, strict=True):
        within, closer = (states[:, part.index] for states in whole)
        allowed = SAFETY * (_distances(path, finer) + _distances(within, closer)) + 2.0 * _rounding(study, part, times)
        ratios.append(float(np.max(_distances(path, within) / allowed)))
        spent.append(float(allowed[-1] / max(np.linalg.norm(path[-1]), EPS)))
    if max(spent) > HOPELESS:
        return Claim.undecided(*named, f"errors may reach {max(spent):.2g} |theta| and explain any difference")
    reason = (
        f"largest distance at {len(times)} times over {len(largest)} of {len(parts)} components, in units of the "
        f"errors (at the end at most {max(spent):.2g} |theta|): {SAFETY:g} times what a {1 / FINER:g} times smaller "
        "tolerance changes, and rounding amplified by the Hessian along the trajectory"
    )
    return Claim.bounded(*named, max(ratios), 0.0, 1.0, reason=reason)


def _times(study: Study, number: int) -> np.ndarray:
    """Return some of the times of the trajectory, evenly spread over its steps, first and last among them."""
    times = study.trajectory.times
    return times[np.unique(np.linspace(0, len(times) - 1, number).astype(int))]


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.linalg.norm(first - second, axis=1)


def _rounding(study: Study, part: Part, times: np.ndarray) -> np.ndarray:
    """Return what rounding at every state may have grown to at ``times``, within the component's own parameters."""
    moments = _times(study, N_RATES)
    states = study.trajectory.states[np.searchsorted(study.trajectory.times, moments)]
    block = np.ix_(part.index, part.index)
    rates = [-float(np.linalg.eigvalsh(study.objective.hessian(theta)[block])[0]) for theta in states]
    norms = np.linalg.norm(states[:, part.index], axis=1)
    grown = grown_rounding(part.model, moments, np.maximum(rates, 0.0), norms)
    return grown[np.minimum(np.searchsorted(moments, times), len(moments) - 1)]


def _paths(
    study: Study, objective: gflow.Objective, start: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the states at ``times``, (T, dim), at the study's tolerance and at a finer one."""
    finer = study.settings | {"rtol": max(FINER * study.settings["rtol"], 1e3 * EPS), "loss_tol": 1e-26}
    paths = [gflow.gradient_flow(objective, start, t_eval=times, **options) for options in (study.settings, finer)]
    rows = [np.minimum(np.searchsorted(path.times, times * (1 - 1e-12)), len(path.times) - 1) for path in paths]
    return paths[0].states[rows[0]], paths[1].states[rows[1]]
