"""Softmax attention on the recall task: values, queries, values, queries, one rank at a time, and no end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures import staircases
from gflow_studies.figures.settings import require
from gflow_studies.figures.staircases import KEYS, SIZES, TASK, WIDTH, Staircase, near, slope

TITLE = "Low rank in softmax attention: singular values of W_Q, W_K, W_V and W_O along the flow"
FORMULA = r"\operatorname{softmax}(X W_Q W_K^\top X^\top) X W_V W_O"
SETTING = (
    f"{TASK} All matrices read whole tokens (68 parameters). The flow leaves the origin in values and outputs, then in "
    "queries and keys, and so on by turns. Rates and times of the first steps are predicted in closed form; after the "
    "first step of queries and keys their norm grows like a logarithm, and rates keep drifting."
)
THRESHOLD = 0.5
ORDER = (("V", 1), ("Q", 1), ("V", 2), ("Q", 2))
LENGTH = 60.0
"""The flows last this many times log(1/alpha)."""
RATE_TOL, TIME_TOL = 1e-6, 0.01
PANELS = {
    "sizes": Panel(
        "Singular values of the four matrices against time, from the smallest start; dotted: predicted rates of growth "
        "of the first values and queries.",
        "Four panels: values and outputs rise first, then queries and keys, then the second ones in the same order.",
        figsize=(7.2, 5.0),
        grid=(2, 2),
    ),
    "loss": Panel("Loss against time, with the losses of the saddles.", "The loss falls in steps and then like 1/t."),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Starts alpha theta_0 and the seed of theta_0."""

    alphas: tuple[float, ...] = (1e-4, 1e-6, 1e-8)
    seed: int = 0

    def __post_init__(self) -> None:
        require("alphas", self.alphas, 2, 1e-12, 0.1)


QUICK = Config(alphas=(1e-3, 1e-5))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The staircases, and losses and rates at the saddles with 0, 1 and 2 values."""

    config: Config
    stairs: Sequence[Staircase]
    losses: Sequence[float]
    rates: Sequence[np.ndarray]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the flows and the saddles; nothing depends on ``jobs``."""
    stairs = mapped(stair, [(alpha, config.seed) for alpha in config.alphas], jobs)
    problem = staircases.task()
    model = attention(problem)
    loss = gflow.Objective.of(problem, model)
    points = [gflow.classify(loss, saddle(model, count)) for count in range(3)]
    rates = [-point.spectrum.values[: point.index] for point in points]
    return Result(config, list(stairs), [point.value for point in points], rates)


def attention(problem: gflow.Regression) -> gflow.Attention:
    """Return the model."""
    return gflow.Attention(problem.inputs, len(SIZES), WIDTH, WIDTH)


def stair(alpha: float, seed: int) -> Staircase:
    """Return the flow from alpha theta_0."""
    problem = staircases.task()
    model = attention(problem)
    loss = gflow.Objective.of(problem, model)
    end = -LENGTH * float(np.log(alpha))
    return staircases.climbed(model, loss, staircases.start(seed, False), alpha, THRESHOLD, ORDER, t_end=end)


def saddle(model: gflow.Attention, count: int) -> np.ndarray:
    """Return the saddle with uniform attention and the first ``count`` values: W_V W_O = L / p on them."""
    reads = np.sqrt((KEYS + 1) / KEYS) * np.eye(len(SIZES), WIDTH) * (np.arange(WIDTH) < count)
    still, values = np.zeros((KEYS + len(SIZES), WIDTH)), np.zeros((KEYS + len(SIZES), WIDTH))
    values[KEYS:] = reads
    return model.theta(still, still, values, reads.T)


def predicted_loss(count: int) -> float:
    """Return 1/2 sum s^2 - 1/(2p) times the sum over the values that are learned."""
    squares = np.square(SIZES)
    return float(squares.sum() / 2 - squares[:count].sum() / (2 * KEYS))


