"""Bai et al. 2024, Figure 1: learned against ground-truth rank and nuclear norm, by connectivity and sample size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE
from gflow.plots.style import MARKERS
from gflow.statements.claims import Claim, Verdict
from gflow.studies.study import Columns, Panel, Table
from gflow_studies.counting import none_wrong
from gflow_studies.figures.repeats import KIND_NAMES, KINDS, RANK_TOL, SIZES, RepeatCase, repeats
from gflow_studies.figures.repeats_drawing import draw_cumulative, draw_norms, draw_ranks, draw_shares, legend_above

TITLE = "Bai et al. 2024, Figure 1: learned against ground-truth rank and nuclear norm"
FORMULA = r"\dot\theta = -\nabla R, \quad R = \tfrac{1}{n} \|P \circ (A B - M)\|_F^2, \quad \theta(0) = \alpha \theta_0"
SETTING = (
    "Gaussian 4 x 4 matrices of rank 1 to 3; a uniformly drawn mask of the kind and sample size; one Gaussian theta_0. "
    "Sample sizes lie below, at and above 2 r d - r^2 (7, 12, 15); disconnected 4 x 4 masks have at most 9 entries, "
    "with complete bipartite components at most 10, so for ranks 2 and 3 they lie below it by necessity. The flow "
    f"(theta(0) = alpha theta_0) runs to a loss of 1e-20. Singular values above {RANK_TOL:g} of the largest count. The "
    "scale (alpha = 1e-8, variance 1e-16, in the full study), the sizes and the threshold were chosen for this study. "
    "Claims about alpha -> 0 cover the runs whose alpha is small enough by the exponents of their limit: there every "
    "passive mode has fallen a hundred times below the threshold. The others are listed with their reason."
)
_count = partial(
    none_wrong,
    place=lambda case: f"{case.kind}, rank {case.rank}, mask {case.mask}, repeat {case.repeat}",
    what="runs",
    none="no run is covered",
)
NORM_TOL = 1e-3
"""Relative excess of the nuclear norm that passive modes below the threshold of the rank may leave."""
CLEARLY = 1e-2
"""An excess above this fraction of the minimum is no matter of a finite alpha."""
FLOOR = 1e-10
"""Excesses are drawn no smaller."""
CONNECTED, DISCONNECTED, COMPLETE = KINDS
PANELS = {
    "rank": Panel(
        "Learned against ground-truth rank: connected, disconnected, disconnected with complete bipartite components. "
        "One mark per run, spread about its rank; darker marks have more samples; the line is equality.",
        "Learned ranks against ground-truth ranks in three panels; disconnected data end at higher ranks.",
        figsize=(7.6, 3.0),
        grid=(1, 3),
    ),
    "nuclear-norm": Panel(
        "Learned against ground-truth nuclear norm for the same runs; the line is equality. With complete bipartite "
        "components the learned norm does not exceed that of the ground truth.",
        "Learned nuclear norms against those of the ground truth in three panels, below the diagonal on the right.",
        figsize=(7.6, 3.0),
        grid=(1, 3),
    ),
    "references": Panel(
        "The same runs against certified references. Left: share of runs at the certified minimum rank, against the "
        "number of samples beyond 2 r d - r^2. Right: share of runs whose nuclear norm exceeds the certified minimum "
        "by at most the amount on the axis.",
        "Shares of runs at minimum rank by sample size, and cumulative excess of nuclear norm, by connectivity.",
        figsize=(7.6, 3.2),
        grid=(1, 2),
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """Ranks of the ground truth, repeats for every rank, kind and sample size, and the scale of the start."""

    ranks: tuple[int, ...] = (1, 2, 3)
    count: int = 10
    alpha: float = 1e-8
    seed: int = 0


QUICK = Config(count=1)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All cases, each with one run."""

    config: Config
    cases: tuple[RepeatCase, ...]

    def of(self, *kinds: gflow.Kind) -> list[RepeatCase]:
        """Return the cases of these kinds."""
        return [case for case in self.cases if case.kind in kinds]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases of the configuration."""
    return Result(config, repeats(config.ranks, config.count, (config.alpha,), config.seed, jobs))


def exclusion(case: RepeatCase, alpha: float) -> str:
    """Return why the claims about alpha -> 0 say nothing of a case's run from this alpha; empty if they do."""
    run = next(run for run in case.runs if run.alpha == alpha)
    if not run.converged:
        return f"the run ended {run.status}"
    if case.premise is not None and case.premise.verdict is not Verdict.HOLDS:
        return f"premise of Theorem 3: {case.premise.label}"
    if case.limit.matrix is None:
        return f"the limit is {case.limit.status}"
    if not np.log10(alpha) <= case.rank_scale():
        return "alpha is not small enough for it"
    return "a singular value of the limit is below ten times the threshold" if case.faint else ""


