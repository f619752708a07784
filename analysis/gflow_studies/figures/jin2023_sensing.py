"""Jin et al. 2023: incremental learning of X = U U^T from Gaussian measurements, down to the minimum rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped

TITLE = "Jin et al. 2023: incremental learning under restricted isometry"
FORMULA = r"(1 - \delta) \|X\|_F^2 \le \|\mathcal{A}(X)\|^2 \le (1 + \delta) \|X\|_F^2"
SETTING = (
    "Symmetric Gaussian measurements of a planted X* >= 0 with distinct eigenvalues; the number of measurements grows. "
    "The restricted isometry constant at rank 2r + 1 is bounded empirically: the lower bound comes from a local search "
    "over symmetric matrices of that rank from random starts, so the constant may be larger; the upper bound from the "
    "singular values is certified but far from sharp. X = U U^T at full width follows the gradient flow from a "
    "Gaussian start of scale alpha; its losses are compared with the best fits of rank 1, 2, ... (from the traversal), "
    "and its end with X*. Orders, eigenvalues, numbers of measurements and scales were chosen for this study."
)
PANELS = {
    "recovery": Panel(
        "Left: empirical lower bound of the restricted isometry constant against the number of measurements. Right: "
        "distance of the limit from X*, and of the flow from the smallest start.",
        "The constant falls with the number of measurements; the distance from the planted matrix falls to rounding.",
        figsize=(7.2, 3.0),
        grid=(1, 2),
    ),
    "increments": Panel(
        "Loss of the flow with the most measurements against time; dotted, the losses of the saddles of rank 0, 1, ...",
        "The loss falls in steps, each at the level of the best fit of the next rank.",
    ),
}
SMALLEST = 1e-8
BUDGET = 50_000
RECOVERED = 1e-6


@dataclass(frozen=True, slots=True)
class Config:
    """Order and eigenvalues of X*, numbers of measurements per unknown, and starts of the search for the constant."""

    order: int = 8
    eigenvalues: tuple[float, ...] = (4.0, 2.0, 1.0)
    factors: tuple[float, ...] = (0.4, 0.6, 1.0, 4.0, 15.0, 60.0)
    searches: int = 6
    seed: int = 0


QUICK = Config(order=5, eigenvalues=(3.0, 1.0), factors=(0.5, 4.0, 16.0), searches=2)


@dataclass(frozen=True, slots=True, eq=False)
class SensingCase:
    """One number of measurements: bounds of the constant, the limit, and the flow from the smallest start.

    ``passes`` are the least distances of the flow from the saddles, relative to |X*|_F, ``passing_times`` when it is
    there.
    """

    n_observed: int
    delta_lower: float
    delta_upper: float
    status: str
    saddle_ranks: tuple[int, ...]
    saddle_losses: tuple[float, ...]
    rank: int | None
    limit_error: float | None
    flow_status: str
    flow_error: float
    flow_rank: int
    passes: tuple[float, ...]
    passing_times: tuple[float, ...]
    times: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The cases, in order of the number of measurements."""

    config: Config
    cases: tuple[SensingCase, ...]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases."""
    seeds = np.random.SeedSequence(config.seed).spawn(len(config.factors))
    tasks = [(config, factor, seed) for factor, seed in zip(config.factors, seeds, strict=True)]
    return Result(config, tuple(mapped(_case, tasks, jobs)))


def measured(config: Config, factor: float, rng: np.random.Generator) -> tuple[gflow.MatrixSensing, np.ndarray]:
    """Return the problem with ``factor`` times as many measurements as unknowns, and X*."""
    n, sizes = config.order, np.array(config.eigenvalues)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0][:, : len(sizes)]
    X = (Q * sizes) @ Q.T
    A = gflow.gaussian_measurements((n, n), max(1, round(factor * n * (n + 1) / 2)), rng)
    A = (A + A.mT) / 2
    return gflow.MatrixSensing(A, np.tensordot(A, X, 2), normalization="sum"), X


def _case(config: Config, factor: float, seed: np.random.SeedSequence) -> SensingCase:
    rng = np.random.default_rng(seed)
    problem, X = measured(config, factor, rng)
    size, rank = float(np.linalg.norm(X)), 2 * len(config.eigenvalues) + 1
    bounds = gflow.restricted_isometry(problem, rank, symmetric=True, starts=config.searches, rng=rng)
    limit = gflow.symmetric_traversal(problem, max_evaluations=BUDGET)
    model = gflow.SymmetricFactorization(config.order)
    start = model.random(rng, SMALLEST * float(np.sqrt(problem.unit)))
    flow = gflow.gradient_flow(gflow.Objective.of(problem, model), start, max_evaluations=BUDGET)
    W = model.output(flow.final)
    eigenvalues, path = np.linalg.eigvalsh(W), model.output(flow.states)
    distances = [np.linalg.norm(path - saddle.matrix, axis=(1, 2)) / size for saddle in limit.saddles]
    return SensingCase(
        n_observed=problem.n_observed,
        delta_lower=bounds.delta_lower,
        delta_upper=bounds.delta_upper,
        status=str(limit.status),
        saddle_ranks=tuple(saddle.rank for saddle in limit.saddles),
        saddle_losses=tuple(saddle.loss for saddle in limit.saddles),
        rank=limit.rank,
        limit_error=None if limit.matrix is None else float(np.linalg.norm(limit.matrix - X)) / size,
        flow_status=str(flow.status),
        flow_error=float(np.linalg.norm(W - X)) / size,
        flow_rank=int(np.sum(eigenvalues > RECOVERED * eigenvalues[-1])),
        passes=tuple(float(row.min()) for row in distances),
        passing_times=tuple(float(flow.times[row.argmin()]) for row in distances),
        times=flow.times,
        losses=flow.losses,
    )


def claims(result: Result) -> Sequence[Claim]:
    """Return what the theorem says of the cases with the most measurements, and how the constant falls."""
    cases, r = result.cases, len(result.config.eigenvalues)
    last, deltas = cases[-1], np.array([case.delta_lower for case in cases])
    errors = [case.limit_error for case in cases if case.n_observed >= cases[-1].n_observed / 4]
    worst = None if any(error is None for error in errors) else max(float(error or 0.0) for error in errors)
    late = int(np.sum(np.diff(last.passing_times) <= 0))
    step = int(last.saddle_ranks == tuple(range(r + 1)))
    empirical = "an empirical lower bound, by local search"
    return [
        Claim.bounded("constant", "the constant falls as measurements are added", np.diff(deltas).max(), None, 0.0),
        Claim.bounded("isometry", "the last constant is below 1/2", last.delta_lower, 0, 0.5, reason=empirical),
        Claim.bounded("rank", "the limit has the rank of X* with the most measurements", last.rank, r, r),
        Claim.bounded("limit", "the limit is X* where measurements abound", worst, 0, RECOVERED),
        Claim.bounded("flow", "the flow from 1e-8 ends at X*", last.flow_error, 0, 1e-4, reason=last.flow_status),
        Claim.bounded("turn", "it passes the saddles in their order", late, 0, 0, reason="saddles out of order"),
        Claim.bounded("steps", "the rank is learned one by one: saddles of rank 0, 1, ..., r", step, 1, 1),
        Claim.bounded(
            "increments",
            "the flow from 1e-8 passes each saddle, within 5 % of |X*|",
            max(last.passes),
            0,
            0.05,
            reason="largest of the least distances from the saddles",
        ),
    ]


def tables(result: Result) -> Sequence[Table]:
    """Return one row per number of measurements."""
    head = (
        "m",
        "delta at least (empirical)",
        "delta at most",
        "limit",
        "rank",
        "distance",
        "flow",
        "rank ",
        "distance ",
    )
    rows = [
        [
            *(c.n_observed, c.delta_lower, c.delta_upper, c.status, c.rank, c.limit_error),
            *(c.flow_status, c.flow_rank, c.flow_error),
        ]
        for c in result.cases
    ]
    return [Table("cases", "The constant is that at rank 2r + 1 on symmetric matrices.", head, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return constants and distances against m, and the loss of the last flow against time."""
    cases, last = result.cases, result.cases[-1]
    distances = [np.nan if case.limit_error is None else case.limit_error for case in cases]
    return {
        "recovery": {
            "m": np.array([case.n_observed for case in cases]),
            "delta": np.array([case.delta_lower for case in cases]),
            "limit": np.array(distances, dtype=float),
            "flow": np.array([case.flow_error for case in cases]),
        },
        "increments": {"time": last.times[1:], "loss": last.losses[1:]},
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that have axes."""
    shown = data(result)
    if "recovery" in axes:
        left, right = np.ravel(axes["recovery"])
        m = shown["recovery"]["m"]
        left.semilogx(m, shown["recovery"]["delta"], "o-", color=PALETTE[0])
        left.set_ylabel(r"$\delta$ (empirical, from below)")
        right.loglog(m, np.maximum(shown["recovery"]["limit"], 1e-16), "s-", color=PALETTE[1], label="limit")
        right.loglog(m, np.maximum(shown["recovery"]["flow"], 1e-16), "^--", color=PALETTE[2], label="flow")
        right.set_ylabel(r"$\|X - X^*\|_F / \|X^*\|_F$")
        right.legend()
        for ax in (left, right):
            ax.set_xlabel("measurements $m$")
    if "increments" in axes:
        ax, curve = axes["increments"], shown["increments"]
        ax.semilogy(curve["time"], np.maximum(curve["loss"], 1e-20 * curve["loss"].max()), color=PALETTE[0])
        for loss in result.cases[-1].saddle_losses[:-1]:
            ax.axhline(loss, color=INK, linestyle=":", linewidth=1)
        ax.set(xlabel="time", ylabel="loss $R$")
