"""The records of a saddle-to-saddle traversal of X = U U^T."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.limit.records import TraversalStatus
from gflow.plain import ReadOnly, plain
from gflow.policy import LIMIT_RANK_TOL
from gflow.showing import Drawn, Tabular


@dataclass(frozen=True, slots=True, eq=False)
class SymmetricSaddle(ReadOnly):
    """A critical point of the chain; the last one of a converged chain is a minimum.

    Attributes
    ----------
    matrix : (d, d) array, read-only
        X; scales as s.
    rank : int
    loss : float
        R(X); scales as s^2.
    escape_rate : float
        2 lambda_1(-G), the largest growth rate outside; 0.0 where nothing escapes. Scales as s.
    gap : float
        How far the next growth rate outside is below it.
    direction : (d,) array, read-only
        The eigenvector u, its largest entry positive.
    inside_rate : float
        Largest growth rate inside rank k, 0.0 at a minimum there.
    """

    matrix: np.ndarray
    rank: int
    loss: float
    escape_rate: float
    gap: float
    direction: np.ndarray
    inside_rate: float

    def __repr__(self) -> str:
        return f"SymmetricSaddle(rank {self.rank}, loss={self.loss:.8g}, escape_rate={self.escape_rate:.6g})"


@dataclass(frozen=True, slots=True, eq=False)
class SymmetricTraversal(Drawn, Tabular):
    """The chain of saddles of X = U U^T from the origin, and the limit it ends in.

    Attributes
    ----------
    status : TraversalStatus
        ``converged`` also where the end is a minimum of positive loss (over X >= 0, or of the given width).
    reason : str
    saddles : tuple of SymmetricSaddle
        In the order of the visit, the origin first.
    matrix : (d, d) array or None
        The limit; None unless converged.
    """

    status: TraversalStatus
    reason: str
    saddles: tuple[SymmetricSaddle, ...]
    matrix: np.ndarray | None

    @property
    def rank(self) -> int | None:
        """Return the number of eigenvalues of the limit above 1e-7 of the largest; None where there is no limit."""
        if self.matrix is None:
            return None
        sizes = np.linalg.eigvalsh(self.matrix)
        return int(np.sum(sizes > LIMIT_RANK_TOL * sizes[-1])) if sizes[-1] > 0 else 0

    @property
    def nuclear_norm(self) -> float | None:
        """Return the trace of the limit; None where there is none."""
        return None if self.matrix is None else float(np.trace(self.matrix))

    @property
    def loss(self) -> float | None:
        """Return the loss of the limit; None where there is none."""
        return None if self.matrix is None else self.saddles[-1].loss

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        saddles = [plain(saddle, "rank loss escape_rate gap inside_rate") for saddle in self.saddles]
        return plain(self, "status reason rank nuclear_norm matrix") | {"saddles": saddles}

    def __repr__(self) -> str:
        losses = ", ".join(f"{saddle.loss:.6g}" for saddle in self.saddles)
        return f"SymmetricTraversal({self.status}, rank {self.rank}, losses {losses})"
