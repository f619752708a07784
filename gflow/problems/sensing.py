"""Matrix sensing: linear measurements <A_i, W> = y_i of a matrix."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from gflow.problems.completion import LARGEST_ENTRY, MatrixCompletion, power_of_four
from gflow.problems.entries import doubles
from gflow.problems.given import as_completion, as_problem
from gflow.showing import Shown

NORMALIZATIONS = ("mean", "sum")


class MatrixSensing(Shown):
    """Linear measurements y_i = <A_i, M> with risk R(W) = (1/m) sum_i (<A_i, W> - y_i)^2.

    Parameters
    ----------
    measurements : (m, d1, d2) array, or scipy sparse array (m, d1 d2) with ``shape``
        The matrices A_i; a sparse array holds one of them, row-major, in each row. They need not be symmetric: a
        symmetric W sees their symmetric parts alone.
    values : (m,) array
        The y_i.
    shape : (d1, d2), optional
        Only for sparse measurements.
    normalization : {'mean', 'sum'}
        'mean' is the 1/m above, as in matrix completion. 'sum' is the plain sum of squares of Gunasekar et al. 2017;
        it multiplies risk, gradient and rates by m and divides times by it.

    Attributes
    ----------
    matrix : (m, d1 d2) array or sparse array
        The operator W -> (<A_i, W>)_i on row-major W.
    targets : (m,) array, read-only

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If there is no measurement, a shape does not fit, an entry is masked or not finite, or max|A_i|_F, max|y_i| or
        their quotient is not zero and leaves [1e-150, 1e150].

    Scales: R as s^2, gradient as s and curvature as 1 when y is multiplied by s. Gunasekar et al. 2017, eq. (2).
    """

    def __init__(
        self, measurements: Any, values: Any, *, shape: tuple[int, int] | None = None, normalization: str = "mean"
    ) -> None:
        from scipy import sparse

        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}; got {normalization!r}")
        if sparse.issparse(measurements):
            self.matrix, self.shape = _sparse_operator(sparse.csr_array(measurements), shape)
        else:
            self.matrix, self.shape = _dense_operator(measurements, shape)
        self.targets = _real(values, "values").copy()
        self.normalization = normalization
        count = self.matrix.shape[0]
        if self.targets.shape != (count,):
            raise ValueError(f"values must have shape ({count},), one for each measurement; got {self.targets.shape}")
        if not np.isfinite(self.targets).all():
            bad = int(np.argmin(np.isfinite(self.targets)))
            raise ValueError(f"values must be finite; number {bad + 1} is {self.targets[bad]}")
        largest = float(np.abs(self.targets).max())
        for number, name in (
            (_largest_norm(self.matrix), "max|A_i|_F"),
            (largest, "max|y_i|"),
            (self.size, "max|y_i| / max|A_i|_F"),
        ):
            if number and not 1 / LARGEST_ENTRY <= number <= LARGEST_ENTRY:
                raise ValueError(f"{name} must lie in [1e-150, 1e150]; it is {number:g}: choose other units")
        self.targets.setflags(write=False)

    @classmethod
    def of_completion(cls, problem: MatrixCompletion) -> MatrixSensing:
        """Return the completion problem as sensing with the matrices e_i e_j^T of its observed entries."""
        from scipy import sparse

        problem = as_completion(problem)
        d1, d2 = problem.shape
        count = problem.n_observed
        cells = problem.rows * d2 + problem.columns
        operator = sparse.csr_array((np.ones(count), (np.arange(count), cells)), shape=(count, d1 * d2))
        return cls(operator, problem.targets, shape=problem.shape)

    @property
    def measurements(self) -> np.ndarray:
        """Return the A_i as a dense array of shape (m, d1, d2)."""
        dense = self.matrix if isinstance(self.matrix, np.ndarray) else self.matrix.toarray()
        return dense.reshape(-1, *self.shape)

    @property
    def n_observed(self) -> int:
        """Return m, the number of measurements."""
        return len(self.targets)

    @property
    def weight(self) -> float:
        """Return the factor before the sum of squares in R: 1/m, or 1 for the normalization 'sum'."""
        return 1.0 / self.n_observed if self.normalization == "mean" else 1.0

    @cached_property
    def size(self) -> float:
        """Return max|y_i| / max|A_i|_F, a size of the matrix sought (0.0 if every A_i is 0); scales as s."""
        norm = _largest_norm(self.matrix)
        return float(np.abs(self.targets).max()) / norm if norm > 0 else 0.0

    @cached_property
    def unit(self) -> float:
        """Return the power of four with size / unit in [1/2, 2), 1.0 for y = 0: the unit in which algorithms work."""
        return power_of_four(self.size)

    @cached_property
    def normalized(self) -> MatrixSensing:
        """Return the same problem in its own unit, y / unit."""
        return self if self.unit == 1.0 else self.rescaled(1.0 / self.unit)

    def rescaled(self, factor: float) -> MatrixSensing:
        """Return the problem with y multiplied by ``factor``."""
        values = self.targets * factor
        return MatrixSensing(self._plain(), values, shape=self._given_shape(), normalization=self.normalization)

    def _plain(self) -> Any:
        return self.measurements if isinstance(self.matrix, np.ndarray) else self.matrix

    def _given_shape(self) -> tuple[int, int] | None:
        return None if isinstance(self.matrix, np.ndarray) else self.shape

    def measure(self, W: np.ndarray) -> np.ndarray:
        """Return (<A_i, W>)_i, shape (m,) (trailing axes of W are kept)."""
        d1, d2 = self.shape
        flat = self.matrix @ W.reshape(d1 * d2, -1)
        return flat.reshape(-1, *W.shape[2:])

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return sum_i weights_i A_i, shape (d1, d2) (leading axes of weights are kept)."""
        flat = weights.reshape(-1, self.n_observed)
        return (self.matrix.T @ flat.T).T.reshape(*weights.shape[:-1], *self.shape)

    def misfit(self, W: np.ndarray) -> np.ndarray:
        """Return r = A(W) - y, shape (m,) (leading axes of W are kept)."""
        return self._measured(W) - self.targets

    def risk(self, W: np.ndarray) -> Any:
        """Return R(W) = weight * |A(W) - y|^2; an array of such values if W has leading axes."""
        error = self.misfit(W)
        if error.ndim > 1:
            return self.weight * np.einsum("...i,...i->...", error, error)
        return self.weight * float(error @ error)

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return dR/dW = 2 weight sum_i r_i A_i, shape (d1, d2) (leading axes of W are kept)."""
        return 2.0 * self.weight * self.adjoint(self.misfit(W))

    def curvature(self, dW: np.ndarray) -> np.ndarray:
        """Return 2 weight sum_i <A_i, dW> A_i, the second derivative of R applied to dW, shape (d1, d2)."""
        return 2.0 * self.weight * self.adjoint(self._measured(dW))

    def _measured(self, W: np.ndarray) -> np.ndarray:
        """Return the measurements of W, shape (..., m): leading axes of W are kept."""
        flat = W.reshape(-1, self.shape[0] * self.shape[1])
        return (self.matrix @ flat.T).T.reshape(*W.shape[:-2], -1)

    def __repr__(self) -> str:
        return f"MatrixSensing({self.shape[0]} x {self.shape[1]}, {self.n_observed} measurements)"


def _largest_norm(matrix: Any) -> float:
    """Return max|A_i|_F; the rows are scaled first, so that no square overflows."""
    largest = float(abs(matrix).max())
    if not largest > 0:
        return 0.0
    scaled = matrix / largest
    return largest * float(np.sqrt(np.asarray((scaled * scaled).sum(axis=1)).max()))


def _real(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    _require_real(array.dtype, name)
    if np.ma.is_masked(values):
        raise ValueError(f"{name} must not hold masked entries; leave those measurements out")
    return doubles(array)


def _require_real(dtype: Any, name: str) -> None:
    if dtype.kind not in "buif":
        raise TypeError(f"{name} must be an array of real numbers; got dtype {dtype}")


def _dense_operator(measurements: Any, shape: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, int]]:
    array = _real(measurements, "measurements")
    if array.ndim != 3:
        raise ValueError(f"measurements must have shape (m, d1, d2); got {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"there must be at least one measurement of at least one entry; got shape {array.shape}")
    if shape is not None and tuple(shape) != array.shape[1:]:
        raise ValueError(f"shape must agree with the measurements, {array.shape[1:]}; got {tuple(shape)}")
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        i, j, k = (int(index) + 1 for index in bad[0])
        raise ValueError(f"measurements must be finite; number {i} holds {array[tuple(bad[0])]} in row {j}, column {k}")
    matrix = array.reshape(len(array), -1)
    matrix.setflags(write=False)
    return matrix, (array.shape[1], array.shape[2])


def _sparse_operator(operator: Any, shape: tuple[int, int] | None) -> tuple[Any, tuple[int, int]]:
    if shape is None:
        raise ValueError("sparse measurements need shape=(d1, d2)")
    if np.shape(shape) != (2,) or not all(isinstance(d, (int, np.integer)) and d > 0 for d in shape):
        raise ValueError(f"shape must be two positive integers (d1, d2); got {shape!r}")
    d1, d2 = int(shape[0]), int(shape[1])
    if operator.ndim != 2 or operator.shape[0] == 0 or operator.shape[1] != d1 * d2:
        raise ValueError(f"sparse measurements must have shape (m, {d1 * d2}) with m > 0; got {operator.shape}")
    _require_real(operator.dtype, "measurements")
    doubles(operator.data)
    operator = operator.astype(float)
    if not np.isfinite(operator.data).all():
        raise ValueError("measurements must be finite; a stored entry is not")
    return operator, (d1, d2)


def as_sensing(problem: Any) -> Any:
    """Return matrix completion as the linear measurements of its entries, and other problems as they are."""
    problem = as_problem(problem)
    return MatrixSensing.of_completion(problem) if isinstance(problem, MatrixCompletion) else problem
