"""Rank and nuclear norm of the limit alpha -> 0 at depth two, three and four, by the connectivity of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

import gflow
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.shares_drawing import draw_bars

TITLE = "Minimum rank or minimum norm: a statement about two factors"
FORMULA = r"W = W_1 \cdots W_L, \quad L = 2, 3, 4, \quad \alpha \to 0"
SETTING = (
    "4 x 4 masks in which every row and column is observed, in equal numbers of each kind of data, with Gaussian "
    "entries, and the exact limit alpha -> 0 of W = W1 ... WL for L = 2, 3 and 4. Its rank is compared with the "
    "certified minimum over all completions, its nuclear norm with the certified minimum. Two factors end at minimum "
    "rank where the data are connected and at minimum norm where they are disconnected with complete bipartite "
    "components; from three factors on these have minimum rank as well (coupling: Shin and Yun 2026). Beside each "
    "limit the full study runs a flow from a small start, alpha = 1e-6, 1e-3, 1e-2 for L = 2, 3, 4."
)
DEPTHS = 2, 3, 4
DENSITIES = 0.25, 0.75
"""The share of observed entries of a mask is drawn between these."""
RANK_TOL = 1e-2
NORM_TOL = 1e-4
"""A nuclear norm within this fraction of the minimum is the minimum."""


class Standing(StrEnum):
    """How a number of the limit compares with its minimum."""

    LEAST = "at the minimum"
    ABOVE = "above it"
    OPEN = "open"


QUANTITIES = ("rank", "norm", "finite")
PANELS = {
    "rank": Panel(
        "Share of 4 x 4 data whose limit has the minimum rank, by kind of data and depth.",
        "Stacked bars: disconnected complete bipartite data reach minimum rank from three factors on, not with two.",
        figsize=(6.4, 3.4),
    ),
    "norm": Panel(
        "Share of 4 x 4 data whose limit has the minimum nuclear norm, by kind of data and depth.",
        "Stacked bars: all disconnected complete bipartite data have minimum nuclear norm, at every depth.",
        figsize=(6.4, 3.4),
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """The number of masks of each kind of data, and the size of the starts of flows beside the limits, by depth."""

    count: int = 20
    alphas: tuple[float, ...] = (1e-6, 1e-3, 1e-2)
    seed: int = 0


QUICK = Config(count=4, alphas=())


@dataclass(frozen=True, slots=True, eq=False)
class DepthCase:
    """One limit: kind of data, number, depth, and how its rank and its nuclear norm compare with their minima.

    ``finite`` is how the rank of a flow from a small start compares; open where none was run or it did not end.
    """

    kind: str
    number: int
    depth: int
    rank: Standing
    norm: Standing
    reason: str
    finite: Standing = Standing.OPEN


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The limits, by kind of data, number and depth."""

    config: Config
    cases: Sequence[DepthCase]

    def count(self, kind: str, depth: int, quantity: str, standing: Standing) -> int:
        """Return how many limits of a kind and depth stand so."""
        chosen = [each for each in self.cases if (each.kind, each.depth) == (kind, depth)]
        return sum(getattr(each, quantity) is standing for each in chosen)


