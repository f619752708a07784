"""How much the modes that stay behind grow along an orbit: the constants before the powers of alpha."""

from __future__ import annotations

import numpy as np

from gflow.flow import Trajectory
from gflow.flow.monitor import norm
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

LARGEST = 60
"""Components with more rows and columns than this are not analysed."""


def passive_gain(
    problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, path: Trajectory, rank: int, launch: float
) -> float | None:
    """Return log g where alpha^p g is the amplitude of the next mode at the end of an orbit.

    A slow orbit leaves its residual, and so the growth of passive modes, time to act: with log g in the hundreds the
    power alpha^p says nothing about any alpha a computer can hold.

    Parameters
    ----------
    problem : MatrixCompletion, in its own unit
    A, B : factors of the saddle the orbit comes from
    path : the orbit, in a model of inner width ``rank``
    launch : the amplitude with which the escaping column starts

    None for a component too large to analyse.
    """
    d1, d2 = problem.shape
    if min(d1, d2) == 1:
        return 0.0
    if d1 + d2 > LARGEST:
        return None
    U, sigma, Vt = np.linalg.svd(problem.residual(A @ B))
    x = np.concatenate([U[:, 1], -Vt[1]]) / np.sqrt(2.0)
    residuals = problem.residual(Factorization(problem.shape, rank).matrix(path.states))
    middle = -problem.weight * (residuals[1:] + residuals[:-1])
    S = np.zeros((len(middle), d1 + d2, d1 + d2))
    S[:, :d1, d1:], S[:, d1:, :d1] = middle, middle.mT
    growths, bases = np.linalg.eigh(S)
    gain = -float(sigma[1] / sigma[0]) * float(np.log(1.0 / launch))
    growths *= np.diff(path.times)[:, None]
    largest = growths[:, -1:]
    sizes = []
    for propagator in (bases * np.exp(growths - largest)[:, None, :]) @ bases.mT:
        x = propagator.dot(x)
        sizes.append(norm(x))
        x = x / sizes[-1]
    return gain + float(largest.sum() + np.log(sizes).sum())
