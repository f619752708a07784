"""How the limits of the coupling components lie to each other in the inner space: frames, signs and their law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.models import Factorization
from gflow.problems import MatrixCompletion
from gflow.traversal.records import Chain, TraversalStatus

PIVOT_TOL = 1e-6
"""A pivot this small against its row leaves the sign of a frame vector undecided."""
STEP = 0.05
"""Longest step of the passive modes, in units of the inverse norm of the residual."""


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
    signs. Positive factors drop out, so the modes are renormalised as they grow.
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
    """Return the passive modes at the end of an orbit, each of unit length."""
    model = Factorization(part.shape, rank)
    residuals = part.residual(model.matrix(states))
    d1 = part.shape[0]
    X = passive
    for i in range(len(times) - 1):
        E = (residuals[i] + residuals[i + 1]) / 2
        S = np.zeros((sum(part.shape),) * 2)
        S[:d1, d1:], S[d1:, :d1] = -E, -E.T
        rates, basis = np.linalg.eigh(2.0 * part.weight * S)
        growth = np.exp((rates - rates[-1]) * (times[i + 1] - times[i]))
        X = basis @ (growth[:, None] * (basis.T @ X))
        X = X / np.linalg.norm(X, axis=0)
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


def haar_frame(chain: Chain, width: int, rng: np.random.Generator) -> Frame:
    """Return a frame from the law over Gaussian starts: Haar distributed on the Stiefel manifold."""
    Q, R = np.linalg.qr(rng.standard_normal((width, chain.end.rank)))
    return Frame(chain, Q * np.sign(np.diag(R)))
