"""The limit of infinitesimal initialisation of a whole problem, assembled from its coupling components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from gflow import watch
from gflow.connectivity import Connectivity, connectivity
from gflow.limit.chain import chain
from gflow.limit.law.frames import Frame, FrameFailure, frame_of, in_joint_span, raced
from gflow.limit.law.law import assembled, crosses, orders, remarks, side_by_side
from gflow.limit.orbit.sizes import is_large
from gflow.limit.records import Chain, TraversalStatus
from gflow.limit.settings import Settings
from gflow.limit.starts import chain_from
from gflow.limit.traversal import Traversal
from gflow.memory import require_memory
from gflow.models import Factorization
from gflow.problems import EntryProblem, as_entries, without_weights

if TYPE_CHECKING:
    from gflow.limit.deep_records import DeepTraversal

LIMIT_ARRAYS = 8
"""Numbers for each observed entry that a limit holds, when the components are looked for."""
WORST_FIRST = (TraversalStatus.DIVERGING, TraversalStatus.DEGENERATE, TraversalStatus.UNDECIDED)


@overload
def saddle_to_saddle(
    problem: EntryProblem,
    start: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    *,
    rank: int | None = None,
    depth: Literal[2] = 2,
    rtol: float = ...,
    simple_tol: float = ...,
    norm_limit: float = ...,
    max_evaluations: int = ...,
    compiled: bool | None = ...,
    progress: watch.Wish = ...,
    timeout: float | None = ...,
) -> Traversal: ...


@overload
def saddle_to_saddle(
    problem: EntryProblem,
    start: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    *,
    rank: int | None = None,
    depth: int,
    rtol: float = ...,
    simple_tol: float = ...,
    norm_limit: float = ...,
    max_evaluations: int = ...,
    compiled: bool | None = ...,
    progress: watch.Wish = ...,
    timeout: float | None = ...,
) -> Traversal | DeepTraversal: ...


@watch.watched
def saddle_to_saddle(
    problem: Any,
    start: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    *,
    rank: int | None = None,
    depth: int = 2,
    rtol: float = 1e-8,
    simple_tol: float = 1e-9,
    norm_limit: float = 2e2,
    max_evaluations: int = 200_000,
    compiled: bool | None = False,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Any:
    """Return the limit alpha -> 0 of the gradient flow from alpha theta_0, without any small number.

    Each coupling component goes from the origin along a chain of saddles, one rank at a time: the singular pair of the
    residual that wins the race of exponents escapes (the top one, where no symmetry of data and mask keeps modes
    apart), and the orbit from there is followed in reduced rank-(k+1) coordinates. Components of more than 60 rows and
    columns together are assumed to mix where nothing shows that they do not: neither the growing modes followed along
    the orbit nor, in large components, a possible symmetry of data and mask.
    Components of more than 20000 entries, observed or not, are treated with memory O(n + k (d1 + d2)): their saddles
    hold the leading singular values of the residual alone, and no index. Where there are several components and a
    start, their orbits are followed to ``rtol``, several times the work: the entries between them remember the way.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion
        With weights, residuals are weighted everywhere, and components have no more than 20000 entries.
    start : (dim,) array, optional
        theta_0 for ``Factorization(problem.shape, rank, depth)``. Only its directions matter, and which modes it
        reaches: symmetric starts, and those within an Omega_k, have limits of their own, or none is told. Without it
        the entries that depend on it are given by their law. Where the residual at a saddle has equal singular values
        (circulant data), their modes escape together, and the start decides where to, also within a component: with
        it, this limit is followed; without it the traversal is ``degenerate``.
    rng : numpy.random.Generator, optional
        Draws theta_0 where no start is given: the same as ``start=model.random(rng)``.
    rank : int, optional
        Inner width r. Default min(d1, d2).
    depth : int
        The number of factors. From three on the whole matrix goes through one chain, as its components share the
        hidden layers: a ``DeepTraversal``, whose signs that the start decides are given by their law; of a start it
        takes the times of the plateaus.
    rtol : float
        Tolerance of the orbits whose way is remembered, between 1e-13 and 1e-2.
    simple_tol : float
        sigma_1 of a residual counts as repeated when sigma_1 - sigma_2 <= simple_tol * sigma_1. Repeated ones are
        followed together, from a start, where rates and exponents agree to 1e-11; in between, nothing is said.
    norm_limit : float
        A stage runs to infinity when |theta| grows as a power of time over two decades, no completion or minimum is
        found ahead, and the loss has stopped falling, or the slope has sunk into rounding errors, or |theta| exceeds
        norm_limit * max(sqrt(unit), |theta| at the saddle before).
        While another mode grows along it, the chain goes on at alpha from 1e-30 to far below what a computer can hold:
        the limit exists where all ends are one locally unique completion, and the traversal is ``diverging`` only where
        they lie the farther away the smaller alpha is.
    max_evaluations : int
        Budget of gradients for each orbit; large components get no more than 10000.
    compiled : bool or None
        Whether numba (extra ``fast``) compiles the steps of orbits in up to 120 variables, k (d1 + d2) at rank k. The
        limits are the same to rounding, but for a rare orbit whose end rounding decides, in half the time; loading the
        code takes half a second, the gain of about sixty 4 x 4 problems. So it is for loops to ask for: one limit alone
        is found sooner without, and no limit depends, in its last digits, on what a process has done before. None:
        where numba is installed.
    progress, timeout : see ``gflow.watch.watching``

    Raises
    ------
    TypeError
        If ``problem`` is not a MatrixCompletion.
    ValueError
        If the start has another shape or is not finite, both start and rng are given, the rank is not a positive
        integer, a tolerance or limit is out of range, or ``compiled`` is True without numba.
    MemoryError
        If the data alone do not fit into the memory that is free.

    The limit scales as s when M is multiplied by s. Bai et al. 2024 (hierarchical invariant manifold traversal); Li,
    Luo and Lyu 2021.
    """
    problem = as_entries(problem)
    require_memory(LIMIT_ARRAYS * problem.n_observed, f"the limit of {problem.n_observed} observed entries")
    model = Factorization(problem.shape, rank, depth)
    if depth == 1:
        raise ValueError("a limit from saddle to saddle needs at least two factors; got depth 1")
    if start is not None and rng is not None:
        raise ValueError("give start or rng, not both")
    theta = model.random(rng) if rng is not None else start
    if theta is not None:
        theta = np.asarray(theta, dtype=float)
        if theta.shape != (model.dim,) or not np.isfinite(theta).all():
            raise ValueError(f"start must be finite and of shape ({model.dim},); got shape {theta.shape}")
    if depth > 2:
        from gflow.limit.deep import deep_limit

        return deep_limit(
            problem, model, theta, Settings(rtol, simple_tol, norm_limit, max_evaluations, False, compiled)
        )
    graphs = connectivity(without_weights(problem))
    parts = graphs.coupling_components
    tight = theta is not None and len(parts) > 1
    use = Settings(rtol, simple_tol, norm_limit, max_evaluations, tight, compiled)
    if theta is None:
        chains = [chain(problem, i, c.rows, c.columns, model.rank, use) for i, c in enumerate(parts)]
    else:
        A, B = model.factors(theta)
        starts = [np.concatenate([A[list(c.rows)], B[:, list(c.columns)].T]) for c in parts]
        chains = [
            chain_from(problem, i, c.rows, c.columns, model.rank, use, own)
            for i, (c, own) in enumerate(zip(parts, starts, strict=True))
        ]
    return _combined(problem, graphs, model, tuple(chains), theta, simple_tol)


def _combined(
    problem: EntryProblem,
    graphs: Connectivity,
    model: Factorization,
    chains: tuple[Chain, ...],
    theta: np.ndarray | None,
    simple_tol: float,
) -> Traversal:
    """Return the traversal of the whole problem: its worst status, and the matrix where there is a limit."""
    status, reason = TraversalStatus.CONVERGED, "every component reached its limit"
    for bad in reversed(WORST_FIRST):
        for number, each in enumerate(chains, 1):
            if each.status == bad:
                status, reason = bad, f"component {number}: {each.reason}"
    factors = None
    if status == TraversalStatus.CONVERGED:
        try:
            factors = _factors(problem, model, chains, theta, simple_tol)
        except FrameFailure as failure:
            status, reason = failure.status, f"the entries between components: {failure}"
    limit = factors is not None
    reached = [each for each in chains if each.end.rank]
    idle = sum(len(each.rows) + len(each.columns) for each in reached) < sum(problem.shape)
    order, safe_order = orders(chains, crosses(chains), idle) if limit else (None, None)
    error = max((each.error for each in chains), default=0.0)
    slow = limit and order is None and problem.density < 1.0
    for factor in factors or ():
        factor.setflags(write=False)
    return Traversal(
        shape=problem.shape,
        width=model.rank,
        status=status,
        reason=reason,
        chains=chains,
        factors=factors,
        from_start=theta is not None and limit,
        order=order,
        safe_order=safe_order,
        error=error if limit and np.isfinite(error) else None,
        warnings=remarks(graphs, chains, order, slow),
        observed=(problem.rows, problem.columns),
        row_names=problem.row_names,
        column_names=problem.column_names,
    )


def _factors(
    problem: EntryProblem,
    model: Factorization,
    chains: tuple[Chain, ...],
    theta: np.ndarray | None,
    simple_tol: float,
) -> tuple[np.ndarray, np.ndarray]:
    if theta is None or not crosses(chains):
        return side_by_side(problem.shape, chains)
    frames = []
    for each in chains:
        if each.frame is not None:
            frames.append(Frame(each, each.frame))
        elif each.end.rank:
            generic = not each.apart and all(saddle.mixing is not False for saddle in each.saddles)
            found = frame_of(problem, model, each, theta, simple_tol) if generic else raced(problem, model, each, theta)
            frames.append(found)
    if is_large(problem):
        frames = in_joint_span(frames)
    return assembled(problem.shape, len(frames[0].Q), frames)


@watch.watched
def greedy_low_rank(
    problem: Any,
    *,
    rank: int | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
    **settings: Any,
) -> Chain:
    """Return the chain of greedy low-rank learning (GLRL): the whole matrix as if it were one component.

    Each stage adds the top singular pair of the whole residual as a new, orthogonal inner direction. On connected
    data this is the limit of ``saddle_to_saddle``; on disconnected data the entries between components end at 0.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion
    rank : int, optional
        Largest rank. Default min(d1, d2).
    settings : rtol, simple_tol, norm_limit, max_evaluations, compiled as in ``saddle_to_saddle``
    progress, timeout : see ``gflow.watch.watching``

    Li, Luo and Lyu 2021. The matrix is that of the last saddle, ``chain.end.matrix``; it scales as s with M.
    """
    problem = as_entries(problem)
    width = Factorization(problem.shape, rank).rank
    rows, columns = tuple(range(problem.shape[0])), tuple(range(problem.shape[1]))
    return chain(problem, 0, rows, columns, width, Settings(**settings), greedy=True)