def predicted_rates(count: int) -> np.ndarray:
    """Return the rates at that saddle: of queries and keys dk-fold, of values (dv - count)-fold, largest first."""
    squares, omega = np.square(SIZES), np.array(staircases.FREQUENCIES)
    keys = np.linalg.svd(np.diag(omega) @ (np.eye(KEYS) - 1.0 / KEYS), compute_uv=False)[: KEYS - 1]
    queries = squares[:count].sum() / (KEYS * np.sqrt(WIDTH)) * keys
    values = squares[count:] / (KEYS + 1)
    found = np.concatenate([np.repeat(queries, WIDTH), np.repeat(values, WIDTH - count)])
    return np.sort(found[found > 0.0])[::-1]


def claims(result: Result) -> Sequence[Claim]:
    """Return what is predicted of saddles, rates and times, that steps come by turns, and that no flow converges."""
    found = []
    for count in range(3):
        told, rates = predicted_rates(count), result.rates[count]
        loss = f"the loss at the saddle with {count} values"
        found.append(near(f"loss-{count}", loss, result.losses[count], predicted_loss(count), 1e-12))
        apart = float(np.abs(rates - told).max() / told[0]) if rates.shape == told.shape else float("inf")
        statement = f"the rates at the saddle with {count} values are those of the closed form, with multiplicities"
        reason = f"largest difference, relative; {len(told)} predicted, {len(rates)} found"
        found.append(Claim.bounded(f"rates-{count}", statement, min(apart, 1e9), 0.0, RATE_TOL, reason=reason))
    first, second = 1.0 / predicted_rates(0)[0], 1.0 / predicted_rates(1)[0]
    found.append(
        near("time-v1", "values leave at log(1/alpha) / rate", slope(result.stairs, ORDER[0]), first, TIME_TOL)
    )
    later = slope(result.stairs, ORDER[1])
    found.append(near("time-q1", "queries leave after that, at their own rate", later, first + second, TIME_TOL))
    turns = sum(
        [each.steps[step] for step in ORDER] != sorted(each.steps[step] for step in ORDER) for each in result.stairs
    )
    found.append(Claim.bounded("order", "the order is V1, Q1, V2, Q2", turns, 0, 0, reason="flows in another order"))
    ended = sum(each.status == "converged" for each in result.stairs)
    statement = "no flow converges: there is no minimum"
    return [*found, Claim.bounded("end", statement, ended, 0, 0, reason="flows that are said to have converged")]


def tables(result: Result) -> Sequence[Table]:
    """Return the times of the steps over log(1/alpha), and the saddles."""
    rows = [[each.alpha, each.status, *(each.steps[step] / each.log for step in ORDER)] for each in result.stairs]
    head = ("alpha", "ending", *(f"{name}{k}" for name, k in ORDER))
    slopes = ["slope", "", *(slope(result.stairs, step) for step in ORDER)]
    places = [
        [k, loss, [float(r) for r in np.unique(np.round(rates, 9))[::-1]]]
        for k, (loss, rates) in enumerate(zip(result.losses, result.rates, strict=True))
    ]
    return [
        Table("times", "Times at which singular values pass 0.5, over log(1/alpha).", head, [*rows, slopes]),
        Table("saddles", "Saddles of uniform attention.", ("values", "loss", "rates"), places),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the staircase of the smallest alpha."""
    last = min(result.stairs, key=lambda each: each.alpha)
    sizes = {f"sigma_{name}": last.sizes[name] for name in staircases.NAMES}
    return {"sizes": {"time": last.times} | sizes, "loss": {"time": last.times, "loss": last.losses}}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    last = min(result.stairs, key=lambda each: each.alpha)
    for name, grid in axes.items():
        if name == "sizes":
            staircases.draw_stairs(last, grid, log=True)
            for ax, step, rate in (
                (np.ravel(grid)[2], ORDER[0], predicted_rates(0)[0]),
                (np.ravel(grid)[0], ORDER[1], predicted_rates(1)[0]),
            ):
                t = np.array([last.steps[step] - 0.8 * last.log / rate, last.steps[step]])
                ax.plot(t, THRESHOLD * np.exp(rate * (t - t[1])), ":", color=INK, linewidth=1)
        else:
            grid.plot(last.times, last.losses, color=PALETTE[0])
            grid.set(yscale="log", xlabel="time", ylabel="loss")
            for loss in result.losses:
                grid.axhline(loss, color=INK, alpha=0.4, linestyle=":", linewidth=1)
