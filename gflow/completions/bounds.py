"""Bounds on the minimum nuclear norm: any completion gives an upper one, any feasible dual matrix a lower one."""

from __future__ import annotations

import numpy as np

from gflow.problems import MatrixCompletion


def nuclear_norm(W: np.ndarray) -> float:
    """Return the sum of the singular values of W."""
    return float(np.linalg.svd(W, compute_uv=False).sum())


def feasible(problem: MatrixCompletion, Y: np.ndarray) -> np.ndarray:
    """Return P o Y / max(1, ||P o Y||_2), a feasible point of the dual."""
    Y = problem.observed * Y
    return Y / max(1.0, float(np.linalg.norm(Y, 2)))


def dual_bound(problem: MatrixCompletion, Y: np.ndarray) -> float:
    """Return <Y, M>, a lower bound on the minimum if Y is a feasible point of the dual."""
    return float(np.sum(Y * problem.values))


class Bounds:
    """The best completion W and the best dual matrix Y among those seen, and the bounds that they give.

    Parameters
    ----------
    problem : MatrixCompletion
        Not zero.
    """

    def __init__(self, problem: MatrixCompletion) -> None:
        self.problem, self.W, self.upper = problem, problem.values, nuclear_norm(problem.values)
        self.Y, self.lower = np.zeros(problem.shape), 0.0

    @property
    def gap(self) -> float:
        """Return (upper - lower) / upper."""
        return (self.upper - self.lower) / self.upper

    def see(self, W: np.ndarray, Y: np.ndarray) -> None:
        """Keep W, put right on the mask, and Y, made feasible, where they are better."""
        W, Y = np.where(self.problem.observed, self.problem.values, W), feasible(self.problem, Y)
        upper, lower = nuclear_norm(W), dual_bound(self.problem, Y)
        if upper < self.upper:
            self.W, self.upper = W, upper
        if lower > self.lower:
            self.Y, self.lower = Y, lower
