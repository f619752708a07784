"""The record of a saddle-to-saddle traversal: the limit, its law, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gflow.flow import Plateau, Trajectory
from gflow.traversal.law import draws
from gflow.traversal.records import Chain, Saddle, TraversalStatus
from gflow.traversal.storage import read_record, write_record

RANK_TOL = 1e-7
"""Singular values of the limit above this fraction of the largest count towards its rank."""
SAME_NORM = 1e-9
"""Nuclear norms of draws from the law that agree within this fraction are one value."""


@dataclass(frozen=True, slots=True, eq=False)
class Traversal:
    """The alpha -> 0 limit from the origin: the chains of all coupling components and the matrix they end in.

    Attributes
    ----------
    shape : (d1, d2)
    width : int
        Inner width r of the model.
    status : TraversalStatus
    reason : str
    chains : tuple of Chain
    matrix : (d1, d2) array or None
        The limit for the given start; without a start, the mean over Gaussian starts, which is the limit itself at
        ``determined`` entries. None where there is no limit.
    determined : (d1, d2) bool array
        Entries that do not depend on the start.
    std : (d1, d2) array
        Standard deviation of the entries over Gaussian starts; |a_i| |b_j| / sqrt(r) between components.
    from_start : bool
        Whether ``matrix`` belongs to a given start.
    order, safe_order : float or None
        Predicted exponent q of |W_inf(alpha) - limit| (None: exact for every small alpha, or undecided), and its
        lower bound.
    error : float or None
        Estimated largest error of an entry of ``matrix``: what the tolerances leave where the orbit remembers its way,
        and rounding, magnified by small gaps and soft directions. None where there is no limit.
    warnings : tuple of str
    """

    shape: tuple[int, int]
    width: int
    status: TraversalStatus
    reason: str
    chains: tuple[Chain, ...]
    matrix: np.ndarray | None
    determined: np.ndarray
    std: np.ndarray
    from_start: bool
    order: float | None
    safe_order: float | None
    error: float | None
    warnings: tuple[str, ...]

    @property
    def saddles(self) -> tuple[Saddle, ...]:
        """Return the saddles of all components, component by component."""
        return tuple(saddle for each in self.chains for saddle in each.saddles)

    @property
    def singular_values(self) -> np.ndarray | None:
        """Return the singular values of the limit; None where there is none or they depend on the start."""
        if self.matrix is None or not (self.from_start or self.determined.all()):
            return None
        return np.linalg.svd(self.matrix, compute_uv=False)

    @property
    def rank(self) -> int | None:
        """Return the rank of the limit, for almost every start; None where there is no limit."""
        if self.matrix is None:
            return None
        sizes = self.singular_values
        if sizes is None:
            return min(self.width, sum(each.end.rank for each in self.chains))
        return int(np.sum(sizes > RANK_TOL * sizes[0])) if sizes[0] > 0 else 0

    @property
    def nuclear_norm(self) -> float | None:
        """Return the nuclear norm of the limit; None where there is no limit or it depends on the start.

        Without a start it is compared over draws from the law: complete bipartite components give one value.
        """
        if self.matrix is None:
            return None
        if self.singular_values is not None:
            return float(self.singular_values.sum())
        norms = np.linalg.svd(self.sample(np.random.default_rng(0), 5), compute_uv=False).sum(axis=1)
        return float(norms[0]) if np.ptp(norms) <= SAME_NORM * norms[0] else None

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return n draws of the limit over Gaussian starts, shape (n, d1, d2), without any integration.

        Raises ``ValueError`` where there is no limit.
        """
        if self.status != TraversalStatus.CONVERGED:
            raise ValueError(f"there is no limit to sample: {self.reason}")
        return draws(self.shape, self.width, self.chains, rng, n)

    def log10_alpha(self, accuracy: float) -> float | None:
        """Return log10 of the alpha whose trajectories end within about ``accuracy``, relative to M; None if not known.

        There alpha^q and, at every saddle, the amplitude of the next mode (squared, or to the first power where entries
        lie between components) have fallen below ``accuracy``. Raises ``ValueError`` unless 0 < accuracy < 1.
        """
        if not 0 < accuracy < 1:
            raise ValueError(f"accuracy must lie between 0 and 1; got {accuracy!r}")
        gains = [saddle.gain for saddle in self.saddles]
        if self.order is None or None in gains:
            return None
        wanted = -float(np.log(accuracy))
        share = 1.0 if (self.std > 0).any() else 0.5
        waits = [
            (s.gain or 0.0) / s.exponents[0] + share * wanted / s.exponents[0] for s in self.saddles if s.exponents
        ]
        return -max(wanted / self.order, *waits) / float(np.log(10.0))

    def save(self, path: str | Path) -> None:
        """Write the traversal with its saddles and orbits to an ``.npz`` file that ``load`` reads back bit for bit."""
        write_record(path, self)

    @classmethod
    def load(cls, path: str | Path) -> Traversal:
        """Return the traversal stored by ``save``.

        Raises ``ValueError`` if the file holds no traversal, ``OSError`` if it cannot be read. Nothing is executed.
        """
        found = read_record(path, (cls, Chain, Saddle, Trajectory, Plateau))
        if not isinstance(found, cls):
            raise ValueError(f"{path} holds no traversal: it holds a {type(found).__name__}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the limit for JSON; entries of ``matrix`` that depend on an unknown start are null."""
        matrix = None
        if self.matrix is not None:
            known = self.determined | self.from_start
            matrix = [
                [float(x) if ok else None for x, ok in zip(*row, strict=True)]
                for row in zip(self.matrix, known, strict=True)
            ]
        return {
            "status": str(self.status),
            "reason": self.reason,
            "matrix": matrix,
            "determined": self.determined.tolist(),
            "std": self.std.tolist(),
            "rank": self.rank,
            "nuclear_norm": self.nuclear_norm,
            "order": self.order,
            "safe_order": self.safe_order,
            "error": self.error,
            "saddles": [saddle.to_dict() for saddle in self.saddles],
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        return f"Traversal({self.status}, rank={self.rank}, {len(self.saddles)} saddles, order={self.order})"
