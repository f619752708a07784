"""One pass over many observed entries: what the loss of W = A B and its derivatives need of each is done there.

Entries come row by row; ``pointers`` say where the rows begin and ``columns`` hold the columns, as in a CSR array. B is
given by its transpose. Short rows of the factors are kept in registers, and loops over them are straight code that
becomes operations on vectors; of longer ones several entries are met at a time, so that none waits for the sums of the
one before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from gflow.fast.jit import compiled, entry_setter

with_entry = entry_setter()
UNROLLED = 8
"""Up to this rank a row is a tuple of known length, and every rank has loops of its own. There all that an entry needs
is read before anything is written: what is read after it might be what was written."""


def loops(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return ``slopes`` and ``changes`` for this rank."""
    return (short_slopes(rank), short_changes(rank)) if rank <= UNROLLED else (slopes, changes)


@compiled
def errors(
    A: np.ndarray,
    B: np.ndarray,
    pointers: np.ndarray,
    columns: np.ndarray,
    targets: np.ndarray,
    factor: float,
    result: np.ndarray,
) -> float:
    """Return the sum of (A B - targets)^2 and write factor (A B - targets) into ``result``, shape (n,)."""
    square, rank = 0.0, A.shape[1]
    for i in range(A.shape[0]):
        a = A[i]
        for e in range(pointers[i], pointers[i + 1]):
            j, error = columns[e], -targets[e]
            for p in range(rank):
                error += a[p] * B[j, p]
            square += error * error
            result[e] = factor * error
    return square


@compiled
def slopes(
    A: np.ndarray,
    B: np.ndarray,
    pointers: np.ndarray,
    columns: np.ndarray,
    targets: np.ndarray,
    factor: float,
    left: np.ndarray,
    right: np.ndarray,
) -> float:
    """Write E B^T and E^T A for E = factor P o (A B - M) into ``left`` and ``right``, shapes (d1, r) and (d2, r).

    Returns the sum of (A B - M)^2 over the observed entries.
    """
    square, rank = 0.0, A.shape[1]
    left[:] = 0.0
    right[:] = 0.0
    for i in range(A.shape[0]):
        a, g = A[i], left[i]
        e, end = pointers[i], pointers[i + 1]
        while e + 4 <= end:
            j, k, m, n = columns[e], columns[e + 1], columns[e + 2], columns[e + 3]
            s, t, u, v = -targets[e], -targets[e + 1], -targets[e + 2], -targets[e + 3]
            for p in range(rank):
                x = a[p]
                s += x * B[j, p]
                t += x * B[k, p]
                u += x * B[m, p]
                v += x * B[n, p]
            square += s * s + t * t + u * u + v * v
            s, t, u, v = factor * s, factor * t, factor * u, factor * v
            for p in range(rank):
                x = a[p]
                g[p] += s * B[j, p] + t * B[k, p] + u * B[m, p] + v * B[n, p]
                right[j, p] += s * x
                right[k, p] += t * x
                right[m, p] += u * x
                right[n, p] += v * x
            e += 4
        while e < end:
            j, s = columns[e], -targets[e]
            for p in range(rank):
                s += a[p] * B[j, p]
            square += s * s
            s *= factor
            for p in range(rank):
                g[p] += s * B[j, p]
                right[j, p] += s * a[p]
            e += 1
    return square


