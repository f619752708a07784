"""Where a trajectory leaves a strict saddle of any objective: the top eigenspace of -Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.critical import hessian_spectrum
from gflow.plain import ReadOnly, plain
from gflow.policy import HESSIAN_ROUNDING

if TYPE_CHECKING:
    from gflow.critical import Spectrum
    from gflow.objective import Objective

LANCZOS_TOL = 1e-10
"""Accuracy of eigenvalues where not all of them are computed, relative to the norm of the Hessian."""
BENT_BY = 4.0
"""A relative move changes the Hessian by at most so many times its norm: by 2 for a product of two factors."""


@dataclass(frozen=True, slots=True, eq=False)
class EscapeDirections(ReadOnly):
    """The top eigenspace of -H at a point.

    Attributes
    ----------
    rate : float
        The largest eigenvalue lambda_1 of -H; 0.0 where none is positive. Scales as s with M.
    next_rate : float or None
        The next distinct eigenvalue lambda_2 of -H (it may be zero or negative), None if there is none.
    basis : (dim, m) array, read-only
        Orthonormal basis of the eigenspace, m = 0 where nothing escapes.
    complete : bool
        Whether the whole eigenspace is known; otherwise the multiplicity is a lower bound.
    norm : float
        The norm of the Hessian.
    error : float
        How far the eigenvalues may be from those at the exact critical point.
    clear : bool
        Whether no eigenvalue is so near to lambda_1 that only its last digits tell them apart.
    """

    rate: float
    next_rate: float | None
    basis: np.ndarray
    complete: bool
    norm: float
    error: float
    clear: bool

    @property
    def multiplicity(self) -> int:
        """Return the dimension m of the eigenspace."""
        return self.basis.shape[1]

    @property
    def gap(self) -> float | None:
        """Return lambda_1 - lambda_2, None without a second eigenvalue."""
        return None if self.next_rate is None else self.rate - self.next_rate

    @property
    def order(self) -> float:
        """Return min(1, 1 - lambda_2 / lambda_1), the generic order in alpha of the direct limit.

        The 1 comes from terms of second order in the deviation; it is a lower bound where these vanish.
        """
        if self.next_rate is None or self.rate == 0.0:
            return 1.0
        return min(1.0, 1.0 - self.next_rate / self.rate)

    def project(self, direction: np.ndarray) -> np.ndarray:
        """Return the part of ``direction``, shape (dim,), in the eigenspace."""
        return self.basis @ (self.basis.T @ direction)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers (not the basis) for JSON."""
        return {
            "escape_rate": self.rate,
            **plain(self, "next_rate gap multiplicity complete"),
        }

    def __repr__(self) -> str:
        gap = "none" if self.gap is None else f"{self.gap:.6g}"
        return f"EscapeDirections(rate={self.rate:.8g}, multiplicity={self.multiplicity}, gap={gap})"


def escape_directions(
    objective: Objective, saddle: np.ndarray, *, k: int | None = None, clear_tol: float = 1e-7
) -> EscapeDirections:
    """Return the top eigenspace of -H at ``saddle``, for any objective.

    Parameters
    ----------
    objective : Objective
    saddle : (dim,) array
    k : int, optional
        How many of the lowest eigenvalues of H to compute. Default: all up to dimension 1000, above that as many as
        it takes to see an eigenvalue beyond the eigenspace.
    clear_tol : float
        The multiplicity is ``clear`` if every other eigenvalue differs from lambda_1 by more than clear_tol * lambda_1.

    Eigenvalues count as equal, and lambda_1 as zero, within their ``error``: rounding of the Hessian, the accuracy of
    Lanczos, and what a Newton step from ``saddle`` would change.

    Raises
    ------
    ValueError
        For a point of another shape or not finite, or ``k`` not between 1 and dim.
    SpectrumNotConverged
        If the Lanczos iteration stalls.

    Rates scale as s when M is multiplied by s.
    """
    spectrum = hessian_spectrum(objective, saddle, k)
    error = eigenvalue_error(objective, saddle, spectrum)
    top = _within(spectrum, error)
    while k is None and not spectrum.complete and top.all() and spectrum.norm > 0.0:
        spectrum = hessian_spectrum(objective, saddle, min(4 * len(spectrum.values), objective.dim))
        top = _within(spectrum, error)
    known = spectrum.complete or not bool(top.all())
    rate = float(-spectrum.values[0])
    if rate <= error:
        return EscapeDirections(0.0, None, np.empty((objective.dim, 0)), True, spectrum.norm, error, True)
    rest = spectrum.values[~top]
    next_rate = float(-rest[0]) if rest.size else None
    clear = next_rate is None or rate - next_rate > clear_tol * rate
    return EscapeDirections(rate, next_rate, spectrum.vectors[:, top].copy(), known, spectrum.norm, error, clear)


def eigenvalue_error(objective: Objective, saddle: np.ndarray, spectrum: Spectrum) -> float:
    """Return how far eigenvalues at a point that is nearly critical may be from those at the critical point.

    A Newton step of relative length s changes the Hessian by s times its norm, more or less. Directions in which the
    gradient is rounding alone are no part of it.
    """
    inner, point = objective.normalized or objective, np.asarray(saddle, dtype=float) / objective.theta_unit
    size, own = max(float(np.linalg.norm(point)), 1.0), objective.time_unit / inner.time_unit
    slopes, curvatures = spectrum.vectors.T @ inner.gradient(inner.theta_unit * point), own * spectrum.values
    norm = own * spectrum.norm
    moved = (np.abs(curvatures) > HESSIAN_ROUNDING * norm) & (np.abs(slopes) > HESSIAN_ROUNDING * norm * size)
    step = float(np.linalg.norm(slopes[moved] / curvatures[moved])) / size
    return spectrum.norm * (HESSIAN_ROUNDING + (0.0 if spectrum.complete else LANCZOS_TOL) + BENT_BY * step)


def _within(spectrum: Spectrum, error: float) -> np.ndarray:
    """Return which eigenvalues of H differ from the lowest one by no more than both their errors."""
    return spectrum.values - spectrum.values[0] <= 2.0 * error
