"""How far W still moves from where compiled flows have converged; the reasoning is that of ``gflow.flow.rest``."""

from __future__ import annotations

import numpy as np

from gflow.fast.follow import Abreast
from gflow.fast.rounding import MASK, STATE, TARGETS
from gflow.flow.rest import NEAR, ROUNDING
from gflow.policy import EPS

NEWTON_STEPS = 6
"""Steps of Gauss and Newton that reach the minimum which a converged flow is near."""
DAMPING = 1e-10
"""Their damping, relative to the curvature: what settles no faster may wait, and rounding stays out of the rest."""


def rest(side: Abreast, places: np.ndarray) -> np.ndarray:
    """Return the largest change of an entry of W from flows to the minima nearby, one for each; NaN without one.

    At those minima (2/n) |E|_F, which bounds every growth rate, is below what rounding leaves of the Hessian: nothing
    waits to grow, and slopes along modes that settle are rounding too. Elsewhere there may be more to say.
    """
    cut, shape = side.bank.cut, (len(places), side.bank.cut, side.bank.other)
    mask, targets = (side.data[places, row].reshape(shape) for row in (MASK, TARGETS))
    weight, ways = side.records["weight"][places], np.full(len(places), np.nan)
    Z = side.flows[places, STATE].reshape(len(places), sum(shape[1:]), side.bank.rank)
    begin, going = Z[:, :cut] @ Z[:, cut:].mT, np.arange(len(places))
    sizes = np.linalg.norm(Z, axis=(1, 2))
    for _ in range(NEWTON_STEPS):
        if not going.size:
            break
        A, B, seen = Z[going, :cut], Z[going, cut:], mask[going]
        W = A @ B.mT
        E = seen * W - targets[going]
        top = np.maximum((seen @ B**2).max(axis=(1, 2)), (seen.mT @ A**2).max(axis=(1, 2)))
        there = weight[going] * np.sqrt((E**2).sum(axis=(1, 2))) <= ROUNDING * EPS * weight[going] * top
        ways[going[there]] = np.abs(W - begin[going]).max(axis=(1, 2))[there]
        # the damped steps, by the smaller of the two systems that give them
        gram = np.einsum("ik,qjl->qijkl", np.eye(cut), B @ B.mT) + np.einsum(
            "jl,qik->qijkl", np.eye(shape[2]), A @ A.mT
        )
        flat = seen.reshape(len(going), -1)
        gram = gram.reshape(*flat.shape, flat.shape[1]) * flat[:, :, None] * flat[:, None, :]
        gram += (DAMPING * np.where(top > 0.0, top, 1.0))[:, None, None] * np.eye(flat.shape[1])
        G = np.linalg.solve(gram, E.reshape(*flat.shape, 1)).reshape(E.shape)
        step = -np.concatenate([G @ B, G.mT @ A], axis=1)
        near = ~there & (np.linalg.norm(step, axis=(1, 2)) <= NEAR * sizes[going])
        Z[going[near]] += step[near]
        going = going[near]
    return ways
