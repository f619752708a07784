"""A gallery of violations of the premise of Theorem 3: stages that run to infinity, local minima, sub-Omega saddles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.data import example
from gflow.plots import INK, PALETTE, EntryStatus, draw_matrix
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.premise_claims import drift_claims, premise_claims
from gflow_studies.figures.stage_drifts import Drift, DriftCase, Fate, case, random_case, random_problem, violation

TITLE = "Where the premise of Theorem 3 fails: a gallery, with the trajectories that run to infinity"
FORMULA = r"R(\theta_k) = \min_{\Omega_k} R"
SETTING = (
    "Theorem 3 assumes that the limit of vanishing initialisation is the best point of every Omega_k that it visits. "
    "Shown are published matrices and those of a seeded search over random connected 4 x 4 problems (Gaussian, rank 1 "
    "to 3, 5 to 15 entries, every row and column observed) for which that fails. A stage that the saddle-to-saddle "
    "traversal calls diverging is followed by LSODA, in the unit of its matrix, to the stated horizon, and checked by "
    "BDF over the first half of its decades; whether it runs to infinity is judged by whether it ever comes to rest."
)
SHOWN = 6
PANELS = {
    "size": Panel(
        "Largest entry of W along the stages that the traversal calls diverging, from shortly after the escape on. "
        "Dashed: t^(1/2). Random problems are named by the rank that they are drawn with, how many are observed, "
        "and in brackets their number in the search.",
        "Logarithmic curves against time: most end parallel to a dashed line of slope one half, some level off.",
        figsize=(5.6, 4.0),
    ),
    "loss": Panel(
        "Loss along the same stages. Dotted: the value that it tends to on the way to infinity.",
        "Logarithmic curves of the loss against time that level off at positive values.",
        figsize=(5.6, 4.0),
    ),
    "premise": Panel(
        "Loss at the points that the limit visits (discs; triangles: tended to at infinity) and of the best fit of the "
        "same rank that a search finds (squares; at the left edge: 0), where it is lower.",
        "One line per case joins the loss that is reached with the lower one of the best fit.",
        figsize=(6.4, 4.6),
    ),
    "matrices": Panel(
        "The first matrices of the gallery, one of each kind first; entries without a number are not observed.",
        "Partially observed matrices, each under its name.",
        figsize=(9.8, 5.0),
        grid=(2, 3),
    ),
}
PUBLISHED = {"c1": "critical value at infinity", "fig4": "saddle of a sub-Omega_k"}


@dataclass(frozen=True, slots=True)
class Config:
    """The search: how many problems of which size and ranks; and the time to which drifts are followed."""

    search: int = 300
    size: int = 4
    ranks: tuple[int, ...] = (1, 2, 3)
    horizon: float = 1e14
    seed: int = 0


QUICK = Config(search=16, horizon=1e10)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The cases, the published ones first, and what the search met (how often each quick look said what)."""

    config: Config
    cases: Sequence[DriftCase]
    looks: Sequence[str]

    @property
    def drifts(self) -> list[tuple[DriftCase, Drift]]:
        """Return the cases with a drift."""
        return [(each, each.drift) for each in self.cases if each.drift is not None]

    @property
    def endless(self) -> list[tuple[DriftCase, Drift]]:
        """Return those that run to infinity."""
        return [(each, found) for each, found in self.drifts if found.fate is Fate.INFINITY]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the published cases, and those that the search finds."""
    args = config.size, config.ranks
    looks = mapped(_look, [(config.seed, number, *args) for number in range(config.search)], jobs)
    wanted = [number for number, look in enumerate(looks) if look in ("diverging", "better fit")]
    tasks = [(name, example(name), config.horizon) for name in PUBLISHED]
    tasks += [(*random_case(config.seed, number, *args), config.horizon) for number in wanted]
    return Result(config, mapped(case, tasks, jobs), looks)


def _look(seed: int, number: int, size: int, ranks: tuple[int, ...]) -> str:
    return violation(random_problem(seed, number, size, ranks))


def claims(result: Result) -> Sequence[Claim]:
    """Return what is expected of the cases, of the search, and of the drifts."""
    return [*premise_claims(result.cases, result.looks, PUBLISHED), *drift_claims(result.cases)]


def tables(result: Result) -> Sequence[Table]:
    """Return the cases, their drifts, and their saddles."""
    cases = [
        [each.name, each.problem.n_observed, each.learned_rank, list(each.least_rank), each.reason, each.premise.reason]
        for each in result.cases
    ]
    drifts = [
        [each.name, str(d.fate), d.sizes[-1], d.growth, d.norm_growth, d.floor, d.status, d.agreement]
        for each, d in result.drifts
    ]
    saddles = [[each.name, *saddle] for each in result.cases for saddle in each.saddles]
    return [
        Table("cases", "The cases.", ("case", "n", "learned rank", "least rank", "kind", "verdict's reason"), cases),
        Table(
            "drifts",
            "The stages called diverging, at the horizon.",
            ("case", "leads to", "max|W|", "power of |W|", "of |theta|", "loss tends to", "status", "BDF differs by"),
            drifts,
        ),
        Table("saddles", "The saddles.", ("case", "component", "rank", "loss", "escape rate"), saddles),
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the drifts, the losses of saddles and fits, and the observed entries."""
    drifts = result.drifts
    names = np.repeat([each.name for each, _ in drifts], [len(d.times) for _, d in drifts])
    times = np.concatenate([d.times for _, d in drifts])
    fits = [(each.name, *fit) for each in result.cases for fit in each.fits]
    entries = [
        (each.name, i + 1, j + 1, value)
        for each in _shown(result)
        for i, j, value in zip(each.problem.rows, each.problem.columns, each.problem.targets, strict=True)
    ]
    return {
        "size": {
            "case": names,
            "time": times,
            "max_W": np.concatenate([d.sizes for _, d in drifts]),
            "norm_theta": np.concatenate([d.norms for _, d in drifts]),
        },
        "loss": {"case": names, "time": times, "loss": np.concatenate([d.losses for _, d in drifts])},
        "premise": _columns(("case", "rank", "loss", "best_fit"), fits),
        "matrices": _columns(("case", "row", "column", "value"), entries),
    }


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _shown(result: Result) -> list[DriftCase]:
    """Return the cases whose matrices are drawn, the first of each kind first."""
    seen = [each.reason for each in result.cases]
    order = sorted(range(len(seen)), key=lambda k: seen[:k].count(seen[k]))
    return [result.cases[k] for k in order[:SHOWN]]


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels."""
    if "size" in axes:
        _draw_drifts(result, axes["size"], "sizes", "max $|W|$")
        late = max((d for _, d in result.drifts), key=lambda d: d.times[-1])
        times = late.times[-25:]
        axes["size"].plot(times, 3.0 * late.sizes[-1] * np.sqrt(times / times[-1]), "--", color=INK, linewidth=1)
    if "loss" in axes:
        _draw_drifts(result, axes["loss"], "losses", "loss $R$")
        for _, found in result.endless:
            axes["loss"].axhline(found.floor, color=INK, alpha=0.4, linestyle=":", linewidth=0.8)
    if "premise" in axes:
        _draw_fits(result, axes["premise"])
    if "matrices" in axes:
        grid = np.ravel(axes["matrices"])
        for ax in grid[len(result.cases) :]:
            ax.set_axis_off()
        for each, ax in zip(_shown(result), grid, strict=False):
            statuses = np.where(each.problem.observed, EntryStatus.OBSERVED, EntryStatus.UNDECIDED)
            draw_matrix(each.problem.with_gaps(), statuses, ax, number="{:.2f}")
            ax.get_legend().remove()
            ax.set_title(f"{each.name}: {each.reason}", size=8)


def _draw_drifts(result: Result, ax: Any, quantity: str, label: str) -> None:
    for k, (each, found) in enumerate(result.drifts):
        style = {"color": PALETTE[k % len(PALETTE)], "linestyle": ("-", "--", "-.")[k // len(PALETTE) % 3]}
        ax.loglog(found.times[1:], getattr(found, quantity)[1:], label=each.name, linewidth=1.3, **style)
    ax.set(xlabel="time $t$", ylabel=label)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0, handlelength=1.6, labelspacing=0.25)


def _draw_fits(result: Result, ax: Any) -> None:
    rows = [(each, *fit) for each in result.cases for fit in each.fits if fit[1] - fit[2] > 1e-6 * fit[1]]
    edge = 0.1 * min(loss for _, _, loss, _ in rows)
    for height, (each, _, loss, best) in enumerate(rows):
        at_infinity = each.drift is not None and loss == each.fits[-1][1]
        ax.plot([max(best, edge), loss], [height, height], color=INK, linewidth=0.7, alpha=0.5)
        ax.plot(loss, height, "^" if at_infinity else "o", color=PALETTE[1], markersize=5)
        ax.plot(max(best, edge), height, "s", color=PALETTE[0], markersize=4, clip_on=False)
    ax.set_yticks(range(len(rows)), [f"{each.name}, rank {rank}" for each, rank, *_ in rows])
    ax.set_xscale("log")
    ax.set_xlim(left=edge)
    ax.invert_yaxis()
    ax.set_xlabel("loss $R$")
