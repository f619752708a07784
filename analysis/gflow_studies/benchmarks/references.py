"""The minimum nuclear norm against the conic solvers that a user would call, every answer certified before its time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import gflow
from gflow_studies.benchmarks.scale import low_rank
from gflow_studies.benchmarks.timing import Case, Side

GAP = 1e-8
"""Largest relative gap between the certified bounds of an answer that is timed."""
PEER_TOL = 1e-9
CLARABEL_SIDE = 25
"""Clarabel holds (d (2 d + 1))^2 numbers for the cone of a d x d matrix, twice: 26 MB here, 6.5 GB at d = 100."""
SCS_STEPS = 2_500


def hilbert(d: int, fraction: float = 0.98) -> gflow.MatrixCompletion:
    """Return the Cauchy matrix 1 / (i + j - 1/2) with this fraction of its entries observed.

    Its singular values fall off to rounding: no gap tells the small ones from zero.
    """
    i = np.arange(1, d + 1)
    return gflow.MatrixCompletion(1.0 / (i[:, None] + i - 0.5), np.random.default_rng(0).random((d, d)) < fraction)


def triangular(d: int, rank: int = 5) -> gflow.MatrixCompletion:
    """Return a Gaussian matrix of this rank, observed on and below its diagonal."""
    rng = np.random.default_rng(0)
    M = rng.standard_normal((d, rank)) @ rng.standard_normal((rank, d))
    return gflow.MatrixCompletion(M, np.tri(d, dtype=bool))


def certified_gap(problem: gflow.MatrixCompletion, completion: gflow.Completion) -> float:
    """Return the relative gap between the bounds that the matrix and its dual give, evaluated from these alone.

    Raises ``ValueError`` if the matrix misses an observed entry or the dual has one outside the mask.
    """
    W, Y = completion.matrix, completion.dual
    if not np.array_equal(W[problem.observed], problem.values[problem.observed]) or Y[~problem.observed].any():
        raise ValueError("the completion misses an observed entry, or its dual has one outside the mask")
    upper = float(np.linalg.norm(W, "nuc"))
    return 1.0 - float(np.sum(Y * problem.values)) / max(1.0, float(np.linalg.norm(Y, 2))) / upper


@cache
def reference(make: Callable[..., gflow.MatrixCompletion], *size: float) -> tuple[gflow.MatrixCompletion, Any]:
    """Return a problem and its minimum nuclear norm; raises ``ValueError`` if its bounds lie too far apart."""
    problem = make(*size)
    completion = gflow.minimum_nuclear_norm(problem, gap_tol=GAP)
    if not (gap := certified_gap(problem, completion)) <= GAP:
        raise ValueError(f"the minimum nuclear norm has a certified gap of {gap:.2g}; {GAP:.0e} is asked for")
    return problem, completion


def _sides(make: Callable[..., gflow.MatrixCompletion], size: tuple[float, ...], hard: bool) -> tuple[Side, ...]:
    """Return gflow and the conic solvers; a hard problem is beyond SCS, which is then shown with its error."""
    problem = reference(make, *size)[0]

    def ours() -> tuple[np.ndarray, int]:
        completion = gflow.minimum_nuclear_norm(problem, gap_tol=GAP)
        if not (gap := certified_gap(problem, completion)) <= GAP:
            raise ValueError(f"the minimum nuclear norm has a certified gap of {gap:.2g}; {GAP:.0e} is asked for")
        return np.array(completion.value), 0

    scs = _conic(problem, "SCS", eps_abs=PEER_TOL, eps_rel=PEER_TOL, max_iters=SCS_STEPS if hard else 100_000)
    sides = [Side("gflow minimum_nuclear_norm", ours), Side("cvxpy + SCS at 1e-9", scs, trusted=not hard)]
    if max(problem.shape) <= CLARABEL_SIDE:
        tolerances = {name: PEER_TOL for name in ("tol_gap_abs", "tol_gap_rel", "tol_feas")}
        sides.append(Side("cvxpy + Clarabel at 1e-9", _conic(problem, "CLARABEL", **tolerances)))
    return tuple(sides)


def _conic(problem: gflow.MatrixCompletion, solver: str, **options: Any) -> Callable[[], tuple[np.ndarray, int]]:
    """Return what a user of cvxpy writes: minimise the nuclear norm of W, equal to M where M is observed."""
    import warnings

    import cvxpy

    def run() -> tuple[np.ndarray, int]:
        W = cvxpy.Variable(problem.shape)
        data = problem.observed.astype(float)
        task = cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(W)), [cvxpy.multiply(data, W) == data * problem.values])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the answer may be inaccurate is what the table shows
            task.solve(solver=solver, **options)
        return np.array(np.nan if task.value is None else task.value), int(task.solver_stats.num_iters or 0)

    return run


def certificates() -> tuple[str, dict[str, Any]]:
    """Return how the answers timed are certified, as text and as numbers for JSON."""
    lines = ["minimum nuclear norm: relative gap between certified bounds, and what found them"]
    numbers = {}
    for name, title, make, size, _ in PROBLEMS:
        problem, completion = reference(make, *size)
        gap = certified_gap(problem, completion)
        lines.append(f"{name:5} {title:44} {gap:9.1e}  {completion.solver}")
        numbers[name] = {"gap": gap, "value": completion.value, "solver": completion.solver}
    lines.append(
        f"Clarabel is compared up to d = {CLARABEL_SIDE}: its block of the cone holds (d (2 d + 1))^2 numbers, "
        f"{8 * (100 * 201) ** 2 / 2**30:.1f} GiB at d = 100"
    )
    return "\n".join(lines), numbers


PROBLEMS: tuple[tuple[str, str, Callable[..., gflow.MatrixCompletion], tuple[float, ...], bool], ...] = (
    ("P10a", "d = 25, rank 2, half observed", low_rank, (25, 2, 0.5), False),
    ("P10b", "d = 50, rank 5, half observed", low_rank, (50, 5, 0.5), False),
    ("P10c", "d = 100, rank 5, half observed", low_rank, (100, 5, 0.5), False),
    ("P10d", "Cauchy matrix, d = 80, 98 % observed", hilbert, (80,), True),
    ("P10e", "d = 80, rank 5, lower triangle observed", triangular, (80,), True),
)
"""Name, title, problem, whether it is hard."""

REFERENCE_CASES = tuple(
    Case(
        name,
        f"minimum nuclear norm, {title}",
        "gflow minimum_nuclear_norm",
        lambda make=make, size=size, hard=hard: _sides(make, size, hard),  # type: ignore[misc]
        1e-6,
    )
    for name, title, make, size, hard in PROBLEMS
)
REFERENCE_STUDIES = {"P10": certificates}
"""What the tables of times leave out: text to print, and its numbers."""
