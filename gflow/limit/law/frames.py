"""How the limits of the coupling components lie to each other in the inner space: frames, signs and their law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.limit.law.clocks import RaceClock
from gflow.limit.law.passive import FrameFailure, is_wide, propagated
from gflow.limit.law.sectors import MixingUnknown
from gflow.limit.orbit.krylov import leading_triples
from gflow.limit.orbit.modes import errors_at, residual_modes
from gflow.limit.records import Chain, TraversalStatus
from gflow.models import Factorization
from gflow.problems import EntryProblem, in_own_units, without_weights

PIVOT_TOL = 1e-3
"""A pivot this small against its row leaves the sign of a frame vector undecided."""
PAIR_TOL = 1e-12
"""Residual of the singular pairs of large parts, relative to the largest singular value."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Rows A[I] = a Q^T and columns B[:, J] = Q b of one component, Q with k orthonormal columns."""

    chain: Chain
    Q: np.ndarray

    def place(self, A: np.ndarray, B: np.ndarray) -> None:
        """Write the component's rows and columns into the factors of the whole matrix."""
        A[list(self.chain.rows)] = self.chain.end.A @ self.Q.T
        B[:, list(self.chain.columns)] = self.Q @ self.chain.end.B


def frame_of(problem: EntryProblem, model: Factorization, chain: Chain, start: np.ndarray, simple_tol: float) -> Frame:
    """Return the frame to which the trajectories from alpha ``start`` lead the component.

    Gram-Schmidt of g_j = A_0[I]^T u_j + B_0[:, J] v_j over the top singular pairs of P o M, with the signs of the
    passive modes carried along the orbits.

    Raises ``FrameFailure`` where the k leading singular values of P o M are not positive, distinct and above the
    next, or a sign cannot be told.
    """
    k = chain.end.rank
    part = problem.restricted(chain.rows, chain.columns)
    data = -errors_at(part, np.zeros((part.shape[0], 0)), np.zeros((0, part.shape[1])))
    E = part.scattered(data) if is_wide(part) else without_weights(part).adjoint(data)
    sigma, u, v = _leading_pairs(E, min(k + 1, *part.shape))
    following = np.append(sigma, 0.0)[1 : k + 1]
    if np.sum(sigma > 1e-10 * sigma[0]) < k:
        reason = f"P o M on the component has a rank below {k}: its frame comes from passive kernel modes"
        raise FrameFailure(TraversalStatus.UNDECIDED, reason)
    if (sigma[:k] - following <= simple_tol * sigma[0]).any():
        reason = f"the {k} leading singular values of P o M are not distinct from each other and from the next"
        raise FrameFailure(TraversalStatus.DEGENERATE, reason)
    A0, B0 = model.factors(start)
    u, v = u[:, :k], v[:, :k]
    first = chain.saddles[0]
    u[:, 0], v[:, 0] = first.u, -first.v
    g = A0[list(chain.rows)].T @ u + B0[:, list(chain.columns)] @ v
    Q, R = np.linalg.qr(g / np.linalg.norm(g, axis=0))
    Q = Q * np.sign(np.diag(R))
    return Frame(chain, Q * passive_signs(part, chain, np.concatenate([u, v])))


def raced(problem: EntryProblem, model: Factorization, chain: Chain, start: np.ndarray) -> Frame:
    """Return the frame of a component whose modes do not mix: the race along its chain, run again from ``start``.

    Raises ``FrameFailure`` where rounding hides whether modes meet.
    """
    part = in_own_units(problem.restricted(chain.rows, chain.columns))
    A0, B0 = model.factors(start)
    clock = RaceClock(part, np.concatenate([A0[list(chain.rows)], B0[:, list(chain.columns)].T]))
    signs, scale = [], np.sqrt(problem.restricted(chain.rows, chain.columns).unit)
    try:
        for saddle, path, after in zip(chain.saddles[:-1], chain.orbits, chain.saddles[1:], strict=True):
            A, B = saddle.A / scale, saddle.B / scale
            stay = clock.stay(residual_modes(part, A, B), A, B)
            if stay is None:
                raise FrameFailure(TraversalStatus.UNDECIDED, f"nothing escapes at rank {saddle.rank}")
            vector = clock.race.winner.vector[: part.shape[0]]
            signs.append(float(np.sign(vector @ saddle.u)))
            clock.cross(path, after.A / scale, after.B / scale)
    except MixingUnknown as unknown:
        raise FrameFailure(TraversalStatus.UNDECIDED, str(unknown)) from unknown
    return Frame(chain, clock.passive.frame * np.array(signs))


