"""What the flow conserves, A^T A - B B^T of every coupling component, seen in graded columns.

With S = diag(I, -I) it is z^T S z, relative to the sizes of the columns. It says at the relative accuracy of the
smallest column what a column may become: where it vanishes and W is square, the sign of det W. Steps of a solver keep
linear structure, a symmetry of the data for instance, but not this one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gflow.graded.columns import GradedColumns

SCREEN = 1e-12
"""A start whose A^T A - B B^T exceeds this, relative to its square, is not balanced, exactly or otherwise."""
FILLED = 1e-3
"""A group of rows that holds this part of a column can bear rounding errors of the whole column."""


class Balance:
    """The conserved quantity of graded columns.

    Parameters
    ----------
    columns : GradedColumns
    cut : int
        So many rows of [A; B^T] belong to A.
    start : (d1 + d2, r) array
        The exact start, up to a factor.

    Attributes
    ----------
    exact : (number of components,) bool array
        Where the conserved quantity is exactly zero.
    """

    def __init__(self, columns: GradedColumns, cut: int, start: np.ndarray) -> None:
        self.columns = columns
        self.signs = np.where(np.arange(len(start)) < cut, 1.0, -1.0)[:, None]
        exact = [vanishes(start[rows], self.signs[rows]) for rows in columns.members]
        self.exact = np.array(exact, dtype=bool)

    def of(self, z: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the symmetric part of z^T S other in every component, shape (..., components, k, k)."""
        signed = self.signs * other
        halves = np.stack([z[rows].T @ signed[..., rows, :] for rows in self.columns.members], axis=-3)
        return 0.5 * (halves + np.swapaxes(halves, -1, -2))

    def explained(self, z: np.ndarray, c: int, inner: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Return the smallest e whose z^T S e has the symmetric part D, for columns ``inner`` of component c.

        Smallest where the scales of the columns count: of two columns it is the smaller one that changes.
        """
        rows = self.columns.members[c]
        part = z[rows[:, None], inner]
        norms = np.linalg.norm(part, axis=0)
        logs = self.columns.logs[c, inner] + np.log(norms)
        share = 1.0 + np.tanh(logs[:, None] - logs[None, :])
        unit, D = part / norms, share * D / norms[:, None]
        if self.columns.single[c] or self.filled(unit, c):
            return np.asarray(self.signs[rows] * np.linalg.pinv(unit).T @ D)
        # what one column lacks in a block must not come into it from another
        return np.asarray(self.signs[rows] * unit * np.einsum("...ii->...i", D)[..., None, :])

    def filled(self, unit: np.ndarray, c: int) -> bool:
        """Return whether every one of these columns of component c has a part that counts in every group of rows."""
        groups = self.columns.group[self.columns.members[c]]
        return all(float(np.linalg.norm(unit[groups == g], axis=0).min()) >= FILLED for g in np.unique(groups))

    def astray(self, z: np.ndarray) -> float:
        """Return how far the columns of z are from being balanced, relative to their sizes, where they should be."""
        worst = 0.0
        for c in np.nonzero(self.exact)[0]:
            part = z[self.columns.members[c]][:, self.columns.alive[c]]
            part = part / np.linalg.norm(part, axis=0)
            D = part.T @ (self.signs[self.columns.members[c]] * part)
            worst = max(worst, float(np.abs(D).max(initial=0.0)))
        return worst

    def restore(self) -> None:
        """Keep columns balanced that should be, to first order, and of their errors only those that leave them so."""
        columns = self.columns
        if not self.exact.any():
            return
        for change, half in ((columns.z, 0.5), (columns.errors, 1.0)):
            D = half * self.of(columns.z, change)
            for c in np.nonzero(self.exact)[0].tolist():
                inner = np.nonzero(columns.alive[c])[0]
                block = columns.members[c][:, None], inner
                if inner.size:
                    change[(..., *block)] -= self.explained(columns.z, c, inner, D[..., c, inner[:, None], inner])


def vanishes(Z: np.ndarray, signs: np.ndarray) -> bool:
    """Return whether Z^T diag(signs) Z is exactly zero."""
    if float(np.abs(Z.T @ (signs * Z)).max()) > SCREEN * float(np.sum(Z * Z)):
        return False
    exact = [[Fraction(float(x)) for x in column] for column in Z.T]
    s = [int(sign) for sign in signs[:, 0]]
    return not any(
        sum(sign * x * y for sign, x, y in zip(s, one, other, strict=True))
        for i, one in enumerate(exact)
        for other in exact[: i + 1]
    )
