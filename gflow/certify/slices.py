"""The slice of factors that fixes the gauge, with balls around the loss's derivatives on it."""

from __future__ import annotations

import numpy as np

from gflow.certify.balls import exact, exact_rank, flint, largest, midpoints, product, rank_at_least
from gflow.problems import MatrixCompletion

FLAT_SLICE = 1e-10
"""Curvatures on the slice below this fraction of the largest one are called flat where a proof fails."""


class Slice:
    """The factors with k independent rows of A kept; the others, and B, are the variables, in the problem's unit."""

    def __init__(self, problem: MatrixCompletion, A: np.ndarray) -> None:
        self.problem, self.k = problem, A.shape[1]
        self.root = flint().arb(problem.unit).sqrt()
        self.values = exact(problem.values) / self.root**2
        self.kept = independent_rows(A)
        self.fixed = exact(A[self.kept]) / self.root
        self.moving = np.setdiff1d(np.arange(len(A)), self.kept)
        cut = self.k * len(A)
        places = np.arange(cut).reshape(A.shape)[self.moving].ravel()
        self.free = np.concatenate([places, np.arange(cut, cut + self.k * problem.shape[1])])

    @property
    def transversal(self) -> bool:
        """Return whether the kept rows are proven independent."""
        return rank_at_least(self.fixed, self.k) == self.k

    def start(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """Return the variables of the computed point, exact."""
        return exact(np.concatenate([A[self.moving].ravel(), B.ravel()])) / self.root

    def factors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return balls around A and B."""
        d1, d2 = self.problem.shape
        A = np.empty((d1, self.k), dtype=object)
        A[self.kept], cut = self.fixed, self.k * len(self.moving)
        A[self.moving] = x[:cut].reshape(-1, self.k)
        return A, x[cut:].reshape(self.k, d2)

    def residual(self, x: np.ndarray) -> np.ndarray:
        """Return balls around E = P o (A B - M)."""
        A, B = self.factors(x)
        return np.where(self.problem.observed, A @ B - self.values, flint().arb(0))

    def field(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and Hessian of |E|^2 / 2 along the variables: (n / 2) times those of the loss."""
        (A, B), E, J = self.factors(x), self.residual(x), self.jacobian(x)
        gradient = np.concatenate([(E @ B.T).ravel(), (A.T @ E).ravel()])[self.free]
        H = np.full((A.size + B.size,) * 2, flint().arb(0), dtype=object)
        for p in range(self.k):
            a, b = np.arange(p, A.size, self.k), A.size + p * B.shape[1] + np.arange(B.shape[1])
            H[np.ix_(a, b)], H[np.ix_(b, a)] = E, E.T
        return gradient, H[np.ix_(self.free, self.free)] + product(J.T, J)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Return balls around the derivative of the observed entries of A B, shape (n, number of variables)."""
        A, B = self.factors(x)
        n, d2 = self.problem.n_observed, B.shape[1]
        J = np.full((n, A.size + B.size), flint().arb(0), dtype=object)
        for line, i, j in zip(J, self.problem.rows, self.problem.columns, strict=True):
            line[i * self.k : (i + 1) * self.k] = B[:, j]
            line[A.size + j :: d2] = A[i]
        return J[:, self.free]

    def residual_rank(self, x: np.ndarray) -> tuple[int, int]:
        """Return proven bounds of the rank of E at the critical point in x."""
        (A, B), J = self.factors(x), self.jacobian(x)
        if self.problem.observed.all() and rank_at_least(B, self.k) == self.k:
            rank = exact_rank(self.problem.values) - self.k
            return rank, rank
        if J.shape[0] == J.shape[1] and rank_at_least(J, len(J)) == len(J):
            return 0, 0
        support = residual_support(self.problem.observed, A, B)
        rows, columns = np.flatnonzero(support.any(axis=1)), np.flatnonzero(support.any(axis=0))
        most = min(_excess(A[rows]), _excess(B[:, columns].T))
        return rank_at_least(self.residual(x), most), most

    def doubt(self, x: np.ndarray) -> str:
        """Return why there may be no proof, from ordinary arithmetic."""
        gradient, H = self.field(x)
        curvatures = np.abs(np.linalg.eigvalsh(midpoints(H)))
        flat = int(np.sum(curvatures <= FLAT_SLICE * curvatures.max()))
        if not self.transversal:
            return f"A is not proven to have rank {self.k}"
        if flat:
            return f"not isolated: up to rounding, {flat} directions beyond the gauge are flat"
        return f"no zero of the gradient ({largest(gradient):.3g} in the problem's unit) is proven nearby"


def independent_rows(A: np.ndarray) -> np.ndarray:
    """Return k rows of A, shape (d1, k), chosen by pivoting: each has the largest part outside the span of the last."""
    rest, chosen = np.array(A, dtype=float), []
    for _ in range(A.shape[1]):
        i = int(np.argmax(np.einsum("ij,ij->i", rest, rest)))
        direction = rest[i] / (np.linalg.norm(rest[i]) or 1.0)
        rest -= np.outer(rest @ direction, direction)
        rest[i] = 0.0
        chosen.append(i)
    return np.sort(chosen)


def residual_support(observed: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return the observed entries where E, with A^T E = 0 and E B^T = 0, is not proven to vanish, shape (d1, d2).

    Row i of E vanishes if the columns of B on its support are independent, column j if the rows of A on its are.
    """
    support = observed.copy()
    while True:
        before = support.sum()
        for line, factor in (*((row, B.T) for row in support), *((column, A) for column in support.T)):
            if line.any() and _excess(factor[line]) == 0:
                line[:] = False
        if support.sum() == before:
            return support


def _excess(Z: np.ndarray) -> int:
    """Return an upper bound of the dimension of {e : e^T Z = 0}: rows less a proven rank."""
    return len(Z) - rank_at_least(Z, min(Z.shape)) if len(Z) else 0