def claims(result: Result) -> Sequence[Claim]:
    """Return what the theorems say of the runs they cover, and what is left out."""
    alpha = result.config.alpha
    covered = [case for case in result.cases if not exclusion(case, alpha)]
    kept = {kind: [case for case in covered if case.kind is kind] for kind in KINDS}
    enough = [case for case in kept[CONNECTED] if case.surplus >= 0]
    split = kept[DISCONNECTED] + kept[COMPLETE]
    found = [
        _count("connected-rank", "connected data end at the certified minimum rank", kept[CONNECTED], _above_minimum),
        _count(
            "connected-truth",
            "connected data with at least 2 r d - r^2 samples end at the rank of the ground truth",
            enough,
            lambda case: case.runs[0].rank != case.rank,
        ),
        _count(
            "disconnected-rank",
            "on disconnected data the minimum ranks of the components add up to the learned rank",
            split,
            lambda case: case.runs[0].rank != case.parts_rank,
        ),
        _norm_claim(kept[COMPLETE]),
        _contrast(result.of(DISCONNECTED)),
        _reference_claim(result.cases),
    ]
    return [*found, *_excluded_claim(result)]


def _above_minimum(case: RepeatCase) -> bool:
    return case.runs[0].rank > case.least_rank.lower


def _norm_claim(cases: Sequence[RepeatCase]) -> Claim:
    statement = "with complete bipartite components the learned nuclear norm is the certified minimum"
    worst = max((abs(case.excess(case.runs[0].nuclear_norm)) for case in cases), default=None)
    reason = f"largest relative distance from the minimum over {len(cases)} runs"
    return Claim.bounded("complete-norm", statement, worst, 0, NORM_TOL, reason=reason)


def _contrast(cases: Sequence[RepeatCase]) -> Claim:
    """Return the claim that completeness of the components is needed."""
    above = sum(case.excess(case.runs[0].nuclear_norm) > CLEARLY for case in cases if case.runs[0].converged)
    statement = f"on other disconnected data runs end more than {CLEARLY:.0%} above the minimum nuclear norm"
    return Claim.bounded("disconnected-norm", statement, above, 1, None, reason=f"number among {len(cases)} runs")


def _reference_claim(cases: Sequence[RepeatCase]) -> Claim:
    """Return the claim that the references bound the ground truth, which is one completion among others."""
    statement = "the ground truth lies at or above the certified minimum of rank and of nuclear norm"
    bad = sum(case.rank < case.least_rank.lower or case.excess(case.truth_norm) < -1e-9 for case in cases)
    return Claim.bounded("references", statement, bad, 0, 0, reason=f"counterexamples among {len(cases)} matrices")


def _excluded_claim(result: Result) -> list[Claim]:
    """Return the claim about the runs that the theorems do not cover, with the reasons; none where all are covered."""
    alpha = result.config.alpha
    reasons: dict[str, int] = {}
    left = [case for case in result.cases if exclusion(case, alpha)]
    for case in left:
        name = f"{KIND_NAMES[case.kind]}: {exclusion(case, alpha)}"
        reasons[name] = reasons.get(name, 0) + 1
    if not left:
        return []
    wrong = sum(case.parts_rank is None or case.runs[0].rank != case.parts_rank for case in left)
    reason = "; ".join(f"{count} x {name}" for name, count in reasons.items())
    statement = "the runs that the theorems about alpha -> 0 do not cover end at the same ranks"
    return [Claim.unmet("excluded", statement, f"{wrong} of {len(left)} end elsewhere; {reason}", wrong)]


