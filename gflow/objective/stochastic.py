"""The training loss with a random gradient: few observed entries at a time, or noise on their values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gflow.models import Factorization, completed
from gflow.objective.loss import is_sparse
from gflow.objective.record import Objective
from gflow.objective.sampled import EntriesModel, EntriesProblem
from gflow.problems import MatrixCompletion, as_problem


@dataclass(frozen=True, eq=False)
class StochasticLoss:
    """The loss R of a problem and a model whose gradient is drawn at random; its mean is the gradient of R.

    Parameters
    ----------
    problem : MatrixCompletion, MatrixSensing or another ``gflow.Problem``, or a matrix with NaN
    model : Factorization, DirectMatrix or another ``gflow.Model``
    batch : int, optional
        Number b of observations in a draw, without repetition; the sum over them is multiplied by n / b. 1 is SGD by
        single entries. Default: all n of them.
    label_noise : float
        Standard deviation of the Gaussian noise added to the observed values, drawn afresh each time; scales as s.

    Raises
    ------
    ValueError
        If ``batch`` is not an integer between 1 and n, or ``label_noise`` is negative or not finite; and as
        ``Objective.of``.

    Every draw is the pullback of a matrix that vanishes outside the mask, so it keeps what gradients of R keep.
    """

    problem: Any
    model: Any
    batch: int | None = None
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "problem", as_problem(self.problem))
        count = len(self.problem.targets)
        batch = count if self.batch is None else self.batch
        if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or not 1 <= batch <= count:
            raise ValueError(
                f"batch must be an integer between 1 and the number of observations, {count}; got {batch!r}"
            )
        if not 0 <= self.label_noise < np.inf:
            raise ValueError(f"label_noise must be finite and not negative; got {self.label_noise!r}")
        object.__setattr__(self, "batch", int(batch))
        _ = self.objective  # what does not fit together is told at once

    @cached_property
    def objective(self) -> Objective:
        """Return the loss R itself."""
        return Objective.of(self.problem, self.model)

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        """Return problem and model in the storage that costs least."""
        problem, model = self.problem, self.model
        pair = type(problem) is MatrixCompletion and type(model) is Factorization and model.depth == 2
        if pair and is_sparse(problem):
            return EntriesProblem(problem), EntriesModel(problem, model)
        return problem, completed(model)

    def draw(self, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a random gradient at theta, shape (dim,)."""
        (problem, model), count = self._parts, len(self.problem.targets)
        wanted = problem.targets
        if self.label_noise:
            wanted = wanted + self.label_noise * rng.standard_normal(count)
        weights = problem.measure(model.output(theta)) - wanted
        assert self.batch is not None
        if self.batch < count:
            kept = np.zeros(count)
            kept[rng.choice(count, self.batch, replace=False)] = count / self.batch
            weights = weights * kept
        G = problem.adjoint(2.0 * problem.weight * weights)
        drawn: np.ndarray = model.pullback(theta, G)
        return drawn

    def __repr__(self) -> str:
        noise = f", label_noise={self.label_noise:g}" if self.label_noise else ""
        return f"StochasticLoss({self.problem}, {self.model}, batch={self.batch}{noise})"
