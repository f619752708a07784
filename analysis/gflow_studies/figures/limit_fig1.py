"""Figure 1 of Bai et al. 2024 with the exact limit alpha -> 0 beside finite scales: what finite alpha misses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gflow.plots import PALETTE
from gflow.plots.style import MARKERS
from gflow.statements.claims import Claim, Verdict
from gflow.studies.study import Columns, Panel, Table
from gflow_studies.counting import none_wrong
from gflow_studies.figures.repeats import KIND_NAMES, KINDS, RANK_TOL, RepeatCase, RepeatRun, repeats
from gflow_studies.figures.repeats_drawing import draw_norms, draw_paths, draw_ranks, draw_scales, legend_above
from gflow_studies.limit_study import SLACK

TITLE = "Figure 1 of Bai et al. 2024 in the exact limit alpha -> 0: what finite alpha misses"
FORMULA = r"W = \lim_{\alpha \to 0} W_\infty(\alpha)"
SETTING = (
    "The matrices, masks and theta_0 of the study bai2024-fig1, the first repeats of each. The limit alpha -> 0 comes "
    "from the saddle-to-saddle traversal, with no small number; its rank counts singular values above 1e-7 of the "
    "largest. Beside it the flow from alpha theta_0 for several alpha, to a loss of 1e-20, below alpha = 1e-9 in "
    f"graded columns; singular values above {RANK_TOL:g} of the largest count. The prediction for a run comes from the "
    "order q of the limit and the exponents of its passive modes, before any flow is followed."
)
_count = partial(
    none_wrong,
    place=lambda case: f"{case.kind}, rank {case.rank}, {case.mask}, repeat {case.repeat}",
    what="matrices",
    none="there is no such matrix among the cases",
)
ACCURACY = 1e-3
"""Largest distance from the limit that counts as arrived, relative to the larger of max|M| and max|W|."""
NORM_TOL = 1e-7
CONNECTED, DISCONNECTED, COMPLETE = KINDS
PANELS = {
    "rank": Panel(
        "Rank of the limit alpha -> 0 against the rank of the ground truth, by connectivity. One mark per matrix, "
        "spread about its rank; darker marks have more samples; the line is equality.",
        "Ranks of the limit against ground-truth ranks in three panels; connected data lie on or below the diagonal.",
        figsize=(7.6, 3.0),
        grid=(1, 3),
    ),
    "nuclear-norm": Panel(
        "Nuclear norm of the limit against that of the ground truth; the line is equality.",
        "Nuclear norms of the limit against those of the ground truth in three panels.",
        figsize=(7.6, 3.0),
        grid=(1, 3),
    ),
    "shares": Panel(
        "What finite alpha misses. Left: share of runs with the rank of the limit. Right: share of runs whose entries "
        f"lie within {ACCURACY:g} of it (see below); open marks: the share that the order of the limit predicts.",
        "Shares of runs that have reached the limit rise as alpha falls, slowest for connected data.",
        figsize=(7.6, 3.3),
        grid=(1, 2),
    ),
    "distance": Panel(
        "Distance of every run from the limit against alpha: the largest entry, relative to the larger of max|M| and "
        "max|W|.",
        "One falling line per matrix; with complete bipartite components all fall quickly, otherwise some hardly do.",
        figsize=(7.6, 2.9),
        grid=(1, 3),
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Ranks of the ground truth, repeats for every rank, kind and sample size, and the scales, falling."""

    ranks: tuple[int, ...] = (1, 2, 3)
    count: int = 5
    alphas: tuple[float, ...] = (1e-2, 1e-4, 1e-8, 1e-16, 1e-32)
    seed: int = 0


QUICK = Config(ranks=(1, 2), count=1, alphas=(1e-2, 1e-4, 1e-8))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All cases, each with a run for every scale."""

    config: Config
    cases: tuple[RepeatCase, ...]

    @property
    def known(self) -> list[RepeatCase]:
        """Return the cases with a limit."""
        return [case for case in self.cases if case.limit.matrix is not None]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases of the configuration."""
    return Result(config, repeats(config.ranks, config.count, config.alphas, config.seed, jobs))


def arrived(run: RepeatRun) -> bool:
    """Return whether the entries of a run have come within the accuracy of the limit."""
    return run.converged and run.distance is not None and run.distance <= ACCURACY


def same_rank(case: RepeatCase, run: RepeatRun) -> bool:
    """Return whether a run has the rank of the limit."""
    return run.converged and run.rank == case.limit.rank


