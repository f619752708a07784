"""Saddle to saddle across architectures: kernels of linear convolutions and heads of linear attention, one by one?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE
from gflow.plots.style import DASHES
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.head_flows import (
    HEADS,
    MODES,
    UnitFlow,
    head_flow,
    head_levels,
    head_model,
    idle_head,
    learned,
    predicted_heads,
)
from gflow_studies.figures.settings import require
from gflow_studies.figures.staircases import near

TITLE = "Saddle to saddle across architectures: kernels and heads, one by one?"
SETTING = (
    "The account of arXiv 2512.20607 (December 2025): from small starts convolutional networks learn kernels and "
    "attention learns heads one by one. Predicted here from the start alone, and measured. It holds for a linear "
    "convolution with two outputs and for heads of rank one. It does not count what the gradient at the origin shows: "
    "a filter of one output is a product of real polynomials, so that one kernel learns it at once, whatever the rank "
    "of its Hankel matrix, and two where kernel and readout have odd degrees and the filter has no real root. Heads "
    "come at blow-up times, all multiples of alpha^-2 that the start sets, not in the order of what they learn; and "
    "of two wide heads one learns everything while the other one stays at its start."
)
KERNELS = 4
"""Kernels of the networks: more than any of the filters takes."""
SLOPE_TOL, TIME_TOL, LEVEL_TOL, PRESENT, IDLE = 0.01, 5e-3, 0.01, 1e-3, 10.0
PANELS = {
    "kernels": Panel(
        "Loss of linear convolutions against time over log(1/alpha), from the smallest start; dotted: predicted.",
        "Two lines fall in two steps, and one, the sum of two modes in one output, in a single step.",
    ),
    "heads": Panel(
        "Loss of attention with six heads of rank one against alpha^2 times time; dotted: predicted times.",
        "The loss falls in four steps for each start, at times that differ from start to start.",
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Starts of convolutions and of heads, seeds of the heads, and the seed of the others."""

    alphas: tuple[float, ...] = (1e-8, 1e-12, 1e-16)
    head_alphas: tuple[float, ...] = (1e-2, 1e-3)
    seeds: tuple[int, ...] = (0, 1, 3)
    seed: int = 0

    def __post_init__(self) -> None:
        require("alphas", self.alphas, 2, 1e-30, 0.1)
        require("head_alphas", self.head_alphas, 1, 1e-6, 0.1)
        require("seeds", self.seeds, 1, 0)


QUICK = Config(alphas=(1e-8, 1e-16), head_alphas=(1e-2,), seeds=(0,))


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """A linear convolution: loss, what gives W = sum_i a_i k_i^T, predicted losses of its stays and slopes of its
    escapes in log(1/alpha)."""

    loss: gflow.Objective
    output: Any
    levels: Sequence[float]
    slopes: Sequence[float]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Flows of convolutions and of heads, predicted times and modes of the heads by seed, and the idle wide head."""

    config: Config
    kernels: Sequence[UnitFlow]
    heads: Sequence[UnitFlow]
    predicted: Mapping[int, Sequence[tuple[float, tuple[int, int]]]]
    idle: float


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return all parts; nothing depends on ``jobs``."""
    kernels = mapped(kernel_flow, [(name, alpha, config.seed) for name in FILTERS for alpha in config.alphas], jobs)
    heads = mapped(head_flow, [(seed, alpha) for seed in config.seeds for alpha in config.head_alphas], jobs)
    told = {seed: predicted_heads(head_model(HEADS, 1)[0].random(seed)) for seed in config.seeds}
    return Result(config, list(kernels), list(heads), told, idle_head(config.seed, max(config.head_alphas)))


def hankel(filter: np.ndarray, size: int) -> np.ndarray:
    """Return the matrix of filter[s + t], minus the gradient in W = sum_i a_i k_i^T at signals that are units."""
    return np.lib.stride_tricks.sliding_window_view(filter, size)


