"""All zeros of a gradient in a square, isolated by subdivision: boxes are excluded, proven, or halved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gflow import watch
from gflow.landscape.intervals import Interval, Jet

HALF_WIDTH = 1.0 + 2.0**-6
"""The charts are squares of this half-width: they overlap."""
INFLATED = 1.125
"""Boxes are tested a little larger than they tile, so that no zero lies on a border."""
FIRST_BOXES = 8
"""Boxes along each side at the beginning."""
MOST_BOXES, DEEPEST = 60_000, 40
"""Boxes alive at once, and halvings, at which the proof is given up."""
ROOT_SHARPENINGS = 6

Function = Callable[[list[Interval]], Jet]


@dataclass(frozen=True, eq=False)
class Root:
    """A zero of the gradient, the only one in ``around``; ``sign`` is that of the determinant of the Hessian."""

    box: list[Interval]
    around: np.ndarray
    sign: int

    def holds(self, x: np.ndarray) -> bool:
        """Return whether a point lies in the box that holds no other zero."""
        return bool(np.all((x > self.around[:, 0]) & (x < self.around[:, 1])))


def isolated_roots(function: Function, m: int) -> list[Root] | None:
    """Return all zeros of the gradient in [-1, 1]^m, m = 1 or 2, and some just outside; None where there is no proof.

    A box is excluded where a component of the gradient, in its natural or its mean-value form, cannot vanish, or the
    Krawczyk operator leads out of it; it is done where the operator maps it into itself (Krawczyk 1969; Neumaier 1990).
    """
    side = HALF_WIDTH * (2.0 * np.arange(FIRST_BOXES) + 1.0 - FIRST_BOXES) / FIRST_BOXES
    centers = np.stack(np.meshgrid(*[side] * m, indexing="ij"), axis=-1).reshape(-1, m)
    radius = HALF_WIDTH / FIRST_BOXES
    roots: list[Root] = []
    for _ in range(DEEPEST):
        watch.tick("excluding boxes")
        if not len(centers):
            return roots
        low, high = centers - INFLATED * radius, centers + INFLATED * radius
        alive, image, sign = _tested(function, low, high)
        low, high, centers = low[alive], high[alive], centers[alive]
        inside = np.all((image[:, :, 0] > low) & (image[:, :, 1] < high), axis=1) & (sign != 0)
        for n in np.flatnonzero(inside):
            around = np.stack([low[n], high[n]], axis=-1)
            if not any(root.holds(image[n].mean(axis=-1)) for root in roots):
                roots.append(Root(_sharpened(function, image[n]), around, int(sign[n])))
        centers = centers[~inside]
        if len(centers) * 2**m > MOST_BOXES:
            return None
        radius /= 2.0
        shifts = radius * (np.stack(np.meshgrid(*[[-1.0, 1.0]] * m, indexing="ij"), axis=-1).reshape(-1, m))
        centers = (centers[:, None, :] + shifts).reshape(-1, m)
    return None


def _tested(function: Function, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which boxes are alive, and of those the images under the Krawczyk operator and the signs of det H."""
    m = low.shape[1]
    middle = 0.5 * (low + high)
    jet = function([Interval(low[:, i], high[:, i]) for i in range(m)])
    point = function([Interval(middle[:, i], middle[:, i]) for i in range(m)])
    zero = Interval.of(0.0, len(low))
    G = [zero if each is None else each for each in point.first]
    H = [[zero if each is None else each for each in line] for line in jet.second]
    away = [Interval(low[:, i], high[:, i]) - Interval(middle[:, i], middle[:, i]) for i in range(m)]
    alive = np.ones(len(low), dtype=bool)
    for i in range(m):
        natural = zero if jet.first[i] is None else jet.first[i]
        assert natural is not None
        mean = G[i]
        for j in range(m):
            mean = mean + H[i][j] * away[j]
        alive &= natural.contains_zero() & mean.contains_zero()
    image = np.stack([np.stack([low[:, i], high[:, i]], axis=-1) for i in range(m)], axis=1)
    Y = _inverse(np.stack([[0.5 * (H[i][j].low + H[i][j].high) for j in range(m)] for i in range(m)]))
    for i in range(m):
        moved = Interval(middle[:, i], middle[:, i])
        for j in range(m):
            moved = moved - Interval(Y[i, j], Y[i, j]) * G[j]
            rest = Interval.of(float(i == j), len(low))
            for k in range(m):
                rest = rest - Interval(Y[i, k], Y[i, k]) * H[k][j]
            moved = moved + rest * away[j]
        image[:, i, 0], image[:, i, 1] = moved.low, moved.high
    image = np.where(np.isfinite(image), image, np.where(np.arange(2) == 0, -np.inf, np.inf))
    alive &= np.all((image[:, :, 0] <= high) & (image[:, :, 1] >= low), axis=1)
    det = H[0][0] if m == 1 else H[0][0] * H[1][1] - H[0][1].squared()
    sign = (det.low > 0).astype(int) - (det.high < 0).astype(int)
    return alive, image[alive], sign[alive]


def _inverse(H: np.ndarray) -> np.ndarray:
    """Return the inverses of matrices (m, m, N) for m = 1 or 2; zero where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if len(H) == 1:
            inverse = 1.0 / H
        else:
            det = H[0, 0] * H[1, 1] - H[0, 1] * H[1, 0]
            inverse = np.stack([[H[1, 1], -H[0, 1]], [-H[1, 0], H[0, 0]]]) / det
    return np.where(np.isfinite(inverse), inverse, 0.0)


def _sharpened(function: Function, box: np.ndarray) -> list[Interval]:
    """Return a smaller box around the same zero."""
    for _ in range(ROOT_SHARPENINGS):
        _, image, _ = _tested(function, box[None, :, 0], box[None, :, 1])
        if not len(image):
            break
        box = np.stack([np.maximum(box[:, 0], image[0, :, 0]), np.minimum(box[:, 1], image[0, :, 1])], axis=-1)
    return [Interval(line[:1], line[1:]) for line in box]
