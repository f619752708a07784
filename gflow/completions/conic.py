"""The conic solvers: max <b, y> subject to F_0 + sum_k y_k F_k >= 0, handed to Clarabel or SCS as they take it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from gflow import watch

TIME_LIMITS, SHORTEST = {"clarabel": "time_limit", "scs": "time_limit_secs"}, 1e-3
"""How the solvers call the seconds that they may take, and the fewest."""
NUMBERED = {"clarabel": ("Solved", "AlmostSolved", "MaxIterations", "MaxTime"), "scs": (1, 2)}
"""Statuses of a solver that has numbers to give."""


def semidefinite_pair(
    b: np.ndarray, F_0: np.ndarray, F: Any, solver: str, options: dict[str, Any], *, ball: bool = False
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return approximate (y, Z), the maximiser and the multiplier of the cone; None if a solver ends without numbers.

    How accurate they are is for the caller to measure; the solver's own verdict is not used.

    Parameters
    ----------
    b : (n,) array
    F_0 : (D, D) array, symmetric
    F : (D * D, n) array or sparse matrix
        Its columns are the symmetric F_k, flat.
    solver : {'clarabel', 'scs'}
    options : dict
        As the solver calls them.
    ball : bool
        Whether |y| <= 1 is asked for too.

    Raises
    ------
    TimeIsUp
        If the time allowed is over (see ``gflow.watch``): it is given to the solver as its limit.
    """
    D, n = len(F_0), len(b)
    if solver == "clarabel":  # the upper triangle by columns; SCS takes the lower one
        j, i = np.tril_indices(D)
    else:
        i, j = np.triu_indices(D)
    places, scale = i * D + j, np.where(i == j, 1.0, np.sqrt(2.0))
    A = -(scipy.sparse.diags_array(scale) @ scipy.sparse.csr_array(F)[places])
    offset = scale * F_0.ravel()[places]
    if ball:
        A = scipy.sparse.vstack([np.zeros((1, n)), -np.eye(n), A])
        offset = np.concatenate([[1.0], np.zeros(n), offset])
    left = watch.remaining()
    limit = {} if left is None else {TIME_LIMITS[solver]: max(left, SHORTEST)}
    solve = _by_clarabel if solver == "clarabel" else _by_scs
    y, z, status = solve(scipy.sparse.csc_array(A), offset, -b, (n + 1 if ball else 0, D), options | limit)
    watch.tick("conic solver")
    if status not in NUMBERED[solver] or not (np.isfinite(y).all() and np.isfinite(z).all()):
        return None
    Z = np.zeros((D, D))
    Z[i, j] = Z[j, i] = z[len(z) - len(places) :] / scale
    return y, Z


def _by_clarabel(
    A: Any, offset: np.ndarray, cost: np.ndarray, sizes: tuple[int, int], options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, str]:
    import clarabel

    settings = clarabel.DefaultSettings()
    for name, value in (options | {"verbose": False}).items():
        setattr(settings, name, value)
    cones = [clarabel.SecondOrderConeT(sizes[0])] * bool(sizes[0]) + [clarabel.PSDTriangleConeT(sizes[1])]
    nothing = scipy.sparse.csc_array((len(cost), len(cost)))
    found = clarabel.DefaultSolver(nothing, cost, A, offset, cones, settings).solve()
    return np.array(found.x), np.array(found.z), str(found.status)


def _by_scs(
    A: Any, offset: np.ndarray, cost: np.ndarray, sizes: tuple[int, int], options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, int]:
    import scs

    cones = {"q": [sizes[0]] * bool(sizes[0]), "s": [sizes[1]]}
    found = scs.solve({"A": scipy.sparse.csc_matrix(A), "b": offset, "c": cost}, cones, verbose=False, **options)
    return found["x"], found["y"], int(found["info"]["status_val"])