@compiled
def changes(
    A: np.ndarray,
    moved: np.ndarray,
    dA: np.ndarray,
    B: np.ndarray,
    dB: np.ndarray,
    pointers: np.ndarray,
    columns: np.ndarray,
    slope: np.ndarray,
    factor: float,
    left: np.ndarray,
    right: np.ndarray,
) -> None:
    """Write D B^T + E dB^T and D^T moved + E^T dA for D = factor P o (dA B + A dB) into ``left`` and ``right``.

    ``slope`` holds E at the observed entries. With ``moved`` = A these are products with the Hessian at (A, B); with
    ``moved`` = A + dA and B + dB for B it is how far the gradient at (A, B) has changed there.
    """
    rank = A.shape[1]
    left[:] = 0.0
    right[:] = 0.0
    for i in range(A.shape[0]):
        a, b, c, g = A[i], moved[i], dA[i], left[i]
        e, end = pointers[i], pointers[i + 1]
        while e + 4 <= end:
            j, k, m, n = columns[e], columns[e + 1], columns[e + 2], columns[e + 3]
            s, t, u, v = slope[e], slope[e + 1], slope[e + 2], slope[e + 3]
            ds, dt, du, dv = 0.0, 0.0, 0.0, 0.0
            for p in range(rank):
                x, y = a[p], c[p]
                ds += x * dB[j, p] + y * B[j, p]
                dt += x * dB[k, p] + y * B[k, p]
                du += x * dB[m, p] + y * B[m, p]
                dv += x * dB[n, p] + y * B[n, p]
            ds, dt, du, dv = factor * ds, factor * dt, factor * du, factor * dv
            for p in range(rank):
                x, y = b[p], c[p]
                g[p] += ds * B[j, p] + s * dB[j, p] + dt * B[k, p] + t * dB[k, p]
                g[p] += du * B[m, p] + u * dB[m, p] + dv * B[n, p] + v * dB[n, p]
                right[j, p] += ds * x + s * y
                right[k, p] += dt * x + t * y
                right[m, p] += du * x + u * y
                right[n, p] += dv * x + v * y
            e += 4
        while e < end:
            j, s, ds = columns[e], slope[e], 0.0
            for p in range(rank):
                ds += a[p] * dB[j, p] + c[p] * B[j, p]
            ds *= factor
            for p in range(rank):
                g[p] += ds * B[j, p] + s * dB[j, p]
                right[j, p] += ds * b[p] + s * c[p]
            e += 1


@cache
def short_slopes(rank: int) -> Callable[..., Any]:
    """Return ``slopes`` for rows of this length."""
    zeros = (0.0,) * rank

    @partial(compiled, packed=True)
    def slopes_at(
        A: np.ndarray,
        B: np.ndarray,
        pointers: np.ndarray,
        columns: np.ndarray,
        targets: np.ndarray,
        factor: float,
        left: np.ndarray,
        right: np.ndarray,
    ) -> float:
        square = 0.0
        right[:] = 0.0
        for i in range(A.shape[0]):
            a, g = zeros, zeros
            for p in range(rank):
                a = with_entry(a, p, A[i, p])
            for e in range(pointers[i], pointers[i + 1]):
                j, s, b = columns[e], -targets[e], zeros
                for p in range(rank):
                    b = with_entry(b, p, B[j, p])
                for p in range(rank):
                    s += a[p] * b[p]
                square += s * s
                s *= factor
                for p in range(rank):
                    g = with_entry(g, p, g[p] + s * b[p])
                for p in range(rank):
                    right[j, p] += s * a[p]
            for p in range(rank):
                left[i, p] = g[p]
        return square

    return slopes_at


@cache
def short_changes(rank: int) -> Callable[..., Any]:
    """Return ``changes`` for rows of this length."""
    zeros = (0.0,) * rank

    @partial(compiled, packed=True)
    def changes_at(
        A: np.ndarray,
        moved: np.ndarray,
        dA: np.ndarray,
        B: np.ndarray,
        dB: np.ndarray,
        pointers: np.ndarray,
        columns: np.ndarray,
        slope: np.ndarray,
        factor: float,
        left: np.ndarray,
        right: np.ndarray,
    ) -> None:
        right[:] = 0.0
        for i in range(A.shape[0]):
            a, b, c, g = zeros, zeros, zeros, zeros
            for p in range(rank):
                a, b, c = with_entry(a, p, A[i, p]), with_entry(b, p, moved[i, p]), with_entry(c, p, dA[i, p])
            for e in range(pointers[i], pointers[i + 1]):
                j, s, ds, x, y = columns[e], slope[e], 0.0, zeros, zeros
                for p in range(rank):
                    x, y = with_entry(x, p, B[j, p]), with_entry(y, p, dB[j, p])
                for p in range(rank):
                    ds += a[p] * y[p] + c[p] * x[p]
                ds *= factor
                for p in range(rank):
                    g = with_entry(g, p, g[p] + ds * x[p] + s * y[p])
                for p in range(rank):
                    right[j, p] += ds * b[p] + s * c[p]
            for p in range(rank):
                left[i, p] = g[p]

    return changes_at
