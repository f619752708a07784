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
        self.rng = np.random.default_rng(0)
        columns.errors = np.zeros((SAMPLES, *columns.z.shape))
        self.worst = 0.0
        self.lose(columns.z)
        self.restart(0.0, columns.z)

    def lose(self, size: np.ndarray) -> None:
        """Add errors of a rounding unit of ``size``, shape (m, k)."""
        self.columns.errors += EPS * size * self.rng.standard_normal(self.columns.errors.shape)

    def restart(self, t: float, z: np.ndarray) -> None:
        """Keep the time and the residual from which the errors grow next."""
        self.E, self.since, self.steps = self.field.residual(z), t, 0

    def step(self, t: float, z: np.ndarray, *, last: bool = False) -> None:
        """Keep what a step of a solver to z at time t has lost, and let the errors grow when it is time."""
        self.steps += 1
        dt = t - self.since
        if not last and dt * self.field.twice * float(np.linalg.norm(self.E)) < FOLDINGS:
            return
        self.grow(0.5 * dt)
        steps = self.steps
        self.restart(t, z)
        self.grow(0.5 * dt)
        self.lose(np.sqrt(steps) * np.abs(z))
        self.settle(z)

    def grow(self, dt: float) -> None:
        """Keep the errors multiplied by the exponential of the linear flow over a time dt."""
        rates, X = modes(self.E, np.arange(len(self.columns.z)))
        growth = np.exp(np.minimum(self.field.twice * dt * rates, LARGEST_EXPONENT))
        errors = X @ (growth[:, None] * (X.T @ self.columns.errors))
        if float(np.abs(errors).max()) > HOPELESS:
            self.worst, errors = np.inf, np.zeros_like(errors)
        self.columns.errors = errors

    def settle(self, z: np.ndarray) -> None:
        """Keep of the errors in z what does more than turn the frame; those of large columns are judged, and end."""
        columns = self.columns
        for c, rows in enumerate(columns.members):
            sizes = np.linalg.norm(z[rows], axis=0)
            alive = columns.alive[c] & (sizes > 0.0)
            sizes[~alive] = 1.0
            unit, errors, logs = z[rows] / sizes, columns.errors[:, rows], columns.logs[c] + np.log(sizes)
            along = np.einsum("mi,smj->sij", unit, errors)
            larger = (logs[:, None] > logs[None, :]) & alive[:, None]
            errors = errors - np.einsum("mi,sij->smj", unit, np.where(larger, along, 0.0))
            large = (logs > LOG_SMALL) & alive
            relative = np.linalg.norm(errors, axis=1).max(axis=0) / sizes
            self.worst = max(self.worst, MARGIN * float(relative[large].max(initial=0.0)))
            errors[:, :, large | ~alive] = 0.0
            columns.errors[:, rows] = errors
