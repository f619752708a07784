"""Minimum nuclear norm by Douglas-Rachford splitting, finished by Newton steps on the matrices of the rank it finds.

The map Z -> Z + R, where X is Z with its singular values reduced by gamma and X + R is 2 X - Z off the mask and M on
it, has fixed points Z = X + gamma Y for every minimiser X and every optimal dual matrix Y. It is iterated with
Anderson's extrapolation. Where the data determine a matrix of the rank of X, Gauss-Newton steps lead to it, and the
dual matrix nearest to Y that supports the norm there is the solution of a linear system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from gflow import watch
from gflow.completions.bounds import Bounds
from gflow.problems import MatrixCompletion

GAMMA = 0.1
"""gamma in units of ||P o M||_2: of the size of the singular values that come to stand out."""
SPLITTING_STEPS, NOT_HALVED = 2000, 300
"""Steps after which the iteration is given up, and those in which its residual must halve."""
MEMORY, REGULAR, WORSE = 5, 1e-10, 2.0
"""Steps that an extrapolation uses, how far its equations are regularised, and the growth of the residual at which it
is taken back and they are forgotten."""
GAUSS_NEWTON_STEPS, INNER_STEPS = 10, 60
INTERPOLATES, SUPPORTS = 1e-13, 1e-12
"""Relative misfits at which a matrix meets the data and a dual matrix supports the norm."""
RETRIED = 1e-6, 0.03
"""Newton steps that have failed are tried again when the residual has fallen to the first fraction, at a lower rank to
the second one."""


def splitting_solution(problem: MatrixCompletion, gap_tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, Y): W interpolates, Y is feasible, and their relative gap is at most ``gap_tol`` if all goes well.

    One step costs O(d1 d2 min(d1, d2)) operations. Lions and Mercier 1979; Walker and Ni 2011 (extrapolation);
    Candes and Recht 2009 (the dual matrix).
    """
    if problem.shape[0] > problem.shape[1]:
        W, Y = splitting_solution(problem.transpose, gap_tol)
        return W.T, Y.T
    bounds, memory, tried = Bounds(problem), _Memory(problem.values.size), (problem.values.size, np.inf)
    gamma = GAMMA * float(np.linalg.norm(problem.values, 2))
    here, seen, since, rank = _Split.at(problem, problem.values, gamma), np.inf, 0, -1
    for _ in range(SPLITTING_STEPS):
        watch.tick("splitting")
        if here.size == 0.0 or (here.size <= 0.5 * seen and here.rank == rank):
            seen, since = here.size, 0
            bounds.see(here.X, here.Y)
            if bounds.gap > gap_tol and here.size <= RETRIED[rank < tried[0]] * tried[1]:
                tried = rank, here.size
                if (found := _finished(problem, here)) is not None:
                    bounds.see(*found)
            if bounds.gap <= gap_tol:
                break
        rank, since = here.rank, since + 1
        if here.size == 0.0 or since > NOT_HALVED:
            break
        here = memory.step(problem, here)
    return bounds.W, bounds.Y


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """A place Z of the iteration: left singular vectors and sizes of X, X itself, and the residual R."""

    gamma: float
    Z: np.ndarray
    U: np.ndarray
    X: np.ndarray
    R: np.ndarray

    @classmethod
    def at(cls, problem: MatrixCompletion, Z: np.ndarray, gamma: float) -> Self:
        """Return the place Z; it has no more rows than columns."""
        squares, vectors = np.linalg.eigh(Z @ Z.T)
        kept = squares > gamma**2
        U = vectors[:, kept]
        X = (U * (1.0 - gamma / np.sqrt(squares[kept]))) @ (U.T @ Z)
        return cls(gamma, Z, U, X, np.where(problem.observed, problem.values, 2.0 * X - Z) - X)

    @property
    def rank(self) -> int:
        """Return the rank of X."""
        return self.U.shape[1]

    @property
    def size(self) -> float:
        """Return the norm of R."""
        return float(np.linalg.norm(self.R))

    @property
    def Y(self) -> np.ndarray:
        """Return the dual matrix, a subgradient of the norm at X, on the mask only in the end."""
        return (self.Z - self.X) / self.gamma


