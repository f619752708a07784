"""Heteroclinic orbits of large components: memory O(n + k (d1 + d2)), stabilised explicit steps, Newton by Krylov.

The escape and the relaxation are integrated until two states, with slopes 2 : 1, lie in the quadratic surroundings of
one critical point, the one to which Newton's iteration leads. Where a row or column has too few observations for
critical points to be isolated, its factor remembers the way: steps are finer, Newton's iterations from two states must
lead to one point, and what the tolerance leaves is measured by a coarser orbit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gflow.flow import Trajectory
from gflow.limit.orbit.large_end import ExpectedEnd, largest_difference
from gflow.limit.orbit.large_steps import LargeOrbit
from gflow.limit.orbit.modes import errors_at
from gflow.limit.orbit.orbits import Connection, Ending
from gflow.limit.orbit.sizes import is_isolating
from gflow.limit.orbit.watching import RESOLVED
from gflow.limit.settings import Settings
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

LARGE_LAUNCH = 1e-2
"""Start on the unstable manifold, in the square root of the unit; |theta| is of the order of the square root of d."""
TOL = 3e-4
"""Error of a step, relative to |theta| at its end."""
FINE_LAUNCH, FINE_TOL, COARSER = 1e-4, 1e-6, 30.0
"""The same where the end remembers the way, and how much coarser the orbit is that shows the error of that."""
LEAST_TOL, CLEARLY = 1e-8, 1.5
"""Where a saddle is passed closely the errors of a second orbit are so small that they resolve it this many times, but
no smaller than the first; launches go with their square roots."""
GROWN = 1.2
"""A row of a factor that has become this much longer over a decade of time still grows."""


def large_orbit(
    problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, u: np.ndarray, v: np.ndarray, use: Settings
) -> Connection:
    """Return the orbit that leaves the saddle (A, B) of rank k along (u w^T, -w v^T), in rank k + 1.

    Parameters
    ----------
    problem : MatrixCompletion, in its own unit
    A, B : (d1, k) and (k, d2) arrays
        A critical point of the rank-k model.
    u, v : top singular pair of the residual there
    use : Settings
    """
    sigma = abs(float(u @ (problem.scattered(errors_at(problem, A, B)) @ v)))
    model = Factorization(problem.shape, A.shape[1] + 1)
    objective = Objective.of(problem, model)

    def followed(launch: float, tol: float, remembers: bool) -> LargeOrbit:
        start = model.theta(np.c_[A, launch * u], np.r_[B, -launch * v[None]])
        return LargeOrbit(problem, model, objective, start, sigma, use, ExpectedEnd(model, objective, tol, remembers))

    remembers, launch, tol = not is_isolating(problem, model.rank), LARGE_LAUNCH, TOL
    while True:
        if remembers and tol > FINE_TOL:
            launch, tol = FINE_LAUNCH, FINE_TOL
        run = followed(launch, tol, remembers)
        found = run.orbit()
        if found.ending == Ending.UNDECIDED and run.can_drift:
            found = run.drifted(found)
        if run.expected.is_valley and not remembers:
            remembers = True
        elif run.expected.is_unresolved and tol > LEAST_TOL:
            tol = max(LEAST_TOL, run.expected.distance / (CLEARLY * RESOLVED))
            launch = FINE_LAUNCH * np.sqrt(tol / FINE_TOL)
        else:
            break
    if found.ending != Ending.MINIMUM or not remembers:
        return found

    def spread() -> float:
        run = followed(np.sqrt(COARSER) * launch, COARSER * tol, True)
        coarse = run.orbit()
        if coarse.ending == Ending.UNDECIDED and run.can_drift:
            coarse = run.drifted(coarse)
        return largest_difference(model, found.end, coarse.end) if coarse.ending == Ending.MINIMUM else np.inf

    return replace(found, spread=spread)


def growing(model: Factorization, path: Trajectory, rows: tuple[int, ...], columns: tuple[int, ...]) -> str:
    """Return which row or column of the factors grew most over the last decade of time, counted from 1; or nothing.

    An orbit that is too slow for its budget may be on its way to infinity, or to a minimum far away.
    """
    last, before = float(path.times[-1]), path.states[int(np.searchsorted(path.times, path.times[-1] / 10.0))]
    sizes = []
    for theta in (before, path.final):
        A, B = model.factors(theta)
        sizes.append(np.concatenate([np.linalg.norm(A, axis=1), np.linalg.norm(B, axis=0)]))
    most = int(np.argmax(sizes[1] - sizes[0]))
    early, late = float(sizes[0][most]), float(sizes[1][most])
    if late <= GROWN * early:
        return ""
    name = f"row {rows[most] + 1}" if most < len(rows) else f"column {columns[most - len(rows)] + 1}"
    return f"the factor of {name} grew from {early:.3g} to {late:.3g} since t = {last / 10.0:.3g}"
