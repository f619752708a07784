"""The best fit of rank at most k, by damped Newton steps from many starts at once.

The variable is Z = [A; B^T], one row z_v for each row and column v of M; the entry (v, w) of W is <z_v, z_w>.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from gflow import watch
from gflow.checks import positive
from gflow.completions.records import RankFit, frozen
from gflow.problems import MatrixCompletion, as_completion

BATCH_ENTRIES = 4_000_000
"""Largest number of doubles in the stacked Hessians of the starts that run side by side."""
FIT_ROUNDING = 1e-30
"""Sum of squared residuals, in units of max|M|^2 per observed entry, that counts as rounding."""
GRADIENT_TOL = 1e-8
"""A run has converged where |E Z| <= GRADIENT_TOL |E| |Z| for the residual E: no direction lowers the loss."""


@watch.watched
def rank_fit(
    problem: Any,
    k: int,
    *,
    starts: int = 20,
    rng: np.random.Generator | None = None,
    norm_bound: float = 1e6,
    max_steps: int = 300,
    stop_at_loss: float = -1.0,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> RankFit:
    """Return the matrix of rank at most k with the smallest loss found from ``starts`` starts.

    Parameters
    ----------
    problem : MatrixCompletion
    k : int
        From 1 to min(d1, d2).
    starts : int
        The first is the truncated singular value decomposition of P o M, the others are Gaussian.
    rng : numpy.random.Generator, optional
        Default: ``numpy.random.default_rng(0)``.
    norm_bound : float
        A run ends, unbounded, once max|A B| exceeds ``norm_bound`` max|M|.
    max_steps : int
        Steps per start.
    stop_at_loss : float
        No further starts once a bounded fit has a loss of at most ``stop_at_loss`` max|M|^2; by default all run.
    progress, timeout : see ``gflow.watch.watching``
        No further starts, and fits that are not ``converged``, when the time is over.

    Raises
    ------
    ValueError
        If ``k`` is not an integer from 1 to min(d1, d2), or ``starts`` is not a positive integer.

    The loss scales as s^2 when M is multiplied by s. The smallest loss found bounds the minimum from above and proves
    no more than that.
    """
    problem = as_completion(problem)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= min(problem.shape):
        raise ValueError(f"k must be an integer from 1 to {min(problem.shape)}; got {k!r}")
    positive(starts, "starts")
    rng = np.random.default_rng(0) if rng is None else rng
    unitary = problem.normalized
    batch = max(1, BATCH_ENTRIES // (sum(problem.shape) * k) ** 2)
    ends: list[_FitDescent] = []
    for first in range(0, starts, batch):
        Z = rng.standard_normal((min(batch, starts - first), sum(problem.shape), k)) / k**0.25
        if first == 0:
            Z[0] = _truncated(unitary.values, k)
        ends.append(_FitDescent(unitary, Z, norm_bound))
        enough = stop_at_loss * unitary.size**2
        ends[-1].run(max_steps, enough)
        if watch.over() or ends[-1].losses[ends[-1].bounded].min(initial=np.inf) <= enough:
            break
    return _best(problem, k, ends, norm_bound)


def neighbours(observed: np.ndarray) -> np.ndarray:
    """Return the adjacency matrix [[0, P], [P^T, 0]] of the coupling graph, shape (d1 + d2, d1 + d2)."""
    d1, d2 = observed.shape
    return np.block([[np.zeros((d1, d1)), observed], [observed.T, np.zeros((d2, d2))]])


def normal_matrix(adjacent: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return J^T J for J: dZ -> P o (dA B + A dB), shape (..., D k, D k), for Z of shape (..., D, k).

    Its block (v, w) is w z_v^T transposed where v and w are adjacent, its block (v, v) the sum of z_w z_w^T over the
    neighbours w of v.
    """
    *lead, D, k = Z.shape
    blocks = np.einsum("vw,...wc,...vd->...vcwd", adjacent, Z, Z)
    vertex = np.arange(D)
    squares = (Z[..., :, None] * Z[..., None, :]).reshape(*lead, D, k * k)
    blocks[..., vertex, :, vertex, :] += np.moveaxis((adjacent @ squares).reshape(*lead, D, k, k), -3, 0)
    return blocks.reshape(*lead, D * k, D * k)


