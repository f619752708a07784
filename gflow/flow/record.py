"""What is kept of a dynamics, and the one place that makes a ``Trajectory`` of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.flow.monitor import plateaus
from gflow.flow.trajectory import Ending, Plateau, Status, Trajectory

if TYPE_CHECKING:
    from gflow.objective import Objective

STATE_MEMORY, FEWEST_STATES = 2**26, 8
"""Numbers held in states before every other one is dropped, but never fewer states than the second."""
CHUNK = 2**16
"""Numbers of states that are evaluated together."""
LARGE, DRIFT_STATES = 1000, 16
"""Above the first dimension the conserved quantity is mostly looked at in about the second number of states."""

Units = tuple[float, float, float]
"""Those of theta, time and W (so that the loss has its square) in which the caller's numbers are."""
ONE: Units = (1.0, 1.0, 1.0)


@dataclass
class Record:
    """Times and states along a dynamics, with gradient norms and losses where they are known there.

    Before there are more than ``most`` every other one is dropped.
    """

    most: float = np.inf
    times: list[float] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    stride: int = 1
    offered: int = 0

    @classmethod
    def of(cls, dim: int) -> Record:
        """Return a record of states of that dimension which fits into memory."""
        return cls(max(STATE_MEMORY // dim, FEWEST_STATES))

    def keep(self, t: float, state: np.ndarray, slope: float = np.nan, loss: float = np.nan) -> None:
        """Keep the state unless that time is already there."""
        if self.times and t <= self.times[-1]:
            return
        if len(self.times) >= self.most:
            del self.times[1::2], self.states[1::2], self.slopes[1::2], self.losses[1::2]
            self.stride *= 2
        self.times.append(t)
        self.states.append(state)
        self.slopes.append(slope)
        self.losses.append(loss)

    def offer(self, t: float, state: np.ndarray, slope: float = np.nan, loss: float = np.nan) -> None:
        """Keep the state if its turn has come."""
        if self.offered % self.stride == 0:
            self.keep(t, state, slope, loss)
        self.offered += 1


@dataclass(frozen=True)
class Course:
    """States along a dynamics and what is known there, in the objective's own unit.

    Attributes
    ----------
    times, losses, slopes : (T,) arrays
    states : (T, dim) array
    drift : float or None
        Of the conserved quantity, relative to the largest |theta|^2.
    """

    times: np.ndarray
    states: np.ndarray
    losses: np.ndarray
    slopes: np.ndarray
    drift: float | None = None

    @classmethod
    def along(cls, objective: Objective, record: Record, slopes_known: bool = False) -> Course:
        """Return the course of the states in a record; known gradient norms are not evaluated again."""
        states = np.array(record.states)
        known = np.array(record.slopes) if slopes_known else np.full(1, np.nan)
        slopes = known if np.isfinite(known).all() else _norms(_mapped(objective, objective.gradient, states))
        losses = _mapped(objective, objective.value, states)
        few = objective.dim > LARGE
        return cls(np.array(record.times), states, losses, slopes, drift_along(objective, states, few=few))

    @classmethod
    def known(cls, record: Record, drift: float | None = None) -> Course:
        """Return the course of the states in a record of which losses and gradient norms are known."""
        times, losses, slopes = (np.array(numbers) for numbers in (record.times, record.losses, record.slopes))
        return cls(times, np.array(record.states), losses, slopes, drift)

    @property
    def rise(self) -> float:
        """Return the largest increase of the loss between successive states, relative to the largest |loss|."""
        return float(np.max(np.diff(self.losses), initial=0.0)) / max(float(np.abs(self.losses).max()), 1e-300)

    def trajectory(
        self,
        ending: Ending,
        method: str,
        *,
        counts: tuple[int, int, int],
        units: Units = ONE,
        noise: float | None = None,
        rise: float | None = None,
        error: float | None = None,
        sampled: Course | None = None,
    ) -> Trajectory:
        """Return what a dynamics has left, in the caller's units.

        Parameters
        ----------
        ending : (status, message)
        method : str
        counts : (n_gradients, n_hessians, n_steps)
        units : (theta_unit, time_unit, unit)
        noise : float, optional
            Plateaus between which the loss falls by no more than this are one. Default: no plateaus are looked for.
        rise : float, optional
            The monotonicity defect where more is known than at these states.
        error : float, optional
        sampled : Course, optional
            The states that are wanted; plateaus and gauges are those of this course.
        """
        (status, message), (theta_unit, time_unit, unit) = ending, units
        met: tuple[Plateau, ...] = ()
        if noise is not None:
            flat = status in (Status.CONVERGED, Status.ROUNDOFF)
            found = plateaus(self.times, self.states, self.losses, self.slopes, noise, flat)
            met = tuple(plateau.scaled(unit * unit, time_unit, theta_unit) for plateau in found)
        shown = sampled or self
        # with entries near 1e150 the loss may leave the range of a double
        with np.errstate(over="ignore"):
            losses, slopes = shown.losses * unit * unit, shown.slopes * (unit * (unit / theta_unit))
        return Trajectory(
            times=shown.times * time_unit,
            states=np.multiply(shown.states, theta_unit, out=shown.states),
            losses=losses,
            gradient_norms=slopes,
            status=status,
            message=message,
            method=method,
            plateaus=met,
            conservation_drift=self.drift,
            monotonicity_defect=self.rise if rise is None else rise,
            n_gradients=counts[0],
            n_hessians=counts[1],
            n_steps=counts[2],
            error=error,
        )


def _norms(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean norms of the rows, also where squares underflow."""
    sizes = np.abs(vectors).max(axis=1)
    units = np.where(sizes > 0.0, sizes, 1.0)
    return units * np.linalg.norm(vectors / units[:, None], axis=1)


def drift_along(objective: Objective, states: np.ndarray, *, few: bool = False) -> float | None:
    """Return how far the conserved quantity moved, relative to the largest |theta|^2; None where there is none.

    ``few``: as it is seen at 16 states and the last.
    """
    if objective.conserved is None:
        return None
    conserved, origin = objective.conserved, objective.conserved(states[0])
    size = max(float(np.einsum("ti,ti->t", states, states).max()), 1e-300)
    looked = states[:: -(-len(states) // DRIFT_STATES)] if few else states
    apart = _mapped(objective, lambda theta: np.linalg.norm(conserved(theta) - origin, axis=-1), looked)
    return float(max(apart.max(), np.linalg.norm(conserved(states[-1]) - origin))) / size


def _mapped(objective: Objective, function: Callable[[np.ndarray], Any], states: np.ndarray) -> np.ndarray:
    """Return a function of the states, many of them together where the objective allows it."""
    together = max(1, CHUNK // objective.dim) if objective.broadcasts else 1
    if together == 1:
        return np.array([function(theta) for theta in states])
    return np.concatenate([function(states[first : first + together]) for first in range(0, len(states), together)])
