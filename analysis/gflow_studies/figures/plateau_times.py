"""How long a deep flow waits at each saddle: predicted from its start alone, and measured at ever smaller starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow.plots import PALETTE
from gflow.plots.style import DASHES, MARKERS
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped

TITLE = "Plateaus of three and four factors last a power of 1/alpha"
FORMULA = r"t_k = \alpha^{-(L-2)} (s_0 + \cdots + s_k)"
SETTING = (
    "Figure 3 of Bai et al. 2024 with W = W1 ... WL, L = 3 and 4, from alpha theta_0 with Gaussian theta_0. The "
    "plateau of rank k ends at t = alpha^-(L-2) (s_0 + ... + s_k): each s_k is the blow-up time of what the start has "
    "left outside the channels, carried along the orbits. Measured by the flow that keeps it apart "
    "(`gflow.deep_flow`), when the loss is half way between two saddles."
)
PANELS = {
    "errors": Panel(
        "Relative difference of measured and predicted ends of the plateaus against alpha, the worst of all plateaus.",
        "Lines that fall about in proportion to alpha until they reach the accuracy of the method.",
    ),
}
AGREEMENT = 1e-3
"""Predicted and measured times agree within this fraction at the smallest alpha."""
STATEMENTS = {
    "agreement": "at the smallest alpha all plateaus end at the predicted times (largest relative difference)",
    "slower": "the plateaus get longer by the power alpha^-(L-2), not by a logarithm (error of the exponent)",
}


@dataclass(frozen=True, slots=True)
class Config:
    """Depths, number of starts, and decimal logarithms of alpha, falling."""

    depths: tuple[int, ...] = (3, 4)
    starts: int = 4
    decades: tuple[float, ...] = (-4.0, -5.0, -6.0, -8.0, -12.0)
    seed: int = 0


QUICK = Config(depths=(3,), starts=1, decades=(-4.0, -12.0))


@dataclass(frozen=True, slots=True, eq=False)
class TimedRun:
    """One flow: depth, number of the start, log10 alpha, and the ends of its plateaus times alpha^(L-2), both ways."""

    depth: int
    number: int
    log10_alpha: float
    predicted: np.ndarray
    measured: np.ndarray
    status: str

    @property
    def error(self) -> float:
        """Return the largest relative difference."""
        return float(np.max(np.abs(self.measured / self.predicted - 1.0)))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All runs."""

    config: Config
    runs: Sequence[TimedRun]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the runs; each depends on the seed, its depth and its number alone."""
    tasks = [(depth, number, config) for depth in config.depths for number in range(config.starts)]
    return Result(config, [each for runs in mapped(timed, tasks, jobs) for each in runs])


def timed(depth: int, number: int, config: Config) -> list[TimedRun]:
    """Return the runs from one start."""
    problem = example("fig3")
    start = gflow.Factorization(problem.shape, depth=depth).random(np.random.default_rng([config.seed, depth, number]))
    limit = gflow.saddle_to_saddle(problem, start, depth=depth)
    assert isinstance(limit, gflow.DeepTraversal)
    losses = [saddle.loss for saddle in limit.saddles]
    levels = [(one + two) / 2 for one, two in pairwise(losses)]
    found = []
    for decades in config.decades:
        path = gflow.deep_flow(problem, start, decades, depth=depth)
        times = np.interp(-np.array(levels), -path.losses, path.times) * 10.0 ** (decades * (depth - 2))
        found.append(TimedRun(depth, number, decades, np.array(limit.plateau_times), times, str(path.status)))
    return found


def claims(result: Result) -> Sequence[Claim]:
    """Return that the predictions hold at the smallest alpha, and that the waits are powers of it."""
    last, first = result.config.decades[-1], result.config.decades[0]
    worst = max(each.error for each in result.runs if each.log10_alpha == last)
    reason = f"of {len(result.config.depths) * result.config.starts} starts at alpha = 1e{last:g}"
    found = [Claim.bounded("agreement", STATEMENTS["agreement"], worst, 0.0, AGREEMENT, reason=reason)]
    pairs = [
        (one, two)
        for one in result.runs
        for two in result.runs
        if (one.depth, one.number, one.log10_alpha, two.log10_alpha) == (two.depth, two.number, first, last)
    ]
    slopes = [np.log10(two.measured / one.measured) / (first - last) for one, two in pairs]
    missed = float(np.max(np.abs(slopes))) if slopes else 0.0
    return [*found, Claim.bounded("slower", STATEMENTS["slower"], missed, 0.0, 1e-2, reason="by both ends of alpha")]


def tables(result: Result) -> Sequence[Table]:
    """Return every time."""
    rows = [
        [each.depth, each.number, each.log10_alpha, k, float(one), float(two), each.status]
        for each in result.runs
        for k, (one, two) in enumerate(zip(each.predicted, each.measured, strict=True))
    ]
    head = ("depth", "start", "log10 alpha", "rank", "predicted", "measured", "status")
    return [Table("times", "Ends of the plateaus times alpha^(L-2).", head, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the worst error for every depth and alpha."""
    groups = [(depth, decades) for depth in result.config.depths for decades in result.config.decades]
    worst = [max(e.error for e in result.runs if (e.depth, e.log10_alpha) == group) for group in groups]
    depths, decades = np.array(groups).T
    return {"errors": {"depth": depths.astype(int), "log10_alpha": decades, "error": np.array(worst)}}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for name, ax in axes.items():
        columns = data(result)[name]
        for k, depth in enumerate(result.config.depths):
            here = columns["depth"] == depth
            style = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": DASHES[k], "label": f"L = {depth}"}
            ax.loglog(10.0 ** columns["log10_alpha"][here], columns["error"][here], **style)
        ax.set(xlabel="alpha", ylabel="relative difference")
        ax.legend()
