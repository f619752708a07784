"""What holds for every problem and every model: derivatives, descent, what is conserved, and critical points.

Each is judged by a second route that shares no formula with the first: differences of values, products instead of the
whole Hessian, and values along the direction in which a saddle is left. Completion by W = A B has sharper
statements of its own (``derivatives``, ``conservation``, ``spectrum``, ``thm1``): these are for everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import gflow
from gflow import critical
from gflow.policy import DENSE_LIMIT, EPS
from gflow.statements.claims import Claim
from gflow.statements.conservation import step_error
from gflow.statements.evidence import Evidence, factored_completion
from gflow.statements.rounding import excess
from gflow.statements.saddles import PLATEAU_REACH, passed
from gflow.statements.statement import Hypothesis, Statement

Map = Callable[[np.ndarray], Any]
N_POINTS = 4
STEP = 1e-3
"""Step of the differences, relative to the size of a point."""
SAFETY = 64.0
"""Rounding of one evaluation, in units of sqrt(dim) eps."""
CONSERVED_TOL = 1e-6
"""A conserved quantity may change so much faster along the flow than rounding, relative to other directions."""
CLEAR_BEND = 100.0
"""A step shows how the loss bends where that changes it by this many times its rounding."""
DESCENT, CONSERVED, DERIVATIVES, SPECTRUM, KIND = (
    "the loss never rises along the trajectory",
    "what the model calls conserved does not change along the flow, at any theta",
    "gradient and Hessian products are the derivatives of the loss",
    "the spectrum of the Hessian at a critical point is the same from the whole matrix and from products",
    "the loss bends down along the lowest eigenvector at every strict saddle met",
)


def descent(given: Evidence) -> Claim:
    """Return the claim, measured by the largest rise; a step's error e changes the loss by at most |grad R| |e|."""
    path = given.trajectory
    norms = np.linalg.norm(path.states, axis=1)
    allowed = step_error(given) * float(np.max(path.gradient_norms * norms)) + _eps(given) * float(np.max(path.losses))
    rise = float(np.max(np.diff(path.losses), initial=0.0))
    reason = "largest rise between successive states; allowed: what the errors of the solver's steps explain"
    return Claim.bounded("general.descent", DESCENT, rise, 0.0, allowed, reason=reason)


def conserved(given: Evidence) -> Claim:
    """Return the claim, measured by the rate of change along the flow relative to that along random directions."""
    quantity, worst = given.objective.conserved, 0.0
    if quantity is None:
        return Claim.unmet("general.conserved", CONSERVED, f"not met: {NAMED.name}")
    for theta, v in _points(given, "general.conserved"):
        down = given.objective.gradient(theta)
        along = down * float(np.linalg.norm(v)) / (float(np.linalg.norm(down)) or 1.0)
        rates = [float(np.linalg.norm(_difference(quantity, theta, x))) for x in (along, v)]
        worst = max(worst, excess(rates[0], rates[1] or EPS))
    reason = f"largest rate along the flow over that along a random direction of the same length, at {N_POINTS} points"
    return Claim.bounded("general.conserved", CONSERVED, worst, 0.0, CONSERVED_TOL, reason=reason)


def derivatives(given: Evidence) -> Claim:
    """Return the claim, measured by the largest error of a derivative in units of that of the differences."""
    loss, worst = given.objective, 0.0
    for theta, v in _points(given, "general.derivatives"):
        worst = max(worst, _error(given, loss.value, theta, v, float(loss.gradient(theta) @ v)))
        worst = max(worst, _error(given, loss.gradient, theta, v, loss.hvp(theta, v)))
    reason = f"largest difference from extrapolated differences at {N_POINTS} random points, in units of their error"
    return Claim.bounded("general.derivatives", DERIVATIVES, worst, 0.0, 1.0, reason=reason)


def critical_points(given: Evidence) -> tuple[Claim, ...]:
    """Return the claims on the critical points that the trajectory passes and where it ends."""
    met = given.once(points)
    if not met:
        reason = "no critical point was met" if given.model.dim <= DENSE_LIMIT else f"dimension {given.model.dim}"
        named = (("general.critical.spectrum", SPECTRUM), ("general.critical.kind", KIND))
        return tuple(Claim.undecided(*each, reason) for each in named)
    apart = max(_apart(given, point) for point in met)
    reason = f"largest difference of an eigenvalue at {len(met)} critical points, in units of rounding"
    spectrum = Claim.bounded("general.critical.spectrum", SPECTRUM, apart, 0.0, 1.0, reason=reason)
    saddles = [point for point in met if point.kind is critical.PointKind.STRICT_SADDLE]
    answers = [_bends_down(given, point) for point in saddles]
    counts = f"saddles where it does not, of {len(saddles)} among {len(met)} critical points"
    if None in answers and False not in answers:
        reason = f"rounding hides it at {answers.count(None)} saddles; {counts}"
        return spectrum, Claim.undecided("general.critical.kind", KIND, reason)
    return spectrum, Claim.bounded("general.critical.kind", KIND, answers.count(False), 0.0, 0.0, reason=counts)


