"""The predicted order q of the limit alpha -> 0 over random problems: how small is small enough?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.plots import INK
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped
from gflow_studies.figures.orders import WINDOW, Check, CompletionClass, OrderCase, order_case, order_check
from gflow_studies.figures.orders_drawing import draw_distribution, draw_falls, draw_fits, draw_spread
from gflow_studies.limit_study import ORDER_TOL, SLACK

TITLE = "The order of the limit alpha -> 0 over random problems: how small is small enough?"
FORMULA = r"\|W_\infty(\alpha) - W\| \sim \alpha^q"
SETTING = (
    "Random problems from 4 x 4 to 6 x 7, real or integer, of low or full rank, connected or in blocks, each with one "
    "Gaussian theta_0. The distance of the learned matrix from its limit alpha -> 0 falls as alpha^q; the traversal "
    "predicts q and the alpha that an accuracy needs. Accuracies are relative to max|M|. Three groups: the completion "
    "is locally the only one of its rank; it is one of a family, among which the flow chooses; entries lie between "
    "components, where the start chooses. The first problems of each group whose scales are within reach are checked "
    "by flows in graded columns."
)
ACCURACY = 1e-3
PAPER = 1e-8
"""The smallest alpha of Bai et al. 2024: variance 1e-16."""
SMALLEST_DOUBLE = 308.0
GROUPS = (CompletionClass.UNIQUE, CompletionClass.FAMILY, CompletionClass.CROSS)
PANELS = {
    "order": Panel(
        "Share of problems whose order q is at most the one on the axis, by group.",
        "Cumulative distributions of the order q on a logarithmic axis; families reach down to orders below 0.01.",
    ),
    "alpha": Panel(
        f"Share of problems for which alpha = 10^-x is small enough to learn the limit to {ACCURACY:g}. Dotted: 1e-8, "
        "which is variance 1e-16, and the smallest double.",
        "Cumulative distributions of the exponent of alpha that is needed; many lie beyond 8, some beyond 308.",
    ),
    "spread": Panel(
        "The order q by the rank of the limit (left) and by the number of unobserved entries (right); one mark per "
        "problem, colours as in the first figure; the bars are medians of all groups.",
        "Orders against rank and against the number of unobserved entries, widely spread at every number.",
        figsize=(7.6, 3.2),
        grid=(1, 2),
    ),
    "check": Panel(
        "Flows in graded columns. Left: distance from the limit against the exponent of alpha; lines: the predicted "
        "power through the last distance that is seen; marks without a line are down to the errors of flow and limit. "
        "Right: fitted against predicted order; the line is equality. Colours as in the first figure.",
        "Measured distances fall along the predicted powers; fitted orders lie on the diagonal.",
        figsize=(7.6, 3.2),
        grid=(1, 2),
    ),
}


@dataclass(frozen=True, slots=True)
class Config:
    """The number of problems, of checks in each group, and the smallest exponent of alpha that a check may start at."""

    count: int = 500
    checks: int = 4
    smallest: float = -700.0
    seed: int = 0


QUICK = Config(count=24, checks=1, smallest=-80.0)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The problems, and the checks of some of them."""

    config: Config
    cases: tuple[OrderCase, ...]
    checks: tuple[Check, ...]

    @property
    def known(self) -> list[OrderCase]:
        """Return the cases with an order and a scale."""
        return [case for case in self.cases if case.order is not None and case.scale is not None]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the orders of all problems and the checks of the first in each group."""
    seeds = np.random.SeedSequence(config.seed).spawn(config.count)
    cases = mapped(order_case, [(i, seed, ACCURACY) for i, seed in enumerate(seeds)], jobs)
    chosen = []
    for group in GROUPS:
        within = [case for case in cases if case.completion is group and (case.scale or -np.inf) >= config.smallest]
        chosen += within[: config.checks]
    checks = mapped(order_check, [(case, seeds[case.number]) for case in chosen], jobs)
    return Result(config, tuple(cases), tuple(checks))


def claims(result: Result) -> Sequence[Claim]:
    """Return what the orders promise and what the flows show."""
    known = result.known
    surplus = [case.safe_order / case.order - 1.0 for case in known if case.safe_order and case.order]
    beyond = sum((case.scale or 0.0) < np.log10(PAPER) for case in known)
    return [
        Claim.bounded(
            "safe-order",
            "the lower bound over all plateaus never exceeds the order",
            max(surplus, default=None),
            None,
            1e-9,
            reason=f"largest relative surplus over {len(surplus)} problems",
        ),
        Claim.bounded(
            "small-enough",
            f"alpha = {PAPER:g} (variance 1e-16) does not learn every limit to {ACCURACY:g}",
            beyond,
            1,
            None,
            reason=f"number of {len(known)} problems with a known order that need a smaller alpha",
        ),
        _family_claim(known),
        _fit_claim(result.checks),
        _promise_claim(result.checks),
        *_missing_claim(result),
    ]


def _family_claim(known: Sequence[OrderCase]) -> Claim:
    medians = [_median([case for case in known if case.completion is group]) for group in GROUPS[:2]]
    statement = "the median order is higher where the completion is locally unique than in a family"
    if None in medians:
        return Claim.undecided("unique-faster", statement, "a group is empty")
    unique, family = (median or 0.0 for median in medians)
    reason = f"ratio of the medians, {unique:.3g} and {family:.3g}"
    return Claim.bounded("unique-faster", statement, unique / family, 1, None, reason=reason)


def _median(cases: Sequence[OrderCase]) -> float | None:
    return float(np.median([case.order for case in cases if case.order is not None])) if cases else None


def _fit_claim(checks: Sequence[Check]) -> Claim:
    """Return the claim that flows approach their limits with the predicted orders."""
    fits = [(check.fitted, check.case.order) for check in checks if check.settled]
    gaps = [abs(fitted / order - 1.0) for fitted, order in fits if fitted is not None and order]
    statement = f"flows approach their limits with the predicted order, within {ORDER_TOL:.0%}"
    reason = f"largest relative difference over {len(gaps)} of {len(checks)} checks that have settled"
    return Claim.bounded("fitted", statement, max(gaps, default=None), 0, ORDER_TOL, reason=reason)


def _promise_claim(checks: Sequence[Check]) -> Claim:
    place = WINDOW.index(ACCURACY)
    ends = [check.distances[place] for check in checks if check.converged]
    missing = len(checks) - len(ends)
    statement = f"from the alpha that promises {ACCURACY:g} flows end within {SLACK * ACCURACY:g} of the limit"
    if missing or not ends:
        return Claim.undecided("promise", statement, f"{missing} of {len(checks)} checks did not converge")
    reason = f"largest distance over {len(ends)} checks"
    return Claim.bounded("promise", statement, float(max(ends)), 0, SLACK * ACCURACY, reason=reason)


def _missing_claim(result: Result) -> list[Claim]:
    """Return the claim about problems without a limit; none where all have one."""
    left = [case for case in result.cases if case.status != "converged"]
    statuses = sorted({case.status for case in left})
    counts = ", ".join(f"{sum(case.status == status for case in left)} {status}" for status in statuses)
    if not left:
        return []
    reason = f"of {len(result.cases)} traversals {counts}: they have no order"
    return [Claim.unmet("limit-exists", "every problem has a limit alpha -> 0", reason, len(left))]


def tables(result: Result) -> Sequence[Table]:
    """Return the quantiles by group, rank and shape, and the checks."""
    known = result.known
    rows = [["all", *_quantiles(known)]]
    rows += [[str(group), *_quantiles([case for case in known if case.completion is group])] for group in GROUPS]
    ranks = sorted({case.rank for case in known if case.rank is not None})
    rows += [[f"rank {rank}", *_quantiles([case for case in known if case.rank == rank])] for rank in ranks]
    shapes = sorted({case.shape for case in known})
    rows += [[f"{a} x {b}", *_quantiles([case for case in known if case.shape == (a, b)])] for a, b in shapes]
    columns = ("problems", "number", "q: 10 %", "median", "90 %", "median log10 alpha", "1e-8 suffices")
    caption = f"Orders, and the scale that promises {ACCURACY:g}; of the problems whose order is known."
    return [Table("quantiles", caption, columns, [row for row in rows if row[1]]), _checks_table(result.checks)]


def _quantiles(cases: Sequence[OrderCase]) -> list[Any]:
    if not cases:
        return [0, None, None, None, None, None]
    orders = np.quantile([case.order for case in cases if case.order is not None], [0.1, 0.5, 0.9])
    scales = np.array([case.scale for case in cases], dtype=float)
    return [len(cases), *orders.tolist(), float(np.median(scales)), float(np.mean(scales >= np.log10(PAPER)))]


def _checks_table(checks: Sequence[Check]) -> Table:
    rows = []
    for check in checks:
        case, ends = check.case, ", ".join(dict.fromkeys(check.statuses))
        at = check.distances[WINDOW.index(ACCURACY)]
        shape = f"{case.shape[0]} x {case.shape[1]}"
        rows.append([case.number, shape, str(case.completion), case.order, check.fitted, case.scale, at, ends])
    columns = ("problem", "shape", "completion", "q", "fitted", "log10 alpha for 1e-3", "distance there", "flows")
    return Table("checks", "Flows in graded columns, from the scales that promise 1e-2 to 1e-6.", columns, rows)


def data(result: Result) -> Mapping[str, Columns]:
    """Return the orders and scales of all problems, and the distances of the checks."""
    known = [case for case in result.known if case.completion in GROUPS]
    place = {
        "problem": np.array([case.number for case in known]),
        "group": np.array([GROUPS.index(case.completion) for case in known]),
    }
    order = np.array([case.order for case in known], dtype=float)
    numbers = {
        "rank": np.array([case.rank for case in known]),
        "unobserved": np.array([case.shape[0] * case.shape[1] - case.n_observed for case in known]),
    }
    found = {
        "order": place | {"order": order},
        "alpha": place | {"log10_alpha": np.array([case.scale for case in known], dtype=float)},
        "spread": place | numbers | {"order": order},
    }
    return found | ({"check": _check_columns(result.checks)} if result.checks else {})


def _check_columns(checks: Sequence[Check]) -> Columns:
    predicted = np.array([check.case.order for check in checks], dtype=float)
    return {
        "problem": np.array([check.case.number for check in checks]),
        "group": np.array([GROUPS.index(check.case.completion) for check in checks]),
        "predicted": predicted,
        "fitted": np.array([np.nan if check.fitted is None else check.fitted for check in checks]),
        "floor": np.array([check.floor for check in checks]),
        "log10_alpha": np.stack([check.log10_alphas for check in checks]),
        "distance": np.stack([check.distances for check in checks]),
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that are asked for."""
    numbers, names = data(result), [str(group) for group in GROUPS]
    for name, grid in axes.items():
        columns = numbers[name]
        if name == "order":
            draw_distribution(names, columns["group"], columns["order"], grid, "order $q$")
        elif name == "alpha":
            draw_distribution(names, columns["group"], -columns["log10_alpha"], grid, r"$-\log_{10}\,\alpha$ needed")
            for mark in (-np.log10(PAPER), SMALLEST_DOUBLE):
                grid.axvline(mark, color=INK, alpha=0.5, linestyle=":", linewidth=1)
        elif name == "spread":
            left, right = np.ravel(grid)
            draw_spread(columns["rank"], columns, left, "rank of the limit")
            draw_spread(columns["unobserved"], columns, right, "unobserved entries")
        else:
            left, right = np.ravel(grid)
            draw_falls(columns, left)
            draw_fits(columns, right)