KINDS = tuple(map(str, gflow.Kind))


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the limits; each depends on its kind, its number and the seed alone."""
    tasks = [(kind, number, config.seed, config.alphas) for kind in KINDS for number in range(config.count)]
    return Result(config, [case for cases in mapped(limits, tasks, jobs) for case in cases])


def limits(kind: str, number: int, seed: int, alphas: tuple[float, ...] = ()) -> list[DepthCase]:
    """Return the limits of one matrix at every depth, with the rank of a flow beside each where alphas are given."""
    problem = drawn(kind, np.random.default_rng([seed, KINDS.index(kind), number]))
    least, norm = gflow.minimum_rank(problem), gflow.minimum_nuclear_norm(problem).nuclear_norm
    found = [judged(kind, number, depth, gflow.saddle_to_saddle(problem, depth=depth), least, norm) for depth in DEPTHS]
    beside = zip(found, DEPTHS, alphas, strict=False)
    flows = [replace(case, finite=flowed(problem, depth, alpha, number, least)) for case, depth, alpha in beside]
    return flows or found


def flowed(
    problem: gflow.MatrixCompletion, depth: int, alpha: float, number: int, least: gflow.RankBracket
) -> Standing:
    """Return how the rank compares with its minimum at the end of the flow from a small start.

    Singular values count above ``RANK_TOL`` times the largest of the observed matrix.
    """
    model = gflow.Factorization(problem.shape, depth=depth)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), model.random(number, alpha), loss_tol=1e-10)
    if path.status is not gflow.Status.CONVERGED:
        return Standing.OPEN
    sizes = np.linalg.svd(model.output(path.final), compute_uv=False)
    rank = int(np.sum(sizes > RANK_TOL * np.linalg.norm(problem.values, 2)))
    return Standing.LEAST if rank <= least.lower else Standing.ABOVE if least.closed else Standing.OPEN


def judged(kind: str, number: int, depth: int, found: Any, least: gflow.RankBracket, norm: float) -> DepthCase:
    """Return how a limit compares with the minima; open where there is none, or the minimum rank is not known."""
    if found.rank is None:
        return DepthCase(kind, number, depth, Standing.OPEN, Standing.OPEN, found.reason)
    rank = Standing.LEAST if found.rank == least.lower else Standing.ABOVE if least.closed else Standing.OPEN
    near = Standing.OPEN
    if found.nuclear_norm is not None:
        near = Standing.LEAST if found.nuclear_norm <= (1.0 + NORM_TOL) * norm else Standing.ABOVE
    elif (
        found.factors is not None
    ):  # two factors: the law gives no single norm, so it is not the minimum for all starts
        near = Standing.ABOVE
    return DepthCase(kind, number, depth, rank, near, found.reason)


def drawn(kind: str, rng: np.random.Generator) -> gflow.MatrixCompletion:
    """Return the first draw of the kind in which every row and column is observed, but not every entry."""
    while True:
        seen = rng.random((4, 4)) < rng.uniform(*DENSITIES)
        if seen.all() or not (seen.any(axis=0).all() and seen.any(axis=1).all()):
            continue
        problem = gflow.MatrixCompletion(np.where(seen, 2.0 * rng.standard_normal((4, 4)), np.nan))
        if str(gflow.connectivity(problem).kind) == kind:
            return problem


def claims(result: Result) -> Sequence[Claim]:
    """Return what is expected of complete bipartite data, and of the ranks of connected data."""
    complete, count = "disconnected-complete-bipartite", result.config.count
    found = []
    for depth in DEPTHS:
        least = result.count(complete, depth, "norm", Standing.LEAST)
        statement = f"complete bipartite data have the minimum nuclear norm at depth {depth}"
        found.append(Claim.bounded(f"norm-{depth}", statement, least, count, count, reason="number at the minimum"))
        least = result.count(complete, depth, "rank", Standing.LEAST)
        if depth > 2:
            statement = f"complete bipartite data have the minimum rank at depth {depth}"
            found.append(Claim.bounded(f"rank-{depth}", statement, least, count, count, reason="number at the minimum"))
        if depth > 2 and result.config.alphas:
            least = result.count(complete, depth, "finite", Standing.LEAST)
            statement = f"flows of complete bipartite data from small starts end at minimum rank at depth {depth}"
            found.append(Claim.bounded(f"flow-{depth}", statement, least, 0.9 * count, count, reason="number there"))
    above = result.count("connected", 3, "rank", Standing.ABOVE) / count
    statement = "connected data have the minimum rank at depth 3, but for a few"
    return [*found, Claim.bounded("connected-3", statement, above, 0.0, 0.25, reason="share above the minimum")]


def tables(result: Result) -> Sequence[Table]:
    """Return the counts, and every limit that is open."""
    counts = [
        [kind, depth, *(result.count(kind, depth, quantity, each) for quantity in QUANTITIES for each in Standing)]
        for kind in KINDS
        for depth in DEPTHS
    ]
    head = ("data", "depth", *(f"{quantity} {each}" for quantity in QUANTITIES for each in Standing))
    open_ = [[c.kind, c.number, c.depth, c.reason] for c in result.cases if Standing.OPEN in (c.rank, c.norm)]
    return [
        Table("counts", "Limits by rank and nuclear norm.", head, counts),
        Table("open", "Limits that are open, and why.", ("data", "number", "depth", "ending"), open_),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the shares behind the bars."""
    groups = [(kind, depth) for kind in KINDS for depth in DEPTHS]
    found: dict[str, Columns] = {}
    for quantity in PANELS:
        shares = {
            each.replace(" ", "_"): np.array([result.count(*group, quantity, each) for group in groups])
            / result.config.count
            for each in Standing
        }
        found[quantity] = {"depth": np.array([depth for _, depth in groups])} | shares
    return found


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    names = {"connected": "connected", "disconnected-complete-bipartite": "complete bipartite"}
    labels = [f"{names.get(kind, 'other disconnected')}, L = {depth}" for kind in KINDS for depth in DEPTHS]
    for name, ax in axes.items():
        columns = data(result)[name]
        shares = np.stack([columns[each.replace(" ", "_")] for each in Standing], axis=1)
        draw_bars(shares, ax, list(Standing), labels).set_xlabel("share")
