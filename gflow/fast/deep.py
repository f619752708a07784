"""The loss of W = W1 ... WL, L > 2, on few observed entries: its gradient relative to a center, and its Hessian.

The state is that of ``gflow.fast.field`` for W1 and WL, [W1; WL^T] row by row, with the layers between them after it.
"""

from __future__ import annotations

import numpy as np

from gflow.fast.field import Entries
from gflow.fast.jit import compiled


@compiled
def hidden_of(entries: Entries, Z: np.ndarray) -> np.ndarray:
    """Return the inner layers, shape (L - 2, r, r)."""
    return Z[entries.size * entries.rank :].reshape(entries.hidden, entries.rank, entries.rank)


@compiled
def times(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return one two; loops compile in a fraction of the time of calls of BLAS, and these matrices are small."""
    result = np.zeros((one.shape[0], two.shape[1]))
    for i in range(one.shape[0]):
        for k in range(two.shape[0]):
            for j in range(two.shape[1]):
                result[i, j] += one[i, k] * two[k, j]
    return result


@compiled
def turned(matrix: np.ndarray) -> np.ndarray:
    """Return the transpose, in rows of its own."""
    result = np.zeros((matrix.shape[1], matrix.shape[0]))
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            result[j, i] = matrix[i, j]
    return result


@compiled
def products(layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the products of the inner layers before each one, and all of them, and of those after each one."""
    count, r = layers.shape[0], layers.shape[1]
    before, after = np.zeros((count + 1, r, r)), np.zeros((count, r, r))
    for p in range(r):
        before[0, p, p] = after[count - 1, p, p] = 1.0
    for k in range(count):
        before[k + 1] = times(before[k], layers[k])
    for k in range(count - 1, 0, -1):
        after[k - 1] = times(layers[k], after[k])
    return before, after


@compiled
def moved(layers: np.ndarray, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how the ``products`` differ from those of layers + moves, without cancellation."""
    before, _ = products(layers)
    _, there = products(layers + moves)
    more, less = np.zeros_like(before), np.zeros_like(there)
    for k in range(layers.shape[0]):
        more[k + 1] = times(more[k], layers[k] + moves[k]) + times(before[k], moves[k])
    for k in range(layers.shape[0] - 1, 0, -1):
        less[k - 1] = times(moves[k], there[k]) + times(layers[k], less[k])
    return more, less


@compiled
def deep_gradient(entries: Entries, C: np.ndarray, errors: np.ndarray, D: np.ndarray, result: np.ndarray) -> None:
    """Write the gradient at C + D less the one at C into ``result``; ``errors`` are (2/n) E at C."""
    r, size, factor = entries.rank, entries.size * entries.rank, 2.0 / entries.targets.size
    layers, moves = hidden_of(entries, C), hidden_of(entries, D)
    before, after = products(layers)
    more, less = moved(layers, moves)
    H, dH = before[entries.hidden], more[entries.hidden]
    outer, outer_moves = C[:size].reshape(-1, r), D[:size].reshape(-1, r)
    left, left_moves = times(outer, H), times(outer_moves, H + dH) + times(outer, dH)
    back, back_moves = turned(H), turned(dH)
    right, right_moves = times(outer, back), times(outer + outer_moves, back_moves) + times(outer_moves, back)
    G, dG = np.zeros((r, r)), np.zeros((r, r))
    result[:] = 0.0
    for e in range(entries.targets.size):
        i, j = entries.rows[e], entries.columns[e]
        change = 0.0
        for p in range(r):
            change += left_moves[i, p] * (outer[j, p] + outer_moves[j, p]) + left[i, p] * outer_moves[j, p]
        change *= factor
        error = errors[e] + change
        for p in range(r):
            result[i * r + p] += change * right[j, p] + error * right_moves[j, p]
            result[j * r + p] += change * left[i, p] + error * left_moves[i, p]
            for q in range(r):
                G[p, q] += errors[e] * outer[i, p] * outer[j, q]
                bent = outer_moves[i, p] * (outer[j, q] + outer_moves[j, q]) + outer[i, p] * outer_moves[j, q]
                dG[p, q] += change * outer[i, p] * outer[j, q] + error * bent
    for k in range(entries.hidden):
        there, begin = turned(after[k] + less[k]), turned(before[k])
        slope = times(times(turned(more[k]), G + dG) + times(begin, dG), there)
        slope += times(times(begin, G), turned(less[k]))
        result[size + k * r * r : size + (k + 1) * r * r] = slope.ravel()


@compiled
def deep_hessian(entries: Entries, Z: np.ndarray, result: np.ndarray) -> None:
    """Write the upper triangle of the Hessian of the loss at Z into ``result``."""
    r, size, count = entries.rank, entries.size * entries.rank, entries.hidden
    layers, outer = hidden_of(entries, Z), Z[:size].reshape(-1, r)
    before, after = products(layers)
    H = before[count]
    left, right, factor = times(outer, H), times(outer, turned(H)), 2.0 / entries.targets.size
    ends, begins = np.zeros((count, entries.size, r)), np.zeros((count, entries.size, r))
    for k in range(count):
        ends[k], begins[k] = times(outer, before[k]), times(outer, turned(after[k]))
    row, pulled, places = np.zeros(Z.size), np.zeros((count, count, r, r)), np.arange(size - 2 * r, Z.size)
    result[:] = 0.0
    for e in range(entries.targets.size):
        i, j = entries.rows[e], entries.columns[e]
        error = -entries.targets[e]
        for p in range(r):
            error += left[i, p] * outer[j, p]
        error *= factor
        for p in range(r):
            places[p], places[r + p] = i * r + p, j * r + p
            row[i * r + p], row[j * r + p] = right[j, p], left[i, p]
            for q in range(r):
                result[i * r + p, j * r + q] += error * H[p, q]
        for k in range(count):
            for a in range(r):
                for b in range(r):
                    place = size + (k * r + a) * r + b
                    row[place] = ends[k, i, a] * begins[k, j, b]
                    for p in range(r):
                        result[i * r + p, place] += error * before[k, p, a] * begins[k, j, b]
                        result[j * r + p, place] += error * ends[k, i, a] * after[k, b, p]
            for m in range(k + 1, count):
                for a in range(r):
                    for d in range(r):
                        pulled[k, m, a, d] += error * ends[k, i, a] * begins[m, j, d]
        for one in range(places.size):
            for two in range(one, places.size):
                result[places[one], places[two]] += factor * row[places[one]] * row[places[two]]
    couple(layers, pulled, size, result)


@compiled
def couple(layers: np.ndarray, pulled: np.ndarray, size: int, result: np.ndarray) -> None:
    """Add what couples two inner layers besides: what is pulled to them, times the product of those between them."""
    count, r = layers.shape[0], layers.shape[1]
    for k in range(count):
        between = products(layers)[0][0]
        for m in range(k + 1, count):
            for a in range(r):
                for b in range(r):
                    for c in range(r):
                        for d in range(r):
                            one, two = size + (k * r + a) * r + b, size + (m * r + c) * r + d
                            result[one, two] += pulled[k, m, a, d] * between[b, c]
            between = times(between, layers[m])
