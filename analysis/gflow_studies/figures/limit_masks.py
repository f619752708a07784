"""What the limit alpha -> 0 learns on the 4 x 4 masks: the share by class, rank and outcome over all 316 classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gflow.statements.claims import FAILS, Claim
from gflow.studies.study import Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.counting import none_wrong
from gflow_studies.figures.mask_orbits import MaskOrbit, mask_orbits
from gflow_studies.figures.mask_outcomes import MaskOutcome, Sort, outcome, sort_of
from gflow_studies.figures.shares_drawing import draw_bars, draw_lines
from gflow_studies.mask_study import NORM_TOL, MaskCase, mask_case

TITLE = "The 4 x 4 masks by class, rank and outcome: what the limit alpha -> 0 learns"
FORMULA = r"W = \lim_{\alpha \to 0} W_\infty(\alpha), \quad \operatorname{rank} W, \; \|W\|_*"
SETTING = (
    "One mask of each of the 316 classes under row and column permutations, with integer matrices without zeros, "
    "products of factors with entries +-1, +-2, +-3, of rank 1 to 3, and one Gaussian theta_0 for each. The limit "
    "alpha -> 0 comes from the saddle-to-saddle traversal; the minimum rank and the minimum nuclear norm it is "
    f"compared with are certified. Norms within {NORM_TOL:g} are equal. A class weighs as many masks as it has: shares "
    "are those of the 65535 masks. Where no traversal reaches a limit, direct runs are asked for one. A quick run "
    "takes some classes of every kind only."
)
_count = partial(
    none_wrong,
    place=lambda case: f"{case.mask}, rank {case.rank}",
    what="cases",
    none="there is no such mask among the cases",
)
PREMISE = f"premise {FAILS}"
"""How the reason of a case begins for which Theorem 3 says nothing."""
PANELS = {
    "outcomes": Panel(
        "Share of masks by outcome, for ground truths of rank 1, 2 and 3. Idle lines are rows or columns without an "
        "observation.",
        "Stacked bars by kind of mask: connected masks reach the minimum rank, complete bipartite ones the minimum "
        "nuclear norm, most other disconnected masks neither.",
        figsize=(8.4, 3.2),
        grid=(1, 3),
    ),
    "samples": Panel(
        "Share of the connected masks whose limit has the certified minimum rank (left) and the certified minimum "
        "nuclear norm (right), against the number of observed entries, by rank of the ground truth.",
        "The minimum rank is learned on nearly all connected masks, the minimum norm mostly with few or most entries.",
        figsize=(7.6, 3.0),
        grid=(1, 2),
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Ranks, repeats, and how many classes of every kind are drawn; None takes all."""

    ranks: tuple[int, ...] = (1, 2, 3)
    count: int = 3
    classes: int | None = None
    seed: int = 0


QUICK = Config(count=1, classes=5)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The cases with the classes of their masks and the number of their repeat."""

    config: Config
    cases: tuple[tuple[MaskOrbit, int, MaskCase], ...]

    def where(self, *sorts: Sort) -> list[tuple[MaskOrbit, int, MaskCase]]:
        """Return the cases on masks of these sorts."""
        return [each for each in self.cases if sort_of(each[0]) in sorts]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases of the configuration; each depends on its class, rank, repeat and the seed alone."""
    orbits = mask_orbits(4, 4)
    places = [
        (number, rank, repeat)
        for number in _drawn(config, orbits)
        for rank in config.ranks
        for repeat in range(config.count)
    ]
    tasks = [(orbits[number].mask, rank, [config.seed, number, rank, repeat]) for number, rank, repeat in places]
    cases = mapped(mask_case, tasks, jobs)
    return Result(config, tuple((orbits[p[0]], p[2], case) for p, case in zip(places, cases, strict=True)))