def claims(result: Result) -> Sequence[Claim]:
    """Return what the theorems say of the limit, and what the limit says of finite runs."""
    cases = result.cases
    fit = [case for case in cases if case.premise is None or case.premise.verdict is Verdict.HOLDS]
    connected = [case for case in fit if case.kind is CONNECTED]
    split = [case for case in fit if case.kind is not CONNECTED]
    complete = [case for case in cases if case.kind is COMPLETE]
    return [
        _count("connected-rank", "on connected data the limit has the certified minimum rank", connected, _not_least),
        _count("disconnected-rank", "on disconnected data its rank is the sum over the components", split, _not_sum),
        _count("disconnected-above", "on disconnected data it is above the minimum", split, _is_least),
        _norm_claim(complete),
        *_excluded_claim(cases),
        _rank_prediction(result),
        _distance_prediction(result),
        _fewer(result),
    ]


def _not_least(case: RepeatCase) -> bool:
    return case.limit.rank is None or case.limit.rank > case.least_rank.lower


def _is_least(case: RepeatCase) -> bool:
    return case.limit.rank is not None and case.limit.rank <= case.least_rank.upper


def _not_sum(case: RepeatCase) -> bool:
    return case.limit.rank is None or case.limit.rank != case.parts_rank


def _norm_claim(cases: Sequence[RepeatCase]) -> Claim:
    statement = "with complete bipartite components the limit has the certified minimum nuclear norm"
    norms = [case.limit.nuclear_norm for case in cases]
    worst = max(
        (abs(case.excess(norm)) for case, norm in zip(cases, norms, strict=True) if norm is not None), default=0
    )
    missing = norms.count(None)
    if missing or not cases:
        return Claim.undecided("complete-norm", statement, f"{missing} of {len(cases)} matrices have no known limit")
    reason = f"largest relative distance from the minimum over {len(cases)} matrices"
    return Claim.bounded("complete-norm", statement, worst, 0, NORM_TOL, reason=reason)


def _excluded_claim(cases: Sequence[RepeatCase]) -> list[Claim]:
    """Return the claim about the matrices for which the premise of Theorem 3 is not known to hold."""
    left = [case for case in cases if case.premise is not None and case.premise.verdict is not Verdict.HOLDS]
    if not left:
        return []
    statement = "where the premise of Theorem 3 is not known to hold the limit has minimum rank on each component"
    reasons = "; ".join(f"{case.mask}: {case.premise.label}, {case.premise.reason}" for case in left if case.premise)
    wrong = sum(_not_sum(case) for case in left)
    return [Claim.unmet("excluded", statement, f"{wrong} of {len(left)} matrices do not; {reasons}", wrong)]


def _rank_prediction(result: Result) -> Claim:
    promised = [(case, run) for case, run in _pairs(result) if _promised_rank(case, run) and not case.faint]
    bad = sum(not same_rank(case, run) for case, run in promised)
    statement = "runs have the rank of the limit wherever its exponents promise it"
    return Claim.bounded("rank-prediction", statement, bad, 0, 0, reason=f"exceptions among {len(promised)} runs")


def _distance_prediction(result: Result) -> Claim:
    promised = [run for case, run in _pairs(result) if _promised_entries(case, run)]
    worst = max((run.distance or 0.0 for run in promised if run.converged), default=None)
    statement = f"runs lie within {SLACK * ACCURACY:g} of the limit wherever its order promises {ACCURACY:g}"
    reason = f"the largest distance among {len(promised)} runs"
    return Claim.bounded("distance-prediction", statement, worst, 0, SLACK * ACCURACY, reason=reason)


def _fewer(result: Result) -> Claim:
    """Return the claim that small scales miss less than large ones."""
    known = result.known
    missed = [sum(not same_rank(case, case.runs[k]) for case in known) for k in (0, len(result.config.alphas) - 1)]
    first, last = result.config.alphas[0], result.config.alphas[-1]
    reason = f"{missed[0]} of {len(known)} runs miss it at alpha = {first:g}, {missed[1]} at {last:g}"
    statement = "fewer runs miss the rank of the limit at the smallest alpha than at the largest"
    return Claim.bounded("fewer-missed", statement, missed[1] - missed[0], None, -1, reason=reason)


def _pairs(result: Result) -> list[tuple[RepeatCase, RepeatRun]]:
    return [(case, run) for case in result.known for run in case.runs]


def _promised_rank(case: RepeatCase, run: RepeatRun) -> bool:
    return bool(np.log10(run.alpha) <= case.rank_scale())


def _promised_entries(case: RepeatCase, run: RepeatRun) -> bool:
    return bool(np.log10(run.alpha) <= case.scale(ACCURACY))


