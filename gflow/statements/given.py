"""What a verification is given, and the part of its evidence that needs the trajectory alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np

import gflow
from gflow.statements.saddles import MINIMUM, VisitedSaddle, end_of, passed, saddle_at

MakeObjective = Callable[[Any, Any], gflow.Objective]
Part = TypeVar("Part")


def number_of_factors(problem: Any, model: Any) -> int:
    """Return L where this is matrix completion by W = W1 ... WL, which most statements are about; else 0."""
    completes = isinstance(problem, gflow.MatrixCompletion) and isinstance(model, gflow.Factorization)
    return int(model.depth) if completes else 0


@dataclass(frozen=True, eq=False, repr=False)
class Given:
    """One problem, one model, one start, and how trajectories are integrated: the fields of ``Evidence``."""

    problem: gflow.MatrixCompletion
    model: gflow.Factorization
    start: np.ndarray
    seed: int
    settings: dict[str, Any]
    t_end: float | None = None
    make: MakeObjective = gflow.Objective.of
    _shared: dict[Any, Any] = field(default_factory=dict)

    def once(self, part: Callable[[Self], Part]) -> Part:
        """Return ``part(self)``, computed when it is first asked for: what several statements share."""
        if part not in self._shared:
            self._shared[part] = part(self)
        return self._shared[part]  # type: ignore[no-any-return]

    def rng(self, name: str) -> np.random.Generator:
        """Return a generator of its own for the statement ``name``, fixed by the seed."""
        return np.random.default_rng([self.seed, *name.encode()])

    def flow(self, start: np.ndarray, **changes: Any) -> gflow.Trajectory:
        """Return the trajectory from another start, integrated like the first one but for ``changes``."""
        return gflow.gradient_flow(self.objective, start, **(self.settings | changes))

    @property
    def n_factors(self) -> int:
        """Return L where this is matrix completion by W = W1 ... WL, else 0."""
        return number_of_factors(self.problem, self.model)

    def matrix_loss(self, losses: Any) -> Any:
        """Return losses, found in the problem's own unit, in that of the matrix."""
        return self.unit * (self.unit * losses)

    @property
    def unit(self) -> float:
        """Return the unit of W, 1.0 for a model of no degree: losses scale with its square, theta with its root."""
        return float(self.problem.unit) if self.model.degree else 1.0

    @property
    def time_unit(self) -> float:
        """Return the unit of times."""
        return float(self.unit ** (2.0 / (self.model.degree or 1.0) - 2.0))

    @property
    def normalized(self) -> gflow.MatrixCompletion:
        """Return the problem in its own unit, as given for a model of no degree."""
        return self.problem.normalized if self.model.degree else self.problem

    @property
    def direction(self) -> np.ndarray | None:
        """Return the start, its largest entry scaled to 1; None where it is zero."""
        size = float(np.abs(self.start).max())
        return self.start / size if size > 0 else None

    @cached_property
    def objective(self) -> gflow.Objective:
        """Return the loss of the normalized problem."""
        return self.make(self.normalized, self.model)

    @cached_property
    def connectivity(self) -> gflow.Connectivity:
        """Return the graphs of the observed entries."""
        return gflow.connectivity(self.problem)


class TrajectoryEvidence(Given):
    """The trajectory from the start: where it ends, and the critical points that it passes."""

    @cached_property
    def trajectory(self) -> gflow.Trajectory:
        """Return the trajectory from the start; raises ``IntegrationFailed`` if the solver gives up."""
        return self.flow(self.start, t_end=None if self.t_end is None else self.t_end / self.time_unit)

    @property
    def converged(self) -> bool:
        """Return whether the trajectory was followed to its end."""
        return self.trajectory.status is gflow.Status.CONVERGED

    @cached_property
    def end(self) -> gflow.CriticalPoint | None:
        """Return the last state, polished, if the trajectory converged and its kind could be decided."""
        return end_of(self.objective, self.trajectory)

    @cached_property
    def plateaus(self) -> list[tuple[Any, VisitedSaddle | None]]:
        """Return the plateaus of the trajectory, in order, each with the critical point that explains it."""
        places = (self.normalized, self.model, self.objective)
        return [(plateau, saddle_at(*places, plateau)) for plateau in passed(self.trajectory)]

    @property
    def saddles(self) -> tuple[VisitedSaddle, ...]:
        """Return the critical points of positive loss that the trajectory passes, in the order of the visit."""
        found = (saddle for _, saddle in self.plateaus if saddle is not None)
        return tuple(saddle for saddle in found if saddle.point.kind is not MINIMUM)

    @property
    def unresolved(self) -> tuple[Any, ...]:
        """Return the plateaus at which no critical point was found."""
        return tuple(plateau for plateau, saddle in self.plateaus if saddle is None)

    @property
    def doubt(self) -> str:
        """Return why the list of saddles may be incomplete, in one sentence; empty if it is not."""
        if not self.converged:
            return f"the trajectory ended with status {self.trajectory.status}: later saddles are unknown"
        if self.unresolved:
            losses = ", ".join(f"{plateau.loss * self.unit * self.unit:.6g}" for plateau in self.unresolved)
            return f"no critical point was found at the plateaus of loss {losses}"
        return ""
