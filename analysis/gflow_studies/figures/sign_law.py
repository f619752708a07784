"""Which signs a deep flow takes where components join a channel: independent coins of the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.shares_drawing import draw_bars

TITLE = "Disconnected data at depth three: the signs are coins"
FORMULA = r"\Pr(+) = \Pr(-) = \tfrac12"
SETTING = (
    "Two fully observed 2 x 2 blocks of a 4 x 4 matrix, W = W1 ... WL from alpha theta_0 with Gaussian theta_0. Mode i "
    "of both blocks shares channel i of the limit, with a sign that the start decides. Reflecting a mode of one block "
    "maps Gaussian starts and the data to themselves, so the signs are independent and fair, and the singular values "
    "do not depend on them."
)
BLOCKS = [[3, 1, np.nan, np.nan], [1, 2, np.nan, np.nan], [np.nan, np.nan, 2, 0.5], [np.nan, np.nan, 0.3, 1]]
PATTERNS = ("+ +", "+ -", "- +", "- -")
PANELS = {
    "signs": Panel(
        "Share of starts for each pair of signs, by depth.",
        "Stacked bars with four parts of about a quarter each.",
        figsize=(6.4, 2.6),
    ),
}
NEAR = 0.2
"""A run counts if it ends within this of a form of the limit, relative to max|M|; errors are of the order of alpha."""
CHI_SQUARE = 16.27
"""Of three degrees of freedom, exceeded with probability 1e-3."""


@dataclass(frozen=True, slots=True)
class Config:
    """Depths, number of starts, and size of the starts at depth three and four."""

    depths: tuple[int, ...] = (3, 4)
    starts: int = 100
    alphas: tuple[float, ...] = (1e-3, 1e-2)
    seed: int = 0


QUICK = Config(depths=(3,), starts=12, alphas=(1e-2,))


@dataclass(frozen=True, slots=True, eq=False)
class SignCase:
    """One run: depth, number, pair of signs ('' if it is near none) and its distance, relative to max|M|."""

    depth: int
    number: int
    signs: str
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All runs, and the largest spread of a singular value of the limit over the signs."""

    config: Config
    cases: Sequence[SignCase]
    spread: float

    def counts(self, depth: int) -> Counter[str]:
        """Return how many runs have each pair of signs."""
        return Counter(each.signs for each in self.cases if each.depth == depth)


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the runs; each depends on the seed, its depth and its number alone."""
    forms = {depth: ends(depth) for depth in config.depths}
    tasks = [
        (depth, number, alpha, config.seed, forms[depth])
        for depth, alpha in zip(config.depths, config.alphas, strict=True)
        for number in range(config.starts)
    ]
    sizes = [np.linalg.svd(W, compute_uv=False) for each in forms.values() for W in each.values()]
    return Result(config, mapped(ended, tasks, jobs), float(np.max(np.ptp(sizes, axis=0))))


def ends(depth: int) -> dict[str, np.ndarray]:
    """Return the four forms of the limit, by the signs of the two modes that the second block has in common."""
    limit = gflow.saddle_to_saddle(gflow.MatrixCompletion(BLOCKS), depth=depth)
    assert isinstance(limit, gflow.DeepTraversal) and limit.end is not None and len(limit.reflections) == 2
    found = {}
    for name, turned in zip(PATTERNS, ((False, False), (False, True), (True, False), (True, True)), strict=True):
        W = limit.end
        for (R, S), flips in zip(limit.reflections, turned, strict=True):
            W = R @ W @ S if flips else W
        found[name] = W
    return found


def ended(depth: int, number: int, alpha: float, seed: int, forms: Mapping[str, np.ndarray]) -> SignCase:
    """Return which form the flow from one start ends near."""
    problem = gflow.MatrixCompletion(BLOCKS)
    model = gflow.Factorization(problem.shape, depth=depth)
    start = model.random(np.random.default_rng([seed, depth, number]), alpha)
    W = model.output(gflow.gradient_flow(gflow.Objective.of(problem, model), start, loss_tol=1e-10).final)
    away = {name: float(np.abs(W - form).max()) / problem.size for name, form in forms.items()}
    nearest = min(away, key=lambda name: away[name])
    return SignCase(depth, number, nearest if away[nearest] <= NEAR else "", away[nearest])


def claims(result: Result) -> Sequence[Claim]:
    """Return that all runs end near a form, that no pair of signs is preferred, and that singular values are one."""
    lost, found = sum(not each.signs for each in result.cases), []
    statement = "runs that end near none of the four forms of the limit, but for a few"
    share = lost / len(result.cases)
    found.append(Claim.bounded("forms", statement, share, 0.0, 0.1, reason=f"{lost} of {len(result.cases)}"))
    for depth in result.config.depths:
        counts = [result.counts(depth)[name] for name in PATTERNS]
        mean = sum(counts) / len(counts)
        chi = sum((count - mean) ** 2 for count in counts) / mean if mean else 0.0
        statement = f"at depth {depth} no pair of signs is preferred (chi square, three degrees of freedom)"
        found.append(Claim.bounded(f"fair-{depth}", statement, chi, 0.0, CHI_SQUARE, reason=f"counts {counts}"))
    statement = "the singular values of the limit do not depend on the signs (largest spread)"
    return [*found, Claim.bounded("values", statement, result.spread, 0.0, 1e-6)]


def tables(result: Result) -> Sequence[Table]:
    """Return the counts."""
    rows = [
        [depth, *(result.counts(depth)[name] for name in PATTERNS), result.counts(depth)[""]]
        for depth in result.config.depths
    ]
    return [Table("counts", "Number of starts for each pair of signs.", ("depth", *PATTERNS, "none"), rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the shares behind the bars."""
    columns: dict[str, np.ndarray] = {"depth": np.array(result.config.depths)}
    for name in PATTERNS:
        columns[name] = np.array([result.counts(depth)[name] for depth in result.config.depths]) / result.config.starts
    return {"signs": columns}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    for name, ax in axes.items():
        shares = np.stack([data(result)[name][each] for each in PATTERNS], axis=1)
        draw_bars(shares, ax, PATTERNS, [f"L = {depth}" for depth in result.config.depths]).set_xlabel("share")
