"""The one loop of every dynamics: a step, then what ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from gflow import watch
from gflow.flow.trajectory import Status

End = TypeVar("End")
Callback = Callable[[float, np.ndarray, float], object]

FOREVER = 1e250
"""The end of times where none is given."""


def drive(
    step: Callable[[], End | None],
    endings: Sequence[Callable[[], End | None]],
    *,
    stage: str = "flow",
    late: Callable[[str], Any] = lambda said: (Status.BUDGET, said),
) -> End:
    """Return how a dynamics ends that goes on by ``step`` until one of ``endings``, asked in their order, says so.

    Parameters
    ----------
    step : () -> ending or None
        Takes one step and keeps what it led to; an ending where no step can be taken.
    endings : list of () -> ending or None
        Asked at the start and after every step.
    stage : str
        What progress is told of, after every step.
    late : (sentence) -> ending
        How it ends where the time allowed is over: see ``gflow.watch``.
    """
    taken = 0
    while True:
        for question in endings:
            if ending := question():
                return ending
        if said := watch.spent(stage, taken):
            return late(said)
        if ending := step():
            return ending
        taken += 1