class _FitDescent:
    """Levenberg-Marquardt runs side by side; Newton's Hessian replaces J^T J where the loss stalls above zero."""

    def __init__(self, problem: MatrixCompletion, Z: np.ndarray, norm_bound: float) -> None:
        d1 = problem.shape[0]
        self.problem, self.Z, self.bound = problem, Z, norm_bound * problem.size
        self.adjacent = neighbours(problem.observed)
        self.targets = np.zeros_like(self.adjacent)
        self.targets[:d1, d1:] = problem.values
        self.targets += self.targets.T
        self.damping = np.full(len(Z), 1e-2)
        self.curved = np.zeros(len(Z), dtype=bool)
        self.squares = self._squares(self._residual(Z))

    @property
    def losses(self) -> np.ndarray:
        """Return the loss of every run."""
        return self.squares / self.problem.n_observed

    @property
    def bounded(self) -> np.ndarray:
        """Return whether max|A B| is within the bound, for every run."""
        d1 = self.problem.shape[0]
        return np.abs(self.Z[:, :d1] @ self.Z[:, d1:].swapaxes(1, 2)).max(axis=(1, 2)) <= self.bound

    @property
    def stationary(self) -> np.ndarray:
        """Return whether the gradient vanishes, relative to the residual, for every run."""
        E = self._residual(self.Z)
        size = np.linalg.norm(E, axis=(1, 2)) * np.linalg.norm(self.Z, axis=(1, 2))
        return self._zero | (np.linalg.norm(E @ self.Z, axis=(1, 2)) <= GRADIENT_TOL * size)

    @property
    def _zero(self) -> np.ndarray:
        return self.squares <= FIT_ROUNDING * self.problem.n_observed * max(self.problem.size**2, 1e-300)

    def run(self, max_steps: int, enough: float) -> None:
        """Move every run downhill until it ends at a minimum or beyond the bound, or one has a loss of ``enough``."""
        active = np.arange(len(self.Z))
        for _ in range(max_steps):
            if watch.spent("fit"):
                break
            active = active[self._step(active)]
            if not active.size or (self.losses.min() <= enough and self.bounded[self.losses.argmin()]):
                break

    def _step(self, active: np.ndarray) -> np.ndarray:
        """Make one trial step of the active runs; return which of them go on."""
        Z, E = self.Z[active], self._residual(self.Z[active])
        G = E @ Z
        trial = self._swept(Z - self._direction(active, Z, E, G))
        squares = self._squares(self._residual(trial))
        better = squares < self.squares[active]
        self.curved[active] = better & (squares > 0.8 * self.squares[active])
        self.Z[active] = np.where(better[:, None, None], trial, Z)
        self.squares[active] = np.where(better, squares, self.squares[active])
        self.damping[active] *= np.where(better, 0.2, 5.0)
        self.damping[active] = np.maximum(self.damping[active], 1e-9)
        return (self.damping[active] < 1e6) & ~self._zero[active] & self.bounded[active]

    def _direction(self, active: np.ndarray, Z: np.ndarray, E: np.ndarray, G: np.ndarray) -> np.ndarray:
        count, D, k = Z.shape
        H = normal_matrix(self.adjacent, Z)
        place = np.arange(D * k)
        squares = H[:, place, place]
        scale = np.sqrt(np.maximum(squares, 1e-14 * squares.max(axis=1, keepdims=True)) + 1e-300)
        curved = np.flatnonzero(self.curved[active])
        if curved.size:
            H[curved] += np.einsum("svw,cd->svcwd", E[curved], np.eye(k)).reshape(len(curved), D * k, D * k)
        H /= scale[:, :, None] * scale[:, None, :]
        H[:, place, place] += (self.damping[active] * np.sqrt(self.squares[active]) + 1e-14)[:, None]
        return (_solved(H, (G.reshape(count, -1) / scale)[..., None])[..., 0] / scale).reshape(Z.shape)

    def _swept(self, Z: np.ndarray) -> np.ndarray:
        """Return Z after solving for A with B fixed, then for B with A fixed: it follows curved valleys."""
        d1, k = self.problem.shape[0], Z.shape[-1]
        Z = Z.copy()
        for part in (slice(None, d1), slice(d1, None)):
            squares = (Z[..., :, None] * Z[..., None, :]).reshape(len(Z), -1, k * k)
            H = (self.adjacent[part] @ squares).reshape(len(Z), -1, k, k)
            level = np.trace(H, axis1=-2, axis2=-1).max(axis=-1) + 1e-300
            H = H + 1e-13 * level[:, None, None, None] * np.eye(k)
            G = self._residual(Z)[:, part] @ Z
            Z[:, part] -= _solved(H, G[..., None])[..., 0]
        return Z

    def _residual(self, Z: np.ndarray) -> np.ndarray:
        return self.adjacent * (Z @ Z.swapaxes(1, 2)) - self.targets

    def _squares(self, E: np.ndarray) -> np.ndarray:
        return (E**2).sum(axis=(1, 2)) / 2


def _solved(H: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Return H^-1 g of stacked systems; zero, no step, for one that rounding has made singular.

    The damping is below the rounding of H where the loss is almost zero, and numpy refuses a whole stack for one of it.
    """
    try:
        return np.linalg.solve(H, g)
    except np.linalg.LinAlgError:
        steps = np.zeros_like(g)
    for place in np.ndindex(H.shape[:-2]):
        with suppress(np.linalg.LinAlgError):
            steps[place] = np.linalg.solve(H[place], g[place])
    return steps


def _truncated(M: np.ndarray, k: int) -> np.ndarray:
    """Return the stacked balanced factors of the best rank-k approximation of M."""
    U, singular, Vt = np.linalg.svd(M, full_matrices=False)
    root = np.sqrt(singular[:k])
    return np.concatenate([U[:, :k] * root, Vt[:k].T * root])


def _best(problem: MatrixCompletion, k: int, ends: list[_FitDescent], norm_bound: float) -> RankFit:
    losses = np.concatenate([end.losses for end in ends])
    best = min(ends, key=lambda end: float(end.losses.min()))
    index, d1 = int(best.losses.argmin()), problem.shape[0]
    Z = _truncated(best.Z[index, :d1] @ best.Z[index, d1:].T, k) * np.sqrt(problem.unit)
    bounded = bool(best.bounded[index])
    losses = np.sort(losses) * problem.unit * problem.unit
    converged = bounded and bool(best.stationary[index])
    return RankFit(
        k, float(losses[0]), frozen(Z[:d1]), frozen(Z[d1:].T), converged, bounded, norm_bound, frozen(losses)
    )
