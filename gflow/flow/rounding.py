"""What rounding errors can do at the saddles that an integration passes."""

from __future__ import annotations

import numpy as np

ROUNDING = float(np.finfo(float).eps)
"""Rounding error of the gradient relative to its terms, the norm of the Hessian times the state."""
LARGEST_EXPONENT = 600.0


class Clock:
    """How far rounding errors have moved the state along the unstable modes of the saddles it meets.

    An error of the gradient acts on a mode like a displacement by error / rate, which then grows at that rate. What
    rounding put into the modes that do not decide an escape goes on growing, and may decide the next one.
    """

    def __init__(self) -> None:
        self.arrived, self.amplitudes, self.rates = 0.0, np.zeros(0), np.zeros(0)

    def moved(self, t: float, arrived: float, rates: np.ndarray, error: float) -> np.ndarray:
        """Return the displacement along each mode at time ``t``, shape (m,).

        Parameters
        ----------
        t, arrived : float
            The present time, and when the stay at the saddle began.
        rates : (m,) array
            Growth rates of the unstable modes.
        error : float
            Norm of the Hessian times norm of the state: the size of the terms of the gradient.
        """
        inherited = np.max(self.amplitudes * _growth(self.rates * (arrived - self.arrived)), initial=0.0)
        return np.maximum(ROUNDING * error / rates, inherited) * _growth(rates * (t - arrived))

    def leave(self, arrived: float, rates: np.ndarray, error: float) -> None:
        """Keep the displacements along the modes slower than the first, which decides the escape."""
        amplitudes, passive = self.moved(arrived, arrived, rates, error), rates < 0.999 * rates[0]
        self.arrived, self.amplitudes, self.rates = arrived, amplitudes[passive], rates[passive]


def _growth(exponent: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(exponent, LARGEST_EXPONENT))
