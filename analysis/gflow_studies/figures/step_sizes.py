"""Step size against completion: gradient descent up to the edge of stability and beyond, beside the flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE
from gflow.plots.style import DASHES, MARKERS
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.powers import exponent

TITLE = "Step size and completion: a little off below the edge of stability, another completion beyond it"
FORMULA = r"\eta = x \cdot 2 / \lambda_{\max}(\nabla^2 R)"
SETTING = (
    "Random connected 4 x 4 data, W = A B from one small start: gradient descent with step x times 2 / lambda_max, "
    "lambda_max the largest curvature at the end of the flow. Below x = 1 the distance of the completion from the "
    "flow's grows in proportion to the step; beyond it no minimum of that curvature is stable, and runs that finish "
    "end at another completion, whose curvature the step can stand."
)
PANELS = {
    "distance": Panel(
        "Distance of the completion from that of the flow against the step, median and largest over the data.",
        "A straight line of slope one below the edge of stability, and a jump there.",
    ),
}
ORDER_TOL = 0.15
STABLE = 1.02
"""Curvature times step over 2 at an end beyond the edge, at most."""


@dataclass(frozen=True, slots=True)
class Config:
    """Number of data sets, size of the starts, steps relative to the edge, and gradients that a run may take."""

    count: int = 30
    alpha: float = 1e-3
    steps: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 0.6, 0.9, 1.05, 1.2)
    budget: int = 100_000
    seed: int = 0


QUICK = Config(count=4, steps=(0.1, 0.3, 1.1), budget=20_000)


@dataclass(frozen=True, slots=True, eq=False)
class StepCase:
    """One run: number of the data, step over its edge, distance from the flow relative to max|M|, step over the edge
    at its own end (NaN where it did not finish), and how it ended."""

    number: int
    step: float
    distance: float
    own: float
    status: str


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All runs."""

    config: Config
    cases: Sequence[StepCase]

    def at(self, step: float) -> list[StepCase]:
        """Return the runs with this step that finished."""
        return [each for each in self.cases if each.step == step and each.status == "converged"]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the runs; each depends on the seed and its number alone."""
    tasks = [(number, config) for number in range(config.count)]
    return Result(config, [case for cases in mapped(descended, tasks, jobs) for case in cases])


def drawn(rng: np.random.Generator) -> gflow.MatrixCompletion:
    """Return the first random mask of 9 to 12 entries whose data are connected, with Gaussian entries."""
    while True:
        seen = np.zeros(16, dtype=bool)
        seen[rng.permutation(16)[: int(rng.integers(9, 13))]] = True
        problem = gflow.MatrixCompletion(np.where(seen.reshape(4, 4), rng.standard_normal((4, 4)), np.nan))
        parts = gflow.connectivity(problem)
        if str(parts.kind) == "connected" and not parts.unobserved_rows and not parts.unobserved_columns:
            return problem


def descended(number: int, config: Config) -> list[StepCase]:
    """Return the runs on one data set."""
    rng = np.random.default_rng([config.seed, number])
    problem = drawn(rng)
    model = gflow.Factorization(problem.shape)
    objective, start = gflow.Objective.of(problem, model), model.random(rng, config.alpha)
    path = gflow.gradient_flow(objective, start, loss_tol=1e-14)
    W, edge = model.output(path.final), 2.0 / sharpness(objective, path.final)
    found = []
    for step in config.steps:
        ended = gflow.gradient_descent(
            objective, start, step=step * edge, loss_tol=1e-12, max_evaluations=config.budget, max_states=3
        )
        finished = ended.status is gflow.Status.CONVERGED
        away = float(np.abs(model.output(ended.final) - W).max()) / problem.size
        own = step * edge * sharpness(objective, ended.final) / 2.0 if finished else np.nan
        found.append(StepCase(number, step, away, own, str(ended.status)))
    return found


def sharpness(objective: gflow.Objective, theta: np.ndarray) -> float:
    """Return the largest curvature at theta."""
    return float(np.linalg.eigvalsh(objective.hessian(theta))[-1])


def claims(result: Result) -> Sequence[Claim]:
    """Return that distances are linear in the step below the edge, and that ends beyond it are flatter and others."""
    below = [step for step in result.config.steps if step <= 0.5 and result.at(step)]
    medians = [float(np.median([each.distance for each in result.at(step)])) for step in below]
    order = exponent(below, medians)
    statement = "below the edge the median distance from the flow is of order one in the step"
    found = [Claim.bounded("linear", statement, order, 1.0 - ORDER_TOL, 1.0 + ORDER_TOL, reason=f"{len(below)} steps")]
    beyond = [each for step in result.config.steps if step > 1.0 for each in result.at(step)]
    statement = "beyond the edge the ends are as flat as the step needs (largest curvature times step over 2)"
    if not beyond:
        names = ("flatter", "elsewhere")
        return [*found, *(Claim.undecided(name, statement, "no run beyond the edge finished") for name in names)]
    worst = max(each.own for each in beyond)
    found.append(Claim.bounded("flatter", statement, worst, None, STABLE, reason=f"{len(beyond)} runs finished"))
    ratio = float(np.median([each.distance for each in beyond])) / medians[0] * below[0]
    statement = "beyond the edge the completion is another one: farther than a distance linear in the step"
    return [*found, Claim.bounded("elsewhere", statement, ratio, 1.0, None, reason="median, over that line at x = 1")]


def tables(result: Result) -> Sequence[Table]:
    """Return medians, largest distances and endings for every step."""
    rows = []
    for step in result.config.steps:
        finished = result.at(step)
        away = [each.distance for each in finished] or [np.nan]
        own = [each.own for each in finished] or [np.nan]
        rows.append([step, len(finished), float(np.median(away)), float(np.max(away)), float(np.max(own))])
    head = ("step over the edge", "finished", "median distance", "largest", "own curvature times step / 2")
    return [Table("steps", f"Distances from the flow, {result.config.count} data sets.", head, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return what is drawn."""
    steps = [step for step in result.config.steps if result.at(step)]
    away = [[each.distance for each in result.at(step)] for step in steps]
    return {
        "distance": {
            "step": np.array(steps),
            "median": np.array([np.median(each) for each in away]),
            "largest": np.array([np.max(each) for each in away]),
        }
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for panel, ax in axes.items():
        columns = data(result)[panel]
        for k, name in enumerate(("median", "largest")):
            style = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": DASHES[k], "label": name}
            ax.loglog(columns["step"], columns[name], **style)
        ax.axvline(1.0, color="0.6", linewidth=0.8)
        ax.set(xlabel="step over the edge of stability", ylabel="distance from the flow")
        ax.legend()
