"""Rank one, decided completely: products around the cycles of the observation graph, and observed zeros."""

from __future__ import annotations

import numpy as np

from gflow.completions.exact import KnownEntries


def rank_one(data: KnownEntries) -> tuple[np.ndarray | None, str]:
    """Return a completion of rank at most one, or None with the reason why there is none ("" if undecided).

    W = a b^T exists if and only if no observed zero lies in a row and a column that both hold a non-zero entry, and
    the potentials a_i, b_j fixed along a spanning forest of the observation graph agree with every other edge. For
    data that are not exact they agree if they meet the entries within their uncertainty, and disagree if they miss
    one by more than the relative uncertainties along the cycle allow; observed zeros are exact in any case.
    """
    edges = data.known & (data.values != 0)
    rows, columns = edges.any(axis=1), edges.any(axis=0)
    blocked = np.argwhere(data.known & ~edges & rows[:, None] & columns)
    if blocked.size:
        i, j = (int(index) + 1 for index in blocked[0])
        return None, f"the observed zero at row {i}, column {j} has non-zero entries in its row and its column"
    a, b = _potentials(data.values, edges)
    product = a[:, None] * b
    miss = np.where(edges, np.abs(product - data.values), 0)
    if np.all(miss <= data.doubt):
        return product, "the products around all cycles of the observation graph agree"
    wrong = np.argwhere(miss > _allowed(data, edges, product))
    if not wrong.size:
        return None, ""
    i, j = (int(index) + 1 for index in wrong[0])
    return None, f"the cycles through row {i}, column {j} do not close: rank one would force another value there"


def _allowed(data: KnownEntries, edges: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Return how far a b^T may miss the entries if every entry on a cycle is as uncertain as the worst one."""
    if data.exact:
        return data.doubt
    doubt = np.divide(data.doubt, np.abs(data.values), out=np.zeros(edges.shape), where=edges)
    longest = float(2 * min(edges.shape) * doubt.max())
    size = np.maximum(np.abs(product), np.abs(data.values))
    return 2 * longest * size if longest < 0.1 else np.full(edges.shape, np.inf)


def _potentials(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (a, b) with a_i b_j = M_ij along a spanning forest; 0 for rows and columns without an edge."""
    zero = values.flat[0] * 0
    a, b = (np.full(length, zero, dtype=values.dtype) for length in edges.shape)
    reached_rows, reached_columns = (np.zeros(length, dtype=bool) for length in edges.shape)
    for root in np.flatnonzero(edges.any(axis=1)):
        if reached_rows[root]:
            continue
        a[root], reached_rows[root] = zero + 1, True
        queue = [(int(root), True)]
        for vertex, is_row in queue:
            if is_row:
                for j in np.flatnonzero(edges[vertex] & ~reached_columns):
                    b[j], reached_columns[j] = values[vertex, j] / a[vertex], True
                    queue.append((int(j), False))
            else:
                for i in np.flatnonzero(edges[:, vertex] & ~reached_rows):
                    a[i], reached_rows[i] = values[i, vertex] / b[vertex], True
                    queue.append((int(i), True))
    return a, b
