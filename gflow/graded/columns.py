"""Graded columns: factors whose columns differ by hundreds of orders of magnitude, each with full relative accuracy.

The flow of (A, B) and of (A Q, Q^T B) is the same for every orthogonal Q, and every coupling component moves by itself,
so each component may choose its own Q: here the one for which column j of [A; B^T] carries the j-th mode alone.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from gflow.connectivity import connectivity
from gflow.policy import EPS
from gflow.problems import EntryProblem, without_weights

NOTHING = -1e300
"""The logarithm of the scale of a column that is exactly zero."""
RANK_ROUNDING = 1e-14
"""A column of the start below this fraction of the largest one is rounding: the start has a lower rank."""
ROUNDING = 1e2 * EPS
"""An amplitude below this, relative to its column, may be rounding."""
MARGIN = 3.0
"""Rounding errors are taken to be this many times the largest of the samples that are followed."""
MAX_SWEEPS, ENDLESS = 40, 1e100
"""Errors that are carried along do not grow beyond the second."""


class GradedColumns:
    """The stacked factors Z = [A; B^T] of a problem without empty lines, in one graded gauge per coupling component.

    Row i of Z, in component c, is ``(z[i] * exp(logs[c])) @ frames[c].T``.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion
        Every row and column holds an observation.
    Z : (d1 + d2, r) array
        The start; may hold any scale.
    log_unit : float
        The start is Z * exp(log_unit).

    Attributes
    ----------
    members : list of int arrays
        The rows of Z that belong to each coupling component.
    owner : (d1 + d2,) int array
        The coupling component of each row of Z.
    blocks : list of int arrays
        The rows of Z in each component of the observation graph: observed zeros join blocks to components.
    z : (d1 + d2, k) array
        Columns of unit norm within each component; k is at most the size of the largest component.
    logs : (number of components, k) array
        Logarithms of their norms.
    frames : list of (r, k) arrays
        Orthonormal columns, zero where a component has fewer than k.
    errors : (s, d1 + d2, k) array
        Samples of the rounding errors in z, which turn with the columns; s = 0 where none are followed.
    """

    def __init__(self, problem: EntryProblem, Z: np.ndarray, log_unit: float = 0.0) -> None:
        graphs, d1 = connectivity(without_weights(problem)), problem.shape[0]
        self.members, self.blocks = (
            [np.array([*part.rows, *(d1 + j for j in part.columns)]) for part in parts]
            for parts in (graphs.coupling_components, graphs.components)
        )
        self.owner = np.empty(len(Z), dtype=int)
        for c, rows in enumerate(self.members):
            self.owner[rows] = c
        self.homes = np.array([self.owner[rows[0]] for rows in self.blocks], dtype=int)
        self.single = np.bincount(self.homes, minlength=len(self.members)) <= 1
        self._group()
        width = min(Z.shape[1], max(map(len, self.members)))
        self.z = np.zeros((len(Z), width))
        self.logs = np.full((len(self.members), width), NOTHING)
        self.frames = [np.zeros((Z.shape[1], width)) for _ in self.members]
        self.errors = np.zeros((0, *self.z.shape))
        for c, rows in enumerate(self.members):
            self._enter(c, Z[rows], problem, log_unit)
        self.orthogonalise()

    def _group(self) -> None:
        """Divide the rows into groups that are measured together: components, or their blocks where there are several.

        Rows of such a component whose entries are all zero belong to no block; they form a group of their own.
        """
        self.group = self.owner.copy()
        n_groups = len(self.members)
        for block, c in zip(self.blocks, self.homes, strict=True):
            if not self.single[c]:
                self.group[block] = n_groups
                n_groups += 1
        self.group = np.unique(self.group, return_inverse=True)[1]
        self.order = np.argsort(self.group, kind="stable")
        self.starts = np.searchsorted(self.group[self.order], np.arange(self.group.max() + 1))
        self.home = self.owner[self.order[self.starts]]

    def _enter(self, c: int, Z: np.ndarray, problem: EntryProblem, log_unit: float) -> None:
        """Choose the frame of component c by Gram-Schmidt of the mode amplitudes g_1, g_2, ... at the origin."""
        size = float(np.abs(Z).max())
        if size == 0.0:
            return
        rows, Z = self.members[c], Z / size
        inside = [block for block in self.blocks if self.owner[block[0]] == c]
        lone = np.setdiff1d(rows, np.concatenate(inside)) if inside else rows
        bases = [(block, *modes(problem.residual(np.zeros(problem.shape)), block)) for block in inside]
        bases.append((lone, np.zeros(len(lone)), np.eye(len(lone))))
        amplitudes = np.concatenate([X.T @ Z[np.searchsorted(rows, block)] for block, _, X in bases])
        order = np.argsort(-np.concatenate([rates for _, rates, _ in bases]), kind="stable")
        frame = np.linalg.qr(amplitudes[order].T)[0]
        graded = Z @ frame
        norms = np.linalg.norm(graded, axis=0)
        alive = np.nonzero(norms > RANK_ROUNDING * norms.max())[0]
        self.z[rows[:, None], alive] = graded[:, alive] / norms[alive]
        self.logs[c, alive] = np.log(norms[alive]) + np.log(size) + log_unit
        self.frames[c][:, : frame.shape[1]] = frame

    @property
    def alive(self) -> np.ndarray:
        """Return which columns are not exactly zero, shape (number of components, k)."""
        return self.logs > NOTHING / 2

    def largest(self, z: np.ndarray) -> np.ndarray:
        """Return the largest entry of every column of z in every group of rows, shape (number of groups, k)."""
        return np.maximum.reduceat(np.abs(z)[self.order], self.starts)

    def contents(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what every column holds in every group, and how much of it counts, shapes (number of groups, k).

        A column belongs to the group where it is largest. In another group it may err by as much as the smallest
        column that belongs there, or as the largest content there if none does: its own content counts only if it is
        larger, and never more than the column.
        """
        own, logs = self.largest(self.z), self.logs[self.home]
        needed = np.where(own > 0.0, own, 1.0)
        with np.errstate(divide="ignore"):
            real = np.log(own) + logs
        for c in np.nonzero(~self.single)[0]:
            here = np.nonzero(self.home == c)[0]
            alive = np.nonzero(self.alive[c])[0]
            belongs = here[np.argmax(real[here[:, None], alive], axis=0)]
            for group in here:
                mine = real[group, alive[belongs == group]]
                least = mine.min() if mine.size else real[group, alive].max(initial=-np.inf)
                counts = np.maximum(real[group], least)
                needed[group] = np.where(self.alive[c], np.exp(np.minimum(counts - logs[group], 0.0)), 1.0)
        return own, needed

    def squares(self) -> np.ndarray:
        """Return the square of the scale of every entry of z, shape (d1 + d2, k); it may underflow, harmlessly."""
        return np.exp(2.0 * self.logs)[self.owner]

    def scales(self) -> np.ndarray:
        """Return the scale of every entry of z, shape (d1 + d2, k)."""
        return np.exp(self.logs)[self.owner]

    def stacked(self, z: np.ndarray, log_factor: float = 0.0) -> np.ndarray:
        """Return exp(log_factor) [A; B^T] in the basis of the start, shape (d1 + d2, r), for columns z."""
        if len(self.members) == 1:
            return (z * np.exp(self.logs[0] + log_factor)).dot(self.frames[0].T)
        result = np.empty((len(z), self.frames[0].shape[0]))
        for rows, logs, frame in zip(self.members, self.logs, self.frames, strict=True):
            result[rows] = (z[rows] * np.exp(logs + log_factor)) @ frame.T
        return result

    def apart(self, z: np.ndarray) -> float:
        """Return the least part of a column of z, relative to it, that is orthogonal to all larger ones."""
        least = 1.0
        for c, rows in enumerate(self.members):
            part = z[rows]
            norms = np.linalg.norm(part, axis=0)
            alive = np.nonzero(self.alive[c] & (norms > 0.0))[0]
            order = alive[np.argsort(-(self.logs[c, alive] + np.log(norms[alive])), kind="stable")]
            if len(order) > 1:
                remains = np.linalg.qr(part[:, order] / norms[order], mode="r")
                least = min(least, float(np.abs(np.diagonal(remains)).min()))
        return least

    def orthogonalise(self) -> None:
        """Keep the columns apart: turn each component's until they are mutually orthogonal, and of unit norm."""
        for c, rows in enumerate(self.members):
            alive = np.nonzero(self.alive[c])[0]
            carried = self.errors[:, rows[:, None], alive]
            columns, logs, frame = orthogonalized(
                self.z[rows[:, None], alive], self.logs[c, alive], self.frames[c][:, alive], carried
            )
            self.z[rows[:, None], alive], self.logs[c, alive], self.frames[c][:, alive] = columns, logs, frame
            self.errors[:, rows[:, None], alive] = carried


