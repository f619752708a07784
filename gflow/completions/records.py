"""What reference completions return: frozen records, and the error of a solver that ends inaccurately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.plain import plain
from gflow.showing import Drawn, Tabular


class InaccurateSolution(RuntimeError):
    """The certified bounds of a minimum lie further apart than was asked for.

    Attributes
    ----------
    lower, upper, gap : float
        The bounds that were reached, and (upper - lower) / upper.
    solver : str
    """

    def __init__(self, message: str, lower: float, upper: float, gap: float, solver: str) -> None:
        super().__init__(message)
        self.lower, self.upper, self.gap, self.solver = lower, upper, gap, solver


def frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only copy of an array."""
    copy = np.array(array, dtype=float)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, slots=True, eq=False)
class Completion(Drawn, Tabular):
    """A completion W with P o W = P o M exactly, and the bounds that certify that it minimises its objective.

    Attributes
    ----------
    objective : str
        "nuclear norm", "trace" (over X >= 0 that fit linear measurements up to rounding), or "distance" (the
        Frobenius distance to a given start).
    matrix : (d1, d2) array, read-only
    lower, upper : float
        The minimum lies between them; ``upper`` is the objective at ``matrix``. Both scale as s.
    dual : (d1, d2) array, read-only
        Y = P o Y with norm at most 1 up to rounding (spectral for the nuclear norm, Frobenius for a distance), and
        lower = <Y, M> (for a distance <Y, M - start>). For a trace nu, shape (m,), with A*(nu) <= I and
        lower = <nu, y>. Scales as 1.
    solver : str
        Every method that contributed.
    unique : bool or None
        True or False where (non-)uniqueness of the minimiser was certified numerically; None: unknown.
    rank_tol : float
        ``rank`` counts the singular values above ``rank_tol`` times the largest.
    """

    objective: str
    matrix: np.ndarray
    lower: float
    upper: float
    dual: np.ndarray
    solver: str
    unique: bool | None
    rank_tol: float = 1e-6

    @property
    def value(self) -> float:
        """Return the objective at ``matrix``; at most ``upper - lower`` above the minimum."""
        return self.upper

    @property
    def gap(self) -> float:
        """Return the relative gap (upper - lower) / upper, at least 0; 0 for the value 0."""
        return max(self.upper - self.lower, 0.0) / self.upper if self.upper > 0 else 0.0

    @property
    def rank(self) -> int:
        """Return the numerical rank of ``matrix``, relative to its largest singular value."""
        singular = np.linalg.svd(self.matrix, compute_uv=False)
        return int(np.sum(singular > self.rank_tol * singular[0]))

    @property
    def nuclear_norm(self) -> float:
        """Return the sum of the singular values of ``matrix``."""
        return float(np.linalg.svd(self.matrix, compute_uv=False).sum())

    @property
    def frobenius_norm(self) -> float:
        """Return the Frobenius norm of ``matrix``."""
        return frobenius(self.matrix)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return plain(
            self, "objective value lower upper gap solver unique rank rank_tol nuclear_norm frobenius_norm matrix dual"
        )

    def __repr__(self) -> str:
        size = f"{self.matrix.shape[0]} x {self.matrix.shape[1]}"
        return f"Completion({size}, {self.objective} {self.value:.10g}, gap {self.gap:.1e}, {self.solver})"


@dataclass(frozen=True, slots=True, eq=False)
class RankFit:
    """The best fit of rank at most k found from many starts.

    Attributes
    ----------
    rank : int
        The bound k.
    loss : float
        (1/n) ||P o (A B - M)||_F^2, the smallest found; scales as s^2.
    A, B : (d1, k) and (k, d2) arrays, read-only
        Balanced: A^T A = B B^T.
    converged : bool
        Whether the gradient vanished, relative to the scale of the problem, at a point with bounded entries.
    bounded : bool
        Whether max|A B| stayed below ``norm_bound`` max|M|. If not, the loss was still falling there: the infimum
        may be approached only at infinity.
    norm_bound : float
    losses : (starts,) array, read-only
        The loss each start ended at, ascending.
    """

    rank: int
    loss: float
    A: np.ndarray
    B: np.ndarray
    converged: bool
    bounded: bool
    norm_bound: float
    losses: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """Return A B, shape (d1, d2)."""
        return self.A @ self.B

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (A, B)."""
        return self.A, self.B

    @property
    def starts(self) -> int:
        """Return the number of starts."""
        return len(self.losses)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return plain(self, "rank loss converged bounded norm_bound starts matrix losses")

    def __repr__(self) -> str:
        end = "converged" if self.converged else "bounded" if self.bounded else "unbounded"
        return f"RankFit(rank {self.rank}, loss {self.loss:.6g}, {end}, {self.starts} starts)"


@dataclass(frozen=True, slots=True, eq=False)
class RankBracket(Drawn, Tabular):
    """Bounds on the least rank of a completion, each with its reason.

    Attributes
    ----------
    lower, upper : int
    lower_reason, upper_reason : str
    completion : (d1, d2) array, read-only
        A completion of numerical rank ``upper``; M on the mask.
    exact : bool
        Whether the data are few-bit numbers (integers, halves, ...) and were taken as exact. If not, every statement
        holds up to ``rank_tol`` max|M|, as it must for rounded decimals.
    certified : bool
        Whether the upper end is proven: by rational arithmetic, by a Newton-Kantorovich bound or, for data that are
        not exact, by a matrix of that rank that meets them up to rounding. The lower end always is.
    rank_tol : float
    """

    lower: int
    lower_reason: str
    upper: int
    upper_reason: str
    completion: np.ndarray
    exact: bool
    certified: bool
    rank_tol: float

    @property
    def closed(self) -> bool:
        """Return whether both ends agree and the upper end is certified."""
        return self.lower == self.upper and self.certified

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return plain(self, "lower lower_reason upper upper_reason closed exact certified rank_tol completion")

    def __repr__(self) -> str:
        ends = str(self.upper) if self.closed else f"[{self.lower}, {self.upper}]"
        return f"RankBracket({ends}: {self.lower_reason}; {self.upper_reason})"


def frobenius(matrix: np.ndarray) -> float:
    """Return the Frobenius norm; no square leaves the range of a double."""
    size = float(np.abs(matrix).max())
    return size * float(np.linalg.norm(matrix / size)) if size > 0 else 0.0
