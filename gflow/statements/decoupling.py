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
from gflow.policy import DENSE_LIMIT, EPS
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.rounding import excess, gradient_rounding, grown_rounding, growth, product_rounding
from gflow.statements.statement import Answer, Hypothesis, Statement

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
ANY_DIFFERENCE = 1e-2
"""Above this fraction of |theta| the errors explain any difference."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoupledPart:
    """A component: where its parameters stand in theta, and its own problem, model and loss."""

    index: np.ndarray
    problem: gflow.MatrixCompletion
    model: gflow.Factorization
    objective: gflow.Objective
    share: float
    """n_c / n: the component's own time runs at this rate."""


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return the claims on the Jacobian, on the velocities, and on components integrated alone."""
    lines = ("decoupling.1", "the Jacobian of the flow is block diagonal along the coupling components")
    speeds = ("decoupling.2", "the velocity of every component is that of the component alone, at n_c / n of its speed")
    alone = ("decoupling.3", "a component integrated alone takes the path it takes within the whole")
    several = SEVERAL.of(given)
    if not several.met:
        return tuple(Claim.unmet(*named, several.found) for named in (lines, speeds, alone))
    owner = _owners(given)
    parts = [_part(given, component) for component in given.connectivity.coupling_components]
    still = np.flatnonzero(owner < 0)
    return (_blocks(given, owner, lines), _velocities(given, parts, still, speeds), _integrated(given, parts, alone))


def _several(given: Evidence) -> Answer:
    if len(set(_owners(given).tolist())) == 1:
        return False, "one coupling component holds every row and column: nothing can decouple"
    return True


def _owners(given: Evidence) -> np.ndarray:
    """Return the number of the component of every entry of theta; each line without observation is its own, below 0."""
    d1, d2 = given.model.shape
    owner = -1 - np.arange(d1 + d2)
    for number, component in enumerate(given.connectivity.coupling_components):
        owner[[*component.rows, *(d1 + j for j in component.columns)]] = number
    return given.model.unstacked(np.repeat(owner[:, None], given.model.rank, axis=1)).astype(int)


def _part(given: Evidence, component: Any) -> DecoupledPart:
    A, B = given.model.factors(np.arange(given.model.dim))
    index = np.concatenate([A[list(component.rows)].ravel(), B[:, list(component.columns)].ravel()])
    problem = given.normalized.restricted(component.rows, component.columns)
    model = gflow.Factorization(problem.shape, given.model.rank)
    share = problem.n_observed / given.normalized.n_observed
    return DecoupledPart(index, problem, model, given.make(problem, model), share)


def _blocks(given: Evidence, owner: np.ndarray, named: tuple[str, str]) -> Claim:
    rng, worst = given.rng("decoupling.1"), 0.0
    for _ in range(N_POINTS):
        theta, v = rng.standard_normal((2, given.model.dim))
        inside = owner == rng.choice(owner)
        crossing = given.objective.hvp(theta, inside * v)[~inside]
        allowed = product_rounding(given.normalized, given.model, theta, inside * v)
        worst = max(worst, excess(float(np.linalg.norm(crossing)), allowed))
        if given.model.dim <= DENSE_LIMIT:
            H = given.objective.hessian(theta)
            crossing = np.where(owner[:, None] == owner, 0.0, H)
            worst = max(worst, excess(float(np.abs(crossing).max()), growth(given.model) * float(np.abs(H).max())))
    reason = f"largest entry outside the blocks at {N_POINTS} random points, in units of the running error bound"
    return Claim.bounded(*named, worst, 0.0, 1.0, reason=reason)


def _velocities(given: Evidence, parts: list[DecoupledPart], still: np.ndarray, named: tuple[str, str]) -> Claim:
    worst = 0.0
    for theta in _states(given):
        gradient = given.objective.gradient(theta)
        allowed = gradient_rounding(given.normalized, given.model, theta)
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


def _states(given: Evidence) -> Iterator[np.ndarray]:
    rng = given.rng("decoupling.2")
    yield from rng.standard_normal((N_POINTS, given.model.dim))
    states = given.trajectory.states
    yield from states[np.unique(np.linspace(0, len(states) - 1, N_STATES).astype(int))]


def _integrated(given: Evidence, parts: list[DecoupledPart], named: tuple[str, str]) -> Claim:
    if not given.converged:
        return Claim.undecided(*named, f"the trajectory ended with status {given.trajectory.status}")
    if given.model.dim > DENSE_LIMIT:
        return Claim.undecided(*named, f"dimension {given.model.dim} exceeds {DENSE_LIMIT}: not integrated again")
    times = _times(given, N_TIMES)[1:]
    if not times.size:
        return Claim.undecided(*named, "the start is a global minimum already: nothing to integrate")
    largest = sorted(parts, key=lambda part: -part.model.dim)[:LARGEST_NUMBER]
    try:
        whole = _paths(given, given.objective, given.start, times)
        alone = [_paths(given, part.objective, given.start[part.index], times * part.share) for part in largest]
    except gflow.IntegrationFailed as failure:
        return Claim.undecided(*named, str(failure))
    ratios, spent = [], []
    for part, (path, finer) in zip(largest, alone, strict=True):
        within, closer = (states[:, part.index] for states in whole)
        allowed = SAFETY * (_distances(path, finer) + _distances(within, closer)) + 2.0 * _rounding(given, part, times)
        ratios.append(float(np.max(_distances(path, within) / allowed)))
        spent.append(float(allowed[-1] / max(np.linalg.norm(path[-1]), EPS)))
    if max(spent) > ANY_DIFFERENCE:
        return Claim.undecided(*named, f"errors may reach {max(spent):.2g} |theta| and explain any difference")
    reason = (
        f"largest distance at {len(times)} times over {len(largest)} of {len(parts)} components, in units of the "
        f"errors (at the end at most {max(spent):.2g} |theta|): {SAFETY:g} times what a {1 / FINER:g} times smaller "
        "tolerance changes, and rounding amplified by the Hessian along the trajectory"
    )
    return Claim.bounded(*named, max(ratios), 0.0, 1.0, reason=reason)


def _times(given: Evidence, number: int) -> np.ndarray:
    """Return some of the times of the trajectory, evenly spread over its steps, first and last among them."""
    times = given.trajectory.times
    return times[np.unique(np.linspace(0, len(times) - 1, number).astype(int))]


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.linalg.norm(first - second, axis=1)


def _rounding(given: Evidence, part: DecoupledPart, times: np.ndarray) -> np.ndarray:
    """Return what rounding at every state may have grown to at ``times``, within the component's own parameters."""
    moments = _times(given, N_RATES)
    states = given.trajectory.states[np.searchsorted(given.trajectory.times, moments)]
    block = np.ix_(part.index, part.index)
    rates = [-float(np.linalg.eigvalsh(given.objective.hessian(theta)[block])[0]) for theta in states]
    norms = np.linalg.norm(states[:, part.index], axis=1)
    grown = grown_rounding(part.model, moments, np.maximum(rates, 0.0), norms)
    return grown[np.minimum(np.searchsorted(moments, times), len(moments) - 1)]


def _paths(
    given: Evidence, objective: gflow.Objective, start: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the states at ``times``, (T, dim), at the tolerance of the trajectory and at a finer one."""
    finer = given.settings | {"rtol": max(FINER * given.settings["rtol"], 1e3 * EPS), "loss_tol": 1e-26}
    paths = [gflow.gradient_flow(objective, start, t_eval=times, **options) for options in (given.settings, finer)]
    rows = [np.minimum(np.searchsorted(path.times, times * (1 - 1e-12)), len(path.times) - 1) for path in paths]
    return paths[0].states[rows[0]], paths[1].states[rows[1]]


SEVERAL = Hypothesis(
    "several coupling components", "no coupling component of the observed entries holds every row and column", _several
)
TITLE = "the flow splits exactly along the coupling components"
FORMULA = r"\dot\theta_c = -\tfrac{n_c}{n} \nabla R_c(\theta_c) \text{ for every coupling component } c"
STATEMENT = Statement("decoupling", TITLE, claims, "Bai et al. 2024, section 4", "theorem", FORMULA, (SEVERAL,))
