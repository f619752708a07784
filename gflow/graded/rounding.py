"""Rounding errors inside small graded columns, followed along an integration.

Every column keeps its relative accuracy, but a column holds many modes: what rounding adds to it, a unit in the last
place of the column, fills all of them, also those that a symmetry of the data keeps out of it. There it grows by the
rates of those modes and may decide the next escape. Samples of the errors are carried along with the columns.
"""

from __future__ import annotations

import numpy as np

from gflow.graded.columns import EPS, MARGIN, GradedColumns, modes
from gflow.graded.field import Field

SAMPLES = 3
"""Samples of the errors that are followed; the largest counts."""
LOG_SMALL = float(np.log(0.03))
"""Logarithm of the scale up to which a column counts as small."""
LEAST = 1e-9
"""Residuals below this no longer lower the size at which a column matters, its square against the residual."""
FOLDINGS = 1.0
"""e-foldings between two looks at the state."""
LARGEST_EXPONENT, HOPELESS = 200.0, 1e8
"""Errors are not followed beyond the second, relative to their column."""


class Errors:
    """Samples of the rounding errors in the small columns, relative to each, in ``columns.errors``.

    Attributes
    ----------
    worst : float
        The largest error of a column that became large, or of a mode that decided an escape, relative to it.
    """

    def __init__(self, columns: GradedColumns, field: Field) -> None:
        self.columns, self.field = columns, field
        self.signs = np.where(np.arange(len(columns.z)) < field.cut, 1.0, -1.0)[:, None]
        self.rng = np.random.default_rng(0)
        columns.errors = np.zeros((SAMPLES, *columns.z.shape))
        self.worst = 0.0
        self.lose(columns.z)
        self.restart(0.0, columns.z)

    def lose(self, size: np.ndarray) -> None:
        """Add errors of a rounding unit of ``size``, shape (m, k)."""
        self.columns.errors += EPS * size * self.rng.standard_normal(self.columns.errors.shape)

    def restart(self, t: float, z: np.ndarray) -> None:
        """Keep the time, the residual from which the errors grow next, and what the flow conserves of z and of them."""
        self.E, self.since, self.steps = self.field.residual(z), t, 0
        self.conserved = self.imbalance(z, z)
        self.kept, self.large = self.imbalance(z, self.columns.errors), self.above(z, LOG_SMALL)

    def imbalance(self, z: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return z^T S other of every component, S = diag(I, -I), symmetrised; shape (..., components, k, k).

        For other = z it is the conserved quantity A^T A - B B^T, relative to the sizes of the columns.
        """
        signed = self.signs * other
        halves = np.stack([z[rows].T @ signed[..., rows, :] for rows in self.columns.members], axis=-3)
        return 0.5 * (halves + np.swapaxes(halves, -1, -2))

    def above(self, z: np.ndarray, log_size: float) -> np.ndarray:
        """Return which columns of z are larger than exp(log_size), shape (components, k)."""
        squares = np.stack([np.einsum("mi,mi->i", z[rows], z[rows]) for rows in self.columns.members])
        with np.errstate(divide="ignore"):
            return self.columns.alive & (self.columns.logs + 0.5 * np.log(squares) > log_size)

    def explained(self, z: np.ndarray, c: int, inner: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Return the smallest e with z^T S e = D, a symmetric matrix, for columns ``inner`` of component c."""
        rows = self.columns.members[c]
        part = z[rows[:, None], inner]
        norms = np.linalg.norm(part, axis=0)
        unit, D = part / norms, D / norms[:, None]
        if self.columns.single[c]:
            return self.signs[rows] * np.linalg.pinv(unit).T @ D
        # what one block lacks must not come into it from another column
        return self.signs[rows] * unit * np.einsum("...ii->...i", D)[..., None, :]

    def step(self, t: float, z: np.ndarray, *, last: bool = False) -> bool:
        """Keep what a step of a solver to z at time t has lost; return whether it was time to let the errors grow."""
        self.steps += 1
        dt = t - self.since
        if not last and dt * self.field.twice * float(np.linalg.norm(self.E)) < FOLDINGS:
            return False
        steps, before, kept, large = self.steps, self.conserved, self.kept, self.large
        self.columns.errors *= ~large[self.columns.owner]
        self.grow(0.5 * dt)
        self.restart(t, z)
        self.grow(0.5 * dt)
        self.forget(z, kept, large)
        self.lose(np.sqrt(steps) * np.abs(z))
        self.drift(z, self.conserved - before)
        self.settle(z)
        self.kept, self.large = self.imbalance(z, self.columns.errors), self.above(z, LOG_SMALL)
        return True

    def drift(self, z: np.ndarray, change: np.ndarray) -> None:
        """Add the smallest error that explains why what the flow conserves has changed."""
        for c, rows in enumerate(self.columns.members):
            alive = np.nonzero(self.columns.alive[c])[0]
            if alive.size:
                D = 0.5 * change[c][np.ix_(alive, alive)]
                self.columns.errors[:, rows[:, None], alive] += self.explained(z, c, alive, D)

    def grow(self, dt: float) -> None:
        """Keep the errors multiplied by the exponential of the linear flow over a time dt."""
        rates, X = modes(self.E, np.arange(len(self.columns.z)))
        growth = np.exp(np.minimum(self.field.twice * dt * rates, LARGEST_EXPONENT))
        errors = X @ (growth[:, None] * (X.T @ self.columns.errors))
        if float(np.abs(errors).max()) > HOPELESS:
            self.worst, errors = np.inf, np.zeros_like(errors)
        self.columns.errors = errors

    def forget(self, z: np.ndarray, kept: np.ndarray, large: np.ndarray) -> None:
        """Keep of the errors in large columns no more than what the flow conserves: ``kept``, from ``imbalance``."""
        for c, rows in enumerate(self.columns.members):
            inner = np.nonzero(large[c])[0]
            if inner.size:
                D = kept[:, c][:, inner[:, None], inner]
                self.columns.errors[:, rows[:, None], inner] = self.explained(z, c, inner, D)

    def settle(self, z: np.ndarray) -> None:
        """Keep of the errors in z what does more than turn the frame; those of columns that matter are judged."""
        columns = self.columns
        judged = self.above(z, LOG_SMALL + 0.5 * min(0.0, float(np.log(max(np.linalg.norm(self.E), LEAST)))))
        for c, rows in enumerate(columns.members):
            sizes = np.linalg.norm(z[rows], axis=0)
            alive = columns.alive[c] & (sizes > 0.0)
            sizes[~alive] = 1.0
            unit, errors, logs = z[rows] / sizes, columns.errors[:, rows], columns.logs[c] + np.log(sizes)
            along = np.einsum("mi,smj->sij", unit, errors)
            larger = (logs[:, None] > logs[None, :]) & alive[:, None]
            errors = errors - np.einsum("mi,sij->smj", unit, np.where(larger, along, 0.0))
            relative = np.linalg.norm(errors, axis=1).max(axis=0) / sizes
            self.worst = max(self.worst, MARGIN * float(relative[judged[c]].max(initial=0.0)))
            errors[:, :, ~alive] = 0.0
            columns.errors[:, rows] = errors
        self.forget(z, self.imbalance(z, columns.errors), self.above(z, LOG_SMALL))
