"""An orbit between two critical points, and where it leads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gflow.flow import Trajectory
from gflow.models import Factorization


class Ending(StrEnum):
    """Where an orbit leads."""

    MINIMUM = "minimum inside the manifold"
    SADDLE = "saddle inside the manifold"
    DEGENERATE = "critical point of vanishing curvature inside the manifold"
    DIVERGING = "infinity"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """An orbit in reduced coordinates, its critical point, and how it ended; no path if solvers failed.

    ``spread()`` estimates the largest error of an entry of its matrix, in the problem's own unit: what the tolerance
    leaves where the end remembers the way (this takes another, coarser orbit), 0.0 elsewhere.
    """

    model: Factorization
    path: Trajectory | None
    end: np.ndarray
    ending: Ending
    reason: str
    spread: Callable[[], float]
