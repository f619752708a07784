"""Masks by their classes under row and column permutations: how many there are, of which kind, and random ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np

import gflow


@dataclass(frozen=True, slots=True, eq=False)
class MaskOrbit:
    """A class of masks under permutations of rows and columns.

    Attributes
    ----------
    mask : (d1, d2) bool array, read-only
        Its representative.
    kind : gflow.Kind
        Of a matrix without zeros on it.
    size : int
        Number of masks in the class.
    """

    mask: np.ndarray
    kind: gflow.Kind
    size: int

    @property
    def n_observed(self) -> int:
        """Return the number of observed entries."""
        return int(np.count_nonzero(self.mask))

    @property
    def label(self) -> str:
        """Return the rows of the representative as 0 and 1, separated by "/"."""
        return "/".join("".join("1" if seen else "0" for seen in row) for row in self.mask)

    def __repr__(self) -> str:
        return f"Orbit({self.label}, {self.kind}, {self.size} masks)"


@lru_cache(maxsize=4)
def mask_orbits(d1: int, d2: int) -> tuple[MaskOrbit, ...]:
    """Return the classes of non-empty d1 x d2 masks, in the order of ``gflow.mask_classes``; for small shapes."""
    rows, columns = np.array(list(permutations(range(d1)))), np.array(list(permutations(range(d2))))
    weights = 1 << np.arange(d1 * d2)
    found = []
    for mask in gflow.mask_classes(d1, d2):
        images = mask[rows][:, :, columns].transpose(0, 2, 1, 3).reshape(-1, d1 * d2)
        kind = gflow.connectivity(gflow.MatrixCompletion(np.ones(mask.shape), mask)).kind
        mask.setflags(write=False)
        found.append(MaskOrbit(mask, kind, len(np.unique(images @ weights))))
    return tuple(found)


def random_mask(rng: np.random.Generator, shape: tuple[int, int], kind: gflow.Kind, n: int) -> np.ndarray:
    """Return a mask drawn uniformly from all of the kind with n observed entries.

    Raises ``ValueError`` if there is none.
    """
    orbits = [orbit for orbit in mask_orbits(*shape) if orbit.kind is kind and orbit.n_observed == n]
    if not orbits:
        raise ValueError(f"no {shape[0]} x {shape[1]} mask with n = {n} observed entries is {kind}")
    sizes = np.array([orbit.size for orbit in orbits], dtype=float)
    mask = orbits[int(rng.choice(len(orbits), p=sizes / sizes.sum()))].mask
    return mask[np.ix_(rng.permutation(shape[0]), rng.permutation(shape[1]))]
