"""The minimum nuclear norm: min ||W||_* subject to P o W = P o M, between certified bounds.

Any W that meets the data bounds the minimum from above by ||W||_*, any Y = P o Y from below by
<Y, M> / max(1, ||Y||_2); both are evaluated here, whatever solver W and Y came from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow import watch
from gflow.checks import require_positive
from gflow.completions.barrier import barrier_solution
from gflow.completions.bounds import Bounds, dual_bound, feasible, nuclear_norm
from gflow.completions.records import Completion, InaccurateSolution, frozen
from gflow.completions.semidefinite import Pair, conic_solution, interior_point
from gflow.completions.splitting import splitting_solution
from gflow.completions.uniqueness import certified_uniqueness
from gflow.connectivity import connectivity
from gflow.memory import require_memory
from gflow.problems import MatrixCompletion, as_completion

CLOSED_FORM, SPLITTING = "closed form", "Douglas-Rachford"
SOLVERS = ("auto", CLOSED_FORM, "clarabel", SPLITTING, "interior point", "barrier")
LARGEST_FOR_CLARABEL = 12
HELD = 20
"""Arrays of the shape of the matrix that the splitting holds."""
FEW_OBSERVED = 4
"""Newton steps in the unobserved entries are quicker than in the observed ones when these are so many times as many."""


@watch.watched
def minimum_nuclear_norm(
    problem: Any,
    *,
    solver: str = "auto",
    gap_tol: float = 1e-8,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Completion:
    """Return a completion of minimum nuclear norm, the dual matrix and the bounds that certify it.

    Parameters
    ----------
    problem : MatrixCompletion
    solver : str
        "auto" splits the problem along the components of the observation graph, where the minimum decouples
        (pinching), and takes for each: the closed form where all its entries are observed; else "clarabel" up to
        12 rows and columns; else "barrier", Newton steps in the unobserved entries, where they are at most d1 + d2;
        else "Douglas-Rachford", a splitting that Newton steps finish where the data determine the matrix. "closed
        form", "clarabel", "Douglas-Rachford", "interior point" and "barrier" treat the whole matrix by one method.
        Where the conic solver or the splitting leaves a gap above ``gap_tol``, "barrier" refines it if less than a
        fifth of the entries is unobserved, else "interior point". ``Completion.solver`` names every method that
        contributed.
    gap_tol : float
        The result satisfies upper - lower <= gap_tol * upper.
    progress, timeout : see ``gflow.watch.watching``
        There is no half of a certificate: when the time is over it raises ``TimeIsUp``.

    Raises
    ------
    ValueError
        If ``solver`` is unknown, ``gap_tol`` is not positive, or the closed form is asked for where there is none:
        it needs components of the observation graph that are fully observed.
    MemoryError
        If the matrices of a method do not fit into the memory that is free.
    InaccurateSolution
        If the bounds stay further apart than ``gap_tol``.

    The value scales as s, the dual as 1 when M is multiplied by s. The minimiser need not be unique: compare values,
    and see ``Completion.unique``. The bounds hold up to the rounding of singular values.

    Examples
    --------
    >>> from gflow.problems import MatrixCompletion, as_completion
    >>> completion = minimum_nuclear_norm(MatrixCompletion([[1, 2], [3, np.nan]]))
    >>> round(completion.value, 6), round(float(completion.matrix[1, 1]), 6), completion.unique
    (5.0, 1.0, True)
    """
    problem = as_completion(problem)
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {solver!r}")
    require_positive(gap_tol=gap_tol)
    d1, d2 = problem.shape
    require_memory(HELD * d1 * d2, f"the minimum nuclear norm of a {d1} x {d2} matrix")
    unitary = problem.normalized
    W, Y, name = _decoupled(unitary, gap_tol) if solver == "auto" else _solved(unitary, solver, gap_tol)
    W = np.where(problem.observed, unitary.values, W)
    Y = feasible(unitary, Y)
    lower, upper = dual_bound(unitary, Y), nuclear_norm(W)
    if not upper - lower <= gap_tol * upper:
        _refuse(lower * problem.unit, upper * problem.unit, gap_tol, name)
    unique = certified_uniqueness(unitary, W, Y, lower, gap_tol)
    matrix = np.where(problem.observed, problem.values, W * problem.unit)
    bounds = min(lower, upper) * problem.unit, upper * problem.unit
    return Completion("nuclear norm", frozen(matrix), *bounds, frozen(Y), name, unique)


def _decoupled(problem: MatrixCompletion, gap_tol: float) -> tuple[np.ndarray, np.ndarray, str]:
    W, Y = np.zeros(problem.shape), np.zeros(problem.shape)
    names = []
    for component in connectivity(problem).components:
        block = np.ix_(component.rows, component.columns)
        part = problem.restricted(component.rows, component.columns)
        if part.observed.all():
            chosen = CLOSED_FORM
        else:
            chosen = _chosen(part)
        W_part, Y[block], name = _solved(part.normalized, chosen, gap_tol)
        W[block] = W_part * part.unit
        names.append(name)
    return W, Y, ", ".join(sorted(set(names))) or CLOSED_FORM


def _chosen(part: MatrixCompletion) -> str:
    if max(part.shape) <= LARGEST_FOR_CLARABEL:
        return "clarabel"
    return "barrier" if _unobserved(part) <= sum(part.shape) else SPLITTING


def _unobserved(problem: MatrixCompletion) -> int:
    return problem.shape[0] * problem.shape[1] - problem.n_observed


def _solved(problem: MatrixCompletion, solver: str, gap_tol: float) -> tuple[np.ndarray, np.ndarray, str]:
    if solver == CLOSED_FORM or problem.size == 0:
        return *_closed_form(problem), CLOSED_FORM
    newton = {"interior point": interior_point, "barrier": barrier_solution}
    if solver in newton:
        return *newton[solver](problem, gap_tol / 100), solver
    bounds = Bounds(problem)
    found = splitting_solution(problem, gap_tol / 10) if solver == SPLITTING else conic_solution(problem)
    name = solver if found is not None else f"{solver} (failed)"
    if found is not None:
        bounds.see(*found)
    if bounds.gap > gap_tol:
        refining = "barrier" if FEW_OBSERVED * _unobserved(problem) < problem.n_observed else "interior point"
        bounds.see(*newton[refining](problem, gap_tol / 100))
        name += f" + {refining}"
    return bounds.W, bounds.Y, name


def _closed_form(problem: MatrixCompletion) -> Pair:
    """Return M with zeros outside the mask and the polar factors of its fully observed components."""
    Y = np.zeros(problem.shape)
    for component in connectivity(problem).components:
        block = np.ix_(component.rows, component.columns)
        if not problem.observed[block].all():
            raise ValueError(
                "solver 'closed form' needs components of the observation graph that are fully observed; the one of "
                f"row {component.rows[0] + 1} and column {component.columns[0] + 1} is not"
            )
        U, singular, Vt = np.linalg.svd(problem.values[block], full_matrices=False)
        kept = singular > max(block[0].size, block[1].size) * np.finfo(float).eps * singular[0]
        Y[block] = U[:, kept] @ Vt[kept]
    return problem.values, Y


def _refuse(lower: float, upper: float, gap_tol: float, solver: str) -> None:
    gap = (upper - lower) / upper
    raise InaccurateSolution(
        f"the minimum nuclear norm lies in [{lower:.12g}, {upper:.12g}]: a relative gap of {gap:.1e} where "
        f"{gap_tol:.1e} was asked for ({solver}). Raise gap_tol, or rescale rows and columns of very unequal size.",
        *(lower, upper, gap, solver),
    )