def in_joint_span(frames: list[Frame]) -> list[Frame]:
    """Return the frames in an orthonormal basis of their joint span: the limit, as a product, stays what it is."""
    basis, _ = np.linalg.qr(np.hstack([frame.Q for frame in frames]))
    return [Frame(frame.chain, basis.T @ frame.Q) for frame in frames]


def passive_signs(part: EntryProblem, chain: Chain, modes: np.ndarray) -> np.ndarray:
    """Return the sign with which each frame vector enters its stage, shape (k,); the first is 1.

    ``modes`` (d1 + d2, k) holds the escape modes at the origin, of which later columns are made. Along each orbit
    they follow x' = -(2/n) [[0, E], [E^T, 0]] x; the pivots of their overlaps with the next saddle's modes tell the
    signs. Upper triangular factors with a positive diagonal leave those signs alone, so the modes are made orthonormal
    as they grow.
    """
    k = chain.end.rank
    signs = np.ones(k)
    passive = modes[:, 1:]
    for saddle, path in zip(chain.saddles[1:], chain.orbits, strict=False):
        if saddle.rank >= k:
            break
        carried = propagated(part.normalized, saddle.rank, path.times, path.states, passive)
        wide = is_wide(part)
        E = part.scattered(errors_at(part, saddle.A, saddle.B)) if wide else part.residual(saddle.matrix)
        _, u, v = _leading_pairs(E, k - saddle.rank)
        if u.shape[1] < k - saddle.rank:
            reason = f"the residual at rank {saddle.rank} has a rank below {k - saddle.rank}"
            raise FrameFailure(TraversalStatus.UNDECIDED, reason)
        u[:, 0], v[:, 0] = saddle.u, saddle.v
        pivots = _pivots(np.concatenate([u, -v]).T @ carried)
        signs[saddle.rank] = pivots[0]
        passive = (np.concatenate([u, -v]) * pivots)[:, 1:]
    return signs


def _leading_pairs(E: Any, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ``count`` largest singular values of E, falling, with their vectors u and v in columns.

    Raises ``FrameFailure`` where the iteration for a sparse array does not separate them.
    """
    if isinstance(E, np.ndarray):
        U, sigma, Vt = np.linalg.svd(E)
        return sigma[:count], U[:, :count].copy(), Vt[:count].T.copy()
    found = leading_triples(E, count, tol=PAIR_TOL)
    if not found.converged:
        reason = f"the {count} leading singular pairs of a residual are too close together to be found"
        raise FrameFailure(TraversalStatus.UNDECIDED, reason)
    return found.sigma, found.U, found.V


def _pivots(overlaps: np.ndarray) -> np.ndarray:
    """Return the signs of the pivots of Gaussian elimination in the given order.

    Raises ``FrameFailure`` where a pivot is too small to tell.
    """
    rest, signs = overlaps.copy(), np.ones(len(overlaps))
    for i in range(len(rest)):
        pivot = rest[i, i]
        if abs(pivot) <= PIVOT_TOL * np.abs(overlaps[i]).max():
            raise FrameFailure(TraversalStatus.UNDECIDED, "the sign of a frame vector cannot be told from rounding")
        signs[i] = np.sign(pivot)
        rest[i + 1 :] -= np.outer(rest[i + 1 :, i] / pivot, rest[i])
    return signs
