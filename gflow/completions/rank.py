"""The minimum rank of a completion, between a lower and an upper end that each carry their reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow import watch
from gflow.completions.algebra import infeasible
from gflow.completions.exact import KnownEntries, eliminated, forced, observed_minor, rational_completion, table
from gflow.completions.fit import rank_fit
from gflow.completions.newton import newton_certificate
from gflow.completions.rank_one import rank_one
from gflow.completions.records import RankBracket, frozen
from gflow.connectivity import connectivity
from gflow.problems import MatrixCompletion, as_completion

FIT_TOL = 1e-13
"""Largest root mean square residual, in units of max|M|, of a fit that counts as a completion."""


@watch.watched
def minimum_rank(
    problem: Any,
    *,
    starts: int = 40,
    rng: np.random.Generator | None = None,
    rank_tol: float = 1e-8,
    norm_bound: float = 1e4,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> RankBracket:
    """Return bounds on the least rank of a matrix W with P o W = P o M, each with its reason.

    Parameters
    ----------
    problem : MatrixCompletion
    starts : int
        Starts of every search for a completion of a given rank.
    rng : numpy.random.Generator, optional
        Default: ``numpy.random.default_rng(0)``.
    rank_tol : float
        Data that are not few-bit numbers count as uncertain by ``rank_tol`` max|M| in every entry: a minor is
        non-singular if its least singular value exceeds the norm of these uncertainties. Observed zeros are exact.
    norm_bound : float
        A numerical completion counts only if max|W| <= norm_bound max|M|: the infimum over matrices of a rank may be
        approached only at infinity.
    progress, timeout : see ``gflow.watch.watching``
        When the time is over the bounds are those found so far.

    Raises
    ------
    ValueError
        If ``rank_tol`` or ``norm_bound`` is not positive.

    The coupling components are treated one by one: the minimum rank is the largest of theirs. The lower end rests on
    an observed minor, cycles and zeros (rank one), values that a non-singular block forces, or a Groebner basis; the
    upper end on rational arithmetic, a Newton-Kantorovich bound or, for data that are not exact, a fit to rounding.
    Neither end changes when M is multiplied by s.

    Examples
    --------
    >>> from gflow.problems import MatrixCompletion, as_completion
    >>> bracket = minimum_rank(MatrixCompletion([[0, 1], [1, np.nan]]))
    >>> bracket.lower, bracket.upper
    (2, 2)
    >>> bracket.lower_reason
    'the observed zero at row 1, column 1 has non-zero entries in its row and its column'
    """
    problem = as_completion(problem)
    if not (rank_tol > 0 and norm_bound > 0):
        raise ValueError(f"rank_tol and norm_bound must be positive; got {rank_tol!r} and {norm_bound!r}")
    rng = np.random.default_rng(0) if rng is None else rng
    unitary = problem.normalized
    data = table(unitary, rank_tol)
    search = _RankSearch(starts, rng, norm_bound)
    low, high = _End(0, "a rank is not negative"), _End(0, "all observed entries are zero: W = 0", True)
    parts = []
    for component in connectivity(unitary).coupling_components:
        rows, columns = component.rows, component.columns
        part = unitary.restricted(rows, columns)
        if part.size == 0:
            continue
        lower, upper, W = search.bracket(part.normalized, data.restricted(rows, columns, part.unit))
        parts.append((rows, columns, W * part.unit, upper.rank))
        low = lower if lower.rank > low.rank else low
        certified = high.certified and upper.certified
        high = _End(*(upper.rank, upper.reason) if upper.rank > high.rank else (high.rank, high.reason), certified)
    W = _joined(problem.shape, parts) * problem.unit
    W = np.where(problem.observed, problem.values, W)
    return RankBracket(low.rank, low.reason, high.rank, high.reason, frozen(W), data.exact, high.certified, rank_tol)


@dataclass(frozen=True, slots=True)
class _End:
    rank: int
    reason: str
    certified: bool = True


@dataclass(frozen=True, slots=True)
class _RankSearch:
    starts: int
    rng: np.random.Generator
    norm_bound: float

    def bracket(self, problem: MatrixCompletion, data: KnownEntries) -> tuple[_End, _End, np.ndarray]:
        """Return both ends for one coupling component that is not zero, and the completion of the upper one."""
        low, most = _End(1, "an observed entry is not zero"), min(problem.shape)
        W, reason = rank_one(data)
        if W is not None:
            return low, _End(1, reason), W.astype(float)
        low = _End(2, reason) if reason else low
        size, reason = observed_minor(data)
        low = _End(size, reason) if size > low.rank else low
        largest = f"no {problem.shape[0]} x {problem.shape[1]} matrix has a larger rank"
        for k in range(low.rank, most):
            if late := watch.spent("least rank", k, most):
                return low, _End(most, f"{late}; {largest}"), problem.values
            filled = forced(data, k)
            found = None if filled.contradiction else self._completion(problem, filled.data, k)
            if found is not None and found[0].certified:
                return low, *found
            reason = filled.contradiction or ("" if watch.over() else infeasible(filled.data, k))
            if found is not None and not reason:
                return low, *found
            low = _End(k + 1, reason) if reason else low
        return low, _End(most, largest), problem.values

    def _completion(self, problem: MatrixCompletion, data: KnownEntries, k: int) -> tuple[_End, np.ndarray] | None:
        """Return the upper end k and a completion of that rank; None if no search finds one."""
        if data.exact and data.known.all() and eliminated(data.values, problem.shape[1])[1] <= k:
            return _End(k, f"rational arithmetic: the data force every entry at rank {k}"), data.values.astype(float)
        fit = rank_fit(
            problem, k, starts=self.starts, rng=self.rng, norm_bound=self.norm_bound, stop_at_loss=FIT_TOL**2
        )
        if not (fit.bounded and fit.loss <= FIT_TOL**2 * problem.size**2):
            return None
        rational = rational_completion(data, fit.matrix, k) if data.exact else None
        if rational is not None:
            return _End(k, f"rational arithmetic: an explicit completion of rank at most {k}"), rational.astype(float)
        radius = newton_certificate(problem, fit.A, fit.B)
        if radius is not None:
            return _End(k, f"Newton-Kantorovich: a completion within {radius:.1e} of a numerical one"), fit.matrix
        size = np.abs(problem.residual(fit.matrix)).max() / problem.size
        reason = f"a matrix of rank {k} meets the data within {size:.1e} max|M|"
        return _End(k, reason + (", not certified" if data.exact else ""), not data.exact), fit.matrix


def _joined(shape: tuple[int, int], parts: list[tuple]) -> np.ndarray:
    """Return a completion of the largest rank of the parts: their factors share one inner space."""
    width = max((rank for *_, rank in parts), default=1)
    A, B = np.zeros((shape[0], width)), np.zeros((width, shape[1]))
    for rows, columns, W, rank in parts:
        U, singular, Vt = np.linalg.svd(W, full_matrices=False)
        root = np.sqrt(singular[:rank])
        A[list(rows), :rank] = U[:, :rank] * root
        B[:rank, list(columns)] = root[:, None] * Vt[:rank]
    return A @ B