def _drawn(config: Config, orbits: Sequence[MaskOrbit]) -> list[int]:
    """Return the numbers of the classes: all of them, or some of every sort."""
    if config.classes is None:
        return list(range(len(orbits)))
    rng = np.random.default_rng(config.seed)
    chosen: list[int] = []
    for sort in Sort:
        numbers = [number for number, orbit in enumerate(orbits) if sort_of(orbit) is sort]
        chosen += rng.permutation(numbers)[: config.classes].tolist()
    return sorted(chosen)


def claims(result: Result) -> Sequence[Claim]:
    """Return what the theorems say of every kind of mask."""
    connected = [case for _, _, case in result.where(Sort.CONNECTED, Sort.PARTLY)]
    fit = [case for case in connected if not case.reason.startswith(PREMISE)]
    split = [case for _, _, case in result.where(Sort.COMPLETE, Sort.DISCONNECTED)]
    return [
        _count(
            "connected-rank",
            "on connected masks the limit has the certified minimum rank wherever the premise of Theorem 3 holds",
            fit,
            lambda case: case.minimal_rank is False,
        ),
        *_premise_claim(connected),
        _norm_claim([case for _, _, case in result.where(Sort.COMPLETE)]),
        _count(
            "disconnected-rank",
            "on disconnected masks the limit is never at the certified minimum rank",
            split,
            lambda case: case.minimal_rank is True,
        ),
        _contrast(result),
        _decided(result),
    ]


def _premise_claim(cases: Sequence[MaskCase]) -> list[Claim]:
    left = [case for case in cases if case.reason.startswith(PREMISE)]
    if not left:
        return []
    missed = sum(case.minimal_rank is not True for case in left)
    statement = "on the connected masks where the premise of Theorem 3 fails the minimum rank is learned too"
    kinds = sorted({_cause(case) for case in left})
    counts = "; ".join(f"{sum(_cause(case) == kind for case in left)} x {kind}" for kind in kinds)
    return [Claim.unmet("premise", statement, f"{missed} of {len(left)} cases do not; {counts}", missed)]


def _cause(case: MaskCase) -> str:
    """Return why the premise fails, without the numbers."""
    return case.reason.removeprefix(PREMISE + ": ").split(":")[0]


def _norm_claim(cases: Sequence[MaskCase]) -> Claim:
    statement = "on complete bipartite components the limit has the certified minimum nuclear norm"
    gaps = [case.norm_gap for case in cases]
    if None in gaps or not gaps:
        reason = f"{gaps.count(None)} of {len(gaps)} cases have no known limit"
        return Claim.undecided("complete-norm", statement, reason)
    worst = max(abs(gap or 0.0) for gap in gaps)
    reason = f"largest relative difference over {len(gaps)} cases"
    return Claim.bounded("complete-norm", statement, worst, 0, NORM_TOL, reason=reason)


def _contrast(result: Result) -> Claim:
    """Return the claim that completeness is needed for the minimum norm."""
    cases = [case for _, _, case in result.where(Sort.DISCONNECTED)]
    above = sum(outcome(case) is MaskOutcome.NEITHER for case in cases)
    statement = "other disconnected masks exist on which neither the minimum rank nor the minimum norm is learned"
    return Claim.bounded("disconnected-norm", statement, above, 1, None, reason=f"number among {len(cases)} cases")


def _decided(result: Result) -> Claim:
    """Return the claim that every case without a known outcome has a reason in the theory."""
    open_ones = [
        case
        for _, _, case in result.cases
        if outcome(case) in (MaskOutcome.NONE, MaskOutcome.OPEN) and not case.reason.startswith(PREMISE)
    ]
    statement = "the outcome is known for every case in which the premise of Theorem 3 does not fail"
    if open_ones:
        first = open_ones[0]
        reason = f"{len(open_ones)} of {len(result.cases)} are open, such as {first.mask} at rank {first.rank}"
        return Claim.undecided("decided", statement, f"{reason}: {first.reason or first.status}", len(open_ones))
    return Claim.bounded("decided", statement, 0, 0, 0, reason=f"open cases among {len(result.cases)}")


