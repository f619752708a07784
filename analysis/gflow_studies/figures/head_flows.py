"""Linear attention with heads of rank one, which learn one mode each, and with wide heads, of which one learns all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import gflow
from gflow_studies.figures.staircases import crossing

TASK, HEADS, WIDE = gflow.recall_task(2, (1.0, 0.8), (0.6, 0.4)), 6, 2
MODES = np.outer((0.6, 0.4), np.square((1.0, 0.8)))
"""What the head of query q and value j takes from twice the loss: omega_q s_j^2."""
FAR, LASTS = 1e4, 1.2
"""A head has blown up at this size; flows last this many times the last time predicted."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitFlow:
    """A flow: its start, states that are drawn, times of escape, losses of its stays, and kernels or heads used."""

    name: str
    alpha: float
    times: np.ndarray
    losses: np.ndarray
    escapes: Sequence[float]
    stays: Sequence[float]
    used: int


def learned(name: str, alpha: float, path: gflow.Trajectory, levels: Sequence[float], used: int) -> UnitFlow:
    """Return what is kept of a flow; it escapes when its loss is half way to the next level."""
    halves = (np.array(levels[:-1]) + levels[1:]) / 2
    escapes = [crossing(path.times, -path.losses, -half) for half in halves]
    stays = [stay.loss for stay in path.plateaus]
    return UnitFlow(name, alpha, path.times, path.losses, escapes, stays, used)


def head_model(heads: int, width: int) -> tuple[gflow.Attention, gflow.Objective]:
    """Return linear attention with so many heads of that inner width on the recall task, and its loss."""
    model = gflow.Attention(TASK.inputs, 2, width, width, heads=heads, linear=True, streams=2)
    return model, gflow.Objective.of(TASK, model)


def predicted_heads(start: np.ndarray) -> list[tuple[float, tuple[int, int]]]:
    """Return alpha^2 times the times at which heads of rank one leave, and the modes (q, j) that they learn.

    Small heads move on their own, by the gradient of c sum omega_q s_j^2 a_q b_q u_j w_j over the modes not yet
    learned, until one of them blows up: it learns a mode, and the others go on from where they are without it. A mode
    that shares its query or value with a larger one is a strict saddle, from which the head itself turns to that one in
    a time like log(1/alpha).
    """
    from scipy.integrate import solve_ivp

    W = head_model(HEADS, 1)[0].matrices(start)
    idle, left = np.stack([W.Q[..., 0], W.K[..., 0], W.V[..., 0], W.O[:, 0]], axis=1), MODES / 3
    found, now = [], 0.0

    def field(_: float, y: np.ndarray) -> np.ndarray:
        a, b, u, w = np.moveaxis(y.reshape(-1, 4, 2), 1, 0)
        query, value = (u * w) @ left.T, (a * b) @ left
        return np.stack([b * query, a * query, w * value, u * value], axis=1).ravel()

    def blown(_: float, y: np.ndarray) -> float:
        return float(np.abs(y).max()) - FAR

    blown.terminal = True  # type: ignore[attr-defined]
    while left.any():
        end = solve_ivp(field, (0.0, 1e9), idle.ravel(), method="DOP853", rtol=1e-10, atol=1e-10, events=blown)
        idle, now = end.y[:, -1].reshape(-1, 4, 2), now + float(end.t[-1])
        head = int(np.abs(idle).max(axis=(1, 2)).argmax())
        q, j = int(np.abs(idle[head, 0]).argmax()), int(np.abs(idle[head, 2]).argmax())
        while left[q, j] < max(left[q].max(), left[:, j].max()):
            q, j = (q, int(left[q].argmax())) if left[q].max() > left[:, j].max() else (int(left[:, j].argmax()), j)
        found.append((now, (q, j)))
        left[q, j] = 0.0
        idle = np.delete(idle, head, axis=0)
    return found


def head_levels(told: Sequence[tuple[float, tuple[int, int]]]) -> list[float]:
    """Return the losses of the stays: half of what is not yet learned, and 0."""
    return [*(MODES.sum() - np.cumsum([0.0, *(MODES[mode] for _, mode in told[:-1])])) / 2, 0.0]


def head_flow(seed: int, alpha: float) -> UnitFlow:
    """Return the flow of six heads of rank one from alpha theta_0."""
    model, loss = head_model(HEADS, 1)
    start = model.random(seed)
    told = predicted_heads(start)
    path = gflow.gradient_flow(loss, alpha * start, t_end=LASTS * told[-1][0] / alpha**2, max_evaluations=20_000)
    used = int(np.sum(np.linalg.norm(model.matrices(path.final).Q, axis=(1, 2)) > 0.5))
    return learned(str(seed), alpha, path, head_levels(told), used)


def idle_head(seed: int, alpha: float) -> float:
    """Return the size of the smaller of two wide heads at the end, over that of its start."""
    model, loss = head_model(2, WIDE)
    start = alpha * model.random(seed)
    path = gflow.gradient_flow(loss, start, loss_tol=1e-9, max_evaluations=3000)
    sizes = [np.linalg.norm(np.reshape(theta, (2, -1)), axis=1) for theta in (start, path.final)]
    least = int(np.argmin(sizes[1]))
    return float(sizes[1][least] / sizes[0][least]) if path.final_loss < 1e-6 else float("inf")
