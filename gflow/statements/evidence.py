"""The evidence on which the statements are judged: one problem, one model, one start, and all that follows, each once.

Nothing is computed before it is asked for, and nothing twice: a verification makes one ``Evidence`` and hands it to
every statement. Negative controls replace a part and see which verdicts change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

import gflow
from gflow.statements.limits import RANK_TOL, ROUNDED, Limit, least_norm, limit_of
from gflow.statements.saddles import DENSE_LIMIT, MINIMUM, Saddle, end_of, passed, saddle_at, start_of
from gflow.statements.visits import Visit, visits

MakeObjective = Callable[[Any, Any], gflow.Objective]
Part = TypeVar("Part")

PARTS = ("objective", "trajectory", "end")
LIMIT_PARTS = ("connectivity", "plateaus", "traversal", "visits", "limit", "nuclear", "bracket")
"""What is computed for every problem and model, and what for matrix completion by W = A B alone."""


def factored_completion(problem: Any, model: Any) -> bool:
    """Return whether this is matrix completion by W = A B, which most statements are about."""
    completes = isinstance(problem, gflow.MatrixCompletion) and isinstance(model, gflow.Factorization)
    return completes and model.depth == 2


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """One problem, one model, one start and what follows from them. Build it with ``Evidence.of``.

    ``start``, ``objective``, ``trajectory``, ``saddles`` and ``end`` are in the problem's own unit, max|M| in [1/2, 2),
    and ``unit`` scales back; all that concerns the limit is in the units of the matrix.

    Attributes
    ----------
    problem : MatrixCompletion
        As given. Statements that apply to more than completion by W = A B meet other problems and models here too.
    model : Factorization
    start : (dim,) array, read-only
    seed : int
    settings : dict
        Keywords of ``gradient_flow`` used for the trajectory and for every other one.
    t_end : float or None
        Where the trajectory stops at the latest, in the unit of the matrix.
    make : (problem, model) -> Objective
        Makes the loss of this and of any other problem.
    """

    problem: gflow.MatrixCompletion
    model: gflow.Factorization
    start: np.ndarray
    seed: int
    settings: dict[str, Any]
    t_end: float | None = None
    make: MakeObjective = gflow.Objective.of
    _shared: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        problem: Any,
        model: Any = None,
        *,
        seed: int = 0,
        scale: float | None = None,
        start: np.ndarray | None = None,
        rank: int | None = None,
        method: str = "auto",
        rtol: float = 1e-8,
        t_end: float | None = None,
        max_evaluations: int = 200_000,
        objective: MakeObjective = gflow.Objective.of,
    ) -> Evidence:
        """Return the evidence on ``problem``; nothing is computed yet.

        Parameters
        ----------
        problem : MatrixCompletion
            Or another problem, with a model.
        model : Model, optional
            Default: ``Factorization(problem.shape, rank)``.
        seed : int
            Of the start, and of every random point the statements are tested at.
        scale : float, optional
            Standard deviation of the entries of the start. Default: SCALE min(1, sqrt(max|M|)).
        start : (dim,) array, optional
            Instead of a random start.
        rank : int, optional
            Width r of the default model, default min(d1, d2).
        method, rtol, t_end, max_evaluations
            As for ``gradient_flow``.
        objective : (problem, model) -> Objective
            Makes the loss; a faulty one shows which claims notice.

        Raises
        ------
        ValueError
            For bad settings, or a start above 1e50 sqrt(max|M|).
        """
        if model is not None and rank is not None:
            raise ValueError(f"rank is the width of the default model, and a model is given; got rank {rank!r}")
        model = gflow.Factorization(problem.shape, rank) if model is None else model
        theta = start_of(problem, model, seed, scale, start)
        settings: dict[str, Any] = {"method": method, "rtol": rtol, "max_evaluations": max_evaluations}
        return cls(problem, model, theta, seed, settings, t_end, objective)

    def once(self, part: Callable[[Evidence], Part]) -> Part:
        """Return ``part(self)``, computed when it is first asked for: what several statements share."""
        if part not in self._shared:
            self._shared[part] = part(self)
        return self._shared[part]  # type: ignore[no-any-return]

    def altered(self, **parts: Any) -> Evidence:
        """Return the same evidence with some parts replaced and the others as they are, for negative controls."""
        parts_here = PARTS + LIMIT_PARTS * factored_completion(self.problem, self.model)
        kept = {name: getattr(self, name) for name in parts_here}
        other = replace(self, _shared={})
        vars(other).update(kept | parts)
        return other

    def rng(self, name: str) -> np.random.Generator:
        """Return a generator of its own for the statement ``name``, fixed by the seed."""
        return np.random.default_rng([self.seed, *name.encode()])

    def flow(self, start: np.ndarray, **changes: Any) -> gflow.Trajectory:
        """Return the trajectory from another start, integrated like the first one but for ``changes``."""
        return gflow.gradient_flow(self.objective, start, **(self.settings | changes))

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

    @cached_property
    def objective(self) -> gflow.Objective:
        """Return the loss of the normalized problem."""
        return self.make(self.normalized, self.model)

    @cached_property
    def trajectory(self) -> gflow.Trajectory:
        """Return the trajectory from the start; raises ``IntegrationFailed`` if the solver gives up."""
        return self.flow(self.start, t_end=None if self.t_end is None else self.t_end / self.time_unit)

    @cached_property
    def end(self) -> gflow.CriticalPoint | None:
        """Return the last state, polished, if the trajectory converged and its kind could be decided."""
        return end_of(self.objective, self.trajectory)

    @cached_property
    def connectivity(self) -> gflow.Connectivity:
        """Return the graphs of the observed entries."""
        return gflow.connectivity(self.problem)

    @cached_property
    def plateaus(self) -> list[tuple[Any, Saddle | None]]:
        """Return the plateaus of the trajectory, in order, each with the critical point that explains it."""
        places = (self.normalized, self.model, self.objective)
        return [(plateau, saddle_at(*places, plateau)) for plateau in passed(self.trajectory)]

    @property
    def saddles(self) -> tuple[Saddle, ...]:
        """Return the critical points of positive loss that the trajectory passes, in the order of the visit."""
        found = (saddle for _, saddle in self.plateaus if saddle is not None)
        return tuple(saddle for saddle in found if saddle.point.kind is not MINIMUM)

    @property
    def unresolved(self) -> tuple[Any, ...]:
        """Return the plateaus at which no critical point was found."""
        return tuple(plateau for plateau, saddle in self.plateaus if saddle is None)

    @property
    def converged(self) -> bool:
        """Return whether the trajectory was followed to its end."""
        return self.trajectory.status is gflow.Status.CONVERGED

    @property
    def doubt(self) -> str:
        """Return why the list of saddles may be incomplete, in one sentence; empty if it is not."""
        if not self.converged:
            return f"the trajectory ended with status {self.trajectory.status}: later saddles are unknown"
        if self.unresolved:
            losses = ", ".join(f"{plateau.loss * self.unit * self.unit:.6g}" for plateau in self.unresolved)
            return f"no critical point was found at the plateaus of loss {losses}"
        return ""

    @property
    def direction(self) -> np.ndarray | None:
        """Return the start, its largest entry scaled to 1; None where it is zero."""
        size = float(np.abs(self.start).max())
        return self.start / size if size > 0 else None

    @cached_property
    def traversal(self) -> gflow.Traversal:
        """Return the saddle-to-saddle limit along the directions of the start."""
        return gflow.saddle_to_saddle(self.problem, self.direction, rank=self.model.rank)

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """Return the critical points of the whole matrix that the limit passes; up to where the traversal stops."""
        return visits(self.traversal)

    @cached_property
    def limit(self) -> Limit:
        """Return the limit for the start, as far as it is known."""
        return limit_of(self)

    @cached_property
    def nuclear(self) -> gflow.Completion | None:
        """Return the certified minimum nuclear norm; None where it was not computed."""
        return least_norm(self)

    @cached_property
    def bracket(self) -> gflow.RankBracket | None:
        """Return bounds of the minimum rank; None where they were not computed."""
        return gflow.minimum_rank(self.problem) if np.prod(self.problem.shape) <= DENSE_LIMIT else None

    @property
    def matrix(self) -> np.ndarray | None:
        """Return the limit, shape (d1, d2); None where there is none, or none is known."""
        return self.limit.matrix

    @property
    def error(self) -> float:
        """Return an estimate of the largest error of an entry of the limit; infinite where it is not known."""
        return self.limit.error

    @property
    def rank(self) -> int | None:
        """Return the number of singular values of the limit that are not zero; None where its error hides it.

        One between rounding and ten times the error of an entry may be zero or not.
        """
        if self.matrix is None:
            return None
        sizes = self.once(_sizes)
        clear = int(np.sum(sizes > max(ROUNDED * sizes[0], 10.0 * self.error)))
        return clear if clear == int(np.sum(sizes > ROUNDED * sizes[0])) else None

    @property
    def faint(self) -> bool:
        """Return whether the rank counts singular values up to 1e-6 of the largest: too small to refute a theorem."""
        if self.rank is None:
            return False
        sizes = self.once(_sizes)
        return self.rank > int(np.sum(sizes > RANK_TOL * sizes[0]))

    @property
    def nuclear_norm(self) -> float | None:
        """Return the nuclear norm of the limit."""
        return None if self.matrix is None else float(self.once(_sizes).sum())

    @property
    def norm_error(self) -> float:
        """Return a bound on the error of the nuclear norm: |dW|_* <= sqrt(min(d1, d2)) |dW|_F."""
        d1, d2 = self.problem.shape
        return self.error * float(np.sqrt(min(d1, d2) * d1 * d2))

    @property
    def misfit(self) -> float | None:
        """Return max|P o (W - M)| / max|M| for the limit W; 0.0 where it vanishes."""
        if self.matrix is None:
            return None
        gap = float(np.abs(self.problem.residual(self.matrix)).max())
        return gap / self.problem.size if gap and self.problem.size else gap

    def __repr__(self) -> str:
        known = [name for name in (*PARTS, *LIMIT_PARTS) if name in vars(self)]
        return f"Evidence({self.problem}, {self.model}, computed: {', '.join(known) or 'nothing'})"


def _sizes(given: Evidence) -> np.ndarray:
    """Return the singular values of the limit, largest first."""
    assert given.matrix is not None
    return np.linalg.svd(given.matrix, compute_uv=False)
