"""The records of a limit at depth three or more: its saddles, its end, and the law of its signs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from gflow.limit.law.deep_ways import Way
from gflow.limit.records import TraversalStatus
from gflow.models import Factorization
from gflow.plain import plain
from gflow.policy import LIMIT_RANK_TOL
from gflow.showing import Drawn, Tabular

SAME = 1e-6
"""Entries that no sign changes by more than this, relative to the largest, do not depend on the start."""
MOST_SIGNS = 10
"""Up to this number of signs all their combinations are formed; beyond it, as many draws."""


@dataclass(frozen=True, slots=True, eq=False)
class DeepSaddle:
    """A critical point of the chain at depth L, in the coordinates of its own rank.

    Attributes
    ----------
    model : Factorization or None
        The rank-k model of depth L, None at the origin.
    theta : (dim,) array
        Its parameters; empty at the origin. Scale as s^(1/L).
    matrix : (d1, d2) array
        W; scales as s.
    loss : float
        Scales as s^2.
    residual_singular_values : array
        All of them; scale as s.
    u, v : arrays
        Top singular pair of -E.
    inside_rate : float
        Largest growth rate inside the manifold, 0.0 at a minimum of it: the time there is (p / rate) log(1/alpha).
    inside_unstable : int
        Number of modes that grow inside.
    flat : int
        Zero modes inside beyond the (L - 1) k^2 of the gauge.
    leaves : str or None
        ``inside``, by a growing mode of the manifold; ``rank``, by a new singular pair in a time alpha^-(L-2); None at
        the end.
    way : Way or None
        The orbit that led here by a new channel, and what lies beside it; None at the origin, after others, and for
        more than 200 parameters.
    """

    model: Factorization | None
    theta: np.ndarray
    matrix: np.ndarray
    loss: float
    residual_singular_values: np.ndarray
    u: np.ndarray
    v: np.ndarray
    inside_rate: float
    inside_unstable: int
    flat: int
    leaves: str | None
    way: Way | None

    @property
    def rank(self) -> int:
        """Return k, the number of channels in use."""
        return 0 if self.model is None else self.model.rank

    def to_dict(self) -> dict[str, Any]:
        """Return the saddle for JSON."""
        return plain(self, "rank loss matrix residual_singular_values inside_rate inside_unstable flat leaves way")

    def __repr__(self) -> str:
        return f"DeepSaddle(rank={self.rank}, loss={self.loss:.8g}, leaves={self.leaves})"


@dataclass(frozen=True, eq=False)
class DeepTraversal(Drawn, Tabular):
    """The alpha -> 0 limit of W = W1 ... WL from the origin for L >= 3: the chain of saddles and its end.

    Attributes
    ----------
    shape : (d1, d2)
    width, depth : int
    status : TraversalStatus
    reason : str
    saddles : tuple of DeepSaddle
        In the order of the visit, the origin first.
    end : (d1, d2) array or None
        The limit for one choice of the signs; None where there is no limit.
    reflections : tuple of ((d1, d1) array, (d2, d2) array)
        Each escape inside that the start decides by a coin: the two ends are W and R W S. They commute.
    unique : bool or None
        Whether the end is the only critical point of its rank nearby; None where there is no limit.
    order : float or None
        Predicted exponent q of |W_inf(alpha) - limit|; None where it is not known.
    error : float or None
        Estimated largest error of an entry.
    plateau_times : tuple of float
        For a given start theta_0: s_0, s_0 + s_1, ... such that the flow from alpha theta_0 leaves the plateau of rank
        k at t = alpha^-(L-2) (s_0 + ... + s_k) (1 + O(alpha)); no longer than they are known. Scale as s^(2/L - 2).
    observed, row_names, column_names
        As in ``Traversal``.
    plateau_errors : tuple of float
        Estimated errors of these times: what the start of a plateau has been taken from its limit too early.
    """

    shape: tuple[int, int]
    width: int
    depth: int
    status: TraversalStatus
    reason: str
    saddles: tuple[DeepSaddle, ...]
    end: np.ndarray | None
    reflections: tuple[tuple[np.ndarray, np.ndarray], ...]
    unique: bool | None
    order: float | None
    error: float | None
    plateau_times: tuple[float, ...] = ()
    observed: tuple[np.ndarray, np.ndarray] | None = None
    row_names: tuple[str | None, ...] | None = None
    column_names: tuple[str | None, ...] | None = None
    plateau_errors: tuple[float, ...] = ()

    @property
    def matrix(self) -> np.ndarray | None:
        """Return the mean of the limit over Gaussian starts, shape (d1, d2): the limit itself where ``determined``."""
        W = self.end
        for R, S in self.reflections:
            W = None if W is None else (W + R @ W @ S) / 2
        return W

    @cached_property
    def ends(self) -> np.ndarray:
        """Return the limit for every choice of the signs, or for many draws of them, shape (n, d1, d2).

        Raises ``ValueError`` where there is no limit.
        """
        if self.end is None:
            raise ValueError(f"there is no limit: {self.reason}")
        count = len(self.reflections)
        if count <= MOST_SIGNS:
            return np.array([self._reflected(signs) for signs in product((False, True), repeat=count)])
        return self.sample(np.random.default_rng(0), 2**MOST_SIGNS)

    def _reflected(self, signs: Any) -> np.ndarray:
        W = self.end
        assert W is not None
        for (R, S), turned in zip(self.reflections, signs, strict=True):
            W = R @ W @ S if turned else W
        return W

    @property
    def determined(self) -> np.ndarray:
        """Return which entries do not depend on the start, shape (d1, d2), bool; all False where there is no limit."""
        if self.end is None:
            return np.zeros(self.shape, dtype=bool)
        return np.ptp(self.ends, axis=0) <= SAME * float(np.abs(self.end).max())

    @property
    def std(self) -> np.ndarray:
        """Return the standard deviation of the entries over Gaussian starts, shape (d1, d2); NaN without a limit."""
        return np.full(self.shape, np.nan) if self.end is None else self.ends.std(axis=0)

    @property
    def law(self) -> str | None:
        """Return the law of the entries that depend on the start, in words; None where none does."""
        count = len(self.reflections)
        if self.end is None or bool(self.determined.all()):
            return None
        return "a fair sign" if count == 1 else f"{count} fair signs"

    @property
    def singular_values(self) -> np.ndarray | None:
        """Return the singular values of the limit, which no sign changes; None where there is no limit."""
        return None if self.end is None else np.linalg.svd(self.end, compute_uv=False)

    @property
    def rank(self) -> int | None:
        """Return the rank of the limit; None where there is none."""
        sizes = self.singular_values
        if sizes is None:
            return None
        return int(np.sum(sizes > LIMIT_RANK_TOL * sizes[0])) if sizes[0] > 0 else 0

    @property
    def nuclear_norm(self) -> float | None:
        """Return the nuclear norm of the limit; None where there is none."""
        sizes = self.singular_values
        return None if sizes is None else float(sizes.sum())

    def log10_alpha(self, accuracy: float) -> float | None:
        """Return log10 of the alpha whose trajectories end within about ``accuracy``, relative to M; None if not known.

        In units of max|M|^(1/L): it stays when M is multiplied by a number. There what the start leaves beside each
        orbit has stayed small along it, or has been forgotten, every saddle is met before the next channel opens, and
        alpha^q has fallen below ``accuracy``. Not known where there is no limit, no order, or an escape inside.

        Raises ``ValueError`` unless 0 < accuracy < 1.
        """
        known = self.end is not None and self.order is not None
        return self.log10_alpha_bound(accuracy) if known and all(each.way for each in self.saddles[1:]) else None

    def log10_alpha_bound(self, accuracy: float) -> float:
        """Return an upper bound of that log10 of alpha, also where it is not known: what is known asks for no less.

        0.0 where nothing is known. Raises ``ValueError`` unless 0 < accuracy < 1.
        """
        if not 0 < accuracy < 1:
            raise ValueError(f"accuracy must lie between 0 and 1; got {accuracy!r}")
        needed = [0.0] if self.order is None else [-float(np.log(accuracy)) / self.order]
        whole = self.observed is not None and len(self.observed[0]) == self.shape[0] * self.shape[1]
        for each in () if whole else self.saddles:  # a matrix that is observed whole is reached on every way
            if each.way is not None:
                last = each is self.saddles[-1] or each.leaves is None
                needed.append(each.way.log_scale(accuracy, self.depth, kept=each.flat > 0, last=last))
        return -max(needed) / float(np.log(10.0))

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return n draws of the limit over Gaussian starts, shape (n, d1, d2).

        Raises ``ValueError`` where there is no limit.
        """
        if self.end is None:
            raise ValueError(f"there is no limit to sample: {self.reason}")
        signs = rng.integers(0, 2, size=(n, len(self.reflections))).astype(bool)
        return np.array([self._reflected(each) for each in signs])

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        lists = None if self.end is None else (self.matrix, self.determined, self.std, self.singular_values)
        names = ("matrix", "determined", "std", "singular_values")
        return {
            **plain(self, "depth width status reason rank nuclear_norm"),
            "signs": len(self.reflections),
            **plain(self, "unique order error law plateau_times plateau_errors"),
            **{name: None if lists is None else np.asarray(lists[i]).tolist() for i, name in enumerate(names)},
            "saddles": [saddle.to_dict() for saddle in self.saddles],
        }

    def __repr__(self) -> str:
        losses = ", ".join(f"{saddle.loss:.6g}" for saddle in self.saddles)
        return f"DeepTraversal(depth={self.depth}, {self.status}, rank {self.rank}, losses {losses})"
