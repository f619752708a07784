"""The landscapes of the 4 x 4 masks: how many critical orbits and connections, and how often the path is not greedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow import watch
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.mask_orbits import mask_orbits

TITLE = "The landscapes of the 4 x 4 masks"
SETTING = (
    "One mask of each of the 316 classes under row and column permutations, with standard Gaussian entries. For each "
    "the landscape at full width: critical orbits modulo GL(4), the flow along every unstable class, and the path of "
    "small starts. One round of the search bounds the cost to some four seconds a class, so that counts at ranks "
    "without a proof are lower bounds, with an estimate of what is missing; borders of basins are not followed. A "
    "quick run takes a few classes with nearly all entries observed."
)
PANELS = {
    "orbits": Panel(
        "Critical orbits (discs) and runs to infinity (triangles) against the number of observed entries.",
        "The numbers of orbits and of runs are largest where some four to eight entries are left out.",
        figsize=(5.6, 3.6),
    ),
    "connections": Panel(
        "Connections against critical orbits, one disc for each class of masks.",
        "The number of connections grows faster than that of the orbits, to about four for each.",
        figsize=(5.6, 3.6),
    ),
}
TIME_LIMIT = 300.0
"""Seconds for one landscape; one that takes longer counts as unfinished."""


@dataclass(frozen=True, slots=True)
class Config:
    """Which classes: all, or those with so many observed entries at least; ``rounds`` bound each search."""

    least_observed: int = 1
    seed: int = 0
    rounds: int = 1


QUICK = Config(least_observed=15)


@dataclass(frozen=True, slots=True)
class MaskLandscape:
    """What the landscape of one class of masks counts, with the number of coupling components; ``greedy`` is None where
    no path is followed."""

    mask: str
    masks: int
    observed: int
    components: int
    orbits: int
    ranks: tuple[int, ...]
    continua: int
    runs: int
    connections: int
    path: tuple[int, ...]
    greedy: bool | None
    verdict: str
    faults: tuple[str, ...]
    unseen: float
    exhausted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The landscapes, one for each class."""

    config: Config
    cases: tuple[MaskLandscape, ...]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the landscapes of the configuration; each depends on its class and the seed alone."""
    orbits = mask_orbits(4, 4)
    chosen = [n for n, orbit in enumerate(orbits) if orbit.n_observed >= config.least_observed]
    tasks = [(orbits[n].mask, orbits[n].label, orbits[n].size, [config.seed, n], config.rounds) for n in chosen]
    return Result(config, tuple(mapped(mask_landscape, tasks, jobs)))


def mask_landscape(mask: np.ndarray, label: str, size: int, seed: Sequence[int], rounds: int = 1) -> MaskLandscape:
    """Return what the landscape of Gaussian entries on a mask counts."""
    rng = np.random.default_rng(seed)
    problem = gflow.MatrixCompletion(rng.standard_normal(mask.shape), mask)
    watch.tick(label)
    found = gflow.landscape(problem, rng=rng, rounds=rounds, borders=0, certify=False, timeout=TIME_LIMIT)
    return MaskLandscape(
        mask=label,
        masks=size,
        observed=problem.n_observed,
        components=len(gflow.connectivity(problem).coupling_components),
        orbits=len(found.orbits),
        ranks=tuple(len(found.at_rank(k)) for k in range(5)),
        continua=sum(node.flat > 0 for node in found.orbits),
        runs=len(found.nodes) - len(found.orbits),
        connections=len(found.arrows),
        path=found.path,
        greedy=found.greedy,
        verdict=found.verdict,
        faults=found.faults,
        unseen=sum(level.unseen for level in found.levels if level.expected is None),
        exhausted=found.exhausted,
    )


def claims(result: Result) -> Sequence[Claim]:
    """Return what the theory of fully observed data and the invariants of every landscape ask for."""
    whole = [case for case in result.cases if case.observed == 16]
    wrong = sum(case.orbits != 16 or case.verdict != "complete" for case in whole)
    bad = [case for case in result.cases if case.faults]
    said = "; ".join(f"{case.mask}: {case.faults[0]}" for case in bad[:3]) or "classes with a fault"
    late = sum(not case.exhausted for case in result.cases)
    known = [case for case in result.cases if case.greedy is not None and case.components == 1]
    turned = sum(not case.greedy for case in known)
    return [
        Claim.bounded("full", "the fully observed matrix has 16 orbits, and this is proven", wrong, 0, 0)
        if whole
        else Claim.undecided("full", "the fully observed matrix has 16 orbits", "it is not among the classes"),
        Claim.bounded("sound", "no landscape contradicts theory or itself", len(bad), 0, 0, reason=said),
        Claim.bounded("ended", "every search ended by itself", late, 0, 0, reason="searches that the time ended"),
        Claim.bounded(
            "greedy",
            "paths of random data on connected masks leave every saddle at the fastest rate that raises the rank",
            turned if known else None,
            0,
            0,
            reason=f"paths that do not, of {len(known)}",
        ),
    ]


def tables(result: Result) -> Sequence[Table]:
    """Return the counts of every class, and their means by the number of observed entries."""
    columns = ("mask", "masks", "observed", "orbits", "by rank", "continua", "runs", "connections", "greedy", "verdict")
    rows = [
        [
            c.mask,
            c.masks,
            c.observed,
            c.orbits,
            list(c.ranks),
            c.continua,
            c.runs,
            c.connections,
            {None: "", True: "yes", False: "no"}[c.greedy],
            c.verdict,
        ]
        for c in result.cases
    ]
    means = []
    for n in sorted({case.observed for case in result.cases}):
        here = [case for case in result.cases if case.observed == n]
        weights = [case.masks for case in here]
        numbers = [[c.orbits, c.runs, c.connections, c.unseen] for c in here]
        means.append([n, len(here), sum(weights), *np.average(numbers, axis=0, weights=weights).tolist()])
    head = ("observed", "classes", "masks", "orbits", "runs", "connections", "estimate of missing")
    return [
        Table("means", "Means over the masks, by the number of observed entries.", head, means),
        Table("classes", "The landscape of every class.", columns, rows),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the counts behind both panels."""
    counts = {
        name: np.array([getattr(case, name) for case in result.cases])
        for name in ("observed", "orbits", "runs", "connections")
    }
    return {"orbits": counts, "connections": counts}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    from gflow.plots import PALETTE

    counts = data(result)["orbits"]
    for name, ax in axes.items():
        if name == "orbits":
            ax.plot(counts["observed"], counts["orbits"], "o", color=PALETTE[0], alpha=0.6, label="orbits")
            ax.plot(counts["observed"], counts["runs"], "^", color=PALETTE[5], alpha=0.6, label="runs to infinity")
            ax.set(xlabel="observed entries", ylabel="number")
            ax.legend()
        else:
            ax.plot(counts["orbits"], counts["connections"], "o", color=PALETTE[2], alpha=0.6)
            ax.set(xlabel="critical orbits", ylabel="connections")