def two_outputs() -> Filters:
    """Return a mean and a difference of neighbours on two outputs, whose kernels are orthogonal: both are needed, and
    each is a mode of the gradient on its own."""
    signs = np.array([np.ones(8), 0.5 * (-1.0) ** np.arange(8)])
    problem = gflow.convolution_sensing(np.eye(8), signs.T, 4)
    model = gflow.Factorization(problem.shape, KERNELS)
    rates = np.linalg.svd(problem.gradient(np.zeros(problem.shape)), compute_uv=False)[:2]
    norms = np.sum(signs**2, axis=1) / signs.size
    return Filters(
        gflow.Objective.of(problem, model), model.output, (norms.sum(), norms[1], 0.0), (1.0 / rates).tolist()
    )


def one_output(filter: np.ndarray, size: int) -> Filters:
    """Return a filter on one output; where one kernel does not fit it, the stay is where one kernel alone ends.

    A second kernel grows at the rate of the residual there, from what it has in the second mode of the origin.
    """
    signals = np.eye(len(filter))
    problem = gflow.Regression(signals, filter)
    first, second = np.linalg.svd(hankel(filter, size) / len(filter), compute_uv=False)[:2]
    alone, model = (gflow.ConvolutionalNetwork(signals, count, size, activation="linear") for count in (1, KERNELS))
    end = gflow.gradient_flow(gflow.Objective.of(problem, alone), alone.random(0, 1e-8))
    levels, slopes = [float(filter @ filter) / 2 / len(filter), 0.0], [1.0 / first]
    if end.final_loss > 1e-9 * levels[0]:
        left = np.linalg.norm(hankel(problem.gradient(alone.output(end.final)), size), 2)
        levels, slopes = [levels[0], end.final_loss, 0.0], [*slopes, slopes[0] + (1.0 - second / first) / float(left)]

    def output(theta: np.ndarray) -> np.ndarray:
        a, rows = model.parts(theta)
        return a.mT @ rows

    return Filters(gflow.Objective.of(problem, model), output, levels, slopes)


FILTERS: Mapping[str, Callable[[], Filters]] = {
    "two outputs": two_outputs,
    "no real root": partial(one_output, np.convolve(np.convolve([1.0, 0, 1], [1.0, 1, 1]), [2.0, 1, 1]), 2),
    "sum of two": partial(one_output, 1.0 + 0.5 * (-1.0) ** np.arange(8), 4),
}


def kernel_flow(name: str, alpha: float, seed: int) -> UnitFlow:
    """Return the flow of a convolution from alpha theta_0."""
    told = FILTERS[name]()
    path = gflow.gradient_flow(told.loss, alpha * np.random.default_rng(seed).standard_normal(told.loss.dim))
    sizes = np.linalg.svd(told.output(path.final), compute_uv=False)
    return learned(name, alpha, path, told.levels, int(np.sum(sizes > PRESENT * sizes[0])))


def claims(result: Result) -> Sequence[Claim]:
    """Return what is predicted of kernels and heads, and where the account is another one."""
    found = []
    for name, made in FILTERS.items():
        told, runs = made(), sorted((each for each in result.kernels if each.name == name), key=lambda e: -e.alpha)
        id, last, between = name.replace(" ", "-"), runs[-1], np.log(runs[-2].alpha / runs[-1].alpha)
        for k, slope in enumerate(told.slopes):
            measured = (last.escapes[k] - runs[-2].escapes[k]) / between
            words = f"{name}: escape {k + 1} comes later by the predicted amount for each unit of log(1/alpha)"
            found.append(near(f"{id}-slope-{k + 1}", words, measured, slope, SLOPE_TOL))
        count = len(told.slopes)
        found.append(Claim.bounded(f"{id}-kernels", f"{name}: {count} kernels are used", last.used, count, count))
        off = _off(last.stays, told.levels)
        found.append(Claim.bounded(f"{id}-stays", f"{name}: the stays have the predicted losses", off, 0.0, LEVEL_TOL))
    for run in result.heads:
        modes = result.predicted[int(run.name)]
        off = max(abs(run.alpha**2 * t / s - 1.0) for t, (s, _) in zip(run.escapes, modes, strict=True))
        id, words = f"seed-{run.name}-{run.alpha:g}", f"seed {run.name}, alpha {run.alpha:g}"
        found.append(Claim.bounded(f"times-{id}", f"{words}: heads leave at the predicted times", off, 0.0, TIME_TOL))
        level = _off(run.stays, head_levels(modes))
        found.append(Claim.bounded(f"stays-{id}", f"{words}: they learn the predicted modes", level, 0.0, LEVEL_TOL))
        found.append(Claim.bounded(f"heads-{id}", f"{words}: one head for each mode", run.used, MODES.size, MODES.size))
    words = "of two wide heads one stays near its start"
    return [*found, Claim.bounded("wide", words, result.idle, 0.0, IDLE, reason="its size over that of the start")]


