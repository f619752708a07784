"""The Hessian at a saddle on Omega_k, from its residual alone.

With E = P o (W - M), no eigenvalue of -Hessian exceeds 2 sigma_1(E) / n. The eigenvectors that attain it combine the
top singular pairs of E without changing an observed entry at first order; for a simple sigma_1 they number r - dim S.
The zero modes number at least the dimension of the GL(r) orbit and at least k^2 + (d1 + d2 - 2 rank E)(r - k).

Source: the Hessian splits on Omega_k into a part inside and +-(2/n) sigma_i(E) outside; Bai et al. 2024, Theorem 2,
names the top pair of E as the escape direction.
"""

from __future__ import annotations

import numpy as np

from gflow import escape, manifolds
from gflow.policy import EPS
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.rounding import excess
from gflow.statements.saddles import VisitedSaddle
from gflow.statements.statement import Page, Statement

PARTS = {
    "spectrum.rate": "the largest eigenvalue of -Hessian at a saddle is 2 sigma_1(E) / n",
    "spectrum.multiplicity": "its multiplicity is that of the pairs (u w, -w v) which change no observed entry",
    "spectrum.zero-modes": "the Hessian has at least the zero modes of the symmetry orbit and of the residual's kernel",
}
COUNT_MARGIN = 10.0
"""A count is clear if it stays the same where the error of the eigenvalues is this many times as large, or as small."""
ORBIT_TOL = 1e-6
"""Singular values of A and B up to this fraction of the largest are left out of the symmetry orbit."""


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return the claims on escape rate, multiplicity and zero modes at the saddles of the trajectory."""
    return (_rate(given), _multiplicity(given), _zero_modes(given))


def eigenvalue_error(given: Evidence, saddle: VisitedSaddle) -> float:
    """Return how far eigenvalues at the polished point may be from those on Omega_k.

    The Hessian is quadratic in theta: it changes by at most 12 |theta| |delta| / n over a distance delta.
    """
    length = float(np.linalg.norm(saddle.point.theta))
    return EPS + saddle.point.zero_cut + 12.0 * given.normalized.weight * length * saddle.distance


def multiplicity(given: Evidence, saddle: VisitedSaddle, margin: float = 1.0) -> int:
    """Return the number of eigenvalues that differ from the lowest one by at most ``margin`` times their error."""
    values = saddle.point.spectrum.values
    return int(np.sum(values - values[0] <= 2.0 * margin * eigenvalue_error(given, saddle)))


def predicted_multiplicity(given: Evidence, saddle: VisitedSaddle) -> int:
    """Return the same number as the residual predicts it, counted with the same tolerance."""
    return int(np.sum(_predicted_excess(given, saddle)[1] <= 2.0 * eigenvalue_error(given, saddle)))


def _predicted_excess(given: Evidence, saddle: VisitedSaddle) -> tuple[np.ndarray, np.ndarray]:
    """Return from below and from above how far the lowest eigenvalues of the Hessian exceed -2 sigma_1 / n.

    On the vectors (sum_p u_p w_p^T, -sum_p w_p v_p^T) / sqrt 2 the Hessian is -(2/n) sigma_p plus 1/n times the squared
    change of the observed entries, a Gram matrix of the w_p: its eigenvalues there bound those of the whole from above.
    Vectors off this space cost at least the gap g to the next sigma_p, and change entries by at most |theta| times
    their length: they take off no more than the fraction K / (g + K), K = (2/n) |theta|^2.
    """
    problem, A, B = given.normalized, *given.model.factors(saddle.point.theta)
    left, sigma, right = np.linalg.svd(problem.residual(A @ B), full_matrices=False)
    above = 2.0 * problem.weight * (sigma[0] - sigma)
    top = above <= 2.0 * COUNT_MARGIN * eigenvalue_error(given, saddle)
    excess = problem.weight * escape.equations_gram(problem, A, B, left[:, top], right[top].T)
    values = np.linalg.eigvalsh(excess + np.diag(np.repeat(above[top], given.model.rank)))
    gap = float(np.append(above[~top], 2.0 * problem.weight * sigma[0]).min())
    stiff = 2.0 * problem.weight * float(saddle.point.theta @ saddle.point.theta)
    return gap / (gap + stiff) * values, values


def predicted_zero_modes(given: Evidence, saddle: VisitedSaddle) -> int | None:
    """Return k^2 + (d1 + d2 - 2 rank E)(r - k), a lower bound on the zero modes where A and B have rank k.

    A singular value of E counts as zero where the eigenvalue 2 sigma / n is below the error of eigenvalues by
    COUNT_MARGIN.
    """
    sigma, k = saddle.escape.singular_values, saddle.rank
    if k and manifolds.factor_ranks(given.model, saddle.point.theta) != (k, k, k):
        return None
    rank = int(np.sum(2.0 * given.normalized.weight * sigma > eigenvalue_error(given, saddle) / COUNT_MARGIN))
    return k**2 + (sum(given.model.shape) - 2 * rank) * (given.model.rank - k)


def orbit_dimension(given: Evidence, saddle: VisitedSaddle) -> int:
    """Return the dimension of the symmetry orbit, without directions (A X, -X B) so short that the gradient bends them.

    Along one the Hessian is of the size of the gradient over its length, which must not exceed the eigenvalues' error.
    """
    size = float(np.linalg.norm(saddle.point.theta))
    if not saddle.rank:
        return 0
    bent = COUNT_MARGIN * saddle.point.gradient_norm / (size * eigenvalue_error(given, saddle))
    return given.model.gauge_dimension(saddle.point.theta, max(ORBIT_TOL, bent))


def _rate(given: Evidence) -> Claim:
    id, statement = "spectrum.rate", PARTS["spectrum.rate"]
    regular = [saddle for saddle in given.saddles if saddle.escape.multiplicity]
    if not regular:
        return Claim.unmet(id, statement, "no saddle of the trajectory has such an eigenvector")
    ratios = [
        excess(abs(-saddle.point.spectrum.values[0] - saddle.escape.rate), eigenvalue_error(given, saddle))
        for saddle in regular
    ]
    reason = f"largest difference at {len(regular)} saddles, in units of the eigenvalues' error bound"
    return Claim.bounded(id, statement, max(ratios), 0.0, 1.0, reason=reason)


def _multiplicity(given: Evidence) -> Claim:
    id, statement = "spectrum.multiplicity", PARTS["spectrum.multiplicity"]
    counts = [_counts(given, saddle) for saddle in given.saddles if predicted_multiplicity(given, saddle)]
    if not counts:
        return Claim.unmet(id, statement, "no saddle of the trajectory has such an eigenvector")
    clear = [count for count in counts if count is not None]
    if not clear:
        return Claim.undecided(id, statement, "no saddle has a clear gap below its lowest eigenvalues")
    wrong = sum(counted != predicted for counted, predicted in clear)
    found = ", ".join(f"{counted} ({predicted})" for counted, predicted in clear)
    reason = f"number of saddles where it is not; counted (predicted) {found}"
    return Claim.bounded(id, statement, wrong, 0.0, 0.0, reason=reason)


def _counts(given: Evidence, saddle: VisitedSaddle) -> tuple[int, int] | None:
    """Return the multiplicity counted and predicted; None if an eigenvalue is within COUNT_MARGIN of the tolerance."""
    counted, predicted = multiplicity(given, saddle), predicted_multiplicity(given, saddle)
    allowed = 2.0 * COUNT_MARGIN * eigenvalue_error(given, saddle)
    most = int(np.sum(_predicted_excess(given, saddle)[0] <= allowed))
    return (counted, predicted) if multiplicity(given, saddle, COUNT_MARGIN) == counted and most == predicted else None


def _zero_modes(given: Evidence) -> Claim:
    id, statement = "spectrum.zero-modes", PARTS["spectrum.zero-modes"]
    if not given.saddles:
        return Claim.unmet(id, statement, "the trajectory passes no saddle")
    counts = []
    for saddle in given.saddles:
        residual, orbit = predicted_zero_modes(given, saddle), orbit_dimension(given, saddle)
        counted = int(np.sum(np.abs(saddle.point.spectrum.values) <= eigenvalue_error(given, saddle)))
        counts.append((counted - max(residual or 0, orbit), counted, residual, orbit))
    found = ", ".join(f"{count} ({residual}, {orbit})" for _, count, residual, orbit in counts)
    reason = f"least surplus; counted (predicted from residual, orbit) {found}"
    return Claim.bounded(id, statement, min(surplus for surplus, *_ in counts), 0.0, None, reason=reason)


TITLE = "escape rate, its multiplicity and the zero modes at a saddle are those that its residual and its orbit predict"
FORMULA = r"\lambda_{\max}(-\nabla^2 R) = \tfrac{2}{n} \sigma_1(E)"
STATEMENT = Statement(
    "spectrum", TITLE, claims, "Bai et al. 2024, Theorem 2 and section 3", "check", FORMULA, pages=[Page.REPORT]
)
