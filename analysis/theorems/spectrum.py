"""The Hessian at a saddle on Omega_k, from its residual alone.

With E = P o (W - M), no eigenvalue of -Hessian exceeds 2 sigma_1(E) / n. The eigenvectors that attain it combine the
top singular pairs of E without changing an observed entry at first order; for a simple sigma_1 they number r - dim S.
The zero modes number at least the dimension of the GL(r) orbit and at least k^2 + (d1 + d2 - 2 rank E)(r - k).

Source: the Hessian splits on Omega_k into a part inside and +-(2/n) sigma_i(E) outside; Bai et al. 2024, Theorem 2,
names the top pair of E as the escape direction.
"""

from __future__ import annotations

import numpy as np

from analysis.claims import Claim
from analysis.theorems.rounding import EPS, excess
from analysis.theorems.study import Saddle, Study
from gflow import manifolds

STATEMENTS = {
    "spectrum.rate": "the largest eigenvalue of -Hessian at a saddle is 2 sigma_1(E) / n",
    "spectrum.multiplicity": "its multiplicity is that of the pairs (u w, -w v) which change no observed entry",
    "spectrum.zero-modes": "the Hessian has at least the zero modes of the symmetry orbit and of the residual's kernel",
}
RANK_TOL = 1e-7


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claims on escape rate, multiplicity and zero modes at the saddles of the trajectory."""
    regular = [saddle for saddle in study.saddles if saddle.escape.multiplicity]
    return (_rate(study, regular), _multiplicity(study, regular), _zero_modes(study))


def eigenvalue_error(study: Study, saddle: Saddle) -> float:
    """Return how far eigenvalues at the polished point may be from those on Omega_k.

    The Hessian is quadratic in theta: it changes by at most 12 |theta| |delta| / n over a distance delta.
    """
    length = float(np.linalg.norm(saddle.point.theta))
    return EPS + saddle.point.zero_cut + 12.0 * study.normalized.weight * length * saddle.distance


def multiplicity(study: Study, saddle: Saddle, margin: float = 1.0) -> int:
    """Return the number of eigenvalues that differ from the lowest one by at most ``margin`` times their error."""
    values = saddle.point.spectrum.values
    return int(np.sum(values - values[0] <= 2.0 * margin * eigenvalue_error(study, saddle)))


def predicted_zero_modes(study: Study, saddle: Saddle) -> int | None:
    """Return k^2 + (d1 + d2 - 2 rank E)(r - k), a lower bound on the zero modes where A and B have rank k."""
    sigma, k = saddle.escape.singular_values, saddle.rank
    if k and manifolds.factor_ranks(study.model, saddle.point.theta) != (k, k, k):
        return None
    rank = int(np.sum(sigma > RANK_TOL * sigma[0]))
    return k**2 + (sum(study.model.shape) - 2 * rank) * (study.model.rank - k)


def _rate(study: Study, regular: list[Saddle]) -> Claim:
    id, statement = "spectrum.rate", STATEMENTS["spectrum.rate"]
    if not regular:
        return Claim.unmet(id, statement, "no saddle of the trajectory has such an eigenvector")
    ratios = [
        excess(abs(-saddle.point.spectrum.values[0] - saddle.escape.rate), eigenvalue_error(study, saddle))
        for saddle in regular
    ]
    reason = f"largest difference at {len(regular)} saddles, in units of the eigenvalues' error bound"
    return Claim.bounded(id, statement, max(ratios), 0.0, 1.0, reason=reason)


def _multiplicity(study: Study, regular: list[Saddle]) -> Claim:
    id, statement = "spectrum.multiplicity", STATEMENTS["spectrum.multiplicity"]
    clear = [saddle for saddle in regular if multiplicity(study, saddle, 10.0) == multiplicity(study, saddle)]
    if not clear:
        return Claim.unmet(
            id, statement, "no saddle of the trajectory has such an eigenvector and a clear gap below it"
        )
    wrong = sum(multiplicity(study, saddle) != saddle.escape.multiplicity for saddle in clear)
    found = ", ".join(f"{multiplicity(study, saddle)} ({saddle.escape.multiplicity})" for saddle in clear)
    reason = f"number of saddles where it is not; counted (predicted) {found}"
    return Claim.bounded(id, statement, wrong, 0.0, 0.0, reason=reason)


def _zero_modes(study: Study) -> Claim:
    id, statement = "spectrum.zero-modes", STATEMENTS["spectrum.zero-modes"]
    if not study.saddles:
        return Claim.unmet(id, statement, "the trajectory passes no saddle")
    counts = []
    for saddle in study.saddles:
        residual, orbit = predicted_zero_modes(study, saddle), saddle.point.gauge_dimension or 0
        counted = saddle.point.n_zero or 0
        counts.append((counted - max(residual or 0, orbit), counted, residual, orbit))
    found = ", ".join(f"{count} ({residual}, {orbit})" for _, count, residual, orbit in counts)
    reason = f"least surplus; counted (predicted from residual, orbit) {found}"
    return Claim.bounded(id, statement, min(surplus for surplus, *_ in counts), 0.0, None, reason=reason)