def shares(result: Result, sort: Sort, rank: int) -> dict[MaskOutcome, float]:
    """Return the share of masks of a sort by outcome, for ground truths of the rank; all 0 without a mask."""
    found = dict.fromkeys(MaskOutcome, 0.0)
    for orbit, _, case in result.where(sort):
        if case.rank == rank:
            found[outcome(case)] += orbit.size
    total = sum(found.values()) or 1.0
    return {name: weight / total for name, weight in found.items()}


def tables(result: Result) -> Sequence[Table]:
    """Return the shares by kind and rank, and every case that is an exception."""
    rows: list[list[Any]] = []
    for sort in Sort:
        orbits = {orbit.label: orbit.size for orbit, _, _ in result.where(sort)}
        for rank in result.config.ranks:
            found = shares(result, sort, rank).values()
            rows.append([str(sort), rank, len(orbits), sum(orbits.values()), *found])
    columns = ("kind", "rank", "classes", "masks", *map(str, MaskOutcome))
    return [Table("shares", "Shares of masks by outcome.", columns, rows), _exceptions(result)]


def _exceptions(result: Result) -> Table:
    rows: list[list[Any]] = []
    for orbit, repeat, case in result.cases:
        missed = sort_of(orbit) in (Sort.CONNECTED, Sort.PARTLY) and case.minimal_rank is not True
        if missed or outcome(case) in (MaskOutcome.NONE, MaskOutcome.OPEN):
            ranks = (case.learned_rank, case.least_rank[0], case.least_rank[1])
            rows.append([case.mask, orbit.size, case.rank, repeat, case.status, *ranks, case.norm_gap, case.reason])
    columns = ("mask", "masks", "rank", "repeat", "traversal", "learned", "least", "at most", "norm gap", "reason")
    caption = "Connected masks on which the minimum rank is not known to be learned, and all cases that are open."
    return Table("exceptions", caption, columns, rows)


def data(result: Result) -> Mapping[str, Columns]:
    """Return the shares behind the bars, and those of connected masks by number of samples."""
    places = [(sort, rank) for sort in Sort for rank in result.config.ranks]
    bars: dict[str, np.ndarray] = {
        "kind": np.array([list(Sort).index(sort) for sort, _ in places]),
        "rank": np.array([rank for _, rank in places]),
    }
    found = [shares(result, sort, rank) for sort, rank in places]
    for name in MaskOutcome:
        bars[name.replace(" ", "_")] = np.array([share[name] for share in found])
    return {"outcomes": bars, "samples": _sample_columns(result)}


def _sample_columns(result: Result) -> Columns:
    groups: dict[tuple[int, int], list[tuple[int, bool, bool]]] = {}
    for orbit, _, case in result.where(Sort.CONNECTED, Sort.PARTLY):
        least = case.minimal_rank is True, case.norm_gap is not None and abs(case.norm_gap) <= NORM_TOL
        groups.setdefault((case.rank, orbit.n_observed), []).append((orbit.size, *least))
    keys = sorted(groups)
    means = [
        np.average(np.array(groups[key])[:, 1:], axis=0, weights=[each[0] for each in groups[key]]) for key in keys
    ]
    return {
        "rank": np.array([key[0] for key in keys]),
        "n": np.array([key[1] for key in keys]),
        "minimum_rank": np.array([mean[0] for mean in means]),
        "minimum_norm": np.array([mean[1] for mean in means]),
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    numbers = data(result)
    for name, grid in axes.items():
        columns = numbers[name]
        if name == "samples":
            left, right = np.ravel(grid)
            draw_lines(columns["rank"], columns["n"], columns["minimum_rank"], left, "share at the minimum rank")
            draw_lines(columns["rank"], columns["n"], columns["minimum_norm"], right, "share at the minimum norm")
            continue
        bars = np.stack([columns[each.replace(" ", "_")] for each in MaskOutcome], axis=1)
        flat = np.ravel(grid)
        for ax, rank in zip(flat, result.config.ranks, strict=False):
            here = columns["rank"] == rank
            names = list(Sort) if ax is flat[0] else None
            draw_bars(bars[here], ax, list(MaskOutcome), names).set_xlabel(f"share, rank {rank}")
