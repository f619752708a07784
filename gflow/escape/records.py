"""What the computation of an escape limit returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from gflow.escape.degenerate import DegenerateEscape
from gflow.escape.directions import EscapeDirections
from gflow.flow import Trajectory
from gflow.plain import ReadOnly


class EscapeVerdict(StrEnum):
    """What the computation says about the limit."""

    EXISTS = "limit-exists"
    VIOLATED = "assumption-violated"
    ROUNDOFF = "controlled-by-roundoff"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class EscapeLimit(ReadOnly):
    """The limit phi(t) = lim phi(saddle + alpha direction, t + log(1/alpha) / lambda_1); arrays are read-only.

    Attributes
    ----------
    verdict : EscapeVerdict
        Only ``limit-exists`` and ``undecided`` come with the numbers below, which are None otherwise.
    reason : str
    directions : EscapeDirections
    path : Trajectory or None
        The limit, by the unstable manifold: times are those of phi, states are points (not deviations). Its status is
        ``roundoff`` where it ends because rounding would decide what follows, as near the next saddle.
    times : (m,) array
        Times of phi at which the two routes are compared.
    alphas : (p,) array
        The starts of the direct route, decreasing.
    errors : (p,) array
        Largest distance of the direct route from the path over ``times``, relative to the largest |path - saddle|.
    predicted_order, fitted_order : float or None
        Exponent of alpha in ``errors``: min(1, 1 - lambda_2 / lambda_1), a lower bound that holds with equality
        unless terms of the expansion vanish, and the slope where it has settled (None: too few errors above rounding).
    direct_error, manifold_error : float or None
        Each route's own estimate of its error, relative: of the last alpha, by extrapolation with the predicted order
        and rounding, and of the path, by shortening the start.
    agreement : float or None
        Distance between the path and the direct route extrapolated to alpha = 0 with the predicted order, relative.
    basis : (r, k + 1) array or None
        For a factorisation: orthonormal basis of the Omega_(k+1) on which the path lies.
    omega_defect : float or None
        Largest distance of the path from that manifold over ``times``, relative.
    escape : DegenerateEscape or None
        At a degenerate saddle, where s* alpha^-(p - 2) takes the place of log(1/alpha) / lambda_1.
    """

    verdict: EscapeVerdict
    reason: str
    directions: EscapeDirections
    path: Trajectory | None = None
    times: np.ndarray | None = None
    alphas: np.ndarray | None = None
    errors: np.ndarray | None = None
    predicted_order: float | None = None
    fitted_order: float | None = None
    direct_error: float | None = None
    manifold_error: float | None = None
    agreement: float | None = None
    basis: np.ndarray | None = None
    omega_defect: float | None = None
    escape: DegenerateEscape | None = None

    @property
    def end(self) -> np.ndarray | None:
        """Return the last state of the path, shape (dim,): near the critical point to which it leads, if any."""
        return None if self.path is None else self.path.final

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, orders and errors for JSON."""
        numbers = ("predicted_order", "fitted_order", "direct_error", "manifold_error", "agreement", "omega_defect")
        arrays = {"times": self.times, "alphas": self.alphas, "errors": self.errors, "end": self.end}
        return {
            "verdict": str(self.verdict),
            "reason": self.reason,
            **self.directions.to_dict(),
            **{name: getattr(self, name) for name in numbers},
            "escape": None if self.escape is None else self.escape.to_dict(),
            **{name: None if array is None else array.tolist() for name, array in arrays.items()},
        }

    def __repr__(self) -> str:
        predicted, fitted = (
            "none" if order is None else f"{order:.5g}" for order in (self.predicted_order, self.fitted_order)
        )
        return f"EscapeLimit({self.verdict}, order predicted {predicted}, fitted {fitted})"