class _Memory:
    """The last moves of Z and the changes of R that came of them."""

    def __init__(self, size: int) -> None:
        self.moves, self.changes, self.count = np.zeros((MEMORY, size)), np.zeros((MEMORY, size)), 0

    def step(self, problem: MatrixCompletion, here: _Split) -> _Split:
        """Return the next place: extrapolated, or that of the plain step where this one is worse."""
        Z = here.Z + here.R
        after = _Split.at(problem, Z - self.correction(here.R), here.gamma)
        if self.count and not after.size <= WORSE * here.size:
            self.count, after = 0, _Split.at(problem, Z, here.gamma)
        row = self.count % MEMORY
        self.moves[row], self.changes[row] = (after.Z - here.Z).ravel(), (after.R - here.R).ravel()
        self.count += 1
        return after

    def correction(self, R: np.ndarray) -> np.ndarray:
        """Return what the moves would have added of a step in vain, by least squares over the changes."""
        changes = self.changes[: self.count]
        if not self.count:
            return np.zeros_like(R)
        gram = changes @ changes.T
        gram += REGULAR * np.trace(gram) * np.eye(len(gram))
        weights = np.linalg.solve(gram, changes @ R.ravel())
        return (weights @ (self.moves[: self.count] + changes)).reshape(R.shape)


def _finished(problem: MatrixCompletion, here: _Split) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the matrix of the rank of X nearby that meets the data, and a dual matrix; None without such a matrix."""
    (d1, d2), k, before = problem.shape, here.rank, np.inf
    if not 0 < k * (d1 + d2 - k) <= problem.n_observed:
        return None
    scale, W, tangent = float(np.linalg.norm(problem.targets)), here.X, _Tangent.of(here.U, here.X)
    for _ in range(GAUSS_NEWTON_STEPS):
        missed = problem.residual(W)
        size = float(np.linalg.norm(missed)) / scale
        if size <= INTERPOLATES:
            Y = problem.observed * here.Y
            support = tangent.solved(problem, tangent.polar - tangent(Y), SUPPORTS)
            return W, Y + problem.observed * support
        if size > 0.5 * before:
            return None
        before = size
        W = W - tangent.solved(problem, tangent(missed), min(0.1, size))
        tangent = _Tangent.of(np.linalg.qr(W @ tangent.Vt.T)[0], W)
        W = tangent.U @ (tangent.U.T @ W)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Tangent:
    """The projector on the matrices that vary W = U (U^T W) at fixed rank: U X + Y V^T."""

    U: np.ndarray
    Vt: np.ndarray

    @classmethod
    def of(cls, U: np.ndarray, W: np.ndarray) -> Self:
        """Return the projector at U U^T W."""
        left, _, Vt = np.linalg.svd(U.T @ W, full_matrices=False)
        return cls(U @ left, Vt)

    @property
    def polar(self) -> np.ndarray:
        """Return U V^T, the part of every subgradient of the norm."""
        return self.U @ self.Vt

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        rows, columns = self.U.T @ Z, Z @ self.Vt.T
        return self.U @ (rows - (rows @ self.Vt.T) @ self.Vt) + columns @ self.Vt

    def solved(self, problem: MatrixCompletion, b: np.ndarray, rtol: float) -> np.ndarray:
        """Return the tangent x whose part on the mask projects to b, by conjugate gradients."""
        x, r, p = np.zeros_like(b), b, b
        square = float(np.vdot(r, r))
        enough = rtol**2 * square
        for _ in range(INNER_STEPS):
            product = self(problem.observed * p)
            bent = float(np.vdot(p, product))
            if square <= enough or not bent > 0.0:
                break
            length = square / bent
            x, r = x + length * p, r - length * product
            before, square = square, float(np.vdot(r, r))
            p = r + (square / before) * p
        return x