def points(given: Evidence) -> tuple[gflow.CriticalPoint, ...]:
    """Return the critical points near the plateaus of the trajectory, and its end; none above dimension 1000."""
    if given.model.dim > DENSE_LIMIT:
        return ()
    found = []
    for plateau in passed(given.trajectory):
        radius = PLATEAU_REACH * max(1.0, float(np.linalg.norm(plateau.theta)))
        try:
            found.append(gflow.find_critical_point(given.objective, plateau.theta, radius=radius))
        except critical.NotConverged:
            continue
    return (*found, *([] if given.end is None else [given.end]))


def _apart(given: Evidence, point: gflow.CriticalPoint) -> float:
    """Return how far the eigenvalues of both routes are apart, in units of rounding and of the matrices' asymmetry."""
    H = given.objective.hessian(point.theta)
    products = np.column_stack([given.objective.hvp(point.theta, v) for v in np.eye(given.model.dim)])
    one, other = (np.linalg.eigvalsh((matrix + matrix.T) / 2) for matrix in (H, products))
    allowed = _eps(given) * given.model.dim * max(float(np.abs(H).max()), float(np.abs(products).max()), 1.0)
    skew = max(float(np.abs(matrix - matrix.T).max()) for matrix in (H, products))
    return max(excess(float(np.abs(one - other).max()), allowed), excess(skew, allowed))


def _bends_down(given: Evidence, point: gflow.CriticalPoint) -> bool | None:
    """Return whether the loss falls to second order along the lowest eigenvector; None where rounding hides it.

    Second differences of the loss at falling steps: one below zero says yes, two above it that agree say no.
    """
    values, vectors = np.linalg.eigh(given.objective.hessian(point.theta))
    size, loss, seconds = max(1.0, float(np.linalg.norm(point.theta))), given.objective.value, []
    here = loss(point.theta)
    for step in size * 10.0 ** -np.arange(1.0, 8.0):
        if -values[0] * step**2 <= CLEAR_BEND * _eps(given) * abs(here):
            break
        there = [loss(point.theta + sign * step * vectors[:, 0]) - here for sign in (1.0, -1.0)]
        seconds.append(sum(there) / step**2)
    if any(second < 0.0 for second in seconds):
        return True
    return False if len(seconds) > 1 and seconds[-1] > seconds[-2] / 2 else None


def _points(given: Evidence, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield random points and directions of the size of theta in the problem's own unit."""
    rng = given.rng(name)
    for _ in range(N_POINTS):
        yield rng.standard_normal(given.model.dim), rng.standard_normal(given.model.dim)


def _difference(function: Map, theta: np.ndarray, v: np.ndarray, step: float = STEP) -> Any:
    return (function(theta + step * v) - function(theta - step * v)) / (2.0 * step)


def _error(
    given: Evidence, function: Callable[[np.ndarray], Any], theta: np.ndarray, v: np.ndarray, told: Any
) -> float:
    """Return how far a derivative is from the extrapolated differences, in units of their error and of rounding."""
    coarse, fine = (_difference(function, theta, v, step) for step in (STEP, STEP / 2))
    size = max(float(np.linalg.norm(function(theta + sign * STEP * v))) for sign in (1.0, -1.0))
    allowed = float(np.linalg.norm(fine - coarse)) + _eps(given) * (size + float(np.linalg.norm(told))) / STEP
    return excess(float(np.linalg.norm((4.0 * fine - coarse) / 3.0 - told)), allowed)


def _eps(given: Evidence) -> float:
    return SAFETY * EPS * float(np.sqrt(given.model.dim))


def elsewhere(problem: Any, model: Any) -> bool:
    """Return whether this is anything but completion by W = A B."""
    return not factored_completion(problem, model)


NAMED = Hypothesis(
    "a conserved quantity",
    "the model names a quantity that every gradient flow of it conserves",
    lambda given: given.objective.conserved is not None,
)
DESCENDS = r"\tfrac{d}{dt} R(\theta_t) = -|\nabla R(\theta_t)|^2 \le 0"
KEEPS = r"C'(\theta) \nabla R(\theta) = 0"
EXPANDS = r"R(\theta + v) = R + \nabla R \cdot v + \tfrac{1}{2} v \cdot \nabla^2 R \, v + o(|v|^2)"
BENDS = r"R(\theta_* + h v) + R(\theta_* - h v) < 2 R(\theta_*), \quad \nabla^2 R \, v = \lambda_{\min} v"
CRITICAL = "critical points have the spectra and the kinds that are told of them"
_check = partial(Statement, kind="check", applies=elsewhere)
STATEMENTS: tuple[Statement, ...] = (
    _check("general.descent", DESCENT, descent, "the chain rule", formula=DESCENDS),
    _check("general.conserved", CONSERVED, conserved, "the model", formula=KEEPS, hypotheses=(NAMED,)),
    _check("general.derivatives", DERIVATIVES, derivatives, "the definition of a derivative", formula=EXPANDS),
    _check("general.critical", CRITICAL, critical_points, "the definition of a strict saddle", formula=BENDS),
)
