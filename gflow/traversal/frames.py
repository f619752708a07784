"""How the limits of the coupling components lie to each other in the inner space: frames, signs and their law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.traversal.records import Chain, TraversalStatus

PIVOT_TOL = 1e-3
"""A pivot this small against its row leaves the sign of a frame vector undecided."""
PARTS = 4
"""Each step of an orbit is divided into so many steps of the passive modes."""
STIFF = 3.0
"""Longest step, times the largest curvature, in which an orbit is a cubic in time; longer ones are nearly at rest."""


class FrameFailure(ValueError):
    """The frame of a component is not determined by these formulas; carries the ``status`` of the traversal."""

    def __init__(self, status: TraversalStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Rows A[I] = a Q^T and columns B[:, J] = Q b of one component, Q with k orthonormal columns."""

    chain: Chain
    Q: np.ndarray

    def place(self, A: np.ndarray, B: np.ndarray) -> None:
        """Write the component's rows and columns into the factors of the whole matrix."""
        A[list(self.chain.rows)] = self.chain.end.A @ self.Q.T
        B[:, list(self.chain.columns)] = self.Q @ self.chain.end.B


def frame_of(
    problem: MatrixCompletion, model: Factorization, chain: Chain, start: np.ndarray, simple_tol: float
) -> Frame:
    """Return the frame to which the trajectories from alpha ``start`` lead the component.

    Gram-Schmidt of g_j = A_0[I]^T u_j + B_0[:, J] v_j over the top singular pairs of P o M, with the signs of the
    passive modes carried along the orbits.

    Raises ``FrameFailure`` where the k leading singular values of P o M are not distinct and positive, or a sign
    cannot be told.
    """
    k = chain.end.rank
    part = problem.restricted(chain.rows, chain.columns)
    U, sigma, Vt = np.linalg.svd(part.values)
    following = np.append(sigma, 0.0)[1 : k + 1]
    if np.sum(sigma > 1e-10 * sigma[0]) < k:
        reason = f"P o M on the component has a rank below {k}: its frame comes from passive kernel modes"
        raise FrameFailure(TraversalStatus.UNDECIDED, reason)
    if (sigma[: k - 1] - following[: k - 1] <= simple_tol * sigma[0]).any():
        raise FrameFailure(TraversalStatus.DEGENERATE, f"the {k} leading singular values of P o M are not distinct")
    A0, B0 = model.factors(start)
    u, v = U[:, :k].copy(), Vt[:k].T.copy()
    first = chain.saddles[0]
    u[:, 0], v[:, 0] = first.u, -first.v
    g = A0[list(chain.rows)].T @ u + B0[:, list(chain.columns)] @ v
    Q, R = np.linalg.qr(g / np.linalg.norm(g, axis=0))
    Q = Q * np.sign(np.diag(R))
    return Frame(chain, Q * passive_signs(part, chain, np.concatenate([u, v])))


def passive_signs(part: MatrixCompletion, chain: Chain, modes: np.ndarray) -> np.ndarray:
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
        carried = _propagated(part.normalized, saddle.rank, path.times, path.states, passive)
        U, _, Vt = np.linalg.svd(part.residual(saddle.matrix))
        u, v = U[:, : k - saddle.rank].copy(), Vt[: k - saddle.rank].T.copy()
        u[:, 0], v[:, 0] = saddle.u, saddle.v
        pivots = _pivots(np.concatenate([u, -v]).T @ carried)
        signs[saddle.rank] = pivots[0]
        passive = (np.concatenate([u, -v]) * pivots)[:, 1:]
    return signs


def _propagated(
    part: MatrixCompletion, rank: int, times: np.ndarray, states: np.ndarray, passive: np.ndarray
) -> np.ndarray:
    """Return orthonormal passive modes at the end of an orbit, up to an upper triangular factor."""
    model = Factorization(part.shape, rank)
    objective, d1 = Objective.of(part, model), part.shape[0]
    slopes = -objective.gradient(states)
    X = np.linalg.qr(passive)[0] * np.sign(np.diag(np.linalg.qr(passive)[1]))
    S = np.zeros((sum(part.shape),) * 2)
    for i in range(len(times) - 1):
        h = float(times[i + 1] - times[i])
        curvature = 2.0 * part.weight * float(states[i] @ states[i])
        bent = float(h * curvature <= STIFF)
        for s in (np.arange(PARTS) + 0.5) / PARTS:
            cubic = bent * h * s * (1 - s) * ((1 - s) * slopes[i] - s * slopes[i + 1])
            straight = 3 * s * s - 2 * s**3 if bent else s
            E = part.residual(model.matrix(states[i] + straight * (states[i + 1] - states[i]) + cubic))
            S[:d1, d1:], S[d1:, :d1] = -E, -E.T
            rates, basis = np.linalg.eigh(2.0 * part.weight * S)
            growth = np.exp((rates - rates[-1]) * h / PARTS)
            X, R = np.linalg.qr(basis @ (growth[:, None] * (basis.T @ X)))
            X = X * np.sign(np.diag(R))
    return X


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
