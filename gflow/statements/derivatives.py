"""The loss R(A, B) = (1/n) sum over observed (i, j) of ((A B)_ij - M_ij)^2 and its derivatives.

Source: Bai et al. 2024, section 3. The closed forms that everything else rests on are compared with the definition,
written out entry by entry, and with its automatic derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gflow
from gflow.policy import DENSE_LIMIT
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.rounding import excess, gradient_rounding, product_rounding, value_rounding
from gflow.statements.statement import Page, Statement

N_POINTS, TERMS = 4, 4_000_000
"""Points, and fewer of them where they would have more terms (A_ip B_pj) together, but one at least."""
Measurement = Callable[[Evidence, gflow.Objective, np.ndarray, np.ndarray], float]


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return four claims: value, gradient, Hessian and deviation form, each in units of rounding."""
    truth = gflow.Objective.autodiff(_definition(given.normalized, given.model), given.model.dim, 0.0)
    count = _count(given)
    where = f"{count} random points" if count > 1 else "a random point"
    reason = f"largest difference at {where}, in units of the running error bound"
    dense = "" if given.model.dim <= DENSE_LIMIT else f"; dimension {given.model.dim}: products only, no whole Hessian"
    return (
        _claim(given, truth, "value", "R is (1/n) times the sum of squares over observed entries", _value, reason),
        _claim(given, truth, "gradient", "grad R = (2/n) (E B^T, A^T E)", _gradient, reason),
        _claim(
            given,
            truth,
            "hessian",
            "H[dA, dB] = (2/n) (dE B^T + E dB^T, dA^T E + A^T dE), as a product and as a symmetric matrix",
            _hessian,
            reason + dense,
        ),
        _claim(
            given,
            truth,
            "deviation",
            "around any centre c the deviation form is grad R(c + delta) - grad R(c) without cancellation",
            _deviation,
            reason,
        ),
    )


def _claim(
    given: Evidence, truth: gflow.Objective, name: str, statement: str, measure: Measurement, reason: str
) -> Claim:
    worst = max(measure(given, truth, theta, v) for theta, v in _points(given))
    return Claim.bounded(f"derivatives.{name}", statement, worst, 0.0, 1.0, reason=reason)


def _definition(problem: gflow.MatrixCompletion, model: gflow.Factorization) -> Callable[[Any], Any]:
    """Return the loss as a function that automatic differentiation can follow, from index lists alone."""
    (d1, d2), r = model.shape, model.rank
    rows, columns, targets = problem.rows, problem.columns, problem.targets

    def loss(theta: Any) -> Any:
        A, B = theta[: d1 * r].reshape(d1, r), theta[d1 * r :].reshape(r, d2)
        error = (A[rows] * B.T[columns]).sum(axis=1) - targets
        return (error * error).sum() / len(targets)

    return loss


def _count(given: Evidence) -> int:
    """Return the number of points."""
    return min(N_POINTS, max(1, TERMS // (given.normalized.n_observed * given.model.rank)))


def _points(given: Evidence) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = given.rng("derivatives")
    for _ in range(_count(given)):
        yield rng.standard_normal(given.model.dim), rng.standard_normal(given.model.dim)


def _value(given: Evidence, truth: gflow.Objective, theta: np.ndarray, _: np.ndarray) -> float:
    difference = abs(given.objective.value(theta) - truth.value(theta))
    return excess(difference, value_rounding(given.normalized, given.model, theta))


def _gradient(given: Evidence, truth: gflow.Objective, theta: np.ndarray, _: np.ndarray) -> float:
    difference = float(np.linalg.norm(given.objective.gradient(theta) - truth.gradient(theta)))
    return excess(difference, gradient_rounding(given.normalized, given.model, theta))


def _hessian(given: Evidence, truth: gflow.Objective, theta: np.ndarray, v: np.ndarray) -> float:
    expected = truth.hvp(theta, v)
    differences = [given.objective.hvp(theta, v) - expected]
    if given.model.dim <= DENSE_LIMIT:
        H = given.objective.hessian(theta)
        differences += [H @ v - expected, H.T @ v - expected]
    allowed = product_rounding(given.normalized, given.model, theta, v) * np.sqrt(given.model.dim)
    return max(excess(float(np.linalg.norm(difference)), allowed) for difference in differences)


def _deviation(given: Evidence, truth: gflow.Objective, center: np.ndarray, delta: np.ndarray) -> float:
    worst = 0.0
    for step in (1.0, 1e-4):
        there = center + step * delta
        difference = truth.gradient(there) - truth.gradient(center)
        found = given.objective.around(center).gradient(step * delta)
        allowed = sum(gradient_rounding(given.normalized, given.model, theta) for theta in (there, center))
        worst = max(worst, excess(float(np.linalg.norm(found - difference)), allowed))
    return worst


TITLE = "the loss and its derivatives in closed form are those of its definition"
FORMULA = r"\nabla R = \tfrac{2}{n} (E B^T, A^T E)"
STATEMENT = Statement("derivatives", TITLE, claims, "Bai et al. 2024, section 3", "check", FORMULA, pages=[Page.REPORT])