def tables(result: Result) -> Sequence[Table]:
    """Return the counts by kind and alpha, and the matrices that the smallest alpha misses."""
    rows = []
    for kind in KINDS:
        cases = [case for case in result.known if case.kind is kind]
        for k, alpha in enumerate(result.config.alphas):
            pairs = [(case, case.runs[k]) for case in cases]
            tests = (same_rank, _promised_rank, lambda case, run: arrived(run), _promised_entries)
            ended = sum(run.converged for _, run in pairs)
            rows.append(
                [KIND_NAMES[kind], alpha, len(pairs), ended, *(sum(test(*pair) for pair in pairs) for test in tests)]
            )
    columns = ("kind", "alpha", "runs", "converged", "limit's rank", "promised", "within 1e-3", "promised within")
    caption = "Runs that have the rank of the limit, and that lie within 1e-3 of it, as counted and as promised."
    return [Table("scales", caption, columns, rows), _missed_table(result)]


def _missed_table(result: Result) -> Table:
    rows: list[list[Any]] = []
    for case in result.cases:
        end, limit = case.runs[-1], case.limit
        if limit.matrix is None or not arrived(end) or not same_rank(case, end):
            needed = case.scale(ACCURACY)
            known = float(needed) if np.isfinite(needed) else None
            ranks = (limit.rank, end.rank, end.distance, limit.order, known)
            reason = "" if case.premise is None else f"premise {case.premise.label}: {case.premise.reason}"
            rows.append([KIND_NAMES[case.kind], case.rank, case.mask, case.repeat, str(limit.status), *ranks, reason])
    columns = ("kind", "rank", "mask", "repeat", "limit", "limit's rank", "learned rank", "distance", "order q")
    caption = f"Matrices whose limit the smallest alpha, {result.config.alphas[-1]:g}, misses, or that have none."
    return Table("missed", caption, (*columns, "log10 alpha for 1e-3", "reason"), rows)


def data(result: Result) -> Mapping[str, Columns]:
    """Return the numbers of every limit and run; NaN where there is no limit."""
    known = result.known
    place = {
        "kind": np.array([KINDS.index(case.kind) for case in known]),
        "n": np.array([case.n for case in known]),
        "repeat": np.array([case.repeat for case in known]),
        "truth_rank": np.array([case.rank for case in known]),
    }
    pairs = _pairs(result)
    runs = {name: np.repeat(column, len(result.config.alphas)) for name, column in place.items()}
    runs["alpha"] = np.array([run.alpha for _, run in pairs])
    reached = {
        "rank_reached": np.array([same_rank(case, run) for case, run in pairs], dtype=float),
        "arrived": np.array([arrived(run) for _, run in pairs], dtype=float),
        "arrival_promised": np.array([_promised_entries(case, run) for case, run in pairs], dtype=float),
    }
    truth_norm = np.array([case.truth_norm for case in known])
    return {
        "rank": place | {"limit_rank": np.array([case.limit.rank for case in known])},
        "nuclear-norm": place
        | {"truth_norm": truth_norm, "limit_norm": np.array([case.limit.nuclear_norm for case in known])},
        "shares": runs | reached,
        "distance": runs | {"distance": np.array([run.distance for _, run in pairs])},
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    numbers = data(result)
    for name, grid in axes.items():
        columns, (first, *others) = numbers[name], np.ravel(grid)
        if name == "shares":
            draw_scales(columns, "rank_reached", first, "share of runs with the limit's rank")
            draw_scales(columns, "arrived", others[0], f"share within {ACCURACY:g} of the limit", "arrival_promised")
            legend_above(first)
            continue
        for k, ax in enumerate((first, *others)):
            here = {key: column[columns["kind"] == k] for key, column in columns.items()}
            _draw_kind(name, here, k, ax)


def _draw_kind(name: str, here: Columns, k: int, ax: Any) -> None:
    style = {"color": PALETTE[k], "marker": MARKERS[k]}
    under = f"({KIND_NAMES[KINDS[k]]})"
    if name == "distance":
        draw_paths(here, ax, color=PALETTE[k])
        ax.set_xlabel(r"$\alpha$" + f"\n{under}")
    elif name == "rank":
        draw_ranks(here["n"], here["truth_rank"], here["limit_rank"], ax, **style).set_ylabel("rank of the limit")
    else:
        draw_norms(here["n"], here["truth_norm"], here["limit_norm"], ax, **style).set_ylabel(
            "nuclear norm of the limit"
        )
    if name != "distance":
        ax.set_xlabel(f"ground truth\n{under}")
