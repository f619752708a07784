"""Rounding errors in the columns of a factorised model that are too small to change W, followed along a trajectory.

Beside a plateau the state holds columns of [A; B^T] that are many orders of magnitude smaller than the others. They
move linearly, Z' = F(t) Z, and so does what rounding puts into them at every step; what both have grown to when such a
column becomes large says by how much rounding has changed it. Structure that keeps modes apart (an invariant set, a
symmetry of the data) does not keep rounding errors apart: they fill every mode.

Errors of the steps respect such structure, but a column that has shrunk since it was large keeps what they put into it
then. That is seen in the conserved quantity A^T A - B B^T: its drift along such a column, relative to the square of it.
While larger columns decide how long the steps are, a step may also be too long for a column that nobody sees to grow as
it should: what each step misses of the fastest growth is added up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gflow.policy import EPS, ERROR_SAMPLES, HOPELESS, LARGEST_ERROR_EXPONENT

if TYPE_CHECKING:
    from gflow.objective import Objective

IDLE = 0.03
"""Columns below this fraction of the largest singular value of Z, or of the unit, move by the linear equation."""
WIDEST, LARGEST = 100, 1_000_000
"""Widest Z, and its largest number of entries, of which rounding errors are followed."""
MARGIN = 2.0
"""Errors are this many times the largest sample; one is followed where there are more rows than ``DENSE``."""
FOLDINGS = 2.0
"""e-foldings of the fastest error between two looks at the state, if there are so many states."""
SERIES_TOL, MOST_TERMS = 1e-3, 40
"""Accuracy of the exponential of a step, terms of its series, and parts of a step that is too long for one."""
DENSE = 64
"""Up to so many rows the exponential is that of a matrix."""
DRIFT_ROUNDING = 16.0
"""Rounding errors of the conserved quantity along a column, in units of eps times its size and the largest one."""

Drive = Callable[[np.ndarray], np.ndarray]


class Rounding:
    """How far rounding, and steps too long for it, have changed a column that became large, relative to it.

    Parameters
    ----------
    objective : Objective
        In its own unit; without ``columns`` and their ``drive`` nothing is known.
    theta : (dim,) array
        The start.

    Attributes
    ----------
    steps : float
        What the steps have missed of the growth of a column before it became large.
    hidden_rate : float
        Growth rate of the fastest column that the tolerances of the steps may not see, 0 where there is none.
    """

    def __init__(self, objective: Objective, theta: np.ndarray) -> None:
        self.objective, self.worst, self.known = objective, 0.0, False
        self.steps = self.missed = self.hidden_rate = 0.0
        if objective.columns is None or objective.drive is None:
            return
        Z = objective.columns(theta)
        self.known = Z.shape[1] <= WIDEST and Z.size <= LARGEST
        if not self.known:
            return
        self.rng = np.random.default_rng(0)
        self.count = ERROR_SAMPLES if len(Z) <= DENSE else 1
        self.sample = np.zeros((len(Z), self.count * Z.shape[1]))
        self.white = np.asarray(self.rng.standard_normal((len(Z), 1)))
        self.squares, self.pending, self.n_large = np.zeros(len(theta)), 0.0, Z.shape[1]
        self.origin = Z
        self._turned(objective.drive(theta))
        self.since, self.next = 0.0, FOLDINGS / max(self.rate, 1e-300)

    @property
    def relative(self) -> float | None:
        """Return the worst error met; at least 1 means that rounding may have decided the trajectory."""
        return MARGIN * self.worst if self.known else None

    def step(self, t: float, theta: np.ndarray, numbers: np.ndarray, missed: float = 0.0) -> None:
        """Keep a state at time t that is held as ``numbers``, whose last digits are lost.

        ``missed`` is the relative error of the step in what grows at ``hidden_rate``.
        """
        if not self.known or self.worst > HOPELESS:
            return
        self.missed += missed
        self.squares += numbers * numbers
        if t >= self.next:
            self.look(t, theta)

    def look(self, t: float, theta: np.ndarray) -> None:
        """Add the rounding errors of the steps since the last look to what the former ones have grown to at time t."""
        columns, drive = self.objective.columns, self.objective.drive
        if not self.known or self.worst > HOPELESS or columns is None or drive is None:
            return
        half = 0.5 * (t - self.since)
        self._grow(half)
        self._turned(drive(theta))
        self._grow(half)
        self._meet(columns(theta), columns(np.sqrt(self.squares)))
        self.squares[:] = 0.0
        self.since, self.next = t, t + FOLDINGS / max(self.rate, 1e-300)

    def _turned(self, drive: Drive) -> None:
        """Keep the drive and its largest rate, with all rates and modes where there are few rows."""
        self.drive = drive
        if len(self.sample) <= DENSE:
            self.rates, self.modes = np.linalg.eigh(drive(np.eye(len(self.sample))))
            self.rate = float(self.rates[-1])
            return
        # about the largest one, as it is seen on white noise and on the errors themselves
        self.rate = 1e-300
        for columns in (self.white, self.sample):
            if size := float(np.linalg.norm(columns)):
                self.rate = max(self.rate, float(np.linalg.norm(drive(columns))) / size)

    def _grow(self, dt: float) -> None:
        """Keep the errors multiplied by exp(dt drive)."""
        if not self.sample.any():
            return
        if len(self.sample) <= DENSE:
            exponents = np.minimum(dt * self.rates, LARGEST_ERROR_EXPONENT)[:, None]
            self.sample = self.modes @ (np.exp(exponents) * (self.modes.T @ self.sample))
        else:
            self._grow_in_parts(dt)
        if not float(np.abs(self.sample).max()) <= HOPELESS:
            self.worst = np.inf

    def _grow_in_parts(self, dt: float) -> None:
        parts = int(np.ceil(dt * self.rate / FOLDINGS)) + 1
        if parts > MOST_TERMS:
            self.known = False
            return
        for _ in range(parts):
            term = self.sample
            for k in range(1, MOST_TERMS):
                term = self.drive(term) * (dt / (parts * k))
                self.sample = self.sample + term
                if np.linalg.norm(term) <= SERIES_TOL * np.linalg.norm(self.sample):
                    break

    def _meet(self, Z: np.ndarray, lost: np.ndarray) -> None:
        """Add rounding errors of the size EPS ``lost``, and keep the worst error of a column that is large."""
        cubes = self.sample.reshape(len(Z), self.count, Z.shape[1])
        cubes = cubes + EPS * lost[:, None, :] * self.rng.standard_normal(cubes.shape)
        left, sizes, frame = np.linalg.svd(Z, full_matrices=False)
        if sizes[0] == 0.0:
            return
        large = sizes > IDLE * min(1.0, sizes[0])
        self._watch(Z, sizes, frame, large)
        columns = np.moveaxis(cubes @ frame.T, 2, 0)
        # what lies along a column of larger scale only turns the frame
        along = left.T @ columns
        turns = np.tri(len(sizes), k=-1, dtype=bool)[:, :, None] & (np.abs(along) < sizes[:, None])
        columns -= left @ np.where(turns, along, 0.0)
        errors = np.linalg.norm(columns, axis=1).max(axis=1)
        self.worst = max(self.worst, float((errors / np.where(large, sizes, sizes[0])).max()))
        columns[large] = 0.0
        self.sample = (np.moveaxis(columns, 0, 2) @ frame).reshape(len(Z), -1)

    def _watch(self, Z: np.ndarray, sizes: np.ndarray, frame: np.ndarray, large: np.ndarray) -> None:
        """Keep how far idle columns have drifted; it counts once one of them has become large again."""
        if np.count_nonzero(large) > self.n_large:
            self.worst, self.pending = max(self.worst, self.pending), 0.0
            self.steps = max(self.steps, self.missed)
        self.n_large = np.count_nonzero(large)
        hidden = bool((sizes[~large] > 0.0).any())
        self.missed, self.hidden_rate = (self.missed, max(self.rate, 0.0)) if hidden else (0.0, 0.0)
        if self.objective.signature is None or large.all():
            return
        change = (Z @ frame.T) ** 2 - (self.origin @ frame.T) ** 2
        drift = np.abs(self.objective.signature @ change) - DRIFT_ROUNDING * EPS * sizes * sizes[0]
        shrunk = ~large & (drift > 0.0) & (sizes > EPS * sizes[0])  # what is smaller is rounding
        self.pending = max(self.pending, float(np.max(drift[shrunk] / sizes[shrunk] ** 2, initial=0.0)))
