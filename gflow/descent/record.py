"""What a descent keeps of its iterates, and the limits it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gflow.flow import Status

if TYPE_CHECKING:
    from gflow.flow import Trajectory

Callback = Callable[[float, np.ndarray, float], object]
Ending = tuple[Status, str]


@dataclass
class Kept:
    """States kept along a descent; when there are too many, every other one is dropped."""

    most: int
    times: list[float] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    stride: int = 1

    def offer(self, number: int, t: float, state: np.ndarray, last: bool = False) -> None:
        """Keep the state of this step if its turn has come, the last one always."""
        if (number % self.stride == 0 or last) and (not self.times or t > self.times[-1]):
            if len(self.times) >= self.most:
                del self.times[1::2], self.states[1::2]
                self.stride *= 2
            self.times.append(t)
            self.states.append(state)


def checked_limits(
    loss_tol: float,
    gradient_tol: float,
    norm_limit: float,
    t_end: float | None,
    max_evaluations: int,
    max_states: int,
) -> dict[str, float]:
    """Return the limits by name; raise ``ValueError`` for one that is out of range."""
    counts = {"max_evaluations": max_evaluations, "max_states": max_states}
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 2:
            raise ValueError(f"{name} must be an integer of at least 2; got {count!r}")
    limits = {"loss_tol": loss_tol, "gradient_tol": gradient_tol, "norm_limit": norm_limit}
    limits["t_end"] = np.inf if t_end is None else t_end
    for name, limit in limits.items():
        if not limit > 0:
            raise ValueError(f"{name} must be positive; got {limit!r}")
    return limits | counts


class Steps:
    """One step after another until something ends them; a method says what a step is and what ends the steps."""

    def __init__(self, limits: dict[str, float], size: float, callback: Callback | None) -> None:
        self.limits, self.callback = limits, callback
        self.bound = limits["norm_limit"] * max(1.0, size)
        self.n_steps = self.n_gradients = self.n_hessians = 0
        self.highest = 0.0
        self.kept = Kept(int(limits["max_states"]))

    def verdict(self) -> Ending | None:
        """Return how the steps end at the present state, or None if they go on."""
        raise NotImplementedError

    def advance(self) -> Ending | None:
        """Return how the steps end with one more, or None."""
        raise NotImplementedError

    def result(self, status: Status, message: str) -> Trajectory:
        """Return the record of what was kept."""
        raise NotImplementedError

    def trajectory(self) -> Trajectory:
        """Return what was kept after stepping until something ends the descent."""
        ending = self.verdict()
        while ending is None:
            ending = self.advance()
        return self.result(*ending)

    def exhausted(self) -> Ending | None:
        """Return that the budget of gradients is spent, or None."""
        if self.n_gradients >= self.limits["max_evaluations"]:
            return Status.BUDGET, f"{self.n_gradients} gradients were evaluated"
        return None

    def stopped(self, t: float, state: np.ndarray, loss: float) -> Ending | None:
        """Return that the callback asked to stop, or None."""
        if self.callback is not None and self.callback(t, state, loss):
            return Status.HORIZON, "the callback asked to stop"
        return None
