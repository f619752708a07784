"""Flows of attention on the recall task, as staircases of singular values, with the times of their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE
from gflow.plots.style import DASHES
from gflow.statements.claims import Claim

KEYS, SIZES, FREQUENCIES = 3, (1.0, 0.45), (0.6, 0.3, 0.1)
WIDTH = 4
NAMES = "QKVO"
SHOWN = 400
"""States of a staircase that are kept."""
TASK = (
    f"Exact recall: {KEYS} keys, queries of frequencies {FREQUENCIES}, values of all signs with sizes {SIZES}, all 192 "
    f"sequences; one head with inner dimensions {WIDTH}; loss 1/2 E|f - y|^2."
)


@dataclass(frozen=True, slots=True, eq=False)
class Staircase:
    """One flow: alpha, status, and at the kept times loss and singular values of W_Q, W_K, W_V, W_O, largest first.

    ``steps`` holds for each step (matrix, number) the time at which that singular value passes the threshold.
    """

    alpha: float
    status: str
    times: np.ndarray
    losses: np.ndarray
    sizes: Mapping[str, np.ndarray]
    steps: Mapping[tuple[str, int], float]

    @property
    def log(self) -> float:
        """Return log(1 / alpha)."""
        return -float(np.log(self.alpha))


def task() -> gflow.Regression:
    """Return the recall task."""
    return gflow.recall_task(KEYS, SIZES, FREQUENCIES)


def start(seed: int, streams: bool) -> np.ndarray:
    """Return the direction of the start: 68 standard normal numbers, without those that streams do not read."""
    full = np.random.default_rng(seed).standard_normal(68)
    if not streams:
        return full
    queries, keys, values = full[:60].reshape(3, 5, 4)
    return np.concatenate([queries[:3].ravel(), keys[:3].ravel(), values[3:].ravel(), full[60:]])


def climbed(
    model: gflow.Attention,
    loss: gflow.Objective,
    direction: np.ndarray,
    alpha: float,
    threshold: float,
    steps: Sequence[tuple[str, int]],
    **settings: Any,
) -> Staircase:
    """Return the flow from alpha times the direction; ``settings`` are those of ``gflow.gradient_flow``."""
    path = gflow.gradient_flow(loss, alpha * direction, **settings)
    W = model.matrices(path.states)
    sizes = {name: np.linalg.svd(getattr(W, name)[:, 0], compute_uv=False) for name in NAMES}
    passed = {(name, k): crossing(path.times, sizes[name][:, k - 1], threshold) for name, k in steps}
    kept = np.unique(np.linspace(0, len(path.times) - 1, SHOWN).astype(int))
    shown = {name: values[kept] for name, values in sizes.items()}
    return Staircase(alpha, str(path.status), path.times[kept], path.losses[kept], shown, passed)


def crossing(times: np.ndarray, values: np.ndarray, threshold: float) -> float:
    """Return the time at which values first pass the threshold, between two states; NaN if they never do."""
    above = np.flatnonzero(values > threshold)
    if not above.size:
        return float("nan")
    i = int(above[0])
    if i == 0:
        return float(times[0])
    share = (threshold - values[i - 1]) / (values[i] - values[i - 1])
    return float(times[i - 1] + share * (times[i] - times[i - 1]))


def slope(stairs: Sequence[Staircase], step: tuple[str, int], since: tuple[str, int] | None = None) -> float:
    """Return by how much a step (counted from another one) comes later for each unit of log(1/alpha).

    From the two smallest alphas; what does not depend on alpha drops out.
    """
    one, two = sorted(stairs, key=lambda each: -each.alpha)[-2:]
    times = [each.steps[step] - (each.steps[since] if since else 0.0) for each in (one, two)]
    return (times[1] - times[0]) / (two.log - one.log)


def near(id: str, statement: str, measured: float, told: float, tol: float, reason: str = "") -> Claim:
    """Return the claim that a number is the one predicted, within a fraction ``tol`` of it."""
    room = tol * abs(told)
    return Claim.bounded(id, statement, measured, told - room, told + room, reason=reason or f"predicted {told:.7g}")


def draw_stairs(stairs: Staircase, grid: Any, *, since: float = 0.0, log: bool = False) -> None:
    """Draw the singular values of the four matrices, each on its axes, against the time since ``since``."""
    for name, ax in zip(NAMES, np.ravel(grid), strict=True):
        for k, values in enumerate(stairs.sizes[name].T):
            style = {"color": PALETTE[k], "linestyle": DASHES[k % len(DASHES)], "linewidth": 1.2}
            ax.plot(stairs.times - since, values, **style, label=rf"$\sigma_{k + 1}$")
        ax.set_title(f"$W_{name}$", fontsize="medium")
        if log:
            ax.set_yscale("log")
    for ax in np.atleast_2d(grid)[-1]:
        ax.set_xlabel("time" if not since else "time after the escape from the origin")
    np.ravel(grid)[0].legend(fontsize="small")
