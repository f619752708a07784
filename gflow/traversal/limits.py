"""The limit of infinitesimal initialisation of a whole problem, assembled from its coupling components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.connectivity import connectivity
from gflow.models import Factorization
from gflow.problems import MatrixCompletion
from gflow.traversal.chain import chain
from gflow.traversal.frames import Frame, FrameFailure, frame_of, haar_frame
from gflow.traversal.records import Chain, Saddle, TraversalStatus
from gflow.traversal.stages import Settings

RANK_TOL = 1e-7
"""Singular values of the limit above this fraction of the largest count towards its rank."""
WORST_FIRST = (TraversalStatus.DIVERGING, TraversalStatus.DEGENERATE, TraversalStatus.UNDECIDED)


@dataclass(frozen=True, slots=True, eq=False)
class Traversal:
    """The alpha -> 0 limit from the origin: the chains of all coupling components and the matrix they end in.

    Attributes
    ----------
    shape : (d1, d2)
    width : int
        Inner width r of the model.
    status : TraversalStatus
    reason : str
    chains : tuple of Chain
    matrix : (d1, d2) array or None
        The limit for the given start; without a start, the mean over Gaussian starts, which is the limit itself at
        ``determined`` entries. None where there is no limit.
    determined : (d1, d2) bool array
        Entries that do not depend on the start.
    std : (d1, d2) array
        Standard deviation of the entries over Gaussian starts; |a_i| |b_j| / sqrt(r) between components.
    from_start : bool
        Whether ``matrix`` belongs to a given start.
    order, safe_order : float or None
        Predicted exponent q of |W_inf(alpha) - limit| (None: exact for every small alpha, or undecided), and its
        lower bound.
    warnings : tuple of str
    """

    shape: tuple[int, int]
    width: int
    status: TraversalStatus
    reason: str
    chains: tuple[Chain, ...]
    matrix: np.ndarray | None
    determined: np.ndarray
    std: np.ndarray
    from_start: bool
    order: float | None
    safe_order: float | None
    warnings: tuple[str, ...]

    @property
    def saddles(self) -> tuple[Saddle, ...]:
        """Return the saddles of all components, component by component."""
        return tuple(saddle for each in self.chains for saddle in each.saddles)

    @property
    def singular_values(self) -> np.ndarray | None:
        """Return the singular values of the limit; None where there is none or they depend on the start."""
        if self.matrix is None or not (self.from_start or self.determined.all()):
            return None
        return np.linalg.svd(self.matrix, compute_uv=False)

    @property
    def rank(self) -> int | None:
        """Return the rank of the limit, for almost every start; None where there is no limit."""
        if self.matrix is None:
            return None
        sizes = self.singular_values
        if sizes is None:
            return min(self.width, sum(each.end.rank for each in self.chains))
        return int(np.sum(sizes > RANK_TOL * sizes[0])) if sizes[0] > 0 else 0

    @property
    def nuclear_norm(self) -> float | None:
        """Return the nuclear norm of the limit; None where there is no limit or it depends on the start.

        Without a start it is compared over draws from the law: complete bipartite components give one value.
        """
        if self.matrix is None:
            return None
        if self.singular_values is not None:
            return float(self.singular_values.sum())
        draws = np.linalg.svd(self.sample(np.random.default_rng(0), 5), compute_uv=False).sum(axis=1)
        return float(draws[0]) if np.ptp(draws) <= 1e-9 * draws[0] else None

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return n draws of the limit over Gaussian starts, shape (n, d1, d2), without any integration.

        Raises ``ValueError`` where there is no limit.
        """
        if self.status != TraversalStatus.CONVERGED:
            raise ValueError(f"there is no limit to sample: {self.reason}")
        draws = [
            assembled(self.shape, self.width, [haar_frame(c, self.width, rng) for c in self.chains]) for _ in range(n)
        ]
        return np.array(draws).reshape(n, *self.shape)

    def log10_alpha(self, accuracy: float) -> float | None:
        """Return log10 of the alpha at which alpha^q falls to ``accuracy``; None where the order is not known.

        The constant before alpha^q is of the size of M and not part of it. Raises ``ValueError`` unless
        0 < accuracy < 1.
        """
        if not 0 < accuracy < 1:
            raise ValueError(f"accuracy must lie between 0 and 1; got {accuracy!r}")
        return None if self.order is None else float(np.log10(accuracy)) / self.order

    def to_dict(self) -> dict[str, Any]:
        """Return the limit for JSON; entries of ``matrix`` that depend on an unknown start are null."""
        matrix = None
        if self.matrix is not None:
            known = self.determined | self.from_start
            matrix = [
                [float(x) if ok else None for x, ok in zip(*row, strict=True)]
                for row in zip(self.matrix, known, strict=True)
            ]
        return {
            "status": str(self.status),
            "reason": self.reason,
            "matrix": matrix,
            "determined": self.determined.tolist(),
            "std": self.std.tolist(),
            "rank": self.rank,
            "nuclear_norm": self.nuclear_norm,
            "order": self.order,
            "safe_order": self.safe_order,
            "saddles": [saddle.to_dict() for saddle in self.saddles],
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        return f"Traversal({self.status}, rank={self.rank}, {len(self.saddles)} saddles, order={self.order})"


def saddle_to_saddle(
    problem: MatrixCompletion,
    start: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
    *,
    rank: int | None = None,
    rtol: float = 1e-9,
    simple_tol: float = 1e-9,
    norm_limit: float = 2e2,
    max_evaluations: int = 200_000,
) -> Traversal:
    """Return the limit alpha -> 0 of the gradient flow from alpha theta_0, without any small number.

    Each coupling component goes from the origin along a chain of saddles, one rank at a time: the unstable direction
    is the top singular pair of the residual, the orbit from there is followed in reduced rank-(k+1) coordinates.

    Parameters
    ----------
    problem : MatrixCompletion
    start : (r (d1 + d2),) array, optional
        theta_0 for ``Factorization(problem.shape, rank)``. Only its directions matter. Without it the entries that
        depend on it are given by their law.
    rng : numpy.random.Generator, optional
        Draws theta_0 where no start is given: the same as ``start=model.random(rng)``.
    rank : int, optional
        Inner width r. Default min(d1, d2).
    rtol : float
        Tolerance of the orbits whose way is remembered.
    simple_tol : float
        sigma_1 of a residual counts as repeated when sigma_1 - sigma_2 <= simple_tol * sigma_1.
    norm_limit : float
        A stage diverges when the norm of its factors exceeds norm_limit times their norm at the saddle before.
    max_evaluations : int
        Budget of gradients for each orbit.

    Raises
    ------
    ValueError
        If the start has another shape or is not finite, or both start and rng are given.

    The limit scales as s when M is multiplied by s. Bai et al. 2024 (hierarchical invariant manifold traversal); Li,
    Luo and Lyu 2021.
    """
    model = Factorization(problem.shape, rank)
    if start is not None and rng is not None:
        raise ValueError("give start or rng, not both")
    theta = model.random(rng) if rng is not None else start
    if theta is not None:
        theta = np.asarray(theta, dtype=float)
        if theta.shape != (model.dim,) or not np.isfinite(theta).all():
            raise ValueError(f"start must be finite and of shape ({model.dim},); got shape {theta.shape}")
    parts = connectivity(problem).coupling_components
    tight = theta is not None and len(parts) > 1
    use = Settings(rtol, simple_tol, norm_limit, max_evaluations, tight)
    chains = tuple(chain(problem, i, c.rows, c.columns, model.rank, use) for i, c in enumerate(parts))
    return _combined(problem, model, chains, theta, simple_tol)


def _combined(
    problem: MatrixCompletion,
    model: Factorization,
    chains: tuple[Chain, ...],
    theta: np.ndarray | None,
    simple_tol: float,
) -> Traversal:
    """Return the traversal of the whole problem: its worst status, and the matrix where there is a limit."""
    determined, std = _law(problem.shape, model.rank, chains)
    status, reason = TraversalStatus.CONVERGED, "every component reached its limit"
    for bad in reversed(WORST_FIRST):
        for number, each in enumerate(chains):
            if each.status == bad:
                status, reason = bad, f"component {number}: {each.reason}"
    matrix = None
    if status == TraversalStatus.CONVERGED:
        try:
            matrix = _matrix(problem, model, chains, determined, theta, simple_tol)
        except FrameFailure as failure:
            status, reason = failure.status, f"the entries between components: {failure}"
    orders = _orders(chains, bool((std > 0).any())) if matrix is not None else (None, None)
    if matrix is not None:
        matrix.setflags(write=False)
    known = theta is not None and matrix is not None
    warnings = _warnings(problem, chains)
    return Traversal(
        problem.shape, model.rank, status, reason, chains, matrix, determined, std, known, *orders, warnings
    )


def _law(shape: tuple[int, int], width: int, chains: tuple[Chain, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return which entries are determined, and the standard deviations of all entries over Gaussian starts."""
    rows, columns = np.zeros(shape[0]), np.zeros(shape[1])
    same = np.zeros(shape, dtype=bool)
    for each in chains:
        rows[list(each.rows)] = np.linalg.norm(each.end.A, axis=1)
        columns[list(each.columns)] = np.linalg.norm(each.end.B, axis=0)
        same[np.ix_(each.rows, each.columns)] = True
    std = np.where(same, 0.0, np.outer(rows, columns) / np.sqrt(width))
    unsettled = [each for each in chains if each.status != TraversalStatus.CONVERGED]
    determined = std == 0.0
    for each in unsettled:
        determined[list(each.rows)], determined[:, list(each.columns)] = False, False
    for array in (determined, std):
        array.setflags(write=False)
    return determined, std


def _matrix(
    problem: MatrixCompletion,
    model: Factorization,
    chains: tuple[Chain, ...],
    determined: np.ndarray,
    theta: np.ndarray | None,
    simple_tol: float,
) -> np.ndarray:
    if theta is None or determined.all():
        W = np.zeros(problem.shape)
        for each in chains:
            W[np.ix_(each.rows, each.columns)] = each.end.matrix
        return W
    active = [each for each in chains if each.end.rank]
    return assembled(problem.shape, model.rank, [frame_of(problem, model, c, theta, simple_tol) for c in active])


def assembled(shape: tuple[int, int], width: int, frames: list[Frame]) -> np.ndarray:
    """Return W = A B with the components' factors placed along their frames, shape (d1, d2)."""
    A, B = np.zeros((shape[0], width)), np.zeros((width, shape[1]))
    for frame in frames:
        frame.place(A, B)
    return A @ B


def _orders(chains: tuple[Chain, ...], cross: bool) -> tuple[float | None, float | None]:
    """Return q and its lower bound: the least over components, and over the frames where entries lie between them."""
    orders = [each.order for each in chains if each.order is not None]
    safe = [each.safe_order for each in chains if each.safe_order is not None]
    undecided = any(each.order is None and each.unique is None for each in chains)
    if cross:
        frames = [each.end.exponents[0] for each in chains if each.end.exponents]
        orders, safe = [*orders, *frames], [*safe, *frames]
    return (None if undecided else min(orders, default=None)), min(safe, default=None)


def _warnings(problem: MatrixCompletion, chains: tuple[Chain, ...]) -> tuple[str, ...]:
    said = []
    parts = connectivity(problem)
    for name, lost in (("row", parts.unobserved_rows), ("column", parts.unobserved_columns)):
        said += [f"{name} {index + 1} has no observation: its entries tend to 0" for index in lost]
    for number, each in enumerate(chains):
        for saddle in each.saddles:
            if saddle.assumption_2 is False:
                said.append(f"component {number}: Assumption 2 fails at rank {saddle.rank}")
        if each.status == TraversalStatus.CONVERGED and each.end.loss > 0:
            said.append(f"component {number}: {each.reason}; its data are not interpolated")
    return tuple(said)


def greedy_low_rank(problem: MatrixCompletion, *, rank: int | None = None, **settings: Any) -> Chain:
    """Return the chain of greedy low-rank learning (GLRL): the whole matrix as if it were one component.

    Each stage adds the top singular pair of the whole residual as a new, orthogonal inner direction. On connected
    data this is the limit of ``saddle_to_saddle``; on disconnected data the entries between components end at 0.

    Parameters
    ----------
    problem : MatrixCompletion
    rank : int, optional
        Largest rank. Default min(d1, d2).
    settings : rtol, simple_tol, norm_limit, max_evaluations as in ``saddle_to_saddle``

    Li, Luo and Lyu 2021. The matrix is that of the last saddle, ``chain.end.matrix``; it scales as s with M.
    """
    width = Factorization(problem.shape, rank).rank
    rows, columns = tuple(range(problem.shape[0])), tuple(range(problem.shape[1]))
    return chain(problem, 0, rows, columns, width, Settings(**settings), greedy=True)
