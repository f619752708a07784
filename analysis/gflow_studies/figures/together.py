"""Several models on one measurement problem at once, at the cost of two products with the measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import gflow


class Together:
    """The sum of the losses of several models on one problem, each with its own part of theta.

    The measurements are kept as their values on the upper triangles of symmetric matrices: the gradients of all models
    cost two products with them.
    """

    def __init__(self, problem: gflow.MatrixSensing, models: Sequence[gflow.SymmetricFactorization]) -> None:
        self.problem, self.models = problem, models
        self.cuts = np.cumsum([model.dim for model in models])[:-1]
        n = problem.shape[0]
        self.i, self.j = np.triu_indices(n)
        self.place = np.zeros((n, n), dtype=int)
        self.place[self.i, self.j] = self.place[self.j, self.i] = np.arange(len(self.i))
        A = problem.measurements
        self.adjoint = np.ascontiguousarray((A / 2 + A.mT / 2)[:, self.i, self.j])
        self.operator = self.adjoint * np.where(self.i == self.j, 1.0, 2.0)
        self.latest: tuple[np.ndarray, np.ndarray] | None = None

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """Return A(X) - y of every model, shape (m, models)."""
        if self.latest is None or self.latest[0] is not theta:
            factors = (model.factor(part) for model, part in zip(self.models, self.split(theta), strict=True))
            halves = np.stack([(U @ U.T)[self.i, self.j] for U in factors], axis=1)
            self.latest = theta, self.operator @ halves - self.problem.targets[:, None]
        return self.latest[1]

    def split(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return the part of theta of every model."""
        return np.split(theta, self.cuts)

    def value(self, theta: np.ndarray) -> float:
        """Return the sum of the losses."""
        return self.problem.weight * float(np.sum(self.residual(theta) ** 2))

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient of the sum."""
        slopes = 2.0 * self.problem.weight * (self.adjoint.T @ self.residual(theta))
        return np.concatenate(
            [
                model.pullback(part, slopes[:, k][self.place])
                for k, (model, part) in enumerate(zip(self.models, self.split(theta), strict=True))
            ]
        )

    def objective(self) -> gflow.Objective:
        """Return the sum of the losses as an objective; second derivatives are those of each loss."""
        from scipy.linalg import block_diag

        parts = [gflow.Objective.of(self.problem, model) for model in self.models]

        def hvp(theta: np.ndarray, v: np.ndarray) -> np.ndarray:
            blocks = zip(parts, self.split(theta), self.split(v), strict=True)
            return np.concatenate([part.hvp(x, w) for part, x, w in blocks])

        def hessian(theta: np.ndarray) -> np.ndarray:
            return block_diag(*(part.hessian(x) for part, x in zip(parts, self.split(theta), strict=True)))

        return gflow.Objective(
            dim=sum(model.dim for model in self.models),
            value=self.value,
            gradient=self.gradient,
            hvp=hvp,
            hessian=hessian,
            lower_bound=0.0,
        )
