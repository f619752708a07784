"""The record of a certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gflow.plain import plain


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What ball arithmetic proves about a computed critical point of rank k in the model of width r.

    Attributes
    ----------
    exists : bool
        Proven: a critical point with k rows of A at their computed values lies within ``radius``. False: not proven.
    unique : bool
        Proven: it is the only such point there, and the Hessian has no zero eigenvalue inside but the k^2 of the gauge.
    radius : float or None
        Bounds the distance of every entry of A and B from the computed one; None where no bound was proven. A proven
        radius above the one that was asked for stands here with ``exists`` False. Scales as sqrt(s).
    rank, width : int
        k and r.
    inside_negative : int or None
        Negative eigenvalues of the Hessian of the rank-k model; None: not proven.
    residual_rank : (int, int) or None
        Proven bounds of the rank of E = P o (A B - M) at the critical point; equal where the rank is proven.
    zero_eigenvalues : int or None
        Of the Hessian at width r: k^2 + (r - k) (d1 + d2 - 2 rank E); None where rank E is not proven.
    precision : int
        Bits of the midpoints.
    reason : str
        What is proven and how, or "not certified" and why.
    """

    exists: bool
    unique: bool
    radius: float | None
    rank: int
    width: int
    inside_negative: int | None
    residual_rank: tuple[int, int] | None
    zero_eigenvalues: int | None
    precision: int
    reason: str

    @property
    def negative_bounds(self) -> tuple[int, int] | None:
        """Return proven bounds of the number of negative eigenvalues of the Hessian at width r, or None."""
        if self.inside_negative is None or self.residual_rank is None:
            return None
        outside = self.width - self.rank
        low, high = (self.inside_negative + outside * rank for rank in self.residual_rank)
        return low, high

    @property
    def negative_eigenvalues(self) -> int | None:
        """Return the proven number of negative eigenvalues of the Hessian at width r; None where it is not proven."""
        bounds = self.negative_bounds
        return bounds[0] if bounds is not None and bounds[0] == bounds[1] else None

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate for JSON."""
        return plain(
            self,
            "exists unique radius rank width negative_eigenvalues "
            "negative_bounds inside_negative residual_rank zero_eigenvalues precision reason",
        )

    def __repr__(self) -> str:
        if not self.exists:
            return f"Certificate(rank={self.rank}, {self.reason})"
        return f"Certificate(rank={self.rank}, radius={self.radius:.3g}, negative={self.negative_eigenvalues})"
