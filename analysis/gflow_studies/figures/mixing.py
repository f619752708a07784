"""How often the greedy order is not the one taken: the limit alpha -> 0 of structured and of random connected data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

import gflow
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.shares_drawing import draw_bars

TITLE = "Which pair escapes: structured data against random data"
FORMULA = r"p_1 = \min_j p_j, \quad \text{amplitude}_j \sim \alpha^{p_j}"
SETTING = (
    "Connected 4 x 4 matrices with Gaussian entries, each with the stated symmetry of data and mask (block: two "
    "symmetric blocks joined by observed zeros and one entry with its mirror image), and the limit alpha -> 0 of the "
    "saddle-to-saddle traversal. The order is greedy if the top singular pair of the residual escapes at every saddle, "
    "as it does for a generic perturbation (Theorem 2); where equal rates leave it to the start, the limit depends on "
    "theta_0 within the one component. Runs to infinity and undecided ones are open unless another pair was seen."
)
OBSERVED = 0.75
"""Share of the entries that is observed, on average."""


class MixingFamily(StrEnum):
    """The symmetry of data and mask."""

    SYMMETRIC = "symmetric"
    CIRCULANT = "circulant"
    PERSYMMETRIC = "persymmetric"
    BLOCK = "block"
    RANDOM = "random"


class Order(StrEnum):
    """What becomes of the greedy order."""

    GREEDY = "greedy order"
    OTHER = "another pair escapes"
    START = "depends on the start"
    OPEN = "open"


PANELS = {
    "orders": Panel(
        "Share of connected 4 x 4 data by the order in which singular pairs escape.",
        "Stacked bars by symmetry: random data follow the greedy order, part of the symmetric data does not.",
        figsize=(6.4, 3.0),
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """The number of matrices of each family, and their size."""

    count: int = 50
    size: int = 4
    seed: int = 0


QUICK = Config(count=5)


@dataclass(frozen=True, slots=True, eq=False)
class MixingCase:
    """One matrix and what its limit does; ``rank`` is that of the first saddle where another pair escapes."""

    family: MixingFamily
    number: int
    order: Order
    rank: int | None
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The cases, family by family."""

    config: Config
    cases: Sequence[MixingCase]

    def count(self, family: MixingFamily, order: Order) -> int:
        """Return how many cases of a family have an order."""
        return sum(each.family is family and each.order is order for each in self.cases)


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases; each depends on its family, its number, the size and the seed alone."""
    tasks = [(family, number, config.size, config.seed) for family in MixingFamily for number in range(config.count)]
    return Result(config, mapped(case, tasks, jobs))


def case(family: MixingFamily, number: int, size: int, seed: int) -> MixingCase:
    """Return what the limit of one matrix does."""
    problem = connected_problem(family, np.random.default_rng([seed, list(MixingFamily).index(family), number]), size)
    return judged(family, number, gflow.saddle_to_saddle(problem))


def judged(family: MixingFamily, number: int, found: gflow.Traversal) -> MixingCase:
    """Return the case that a limit makes."""
    others = [saddle.rank for saddle in found.saddles if saddle.mixing is False]
    if found.status is gflow.TraversalStatus.DEGENERATE:
        order = Order.START
    elif others:
        order = Order.OTHER
    else:
        order = Order.GREEDY if found.status is gflow.TraversalStatus.CONVERGED else Order.OPEN
    return MixingCase(family, number, order, others[0] if others else None, found.reason)


def connected_problem(family: MixingFamily, rng: np.random.Generator, size: int) -> gflow.MatrixCompletion:
    """Return the first draw that is connected and has an entry that is not observed."""
    while True:
        values = matrix(family, rng, size)
        problem = gflow.MatrixCompletion(values) if not np.isnan(values).all() else None
        if problem is not None and np.isnan(values).any():
            graph = gflow.connectivity(problem)
            lines = sum(len(part.rows) + len(part.columns) for part in graph.components)
            if graph.n_components == 1 and lines == 2 * size:
                return problem


def matrix(family: MixingFamily, rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a (size, size) matrix of the family with NaN where nothing is observed."""
    M = np.where(rng.random((size, size)) < OBSERVED, rng.standard_normal((size, size)), np.nan)
    if family is MixingFamily.CIRCULANT:
        return np.stack([np.roll(M[0], shift) for shift in range(size)])
    if family is MixingFamily.RANDOM:
        return M
    M = np.triu(M) + np.triu(M, 1).T
    if family is MixingFamily.PERSYMMETRIC:
        return M[:, ::-1]
    if family is MixingFamily.BLOCK:
        half = size // 2
        joint = rng.standard_normal()
        M[:half, half:] = M[half:, :half] = 0.0
        M[half - 1, half] = M[half, half - 1] = joint
    return M


def claims(result: Result) -> Sequence[Claim]:
    """Return what is expected of every kind of data."""
    share = 1.0 - sum(result.count(family, Order.OPEN) for family in MixingFamily) / len(result.cases)
    symmetric = "the greedy order is not taken on some symmetric data, persymmetric ones included"
    return [
        _expected(result, (MixingFamily.RANDOM,), "random data follow the greedy order", 0, 0),
        _expected(result, (MixingFamily.SYMMETRIC, MixingFamily.PERSYMMETRIC), symmetric, 1, None),
        _expected(result, (MixingFamily.CIRCULANT,), "the limit of some circulant data depends on the start", 1, None),
        Claim.bounded("known", "the order is known for most data", share, 0.7, None, reason="share known"),
    ]


def _expected(result: Result, families: Sequence[MixingFamily], statement: str, low: int, high: int | None) -> Claim:
    """Return the claim on the number of cases that are not greedy; an example that a sample lacks may still exist."""
    known = [each for each in result.cases if each.family in families and each.order is not Order.OPEN]
    others = sum(each.order is not Order.GREEDY for each in known)
    id, reason = str(families[0]), f"number that is not greedy among {len(known)} whose order is known"
    if not known or others < low:
        return Claim.undecided(id, statement, reason, others)
    return Claim.bounded(id, statement, others, low, high, reason=reason)


def tables(result: Result) -> Sequence[Table]:
    """Return the counts by family, and every case whose order is not the greedy one."""
    counts = [[str(family), *(result.count(family, order) for order in Order)] for family in MixingFamily]
    exceptions = [
        [str(each.family), each.number, str(each.order), each.rank, each.reason]
        for each in result.cases
        if each.order is not Order.GREEDY
    ]
    return [
        Table("counts", "Matrices by the order of their escapes.", ("data", *map(str, Order)), counts),
        Table(
            "exceptions",
            "Matrices whose order is not the greedy one, or open; rank: of the first saddle that another pair leaves.",
            ("data", "number", "order", "rank", "ending"),
            exceptions,
        ),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the shares behind the bars."""
    shares = {
        order.replace(" ", "_"): np.array([result.count(family, order) for family in MixingFamily])
        / result.config.count
        for order in Order
    }
    return {"orders": {"family": np.arange(len(MixingFamily))} | shares}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for name, ax in axes.items():
        columns = data(result)[name]
        shares = np.stack([columns[order.replace(" ", "_")] for order in Order], axis=1)
        draw_bars(shares, ax, list(Order), list(MixingFamily)).set_xlabel("share")
