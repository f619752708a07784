"""What models of functions share: inputs that are checked, rational ranks, and parameters in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction


class LastPoint:
    """A function of theta that keeps its last value: parts of a model or of a loss share what they can.

    Below ``least`` parameters a comparison costs as much as it spares, and nothing is kept.
    """

    def __init__(self, function: Callable[[np.ndarray], Any], least: int = 0) -> None:
        self.function, self.least = function, least
        self.last: tuple[np.ndarray, Any] | None = None

    def __call__(self, theta: np.ndarray) -> Any:
        if theta.size < self.least:
            return self.function(theta)
        last = self.last
        if last is None or not np.array_equal(last[0], theta):
            last = self.last = None  # lets go of the memory that the next value needs
            last = self.last = theta.copy(), self.function(theta)
        return last[1]


def checked_inputs(inputs: Any, ndim: int) -> np.ndarray:
    """Return inputs as a read-only array of doubles with ``ndim`` axes; numbers become vectors of length one.

    Parameters
    ----------
    inputs : (n,) or (n, ...) array of real numbers
    ndim : int

    Raises
    ------
    TypeError
        If they are no real numbers.
    ValueError
        If there are none, the number of axes is another one, or a number is not finite.
    """
    array = np.asarray(inputs)
    if array.dtype.kind not in "buif":
        raise TypeError(f"inputs must be an array of real numbers; got dtype {array.dtype}")
    array = np.array(array, dtype=float)
    if array.ndim == 1 and ndim == 2:
        array = array[:, None]
    if array.ndim != ndim or array.size == 0:
        axes = {2: "(n, d)", 3: "(n, L, d)"}.get(ndim, "(n, ...)")
        raise ValueError(f"inputs must have shape {axes} with at least one number; got {array.shape}")
    if not np.isfinite(array).all():
        bad = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(f"inputs must be finite; row {bad + 1} is not")
    array.setflags(write=False)
    return array


def checked_target(target: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return what stands for a target function as an array of doubles.

    Parameters
    ----------
    target : array of this shape
    shape : tuple of int

    Raises ``ValueError`` if it has another shape or is not finite.
    """
    array = np.asarray(target, dtype=float)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"target must be finite and of shape {shape}; got shape {array.shape}")
    return array


def rational(values: np.ndarray) -> list[list[Fraction]]:
    """Return the rows of a matrix of doubles as rational numbers."""
    from fractions import Fraction

    return [
        [value if isinstance(value, Fraction) else Fraction(float(value)) for value in row]
        for row in np.atleast_2d(values)
    ]


def rational_rank(values: np.ndarray) -> int:
    """Return the rank of a matrix of doubles in rational arithmetic.

    Parameters
    ----------
    values : (m, n) array
    """
    rows, rank = rational(values), 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for row in rows[rank + 1 :]:
            if row[column]:
                factor = row[column] / rows[rank][column]
                row[column:] = [a - factor * b for a, b in zip(row[column:], rows[rank][column:], strict=True)]
        rank += 1
    return rank


def product_vanishes(left: np.ndarray, right: np.ndarray) -> bool:
    """Return whether a product of two matrices of doubles is exactly zero.

    Parameters
    ----------
    left : (m, k) array
    right : (k, n) array
    """
    a, b = rational(left), rational(right)
    return not any(sum(x * row[j] for x, row in zip(line, b, strict=True)) for line in a for j in range(right.shape[1]))


def product_rank(left: np.ndarray, right: np.ndarray) -> int:
    """Return the dimension of {dA B + A dB} for A, B with product A B, mn - (m - rank A)(n - rank B), exactly.

    Parameters
    ----------
    left : (m, k) array
        A.
    right : (k, n) array
        B.

    The orthogonal complement consists of the N with N B^T = 0 and A^T N = 0; Zhang et al. 2022, arXiv 2211.11623.
    """
    m, n = left.shape[0], right.shape[1]
    return m * n - (m - rational_rank(left)) * (n - rational_rank(right))
