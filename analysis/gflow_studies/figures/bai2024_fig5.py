"""Bai et al. 2024, Figure 5: disconnected data in a plane that shows two sub-manifolds, and the escape's directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow.plots import draw_convergence
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.plane_drawings import draw_directions, draw_plane, draw_rays
from gflow_studies.figures.plane_invariance import invariance, invariance_claims
from gflow_studies.figures.plane_runs import (
    Crossings,
    PlanePart,
    PlaneRun,
    clear,
    crossings_of,
    escape_order,
    fitted_order,
    geometric_means,
    leading_parts,
    overlap_law,
    plane_run,
    random_starts,
    require_two_parts,
    uniform_p_value,
)

TITLE = "Bai et al. 2024, Figure 5: two sub-manifolds of rank 1, and the directions of escape"
FORMULA = r"\theta(0) = \alpha \theta_0, \quad \alpha^p \theta_0 \text{ on the faster component}"
SETTING = (
    "Coordinates of the plane are the norms of the parts of theta on the two components that escape first: its axes "
    "are the two sub-Omega_1. Runs are gradient flow at full width from alpha theta_0, theta_0 Gaussian, but alpha^p "
    "theta_0 on the faster component: p = 1 is the plain start, larger p lets the other component go first. The "
    "published learning rate and plane are not known; alpha, p and the plane are of this study. Directions are read "
    "where a part has half of the norm of its first saddle. Polar coordinates are those of the plane that the two "
    "escape directions span."
)
PANELS = {
    "plane": Panel(
        "Norms of theta on the two components. Each run keeps to one sub-Omega_1 (an axis) up to its saddle, then "
        "leaves for the sum of both. Names: the power of alpha that the faster one has. Discs: saddles; star: end.",
        "Paths in a plane run along one of the two axes to a saddle there and turn towards the sum of both.",
        figsize=(5.4, 4.0),
    ),
    "orders": Panel(
        "Where a component has half of the norm of its saddle: distance to sub-Omega_1, and the largest sine between a "
        "row or column and the common direction, against alpha. Broad lines: the predicted orders, given in brackets.",
        "Three sets of points fall as powers of alpha along the predicted lines.",
        figsize=(5.4, 3.8),
    ),
    "escape": Panel(
        "Rows of A (solid) and columns of B (dashed) in polar coordinates of the plane of both escape directions, in "
        "one run. Left: decades of the norm, from alpha on. Right: the norm.",
        "Polar plots: rows and columns turn to two rays, one for each component, and grow along them.",
        figsize=(7.6, 3.7),
        grid=(1, 2),
        projection="polar",
    ),
    "directions": Panel(
        "Distribution of the cosine between the two escape directions over random starts, and the law of independent "
        "uniform directions (dashed).",
        "A staircase, the measured distribution, follows the law of uniform directions.",
    ),
}
ORDER_TOL, P_VALUE = 0.03, 1e-3
"""A fitted order may differ by this much from the predicted one."""
CLOSE = 0.1
"""Exponents p within this fraction of the ratio of the rates tell nothing of which component goes first."""


@dataclass(frozen=True, slots=True)
class Config:
    """The matrix (two coupling components at least), the starts of the plane, of the orders and of the directions."""

    problem: gflow.MatrixCompletion = field(default_factory=lambda: example("fig4"))
    alpha: float = 1e-4
    exponents: tuple[float, ...] = (1.0, 1.4, 1.8, 2.0, 2.2, 2.6, 3.0)
    plane_repeats: int = 4
    alphas: tuple[float, ...] = tuple(float(f"1e-{k}") for k in range(2, 13))
    order_repeats: int = 5
    directions: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        require_two_parts(self.problem)


QUICK = Config(
    exponents=(1.0, 2.0, 3.0),
    plane_repeats=1,
    alphas=(1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8),
    order_repeats=1,
    directions=24,
)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The runs: in the plane, for the orders (one list of crossings of both parts per alpha), for the directions."""

    config: Config
    parts: tuple[PlanePart, PlanePart]
    plane: Sequence[PlaneRun]
    orders: Sequence[Sequence[Crossings]]
    directions: Sequence[Crossings]
    invariance: Mapping[str, float]

    @property
    def model(self) -> gflow.Factorization:
        """Return the factorisation at full width."""
        return gflow.Factorization(self.config.problem.shape)

    @property
    def overlaps(self) -> np.ndarray:
        """Return the cosines between the two directions of escape."""
        return np.array([a.w @ b.w for a, b in self.directions if a is not None and b is not None])


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return all runs and the invariance of the two sub-manifolds."""
    problem, model, parts = config.problem, gflow.Factorization(config.problem.shape), leading_parts(config.problem)
    plane, orders, directions, inside = np.random.SeedSequence(config.seed).spawn(4)
    starts = random_starts(model, plane, config.plane_repeats)
    tasks = [(problem, parts, theta, config.alpha, p) for theta in starts for p in config.exponents]
    measured = random_starts(model, orders, config.order_repeats)
    scaled = [(problem, parts, theta, alpha, 1.0) for alpha in config.alphas for theta in measured]
    many = [(problem, parts, theta, config.alpha, 1.0) for theta in random_starts(model, directions, config.directions)]
    passed = mapped(crossings_of, scaled + many, jobs)
    count, pairs = config.order_repeats, passed[: len(scaled)]
    return Result(
        config,
        parts,
        mapped(plane_run, tasks, jobs),
        [pairs[k : k + count] for k in range(0, len(pairs), count)],
        passed[len(scaled) :],
        invariance(problem, parts, np.random.default_rng(inside)),
    )


def claims(result: Result) -> Sequence[Claim]:
    """Return the claims on invariance, on what the runs do in the plane, on orders and on directions."""
    return [
        *invariance_claims(result.invariance),
        *_plane_claims(result),
        *_order_claims(result),
        *_direction_claims(result),
    ]


def _plane_claims(result: Result) -> list[Claim]:
    runs, (first, second) = result.plane, result.parts
    lost = [each.status for each in runs if each.status != "converged"]
    balance = first.rate / second.rate
    judged = [each for each in runs if abs(each.exponent - balance) > CLOSE * balance]
    astray = sum(each.faster_first is not (each.exponent < balance) for each in judged)
    ends = [
        np.abs(each.final[np.ix_(part.rows, part.columns)] - part.chain.end.matrix).max()
        for each in runs
        for part in result.parts
    ]
    orders = [chain.chain.order for chain in result.parts if chain.chain.order is not None]
    allowed = 100.0 * result.config.alpha ** min([1.0, *orders])
    order = f"p below {balance:.4g}: the component of rate {first.rate:.4g} first, above: that of {second.rate:.4g}"
    return [
        Claim.bounded(
            "followed", "every run in the plane is followed to its end", len(lost), 0, 0, reason=", ".join(lost)
        ),
        Claim.bounded("first", "the ratio of the rates decides which axis a run follows", astray, 0, 0, reason=order),
        Claim.bounded(
            "sum",
            "every run ends at the sum of what the two components learn alone",
            float(max(ends)) / result.config.problem.size,
            0,
            allowed,
        ),
    ]


def _order_claims(result: Result) -> list[Claim]:
    found = []
    for name, statement, _, (fitted, predicted), count in _orders(result):
        reason = f"predicted {predicted:.6g}; {count} runs of {len(result.config.alphas) * result.config.order_repeats}"
        found.append(
            Claim.bounded(name, statement, fitted, predicted - ORDER_TOL, predicted + ORDER_TOL, reason=reason)
        )
    return found


Order = tuple[str, str, np.ndarray, tuple[float | None, float], int]


def _orders(result: Result) -> list[Order]:
    """Return name, statement, values per alpha (geometric means), (fitted, predicted) order and number of runs."""
    aligned = "rows and columns of the {} component align with one direction as predicted"
    wanted = [
        ("distance", "the distance to sub-Omega_1 falls as alpha^(1 - lambda_2 / lambda_1)", 0, "distance"),
        ("spread-1", aligned.format("first"), 0, "spread"),
        ("spread-2", aligned.format("second"), 1, "spread"),
    ]
    predicted = [escape_order(result.config.problem), *(part.spread_order for part in result.parts)]
    found = []
    for (name, statement, number, quantity), order in zip(wanted, predicted, strict=True):
        means, count = geometric_means([[pair[number] for pair in pairs] for pairs in result.orders], quantity)
        found.append((name, statement, means, (fitted_order(result.config.alphas, means), order), count))
    return found


def _direction_claims(result: Result) -> list[Claim]:
    pairs = [(a, b) for a, b in result.directions if a is not None and b is not None]
    samples = [result.overlaps, *(np.array([pair[k].w[0] for pair in pairs]) for k in (0, 1))]
    order = min(part.spread_order for part in result.parts)
    turn = max(each.turn for pair in pairs for each in pair)
    return [
        Claim.bounded(
            "from-start",
            "each escape is along g = A_0^T u + B_0 v of its component, known from the start alone",
            turn,
            0,
            100.0 * result.config.alpha**order,
            reason=f"largest sine over {len(pairs)} of {len(result.directions)} runs",
        ),
        Claim.bounded(
            "uniform",
            "over Gaussian starts the escape directions are uniform and independent",
            uniform_p_value(samples, result.model.rank),
            P_VALUE,
            reason=f"least p-value of three Kolmogorov-Smirnov tests, times 3; {len(pairs)} runs",
        ),
    ]


def tables(result: Result) -> Sequence[Table]:
    """Return the components, and the fitted orders."""
    parts = [
        [[i + 1 for i in part.rows], [j + 1 for j in part.columns], part.rate, part.sizes[1:].tolist()]
        for part in result.parts
    ]
    orders = [[name, *pair, count] for name, _, _, pair, count in _orders(result)]
    return [
        Table("components", "The two components.", ("rows", "columns", "escape rate", "norms at its saddles"), parts),
        Table("fitted-orders", "Orders in alpha.", ("quantity", "fitted", "predicted", "runs"), orders),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the paths in the plane, the means behind the orders, one run's states, and the cosines."""
    runs, shown = result.plane, _shown(result)
    lengths = [len(each.norms) for each in runs]
    return {
        "plane": {
            "run": np.repeat(np.arange(len(runs)) + 1, lengths),
            "p": np.repeat([each.exponent for each in runs], lengths),
            "norm": np.concatenate([each.norms for each in runs]),
        },
        "orders": {
            "alpha": np.array(result.config.alphas),
            **{name: means for name, _, means, _, _ in _orders(result)},
        },
        "escape": {
            f"part_{k + 1}": part.stacked(result.model, shown.states).reshape(len(shown.states), -1)
            for k, part in enumerate(result.parts)
        },
        "directions": {"cosine": np.sort(result.overlaps)},
    }


def _shown(result: Result) -> PlaneRun:
    """Return the run of the polar panel: the first one from a plain start, else the first."""
    return next((each for each in result.plane if each.exponent == 1.0), result.plane[0])


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels."""
    if "plane" in axes:
        runs = [(each.exponent, each.norms) for each in result.plane]
        draw_plane(runs, [part.sizes for part in result.parts], axes["plane"])
    if "orders" in axes:
        names = ["distance", "spread, first", "spread, second"]
        found = _orders(result)
        series = [
            (name, np.array(result.config.alphas)[clear(values)], values[clear(values)], fitted)
            for name, (_, _, values, (fitted, _), _) in zip(names, found, strict=True)
        ]
        predicted = [pair[1] for *_, pair, _ in found]
        draw_convergence(series, axes["orders"], predicted=predicted, ylabel="distance, sine")
    if "escape" in axes:
        shown = _shown(result)
        draw_rays(result.model, result.parts, shown.states, shown.crossings, result.config.alpha, axes["escape"])
    if "directions" in axes:
        draw_directions(result.overlaps, overlap_law(result.model.rank), axes["directions"])
