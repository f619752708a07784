"""The loss of W = W1 ... WL, L > 2, on few observed entries: its gradient relative to a center, and its Hessian.

The state is that of ``gflow.fast.field`` for W1 and WL, [W1; WL^T] row by row, with the layers between them after it.
All follows from its rows carried through these layers, V[k] as they stand before layer k: W_ij is V[k, i] . V[k, j] for
every k. Whoever calls these functions has them compiled into itself again, so they are few and call little.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from gflow.fast.field import Entries, copy
from gflow.fast.jit import compiled


@compiled
def hidden_of(entries: Entries, Z: np.ndarray) -> np.ndarray:
    """Return the inner layers, shape (L - 2, r, r)."""
    return Z[entries.size * entries.rank :].reshape(entries.hidden, entries.rank, entries.rank)


def inner_product(entries: Entries, Z: np.ndarray) -> np.ndarray:
    """Return W2 ... W(L-1), shape (r, r)."""
    found: np.ndarray = reduce(np.matmul, Z[entries.size * entries.rank :].reshape(-1, entries.rank, entries.rank))
    return found


@compiled
def carry(layers: np.ndarray, moves: np.ndarray, V: np.ndarray, cut: int, result: np.ndarray) -> None:
    """Write rows carried through the layers, y -> y (W + dW) + v dW, the first ``cut`` from W1 on, the others from WL.

    V and ``result`` are (L - 1, m, r) arrays; ``result`` holds what begins in its first and its last place.
    """
    count, r = layers.shape[0], layers.shape[1]
    for k in range(count):
        back = count - 1 - k
        for i in range(V.shape[1]):
            for p in range(r):
                total = 0.0
                if i < cut:
                    for q in range(r):
                        there = layers[k, q, p] + moves[k, q, p]
                        total += result[k, i, q] * there + V[k, i, q] * moves[k, q, p]
                    result[k + 1, i, p] = total
                else:
                    for q in range(r):
                        there = layers[back, p, q] + moves[back, p, q]
                        total += there * result[back + 1, i, q] + moves[back, p, q] * V[back + 1, i, q]
                    result[back, i, p] = total


@compiled
def begin(entries: Entries, Z: np.ndarray, V: np.ndarray) -> None:
    """Write the rows of W1 into the first place of V, and those of WL^T into the last."""
    last = V.shape[0] - 1
    for i in range(entries.size):
        for p in range(entries.rank):
            V[0 if i < entries.cut else last, i, p] = Z[i * entries.rank + p]


@compiled
def deep_gradient(entries: Entries, C: np.ndarray, errors: np.ndarray, D: np.ndarray, result: np.ndarray) -> None:
    """Write the gradient at C + D less the one at C into ``result``; ``errors`` are (2/n) E at C."""
    r, count, factor = entries.rank, entries.hidden, 2.0 / entries.targets.size
    layers, moves = hidden_of(entries, C), hidden_of(entries, D)
    memory, idle = np.zeros((2, count + 1, entries.size, r)), np.zeros((count, r, r))
    V, dV = memory[0], memory[1]
    for k in range(2):
        begin(entries, D if k else C, memory[k])
        carry(layers, moves if k else idle, V, entries.cut, memory[k])
    result[:] = 0.0
    for e in range(entries.targets.size):
        i, j = entries.rows[e], entries.columns[e]
        change = 0.0
        for p in range(r):
            change += dV[0, i, p] * (V[0, j, p] + dV[0, j, p]) + V[0, i, p] * dV[0, j, p]
        change *= factor
        error = errors[e] + change
        for p in range(r):
            result[i * r + p] += change * V[0, j, p] + error * dV[0, j, p]
            result[j * r + p] += change * V[count, i, p] + error * dV[count, i, p]
        place = entries.size * r
        for k in range(count):
            for p in range(r):
                x, dx = V[k, i, p], dV[k, i, p]
                for q in range(r):
                    y, dy = V[k + 1, j, q], dV[k + 1, j, q]
                    result[place] += change * x * y + error * (dx * (y + dy) + x * dy)
                    place += 1


@compiled
def deep_hessian(entries: Entries, Z: np.ndarray, result: np.ndarray) -> None:
    """Write the upper triangle of the Hessian of the loss at Z into ``result``."""
    r, size, count = entries.rank, entries.size * entries.rank, entries.hidden
    layers, factor, rows = hidden_of(entries, Z), 2.0 / entries.targets.size, entries.size
    V, U, idle = np.zeros((count + 1, rows, r)), np.zeros((count + 1, 2 * r, r)), np.zeros((count, r, r))
    begin(entries, Z, V)
    carry(layers, idle, V, entries.cut, V)
    for p in range(r):
        U[0, p, p] = U[count, r + p, p] = 1.0
    carry(layers, idle, U, r, U)  # the products of the layers before and after each one
    row, pulled, places = np.zeros(Z.size), np.zeros((count, count, r, r)), np.arange(size - 2 * r, Z.size)
    result[:] = 0.0
    for e in range(entries.targets.size):
        i, j = entries.rows[e], entries.columns[e]
        error = -entries.targets[e]
        for p in range(r):
            error += V[0, i, p] * V[0, j, p]
        error *= factor
        for p in range(r):
            places[p], places[r + p] = i * r + p, j * r + p
            row[i * r + p], row[j * r + p] = V[0, j, p], V[count, i, p]
            for q in range(r):
                result[i * r + p, j * r + q] += error * U[count, p, q]
        for k in range(count):
            for a in range(r):
                for b in range(r):
                    place = size + (k * r + a) * r + b
                    row[place] = V[k, i, a] * V[k + 1, j, b]
                    for p in range(r):
                        result[i * r + p, place] += error * U[k, p, a] * V[k + 1, j, b]
                        result[j * r + p, place] += error * V[k, i, a] * U[k + 1, r + p, b]
                for m in range(k + 1, count):
                    for d in range(r):
                        pulled[k, m, a, d] += error * V[k, i, a] * V[m + 1, j, d]
        for one in range(places.size):
            for two in range(one, places.size):
                result[places[one], places[two]] += factor * row[places[one]] * row[places[two]]
    couple(layers, pulled, size, result)


@compiled
def couple(layers: np.ndarray, pulled: np.ndarray, size: int, result: np.ndarray) -> None:
    """Add what couples two inner layers besides: what is pulled to them, times the product of those between them."""
    count, r = layers.shape[0], layers.shape[1]
    between = np.zeros((2, r, r))
    for k in range(count):
        for b in range(r):
            for c in range(r):
                between[0, b, c] = 1.0 if b == c else 0.0
        for m in range(k + 1, count):
            for b in range(r):
                for c in range(r):
                    between[1, b, c] = 0.0
                    for q in range(r):
                        between[1, b, c] += between[0, b, q] * layers[m, q, c]
                    for a in range(r):
                        for d in range(r):
                            one, two = size + (k * r + a) * r + b, size + (m * r + c) * r + d
                            result[one, two] += pulled[k, m, a, d] * between[0, b, c]
            copy(between[1].ravel(), between[0].ravel())
