"""Plateaus in closed form: columns too small to change the residual grow by the exponential of a constant matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.graded.columns import MARGIN, ROUNDING, GradedColumns, modes
from gflow.policy import EPS

LOG_PASSIVE = float(np.log(1e-7))
"""Columns below 1e-7 in the problem's unit change the residual by less than rounding, 1e-14, does in an integration."""
WINDOW = 8.0
"""The columns are made orthogonal again when the fastest of them has grown by e to this power."""
WORTHWHILE = 5.0
"""A plateau is crossed in closed form if at least so many e-foldings of the next mode remain."""


@dataclass(frozen=True)
class GradedPlateau:
    """A stay during which only passive columns move.

    Attributes
    ----------
    wait : float
        Time until the first passive column ceases to be passive; infinite if none grows.
    rate : float
        Growth rate of the fastest mode that passive columns carry.
    by_rounding : bool
        Whether rounding errors would end the stay before what the columns themselves carry.
    error : float
        Rounding errors in the mode that ends it, relative to what the column carries of it.
    """

    bases: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
    wait: float
    rate: float
    by_rounding: bool
    error: float

    @property
    def worthwhile(self) -> bool:
        """Return whether the stay is long enough to be crossed in closed form, and ends."""
        return np.isfinite(self.wait) and self.wait * self.rate >= WORTHWHILE

    def advance(self, columns: GradedColumns, dt: float) -> None:
        """Add a time dt: the passive columns grow exactly, and all columns are made orthogonal again."""
        for block, passive, rates, X in self.bases:
            index = block[:, None], passive
            growth = np.exp(rates * dt)[:, None]
            columns.z[index] = X @ (growth * (X.T @ columns.z[index]))
            errors = columns.errors[:, block[:, None], passive]
            columns.errors[:, block[:, None], passive] = X @ (growth * (X.T @ errors))
        columns.orthogonalise()


def passive_columns(columns: GradedColumns) -> np.ndarray:
    """Return which columns are too small to change the residual, shape (number of components, k); zero ones too."""
    return columns.logs < LOG_PASSIVE


def plateau(columns: GradedColumns, E: np.ndarray, twice: float) -> GradedPlateau:
    """Return the stay that begins here, for the residual E and twice = 2/n."""
    passive = passive_columns(columns) & columns.alive
    bases, waits, fastest = [], [(np.inf, False, 0.0)], 0.0
    for block in columns.blocks:
        c = columns.owner[block[0]]
        index = np.nonzero(passive[c])[0]
        if index.size:
            rates, X = modes(E, block)
            rates = twice * rates
            bases.append((block, index, rates, X))
            amplitudes = X.T @ columns.z[block[:, None], index]
            rounding = ROUNDING * np.linalg.norm(amplitudes, axis=0)
            followed = np.abs(X.T @ columns.errors[:, block[:, None], index]).max(axis=0, initial=0.0)
            noise = np.maximum(rounding, MARGIN * followed)
            waits.append(_arrival(amplitudes, noise, columns.logs[c, index], rates))
            fastest = max(fastest, float(rates[0]))
    wait, by_rounding, error = min(waits)
    return GradedPlateau(bases, wait, fastest, by_rounding, error)


def _arrival(
    amplitudes: np.ndarray, noise: np.ndarray, logs: np.ndarray, rates: np.ndarray
) -> tuple[float, bool, float]:
    """Return when the first of ``amplitudes`` (modes in rows) stops being passive, whether rounding forestalls it, and
    the rounding error of that amplitude, relative to it.

    Amplitudes that do not exceed ``noise``, which rounding could have put there, do not count.
    """
    grows = rates > EPS * np.abs(rates).max(initial=0.0)
    if not grows.any():
        return np.inf, False, 0.0
    rates, sizes, noise = rates[grows, None], np.abs(amplitudes[grows]), noise[grows]
    with np.errstate(divide="ignore", over="ignore"):
        carried = np.where(sizes > noise, logs + np.log(sizes), -np.inf)
        times = (LOG_PASSIVE - carried) / rates
        by_noise = float(((LOG_PASSIVE - logs - np.log(noise)) / rates).min())
    mode, column = np.unravel_index(int(np.argmin(times)), times.shape)
    first = float(times[mode, column])
    error = float(noise[mode, column] / sizes[mode, column]) if np.isfinite(first) else 1.0
    return min(first, by_noise), by_noise <= first, error
