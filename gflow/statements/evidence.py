"""The evidence on which the statements are judged: one problem, one model, one start, and all that follows, each once.

Nothing is computed before it is asked for, and nothing twice: a verification makes one ``Evidence`` and hands it to
every statement. Negative controls replace a part and see which verdicts change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import gflow
from gflow.statements.given import MakeObjective, TrajectoryEvidence, number_of_factors
from gflow.statements.limit_evidence import LimitEvidence
from gflow.statements.saddles import start_of

PARTS = ("objective", "trajectory", "end")
LIMIT_PARTS = ("connectivity", "plateaus", "traversal", "visits", "limit", "nuclear", "bracket")
"""What is computed for every problem and model, and what for matrix completion by W = A B alone."""


def factored_completion(problem: Any, model: Any) -> bool:
    """Return whether this is matrix completion by W = A B, which most statements are about."""
    return number_of_factors(problem, model) == 2


@dataclass(frozen=True, eq=False, repr=False)
class Evidence(TrajectoryEvidence, LimitEvidence):
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
        problem : MatrixCompletion, or an array with NaN, a data frame or a sparse array
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
        problem = problem if hasattr(problem, "measure") else gflow.as_completion(problem)
        model = gflow.Factorization(problem.shape, rank) if model is None else model
        theta = start_of(problem, model, seed, scale, start)
        settings: dict[str, Any] = {"method": method, "rtol": rtol, "max_evaluations": max_evaluations}
        return cls(problem, model, theta, seed, settings, t_end, objective)

    def altered(self, **parts: Any) -> Evidence:
        """Return the same evidence with some parts replaced and the others as they are, for negative controls."""
        parts_here = PARTS + LIMIT_PARTS * (self.n_factors == 2)
        kept = {name: getattr(self, name) for name in parts_here}
        other = replace(self, _shared={})
        vars(other).update(kept | parts)
        return other

    def __repr__(self) -> str:
        known = [name for name in (*PARTS, *LIMIT_PARTS) if name in vars(self)]
        return f"Evidence({self.problem}, {self.model}, computed: {', '.join(known) or 'nothing'})"
