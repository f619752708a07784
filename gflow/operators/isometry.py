"""Restricted isometry: bounds on |A(X)|^2 / |X|_F^2 over the matrices of rank at most r."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow import watch
from gflow.checks import positive
from gflow.operators.commuting import operator as as_sensing
from gflow.operators.kernel import KernelElement, kernel_element
from gflow.operators.relaxation import rank_one_bound
from gflow.operators.search import Operator, extreme
from gflow.plain import ReadOnly, plain
from gflow.policy import EPS

KERNEL_TOL = 1e-12
LARGEST_RELAXATION = 25
"""Largest dimension of the space of matrices for which the semidefinite relaxation is solved."""


@dataclass(frozen=True, slots=True, eq=False)
class RestrictedIsometry(ReadOnly):
    """Bounds on a = min and b = max of |A(X)|^2 / |X|_F^2 over the matrices X of rank at most r.

    With A multiplied by sqrt(2 / (a + b)), the best factor, (1 - delta) |X|^2 <= |A(X)|^2 <= (1 + delta) |X|^2 holds
    for these X with delta = (b - a) / (b + a) and no smaller one.

    Attributes
    ----------
    rank : int
    symmetric : bool
        Whether X runs over symmetric matrices only.
    smallest, largest : (float, float)
        Bounds on a and on b, each from below and from above; they scale as the square of A.
    low, high : (d1, d2) arrays, read-only
        Unit matrices of rank at most r that attain the upper bound on a (unless it is 0 by the certified kernel) and
        the lower bound on b.
    kernel : KernelElement or None
        A matrix of rank at most r in the kernel, if one was found.
    method : str
        How the bounds were found.
    """

    rank: int
    symmetric: bool
    smallest: tuple[float, float]
    largest: tuple[float, float]
    low: np.ndarray
    high: np.ndarray
    kernel: KernelElement | None
    method: str

    @property
    def delta_lower(self) -> float:
        """Return a bound from below on delta for every scaling of A; 1.0 if the kernel holds a matrix of rank <= r.

        It comes from the matrices ``low`` and ``high``. That delta is hardly larger is empirical (a local search)
        unless ``delta_upper`` agrees.
        """
        return _delta(self.smallest[1], self.largest[0])

    @property
    def delta_upper(self) -> float:
        """Return a bound from above on delta at the scaling ``scale``; below 1 it certifies restricted isometry."""
        return _delta(self.smallest[0], self.largest[1])

    @property
    def ends(self) -> str:
        """Return both bounds on delta as text, or one where they print alike."""
        return " to ".join(dict.fromkeys(f"{delta:.6g}" for delta in (self.delta_lower, self.delta_upper)))

    @property
    def scale(self) -> float | None:
        """Return the factor sqrt(2 / (a + b)) of A for the certified ends of a and b, None for the zero operator."""
        total = self.smallest[0] + self.largest[1]
        return float(np.sqrt(2.0 / total)) if total > 0 else None

    @property
    def holds(self) -> bool | None:
        """Return whether some scaling has delta < 1: True and False are certified, None is undecided."""
        if self.smallest[0] > 0:
            return True
        return False if self.smallest[1] == 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return plain(self, "rank symmetric holds delta_lower delta_upper scale smallest largest kernel method")

    def __repr__(self) -> str:
        return f"RestrictedIsometry(rank {self.rank}, delta {self.ends})"


@watch.watched
def restricted_isometry(
    problem: Any,
    rank: int,
    *,
    symmetric: bool = False,
    starts: int = 8,
    rng: np.random.Generator | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> RestrictedIsometry:
    """Return bounds on the restricted isometry constant of the operator at ``rank``, for its best scaling.

    Parameters
    ----------
    problem : MatrixSensing, MatrixCompletion or (m, d1, d2) array
        The operator X -> (<A_i, X>)_i. Factors such as the 1/m of a risk play no part.
    rank : int
        r, from 1; above min(d1, d2) it counts as that. At min(d1, d2) the extreme singular values give delta exactly
        (to rounding). Below, the two matrices found by a local search bound delta from below. From above it is bounded
        by the singular values and, for r = 1 in a space of dimension at most 25, by a semidefinite relaxation that is
        exact where min(d1, d2) = 2 or, for symmetric matrices, d <= 3.
    symmetric : bool
        Restrict X to symmetric matrices, as X = U U^T asks. (Symmetric A_i cannot see the others: without this,
        delta = 1 from rank 2 on.)
    starts : int
        Number of random starts of each search.
    rng : numpy.random.Generator, optional
        Default: ``numpy.random.default_rng(0)``.
    progress, timeout : see ``gflow.watch.watching``
        The bounds are those found when the time is over, and ``method`` says so.

    Raises
    ------
    TypeError, ValueError
        If measurements given as an array break a rule of ``MatrixSensing``, the rank is not a positive integer, there
        is no start, or symmetric matrices are not square.

    Rank r of Gunasekar et al. 2017 and Jin et al. 2023 is the rank of X here; a theorem on recovery of rank r usually
    asks for delta at rank 2 r or more.
    """
    rank, starts = positive(rank, "rank"), positive(starts, "starts")
    rng = np.random.default_rng(0) if rng is None else rng
    given = Operator.of(as_sensing(problem), symmetric)
    rank = min(rank, given.full)
    search = _full_rank if rank == given.full else _bracket
    if given.rows.any():
        smallest, largest, low, high, kernel, method = search(given, rank, starts, rng)
    else:
        kernel = kernel_element(given, rank, starts, KERNEL_TOL, rng)
        assert kernel is not None
        smallest = largest = (0.0, 0.0)
        low, high, method = kernel.matrix, kernel.matrix, "zero operator"
    factor = given.unit**2
    ends = (smallest[0] * factor, smallest[1] * factor), (largest[0] * factor, largest[1] * factor)
    told = "; ".join(filter(None, [method, watch.over()]))
    return RestrictedIsometry(rank, symmetric, *ends, low, high, kernel, told)


def _delta(a: float, b: float) -> float:
    return (b - a) / (b + a) if b > 0 else 1.0


_Interval = tuple[float, float]
_Bounds = tuple[_Interval, _Interval, np.ndarray, np.ndarray, KernelElement | None, str]


def _full_rank(given: Operator, rank: int, starts: int, rng: np.random.Generator) -> _Bounds:
    """Return the extreme singular values: every matrix has rank at most r."""
    sizes, V = given.spectrum()
    b = float(sizes[0]) ** 2
    high = V[0].reshape(given.shape).copy()
    if len(V) == given.dim:
        a = float(sizes[-1]) ** 2
        return (a, a), (b, b), V[-1].reshape(given.shape).copy(), high, None, "singular values"
    low = _orthogonal(given, V, rng)
    residual, distance = float(np.sqrt(given.energy(low) / b)), float(np.linalg.norm(V @ low.ravel()))
    kernel = KernelElement(low, residual, distance + given.dim * EPS)
    return (0.0, 0.0), (b, b), low, high, kernel, "singular values"


def _orthogonal(given: Operator, V: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random unit matrix orthogonal to the row space V."""
    X = rng.standard_normal(given.shape)
    X = X + X.T if given.symmetric else X
    for _ in range(3):
        X = X - ((V @ X.ravel()) @ V).reshape(given.shape)
        X = X / np.linalg.norm(X)
    return X


