"""Rounding errors inside graded columns, followed along an integration.

Every column keeps its relative accuracy, but a column holds many modes: what rounding adds to it, a unit in the last
place of the column, fills all of them, also those that a symmetry of the data keeps out of it. There it grows by the
rates of those modes and may decide the next escape. Samples of the errors are carried along with the columns, and with
them the errors of the steps that are seen in the conserved quantity: only linear structure is kept by the steps.
"""

from __future__ import annotations

import numpy as np

from gflow.graded.balance import Balance
from gflow.graded.columns import MARGIN, GradedColumns
from gflow.graded.field import Field
from gflow.graded.sensitivity import MOST_OBSERVED, transported
from gflow.policy import EPS, ERROR_SAMPLES, HOPELESS

LOG_SMALL = float(np.log(0.03))
"""Logarithm of the scale up to which a column counts as small."""
LEAST = 1e-9
"""Residuals below this no longer lower the size at which a column matters, its square against the residual."""
FOLDINGS = 1.0
"""e-foldings between two looks at the state."""
HIDDEN = float(np.exp(-3.0))
"""Columns must be made orthogonal again when one has kept less than this of what larger ones do not hold of it,"""
ASTRAY = 1e-3
"""or when one that should be balanced is so far from it, relative to its size."""


class ColumnErrors:
    """Samples of the rounding errors in the columns, relative to each, in ``columns.errors``.

    Attributes
    ----------
    worst : float
        The largest error of a column that mattered, or of a mode that decided an escape, relative to it.
    rounding : float
        The same without the errors of the steps: in the first sample.
    resisted : bool
        Whether errors of large columns are followed too: not where there are many observations.
    """

    def __init__(self, columns: GradedColumns, field: Field, balance: Balance) -> None:
        self.columns, self.field, self.balance = columns, field, balance
        self.resisted = field.problem.n_observed <= MOST_OBSERVED
        self.balance.exact &= self.resisted
        self.rng = np.random.default_rng(0)
        columns.errors = np.zeros((ERROR_SAMPLES, *columns.z.shape))
        self.worst = self.rounding = 0.0
        self.lose(columns.z)
        self.begin(0.0, columns.z)

    def lose(self, size: np.ndarray) -> None:
        """Add errors of a rounding unit of ``size``, shape (m, k)."""
        self.columns.errors += EPS * size * self.rng.standard_normal(self.columns.errors.shape)

    def begin(self, t: float, z: np.ndarray) -> None:
        """Keep where a solver starts along which the errors are followed: at columns z."""
        self.least = HIDDEN * self.columns.apart(z)
        self.restart(t, z)

    def restart(self, t: float, z: np.ndarray) -> None:
        """Keep the time, the residual from which the errors grow next, and what the flow conserves of z and of them."""
        self.E, self.since, self.steps = self.field.residual(z), t, 0
        self.z, self.conserved = z, self.balance.of(z, z)
        self.kept, self.large = self.balance.of(z, self.columns.errors), self.above(z, LOG_SMALL)

    def above(self, z: np.ndarray, log_size: float) -> np.ndarray:
        """Return which columns of z are larger than exp(log_size), shape (components, k)."""
        squares = np.stack([np.einsum("mi,mi->i", z[rows], z[rows]) for rows in self.columns.members])
        with np.errstate(divide="ignore"):
            return self.columns.alive & (self.columns.logs + 0.5 * np.log(squares) > log_size)

    def step(self, t: float, z: np.ndarray, *, last: bool = False) -> bool:
        """Keep what a step of a solver to z at time t has lost, and let the errors grow when it is time.

        Return whether the columns must be made orthogonal, and balanced, again.
        """
        self.steps += 1
        dt = t - self.since
        if not last and dt * self.field.twice * float(np.linalg.norm(self.E)) < FOLDINGS:
            return False
        steps, before, kept, large = self.steps, self.conserved, self.kept, self.large
        if not self.resisted:
            self.columns.errors *= ~large[self.columns.owner]
        self.grow(0.5 * dt)
        self.restart(t, z)
        self.grow(0.5 * dt)
        self.forget(z, kept, large)
        self.lose(np.sqrt(steps) * np.abs(z))
        self.drift(z, self.conserved - before)
        self.settle(z)
        self.kept, self.large = self.balance.of(z, self.columns.errors), self.above(z, LOG_SMALL)
        return self.columns.apart(z) < self.least or self.balance.astray(z) > ASTRAY

    def drift(self, z: np.ndarray, change: np.ndarray) -> None:
        """Add the smallest error that explains why what the flow conserves has changed."""
        for c, rows in enumerate(self.columns.members):
            alive = np.nonzero(self.columns.alive[c])[0]
            if alive.size:
                D = 0.5 * change[c][np.ix_(alive, alive)]
                self.columns.errors[1:, rows[:, None], alive] += self.balance.explained(z, c, alive, D)

    def restore(self) -> None:
        """Keep columns balanced that should be; what that leaves is an error of second order."""
        self.worst = max(self.worst, self.balance.astray(self.columns.z) ** 2)
        self.balance.restore()

    def wait(self, dt: float, active: np.ndarray) -> None:
        """Keep the errors of ``active`` columns after a stay of a time dt; those of others follow the columns."""
        passive = self.columns.errors
        if self.resisted:
            self.grow(dt)
        self.columns.errors = np.where(active, self.columns.errors, passive)

    def grow(self, dt: float) -> None:
        """Keep the errors after the linearised flow over a time dt."""
        errors = transported(self.field, self.z, self.E, self.columns.errors, dt)
        if not float(np.abs(errors).max()) <= HOPELESS:
            self.worst, errors = np.inf, np.zeros_like(errors)
        self.columns.errors = errors

    def forget(self, z: np.ndarray, kept: np.ndarray, large: np.ndarray) -> None:
        """Keep of errors in large columns, where nothing is known of what resists them, only what the flow conserves.

        That is ``kept``, from ``Balance.of``.
        """
        for c, rows in enumerate(self.columns.members):
            inner = np.nonzero(large[c])[0]
            if inner.size and not self.resisted:
                D = kept[:, c][:, inner[:, None], inner]
                self.columns.errors[:, rows[:, None], inner] = self.balance.explained(z, c, inner, D)

    def settle(self, z: np.ndarray) -> None:
        """Keep of the errors in z what does more than turn the frame; those of columns that matter are judged."""
        columns = self.columns
        if not np.isfinite(columns.errors).all():
            self.worst, columns.errors = np.inf, np.zeros_like(columns.errors)
        judged = self.above(z, LOG_SMALL + 0.5 * min(0.0, float(np.log(max(float(np.linalg.norm(self.E)), LEAST)))))
        for c, rows in enumerate(columns.members):
            sizes = np.linalg.norm(z[rows], axis=0)
            alive = columns.alive[c] & (sizes > 0.0)
            sizes[~alive] = 1.0
            unit, errors, logs = z[rows] / sizes, columns.errors[:, rows], columns.logs[c] + np.log(sizes)
            along = np.einsum("mi,smj->sij", unit, errors)
            larger = (logs[:, None] > logs[None, :]) & alive[:, None]
            errors = errors - np.einsum("mi,sij->smj", unit, np.where(larger, along, 0.0))
            relative = (np.linalg.norm(errors, axis=1) / sizes)[:, judged[c]]
            self.worst = max(self.worst, MARGIN * float(relative.max(initial=0.0)))
            self.rounding = max(self.rounding, MARGIN * float(relative[0].max(initial=0.0)))
            errors[:, :, ~alive] = 0.0
            columns.errors[:, rows] = errors
        self.forget(z, self.balance.of(z, columns.errors), self.above(z, LOG_SMALL))