def modes(E: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues, descending, and eigenvectors of -[[0, E], [E^T, 0]] on the rows ``block`` of [A; B^T].

    Times 2/n these are the growth rates of columns too small to change E. ``block`` lists rows, then columns.
    """
    cut = int(np.searchsorted(block, E.shape[0]))
    K = np.zeros((len(block), len(block)))
    K[:cut, cut:] = -E[np.ix_(block[:cut], block[cut:] - E.shape[0])]
    K[cut:, :cut] = K[:cut, cut:].T
    rates, vectors = np.linalg.eigh(K)
    return rates[::-1], vectors[:, ::-1]


def orthogonalized(
    z: np.ndarray, logs: np.ndarray, frame: np.ndarray, carried: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns, logarithms and frame after the rotation that makes the columns z * exp(logs) orthogonal.

    One-sided Jacobi (Hestenes): each column keeps its own relative accuracy however far the scales lie apart, which
    a singular value decomposition would not allow. The returned columns have unit norm.

    Parameters
    ----------
    z : (m, k) array
        Columns, none zero, of moderate size.
    logs : (k,) array
        Logarithms of their scales.
    frame : (r, k) array
        Turned along with the columns.
    carried : (s, m, k) array, optional
        Changed in place as the columns are, and scaled with them.
    """
    norms = np.linalg.norm(z, axis=0)
    z, logs, frame = z / norms, logs + np.log(norms), frame.copy()
    carried = np.zeros((0, *z.shape)) if carried is None else carried
    carried /= norms
    orthogonal = 8.0 * EPS * np.sqrt(len(z))
    for _ in range(MAX_SWEEPS):
        worst = 0.0
        for first, second in tournament(len(logs)):
            worst = max(worst, _rotate(z, logs, frame, carried, first, second))
        if worst <= orthogonal:
            break
    return z, logs, frame


def _rotate(
    z: np.ndarray,
    logs: np.ndarray,
    frame: np.ndarray,
    carried: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
) -> float:
    """Make disjoint pairs of columns orthogonal, in place; return their largest cosine before."""
    smaller = logs[first] < logs[second]
    i, j = np.where(smaller, second, first), np.where(smaller, first, second)
    large, small = z[:, i], z[:, j]
    cosine = np.einsum("mp,mp->p", large, small)
    ratio = np.exp(logs[j] - logs[i])
    gap = (1.0 - ratio) * (1.0 + ratio)
    reach = gap + np.hypot(gap, 2.0 * ratio * cosine)
    slope = 2.0 * cosine / np.where(reach > 0.0, reach, 1.0)
    tangent = ratio * slope
    shrink = 1.0 / np.hypot(1.0, tangent)
    left, right = carried[:, :, i], carried[:, :, j]
    for index, column, along in (
        (i, large + (tangent * ratio) * small, left + (tangent * ratio) * right),
        (j, small - slope * large, right - slope * left),
    ):
        norms = np.linalg.norm(column, axis=0)
        z[:, index] = column / np.where(norms > 0.0, norms, 1.0)
        with np.errstate(divide="ignore", over="ignore"):
            carried[:, :, index] = np.clip(along / np.where(norms > 0.0, norms, 1.0), -ENDLESS, ENDLESS)
            logs[index] = np.maximum(logs[index] + np.log(shrink * norms), NOTHING)
    large, small = frame[:, i], frame[:, j]
    frame[:, i], frame[:, j] = shrink * (large + tangent * small), shrink * (small - tangent * large)
    return float(np.abs(cosine).max())


@cache
def tournament(k: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return rounds of disjoint pairs in which each of k players meets every other once (the circle method)."""
    even = k + k % 2
    rounds = []
    for turn in range(even - 1):
        circle = [0, *(1 + (turn + place) % (even - 1) for place in range(even - 1))]
        pairs = [(circle[p], circle[even - 1 - p]) for p in range(even // 2)]
        pairs = [(a, b) for a, b in pairs if max(a, b) < k]
        if pairs:
            rounds.append((np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])))
    return tuple(rounds)
