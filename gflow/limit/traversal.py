"""The record of a saddle-to-saddle traversal: the limit, its law, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from gflow.flow import Plateau, Trajectory
from gflow.limit.law.law import crosses, demanded, drawn_norms, draws, law, law_in_words
from gflow.limit.orbit.polish import product_svd
from gflow.limit.orbit.sizes import LARGE_CELLS
from gflow.limit.records import Chain, Saddle, TraversalStatus
from gflow.plain import plain
from gflow.policy import LARGEST_TABLE, LIMIT_RANK_TOL
from gflow.showing import Drawn, Tabular

ROUNDED_VALUES = 1e-14
"""Singular values up to this fraction of the largest are rounding."""
SAME_NORM = 1e-9
"""Nuclear norms of draws from the law that agree within this fraction are one value."""


@dataclass(frozen=True, slots=True, eq=False)
class Traversal(Drawn, Tabular):
    """The alpha -> 0 limit from the origin: the chains of all coupling components and the matrix they end in.

    Attributes
    ----------
    shape : (d1, d2)
    width : int
        Inner width r of the model.
    status : TraversalStatus
    reason : str
    chains : tuple of Chain
    factors : ((d1, k) array, (k, d2) array) or None
        The limit, or its mean over Gaussian starts, as a product; see ``matrix``. None where there is no limit.
    from_start : bool
        Whether ``matrix`` belongs to a given start.
    order, safe_order : float or None
        Predicted exponent q of |W_inf(alpha) - limit| (None: exact for every small alpha, or undecided), and its
        lower bound.
    error : float or None
        Estimated largest error of an entry of ``matrix``: what the tolerances leave where the orbit remembers its way,
        and rounding, magnified by small gaps and soft directions. None where there is no limit.
    warnings : tuple of str
    observed : (rows, columns), int arrays, or None
        Places of the observed entries.
    row_names, column_names : tuples of str, or None
        Those of the problem.
    """

    shape: tuple[int, int]
    width: int
    status: TraversalStatus
    reason: str
    chains: tuple[Chain, ...]
    factors: tuple[np.ndarray, np.ndarray] | None
    from_start: bool
    order: float | None
    safe_order: float | None
    error: float | None
    warnings: tuple[str, ...]
    observed: tuple[np.ndarray, np.ndarray] | None = None
    row_names: tuple[str | None, ...] | None = None
    column_names: tuple[str | None, ...] | None = None

    @property
    def saddles(self) -> tuple[Saddle, ...]:
        """Return the saddles of all components, component by component; their ``theta`` is one of the whole model."""
        home = (*self.shape, self.width)
        return tuple(replace(saddle, home=home) for each in self.chains for saddle in each.saddles)

    @property
    def matrix(self) -> np.ndarray | None:
        """Return the limit for the given start; without a start, the mean over Gaussian starts; shape (d1, d2).

        The mean is the limit itself at ``determined`` entries. None where there is no limit. Formed on demand from the
        factors, like ``determined`` and ``std``.
        """
        if self.factors is None:
            return None
        W = self.factors[0] @ self.factors[1]
        W.setflags(write=False)
        return W

    @property
    def determined(self) -> np.ndarray:
        """Return which entries do not depend on the start, shape (d1, d2), bool.

        Where modes escape together, entries of their component that the data leave open depend on it.
        """
        return law(self.shape, self.width, self.chains)[0]

    @property
    def std(self) -> np.ndarray:
        """Return the standard deviation of the entries over Gaussian starts, shape (d1, d2).

        Between components it is |a_i| |b_j| / sqrt(r), elsewhere 0; NaN where modes escape together, and the start
        decides in a way that has no law in closed form.
        """
        return law(self.shape, self.width, self.chains)[1]

    @property
    def law(self) -> str | None:
        """Return the law of the entries that depend on the start, in words; None where none does.

        An entry is its deviation times sqrt(r) cos(phi), with phi the angle between independent uniform directions in
        R^r: its columns have two Haar frames.
        """
        if self.factors is None or bool(self.determined.all()):
            return None
        if any(each.open is not None for each in self.chains):
            return "a law that has no closed form: modes escape together"
        return law_in_words(self.width)

    @property
    def exact(self) -> bool:
        """Return whether every start that is small enough ends at the limit itself, as for complete data."""
        settled = all(each.order is None and each.unique is not None for each in self.chains)
        return self.status == TraversalStatus.CONVERGED and self.order is None and settled and not crosses(self.chains)

    @property
    def singular_values(self) -> np.ndarray | None:
        """Return the singular values of the limit; None where there is none or they depend on the start.

        Large limits give those of their factors, the others being zero.
        """
        if self.factors is None or (crosses(self.chains) and not self.from_start):
            return None
        if self.shape[0] * self.shape[1] > LARGE_CELLS:
            return product_svd(*self.factors)[1] if self.factors[0].shape[1] else np.zeros(1)
        return np.linalg.svd(self.factors[0] @ self.factors[1], compute_uv=False)

    @property
    def rank(self) -> int | None:
        """Return the rank of the limit, for almost every start; None where there is no limit.

        Singular values up to 1e-7 of the largest count where they exceed the error of the limit. Data smaller than the
        error are not told from zero.
        """
        if self.factors is None:
            return None
        sizes = self.singular_values
        if sizes is None:
            return min(self.width, sum(each.end.rank for each in self.chains))
        known = LIMIT_RANK_TOL * sizes[0]
        if self.error is not None:  # |dW|_2 <= |dW|_F
            known = min(known, max(self.error * sqrt(self.shape[0] * self.shape[1]), ROUNDED_VALUES * float(sizes[0])))
        return int(np.sum(sizes > known))

    @property
    def nuclear_norm(self) -> float | None:
        """Return the nuclear norm of the limit; None where there is no limit or it depends on the start.

        Without a start it is compared over draws from the law: complete bipartite components give one value.
        """
        if self.factors is None:
            return None
        sizes = self.singular_values
        if sizes is not None:
            return float(sizes.sum())
        norms = drawn_norms(self.shape, self.width, self.chains, np.random.default_rng(0), 5)
        return float(norms[0]) if np.ptp(norms) <= SAME_NORM * norms[0] else None

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return n draws of the limit over Gaussian starts, shape (n, d1, d2), without any integration.

        Raises ``ValueError`` where there is no limit, or where modes escape together: there each start has a chain of
        its own, ``saddle_to_saddle(problem, rng=rng)``.
        """
        if self.status != TraversalStatus.CONVERGED:
            raise ValueError(f"there is no limit to sample: {self.reason}")
        if any(each.open is not None for each in self.chains):
            raise ValueError("modes escape together: each start has a chain of its own, saddle_to_saddle(.., rng=rng)")
        return draws(self.shape, self.width, self.chains, rng, n)

    def log10_alpha(self, accuracy: float) -> float | None:
        """Return log10 of the alpha whose trajectories end within about ``accuracy``, relative to M; None if not known.

        In units of sqrt(max|M|): it stays when M is multiplied by a number.
        There alpha^q and, on the way to every saddle, the amplitudes of the passive modes (squared, or to the first
        power where entries lie between components) have fallen below ``accuracy``, at the end with what the data
        enlarge them by where they hardly determine the completion, and every escape is that of the limit.

        Raises ``ValueError`` unless 0 < accuracy < 1.
        """
        known = self.order is not None and all(saddle.peaks is not None for saddle in self.saddles)
        return self.log10_alpha_bound(accuracy) if known else None

    def log10_alpha_bound(self, accuracy: float) -> float:
        """Return an upper bound of that log10 of alpha, also where it is not known: what is known asks for no less.

        0.0 where nothing is known. Raises ``ValueError`` unless 0 < accuracy < 1.
        """
        if not 0 < accuracy < 1:
            raise ValueError(f"accuracy must lie between 0 and 1; got {accuracy!r}")
        return -demanded(self.chains, self.order, accuracy) / float(np.log(10.0))

    def save(self, path: str | Path) -> None:
        """Write the traversal with its saddles and orbits to an ``.npz`` file that ``load`` reads back bit for bit."""
        from gflow.limit.storage import write_record

        write_record(path, self)

    @classmethod
    def load(cls, path: str | Path) -> Traversal:
        """Return the traversal stored by ``save``.

        Raises ``ValueError`` if the file holds no traversal, ``OSError`` if it cannot be read. Nothing is executed.
        """
        from gflow.limit.storage import read_record

        found = read_record(path, (cls, Chain, Saddle, Trajectory, Plateau))
        if not isinstance(found, cls):
            raise ValueError(f"{path} holds no traversal: it holds a {type(found).__name__}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the limit for JSON; entries of ``matrix`` that depend on an unknown start are null.

        Above 1e4 entries ``matrix``, ``determined`` and ``std`` are null and ``factors`` holds A and B.
        """
        whole = self.shape[0] * self.shape[1] <= LARGEST_TABLE
        W = self.matrix if whole else None
        determined, std = law(self.shape, self.width, self.chains) if whole else (None, None)
        matrix = None
        if W is not None and determined is not None:
            known = determined | self.from_start
            matrix = [
                [float(x) if ok else None for x, ok in zip(*row, strict=True)] for row in zip(W, known, strict=True)
            ]
        large = {} if whole or self.factors is None else {"factors": [factor.tolist() for factor in self.factors]}
        return {
            **plain(self, "status reason"),
            "matrix": matrix,
            "determined": None if determined is None else determined.tolist(),
            "law": self.law,
            "std": None if std is None else [[None if np.isnan(x) else float(x) for x in row] for row in std],
            **large,
            **plain(self, "rank nuclear_norm order safe_order error saddles warnings"),
        }

    def __repr__(self) -> str:
        return f"Traversal({self.status}, rank={self.rank}, {len(self.saddles)} saddles, order={self.order})"
