"""How far W still moves from where compiled flows have converged; the reasoning is that of ``gflow.flow.rest``."""

from __future__ import annotations

import numpy as np

from gflow.fast.stacks import Stack
from gflow.flow.rest import NEAR, ROUNDING, all_left
from gflow.policy import EPS

NEWTON_STEPS = 6
"""Steps of Gauss and Newton that reach the minimum which a converged flow is near."""
DAMPING = 1e-10
"""Their damping, relative to the curvature: what settles no faster may wait, and rounding stays out of the rest."""


def rest(stack: Stack, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest change of an entry of W to come, and the size below which data may not be learned, or 0.

    Both have shape (m,), for states of shape (m, d1 + d2, r), in the unit of each problem. Where there is no minimum
    nearby, every mode is looked at.
    """
    ways, unlearned = nearby(stack, states), np.zeros(len(states))
    places = np.flatnonzero(np.isnan(ways) & states.any(axis=(1, 2)))
    if places.size:
        some, shape = stack.at(places), (-1, *states.shape[1:])
        ways[places], unlearned[places] = all_left(
            lambda Z, whose: some.at(whose).hessian(Z.reshape(shape)),
            lambda Z, whose: -some.at(whose).slope(Z.reshape(shape)).reshape(len(Z), -1),
            lambda Z, whose: some.at(whose).output(Z.reshape(shape)),
            states[places].reshape(len(places), -1),
        )
    return np.where(np.isnan(ways), 0.0, ways), unlearned


def nearby(stack: Stack, states: np.ndarray) -> np.ndarray:
    """Return the largest changes of an entry of W from states to minima nearby, shape (m,); NaN where there is none.

    At those minima (2/n) |E|_F, which bounds every growth rate, is below what rounding leaves of the Hessian: nothing
    waits to grow, and slopes along modes that settle are rounding too.
    """
    Z, ways, going = states.copy(), np.full(len(states), np.nan), np.arange(len(states))
    begin, sizes = stack.output(Z), np.linalg.norm(Z, axis=(1, 2))
    for _ in range(NEWTON_STEPS):
        if not going.size:
            break
        some = stack.at(going)
        (A, B), E, seen = some.split(Z[going]), some.residual(Z[going]), some.mask
        top = np.maximum((seen @ B**2).max(axis=(1, 2)), (seen.mT @ A**2).max(axis=(1, 2)))
        there = np.sqrt((E**2).sum(axis=(1, 2))) <= ROUNDING * EPS * top
        ways[going[there]] = np.abs(A @ B.mT - begin[going]).max(axis=(1, 2))[there]
        # the damped steps, by the smaller of the two systems that give them
        one, two = np.eye(A.shape[1])[:, None, :, None], np.eye(B.shape[1])[:, None, :]
        flat = seen.reshape(len(going), -1)
        gram = one * (B @ B.mT)[:, None, :, None, :] + two * (A @ A.mT)[:, :, None, :, None]
        gram = gram.reshape(*flat.shape, flat.shape[1]) * flat[:, :, None] * flat[:, None, :]
        gram += (DAMPING * np.where(top > 0.0, top, 1.0))[:, None, None] * np.eye(flat.shape[1])
        G = np.linalg.solve(gram, E.reshape(*flat.shape, 1)).reshape(E.shape)
        step = -np.concatenate([G @ B, G.mT @ A], axis=1)
        near = ~there & (np.linalg.norm(step, axis=(1, 2)) <= NEAR * sizes[going])
        Z[going[near]] += step[near]
        going = going[near]
    return ways
