"""The one loop of every dynamics: a step, then what ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from gflow.flow.trajectory import Ending

End = TypeVar("End")
Callback = Callable[[float, np.ndarray, float], object]
Question = Callable[[], "Ending | None"]
"""How a dynamics ends where it is; None if it goes on."""

FOREVER = 1e250
"""The end of times where none is given."""


def drive(
    step: Callable[[], End | None],
    endings: Sequence[Callable[[], End | None]],
    watch: Callable[[], End | None] | None = None,
) -> End:
    """Return how a dynamics ends that goes on by ``step`` until one of ``endings``, asked in their order, says so.

    Parameters
    ----------
    step : () -> ending or None
        Takes one step and keeps what it led to; an ending where no step can be taken.
    endings : list of () -> ending or None
        Asked at the start and after every step.
    watch : () -> ending or None, optional
        Asked last after every step that was taken: progress, and limits that are not of the dynamics.
    """
    taken = False
    while True:
        for question in endings:
            if ending := question():
                return ending
        if taken and watch is not None and (ending := watch()):
            return ending
        if ending := step():
            return ending
        taken = True