def tables(result: Result) -> Sequence[Table]:
    """Return counts by kind, rank and sample size, and every run that is not covered."""
    rows = []
    for kind in KINDS:
        for rank in result.config.ranks:
            for n in SIZES[kind][rank]:
                rows.append(_row([case for case in result.of(kind) if case.rank == rank and case.n == n]))
    columns = ("kind", "rank", "n", "n - (2rd - r^2)", "runs", "minimum rank", "ground-truth rank", "minimum norm")
    caption = "Runs that reach the certified minimum rank, the ground truth's rank, the certified minimum norm."
    return [Table("counts", caption, columns, rows), _excluded_table(result)]


def _row(cases: Sequence[RepeatCase]) -> list[Any]:
    first, ends = cases[0], [case.runs[0] for case in cases]
    least = sum(end.rank <= case.least_rank.lower for case, end in zip(cases, ends, strict=True))
    true = sum(end.rank == first.rank for end in ends)
    norm = sum(case.excess(end.nuclear_norm) <= NORM_TOL for case, end in zip(cases, ends, strict=True))
    return [KIND_NAMES[first.kind], first.rank, first.n, first.surplus, len(cases), least, true, norm]


def _excluded_table(result: Result) -> Table:
    alpha, rows = result.config.alpha, []
    for case in result.cases:
        if reason := exclusion(case, alpha):
            needed = case.rank_scale()
            detail = case.premise.reason if case.premise is not None else ""
            known = float(needed) if np.isfinite(needed) else None
            ranks = (case.least_rank.lower, case.parts_rank, case.runs[0].rank)
            rows.append([KIND_NAMES[case.kind], case.rank, case.mask, case.repeat, *ranks, reason, known, detail])
    columns = ("kind", "rank", "mask", "repeat", "minimum rank", "sum over components", "learned rank", "reason")
    caption = "Runs that the theorems about alpha -> 0 do not cover, with the log10 of the alpha that they would need."
    return Table("excluded", caption, (*columns, "log10 alpha", "premise"), rows)


def data(result: Result) -> Mapping[str, Columns]:
    """Return the numbers of every run."""
    cases, ends = result.cases, [case.runs[0] for case in result.cases]
    place = {
        "kind": np.array([KINDS.index(case.kind) for case in cases]),
        "n": np.array([case.n for case in cases]),
        "repeat": np.array([case.repeat for case in cases]),
        "truth_rank": np.array([case.rank for case in cases]),
    }
    rank, norm = np.array([end.rank for end in ends]), np.array([end.nuclear_norm for end in ends])
    truth, least = np.array([case.truth_norm for case in cases]), np.array([case.least_norm.value for case in cases])
    minimum = np.array([case.least_rank.lower for case in cases])
    return {
        "rank": place | {"learned_rank": rank, "minimum_rank": minimum},
        "nuclear-norm": place | {"truth_norm": truth, "learned_norm": norm, "minimum_norm": least},
        "references": place
        | {
            "surplus": np.array([case.surplus for case in cases]),
            "above_minimum_rank": rank - minimum,
            "excess": norm / least - 1.0,
        },
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    numbers = data(result)
    for name, grid in axes.items():
        if name == "references":
            _draw_references(numbers[name], *np.ravel(grid))
            continue
        columns = numbers[name]
        draw_pairs, truth, learned = (
            (draw_ranks, columns["truth_rank"], columns["learned_rank"])
            if name == "rank"
            else (draw_norms, columns["truth_norm"], columns["learned_norm"])
        )
        for k, ax in enumerate(np.ravel(grid)):
            here = columns["kind"] == k
            draw_pairs(columns["n"][here], truth[here], learned[here], ax, color=PALETTE[k], marker=MARKERS[k])
            ax.set_xlabel(f"ground truth\n({KIND_NAMES[KINDS[k]]})")


def _draw_references(columns: Columns, left: Any, right: Any) -> None:
    kind = columns["kind"]
    minimal = columns["above_minimum_rank"] <= 0
    shares = {name: (columns["surplus"][kind == k], minimal[kind == k]) for k, name in enumerate(KIND_NAMES.values())}
    draw_shares(shares, left, r"samples beyond $2rd - r^2$", "share of runs at minimum rank")
    excesses = {name: columns["excess"][kind == k] for k, name in enumerate(KIND_NAMES.values())}
    draw_cumulative(excesses, right, "nuclear norm above the minimum (relative)", FLOOR)
    legend_above(left)
