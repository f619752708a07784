"""What rounding errors can do at the saddles that a compiled integration passes; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.field import Entries, fill, hessian, most, norm, velocity
from gflow.fast.jit import lean, part
from gflow.fast.spectrum import eigenvalues
from gflow.fast.steps import Work
from gflow.flow.saddles import DOUBT, DRIFT, FLATNESS, LARGEST_EXPONENT, PASSIVE
from gflow.policy import EPS

CERTAIN = 1e-4
"""An escape is followed if rounding errors stay below this fraction of what decides it."""


class Bottom(NamedTuple):
    """The state of least gradient norm in a stay, and the rounding errors that earlier saddles left behind.

    Attributes
    ----------
    state : (N,) array
    amplitudes, rates : (N,) arrays
        Displacements at time ``now.clock`` along the modes that did not decide, and their growth rates; 0 elsewhere.
    """

    state: np.ndarray
    amplitudes: np.ndarray
    rates: np.ndarray


@lean
def unstable(entries: Entries, Z: np.ndarray, slope: float, memory: Work) -> int:
    """Return how many modes at Z are unstable; their growth rates are left in ``memory.spare[0]``, falling.

    Negative eigenvalues that a gradient of norm ``slope`` can cause along a symmetry orbit do not count.
    """
    hessian(entries, Z, memory.factor)
    values = memory.spare[0]
    eigenvalues(memory.factor, values, memory.spare[1], memory.spare[2])
    cut = FLATNESS * most(-values[0], values[values.size - 1]) + 2.0 * slope / most(1.0, norm(Z))
    count = 0
    while count < values.size and values[count] < -cut:
        values[count] = -values[count]
        count += 1
    return count


@part
def noise(entries: Entries, Z: np.ndarray, memory: Work) -> float:
    """Return the size of the rounding errors of the gradient at Z, from neighbouring numbers."""
    size, parts = Z.size, memory.slopes
    for k in range(5):
        for i in range(size):
            memory.state[i] = (1.0 + (k - 2) * EPS) * Z[i]
        velocity(entries, memory.state, parts[k])
    largest = 0.0
    for k in range(5):
        square = 0.0
        for i in range(size):
            mean = (parts[0, i] + parts[1, i] + parts[2, i] + parts[3, i] + parts[4, i]) / 5.0
            square += (parts[k, i] - mean) ** 2
        largest = most(largest, np.sqrt(square))
    return largest


@part
def grown(amplitude: float, exponent: float) -> float:
    """Return amplitude e^exponent, exponents beyond the range of a double cut off."""
    return amplitude * np.exp(exponent if exponent < LARGEST_EXPONENT else LARGEST_EXPONENT)


@part
def certain(entries: Entries, now: Any, bottom: Bottom, memory: Work) -> bool:
    """Return whether the escape that ends a stay was decided by the flow, not by rounding errors.

    What these put into the slower modes goes on growing: it is kept for the next saddle.
    """
    state, rates = bottom.state, memory.spare[0]
    count = unstable(entries, state, now.low, memory)
    now.hessians += 1
    if not count:
        return True
    errors = noise(entries, state, memory)
    now.evaluations += 5
    inherited, wait = 0.0, now.arrived - now.clock
    for k in range(state.size):
        inherited = most(inherited, grown(bottom.amplitudes[k], bottom.rates[k] * wait))
    floor = DRIFT * EPS * most(1.0, norm(state))
    moved = grown(most(floor + DOUBT * errors / rates[0], inherited), rates[0] * (now.t - now.arrived))
    if not moved < CERTAIN * now.slope / rates[0]:
        return False
    fill(bottom.amplitudes, 0.0)
    fill(bottom.rates, 0.0)
    for k in range(count):
        if rates[k] < PASSIVE * rates[0]:
            bottom.amplitudes[k] = most(floor + DOUBT * errors / rates[k], inherited)
            bottom.rates[k] = rates[k]
    now.clock = now.arrived
    return True
