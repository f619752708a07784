"""What is known of a rank: a number from singular values, and proven bounds beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.plain import ReadOnly


@dataclass(frozen=True, slots=True, eq=False)
class ModelRank(ReadOnly):
    """The rank of tangent functions: numerical at a tolerance, and between proven bounds.

    Attributes
    ----------
    rank : int
        The common value of the bounds where they meet, else the number of singular values above ``tol``.
    lower, upper : int
        Proven bounds for the exact doubles of theta. Without proof they are 0 and the number of parameters.
    singular_values : (min(n, dim),) array, read-only
        Of the sampled tangent functions with columns of length one, relative to the largest.
    tol : float
        Singular values count above it.
    n_values : int
        The number of sampled values of each tangent function.
    note : str
        What limits the answer, in words; empty if nothing does.
    """

    rank: int
    lower: int
    upper: int
    singular_values: np.ndarray
    tol: float
    n_values: int
    note: str = ""

    @property
    def certified(self) -> bool:
        """Return whether the bounds meet, so that the rank is proven."""
        return self.lower == self.upper

    @property
    def numerical(self) -> int:
        """Return the number of singular values above ``tol``."""
        return int(np.sum(self.singular_values > self.tol))

    @property
    def gap(self) -> float:
        """Return the last singular value that counts over the next one; infinite where there is none."""
        s, r = self.singular_values, self.numerical
        return float(s[r - 1] / s[r]) if 0 < r < len(s) and s[r] > 0.0 else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        names = ("rank", "lower", "upper", "certified", "numerical", "tol", "n_values", "note")
        gap = self.gap if np.isfinite(self.gap) else None
        found = {name: getattr(self, name) for name in names}
        return found | {"gap": gap, "singular_values": self.singular_values.tolist()}

    def __repr__(self) -> str:
        how = "certified" if self.certified else f"numerical at {self.tol:.1e}, between {self.lower} and {self.upper}"
        return f"ModelRank({self.rank}, {how})"


@dataclass(frozen=True, slots=True, eq=False)
class LinearStability:
    """Whether an interpolating parameter is the only minimiser among its tangent functions.

    Attributes
    ----------
    empirical : ModelRank
        The rank on the data.
    model : ModelRank
        The rank in function space.
    loss : float
        Of theta.
    """

    empirical: ModelRank
    model: ModelRank
    loss: float

    @property
    def stable(self) -> bool:
        """Return whether both ranks agree, which is linear stability (Zhang et al. 2022, Lemma 1)."""
        return self.empirical.rank == self.model.rank

    @property
    def certified(self) -> bool:
        """Return whether the bounds of both ranks prove the answer."""
        apart = self.empirical.upper < self.model.lower
        return apart if not self.stable else self.empirical.lower >= self.model.upper

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        parts = {"empirical": self.empirical.to_dict(), "model": self.model.to_dict()}
        return {"stable": self.stable, "certified": self.certified, "loss": self.loss, **parts}

    def __repr__(self) -> str:
        word = "stable" if self.stable else "not stable"
        how = "certified" if self.certified else "numerical"
        return f"LinearStability({word}, {how}: rank {self.empirical.rank} on the data, {self.model.rank} of the model)"
