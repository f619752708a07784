"""Loss of plasticity: train on few entries, then on more, with two factors and with three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE
from gflow.plots.style import MARKERS
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped

TITLE = "Loss of plasticity: what was learned from few entries stays, with two factors"
FORMULA = r"P_1 \subset P_2, \quad W = W_1 \cdots W_L"
SETTING = (
    "A positive 4 x 4 matrix of rank one. First stage: its diagonal alone, four components. Second stage: all but "
    "three entries, connected data, from where the first stage ended (warm), or afresh from the small start (cold). "
    "With two factors the first stage learns every component by itself, at rank four, and the second does not undo "
    "that; from three factors on the components share one channel, and rank one is kept (Shin and Yun 2026; the "
    "phenomenon: Kleinman et al. 2024). The limit alpha -> 0 of the first stage, and of the second from afresh, is "
    "exact."
)
PANELS = {
    "ranks": Panel(
        "Second singular value at the end over the first: cold and warm, with two and three factors.",
        "Points near zero for cold starts and for three factors, clearly above for two factors that are warm.",
    ),
}
LOW, HIGH = 0.01, 0.02
"""Second singular values below the first fraction of the largest are of rank one, above the second they are not."""


@dataclass(frozen=True, slots=True)
class Config:
    """Number of data sets, depths and the size of the starts at each."""

    count: int = 20
    depths: tuple[int, ...] = (2, 3)
    alphas: tuple[float, ...] = (1e-6, 1e-3)
    seed: int = 0


QUICK = Config(count=3)


@dataclass(frozen=True, slots=True, eq=False)
class PlasticityCase:
    """One data set at one depth: rank of the limit of the first stage, of the second from afresh, and the second
    singular value over the first at the ends of the flows: first stage, cold and warm."""

    number: int
    depth: int
    first_rank: int | None
    cold_rank: int | None
    first: float
    cold: float
    warm: float
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All cases."""

    config: Config
    cases: Sequence[PlasticityCase]

    def at(self, depth: int) -> list[PlasticityCase]:
        """Return the cases of a depth."""
        return [each for each in self.cases if each.depth == depth]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases; each depends on the seed, its number and its depth alone."""
    tasks = [
        (number, depth, alpha, config.seed)
        for number in range(config.count)
        for depth, alpha in zip(config.depths, config.alphas, strict=True)
    ]
    return Result(config, mapped(trained, tasks, jobs))


def stages(rng: np.random.Generator) -> tuple[gflow.MatrixCompletion, gflow.MatrixCompletion, np.ndarray]:
    """Return the data of both stages, and the matrix of rank one."""
    M = np.outer(*rng.uniform(0.5, 1.5, (2, 4)))
    more = np.ones((4, 4), dtype=bool)
    more[0, 3] = more[2, 1] = more[3, 0] = False
    return gflow.MatrixCompletion(M, np.eye(4, dtype=bool)), gflow.MatrixCompletion(M, more), M


def trained(number: int, depth: int, alpha: float, seed: int) -> PlasticityCase:
    """Return one case."""
    rng = np.random.default_rng([seed, number])
    few, more, M = stages(rng)
    model = gflow.Factorization(few.shape, depth=depth)
    start = model.random(rng, alpha)
    ends, objectives = [], [gflow.Objective.of(problem, model) for problem in (few, more)]
    ends.append(gflow.gradient_flow(objectives[0], start, loss_tol=1e-12).final)
    ends += [gflow.gradient_flow(objectives[1], theta, loss_tol=1e-12).final for theta in (start, ends[0])]
    limits = [gflow.saddle_to_saddle(problem, depth=depth) for problem in (few, more)]
    sizes = [np.linalg.svd(model.output(theta), compute_uv=False) for theta in ends]
    first, cold, warm = (float(each[1] / each[0]) for each in sizes)
    error = float(np.abs(model.output(ends[2]) - M).max() / np.abs(M).max())
    return PlasticityCase(number, depth, limits[0].rank, limits[1].rank, first, cold, warm, error)


def claims(result: Result) -> Sequence[Claim]:
    """Return the ranks of the limits, and how much of the second singular value each way of training leaves."""
    found = []
    for depth in result.config.depths:
        cases = result.at(depth)
        wanted = 4 if depth == 2 else 1
        wrong = sum(each.first_rank != wanted for each in cases)
        statement = f"at depth {depth} the limit of the first stage has rank {wanted}"
        found.append(Claim.bounded(f"first-{depth}", statement, wrong, 0, 0, reason="data sets with another rank"))
        worst = max(each.cold for each in cases)
        statement = f"at depth {depth} training on all entries afresh ends near rank one"
        found.append(Claim.bounded(f"cold-{depth}", statement, worst, 0.0, LOW, reason="largest second value"))
        middle = float(np.median([each.warm for each in cases]))
        statement = f"at depth {depth} training goes on {'at a higher rank' if depth == 2 else 'near rank one'}"
        bounds = (HIGH, None) if depth == 2 else (0.0, LOW)
        found.append(Claim.bounded(f"warm-{depth}", statement, middle, *bounds, reason="median second value"))
    return found


def tables(result: Result) -> Sequence[Table]:
    """Return every case."""
    head = ("data", "depth", "rank of limit 1", "rank of limit 2", "first", "cold", "warm", "error, warm")
    rows = [[e.number, e.depth, e.first_rank, e.cold_rank, e.first, e.cold, e.warm, e.error] for e in result.cases]
    return [Table("cases", "Second singular value over the first at the ends.", head, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return what is drawn."""
    names = ("number", "depth", "first", "cold", "warm", "error")
    return {"ranks": {name: np.array([getattr(each, name) for each in result.cases]) for name in names}}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for panel, ax in axes.items():
        columns = data(result)[panel]
        for k, depth in enumerate(result.config.depths):
            here = columns["depth"] == depth
            style = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": "none", "label": f"L = {depth}"}
            ax.plot(np.maximum(columns["cold"][here], 1e-12), columns["warm"][here], **style)
        ax.set(xscale="log", xlabel="cold", ylabel="warm")
        ax.legend()