def _off(stays: Sequence[float], levels: Sequence[float]) -> float:
    """Return the largest distance of a level to the nearest stay, or of a stay to the nearest level, over the first."""
    gaps = np.abs(np.subtract.outer(np.array(stays), np.array(levels))) / levels[0]
    return float(max(gaps[:, :-1].min(axis=0).max(), gaps.min(axis=1).max()))


def tables(result: Result) -> Sequence[Table]:
    """Return kernels beside the ranks that the gradient at the origin shows, and times of heads."""
    counts = [[each.name, each.alpha, each.used, list(each.stays)] for each in result.kernels]
    rows: list[list[Any]] = []
    for run in result.heads:
        for time, (told, mode) in zip(run.escapes, result.predicted[int(run.name)], strict=True):
            rows.append([int(run.name), run.alpha, f"({mode[0] + 1}, {mode[1] + 1})", told, run.alpha**2 * time])
    head = ("filter", "alpha", "kernels used", "losses of stays")
    return [
        Table("filters", "Linear convolutions; the gradient at the origin is of rank two for all.", head, counts),
        Table("modes", "Heads of rank one.", ("seed", "alpha", "mode (q, j)", "predicted", "alpha^2 t"), rows),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the lines of the panels: flows of the smallest alphas, in their own time."""
    chosen = {"kernels": (result.kernels, lambda a: 1.0 / np.log(1.0 / a)), "heads": (result.heads, lambda a: a**2)}
    found = {}
    for name, (runs, unit) in chosen.items():
        last = [run for run in runs if run.alpha == min(each.alpha for each in runs)]
        found[name] = {
            "name": np.concatenate([np.full(len(run.times), run.name) for run in last]),
            "time": np.concatenate([unit(run.alpha) * run.times for run in last]),
            "loss": np.concatenate([run.losses for run in last]),
        }
    return found


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for panel, ax in axes.items():
        columns, latest = data(result)[panel], 0.0
        for k, name in enumerate(dict.fromkeys(columns["name"].tolist())):
            here, style = columns["name"] == name, {"color": PALETTE[k], "linestyle": DASHES[k % len(DASHES)]}
            loss = columns["loss"][here]
            ax.plot(
                columns["time"][here], loss / loss[0], **style, label=name if panel == "kernels" else f"seed {name}"
            )
            told = FILTERS[name]().slopes if panel == "kernels" else [t for t, _ in result.predicted[int(name)]]
            latest = max(latest, float(told[-1]))
            for time in told:
                ax.axvline(time, color=PALETTE[k], linestyle=":", linewidth=0.8)
        clock = r"$t / \log(1/\alpha)$" if panel == "kernels" else r"$\alpha^2 t$"
        ax.set(xlabel=clock, ylabel="loss, relative to the origin", xlim=(0.0, 1.2 * latest))
        if panel == "kernels":
            ax.set(yscale="log", ylim=(1e-4, 2.0))
        ax.legend(fontsize="small")