def _bracket(given: Operator, rank: int, starts: int, rng: np.random.Generator) -> _Bounds:
    """Return bounds on both extremes over the matrices of a rank below the full one."""
    kernel = kernel_element(given, rank, starts, KERNEL_TOL, rng)
    sizes, V = given.spectrum()
    norm, method = float(sizes[0]), "local search, singular values"
    unit = Operator(given.rows / norm, given.shape, given.symmetric, 1.0)
    random = [rng.standard_normal(given.shape) for _ in range(starts)]
    lower, upper = float(sizes[-1] / norm) ** 2 if len(V) == given.dim else 0.0, 1.0
    lows, highs = [V[-1].reshape(given.shape), *random], [V[0].reshape(given.shape), *random]
    if rank == 1 and given.dim <= LARGEST_RELAXATION:
        method += ", semidefinite relaxation"
        (below, near_low), (above, near_high) = rank_one_bound(unit, 1), rank_one_bound(unit, -1)
        lower, upper = max(lower, below), min(upper, -above)
        lows, highs = [near_low, *lows], [near_high, *highs]
    high = extreme(unit, rank, -1, highs)
    most = unit.energy(high)
    if kernel is not None and kernel.certified:
        low, least, lower = kernel.matrix, 0.0, 0.0
    else:
        low = extreme(unit, rank, 1, lows if kernel is None else [kernel.matrix, *lows])
        least = unit.energy(low)
    square = norm**2
    smallest, largest = (min(lower, least) * square, least * square), (most * square, max(upper, most) * square)
    return smallest, largest, low.copy(), high, kernel, method
