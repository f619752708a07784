"""What only disconnected data show: claims and panels about the entries between components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import gflow
from gflow.plots import PALETTE, EntryStatus, draw_matrix
from gflow.statements.claims import Claim
from gflow_studies.figures.cross_entries import SMALL, CrossEntry, law_test
from gflow_studies.figures.expectations import fitted_order
from gflow_studies.figures.passages import Journey
from gflow_studies.figures.variances import Learned

LEVEL = 1e-3
"""Smallest p-value, over all tests together, at which the law is not rejected."""
ORDER_TOL = 0.15
LEAST = 4
"""An order is fitted to at least so many variances."""
SHOWN = 10
"""Runs shown for each variance."""
NAMES = {"saddle": "flow at the saddle", "greedy": "greedy low-rank learning", "limit": "limit of the flow"}


def law_claims(entry: CrossEntry, learned: Learned) -> list[Claim]:
    """Return that the runs do not reject the exact law, variance by variance and all together."""
    test = law_test(entry, learned)
    small = [p for variance, p in zip(test.variances, test.p_values, strict=True) if variance <= SMALL * (1 + 1e-9)]
    runs = learned.matrices.shape[1]
    whole = f"{entry.name} follows its exact law in all runs from small variances together (p-value)"
    each = f"{entry.name} follows its exact law from every small variance (least p-value times their number)"
    spread = f"Beta(({entry.width} - 1) / 2) on (-{entry.reach:.6g}, {entry.reach:.6g})"
    note = f"{test.pooled_runs} runs, statistic {test.pooled_statistic:.4g}; {spread}"
    if not small:
        return [Claim.undecided("law", whole, f"no variance is at most {SMALL:g}")]
    least = min(1.0, min(small) * len(small))
    return [
        Claim.bounded("law", whole, test.pooled_p, LEVEL, 1, reason=note),
        Claim.bounded("law-each", each, least, LEVEL, 1, reason=f"{len(small)} variances with {runs} runs each"),
    ]


def asymmetry_claim(entry: CrossEntry, learned: Learned, journey: Journey, *, sharp: bool) -> Claim:
    """Return that the largest difference of the entry and its mirror image falls like the predicted power of alpha.

    Unless ``sharp`` it may fall faster: where components consist of one entry, first-order errors cancel.
    """
    how = "like" if sharp else "at least like"
    statement = f"the largest |W_ij - W_ji| at {entry.name} falls {how} the predicted power of alpha (fitted order)"
    order = journey.limit.order
    if not entry.mirrored or order is None:
        return Claim.unmet("asymmetry", statement, "the limit is not symmetric there, or its order is not known")
    used = learned.variances <= SMALL * (1 + 1e-9)
    if used.sum() < LEAST:
        return Claim.undecided(
            "asymmetry", statement, f"{used.sum()} variances of at most {SMALL:g}; needed are {LEAST}"
        )
    largest = entry.asymmetry(learned)[used].max(axis=1)
    fitted = fitted_order(learned.scales[used], largest)
    low, high = (1 - ORDER_TOL) * order, (1 + ORDER_TOL) * order if sharp else None
    return Claim.bounded("asymmetry", statement, fitted, low, high, reason=f"predicted {order:.6g}")


def draw_entries(entry: CrossEntry, learned: Learned, axes: Any) -> None:
    """Draw the entry and its mirror image over the variances, and its distribution beside the exact law."""
    left, right = np.ravel(axes)
    values, law = entry.values(learned), entry.law
    jitter = 10 ** np.linspace(-0.35, 0.35, min(SHOWN, values.shape[1]))
    places = learned.variances[:, None] * jitter
    shown = values[:, : len(jitter)]
    name = _subscripts(entry.place)
    circles: Any = {"color": PALETTE[0], "markersize": 5.5, "markerfacecolor": "none", "markeredgewidth": 1}
    left.plot(places.ravel(), shown.ravel(), "o", label=name, **circles)
    if entry.mirrored:
        other = learned.matrices[:, : len(jitter), entry.mirror[0], entry.mirror[1]]
        style = {"color": PALETTE[1], "markersize": 5, "markeredgewidth": 1}
        left.plot(places.ravel(), other.ravel(), "+", label=_subscripts(entry.mirror), **style)
    for q in (0.0, 0.25, 0.5, 0.75, 1.0):
        left.axhline(law.ppf(q), color=PALETTE[2], linewidth=1.1, linestyle="-" if q in (0, 1) else "--", zorder=0)
    reach = 1.6 * entry.reach
    left.set(xscale="log", xlabel=r"variance of the start, $\alpha^2$", ylabel="learned value", ylim=(-reach, reach))
    left.invert_xaxis()
    left.legend(loc="lower right", ncols=2, handletextpad=0.2, columnspacing=0.8)
    pooled = np.sort(values[learned.variances <= SMALL * (1 + 1e-9)].ravel())
    grid = np.linspace(-1.1 * entry.reach, 1.1 * entry.reach, 201)
    right.plot(grid, law.cdf(grid), color=PALETTE[2], linewidth=5, alpha=0.35, label="exact law")
    right.plot(pooled, (np.arange(pooled.size) + 0.5) / max(pooled.size, 1), color=PALETTE[0], drawstyle="steps-mid")
    right.set(xlabel=f"learned value of {name}", ylabel="share of runs below")
    right.legend(loc="upper left")


def _subscripts(place: tuple[int, int]) -> str:
    return f"$W_{{{place[0] + 1}{place[1] + 1}}}$"


def draw_asymmetry(entry: CrossEntry, learned: Learned, ax: Any, order: float | None) -> None:
    """Draw the differences of the entry and its mirror image against alpha."""
    scales, apart = learned.scales, entry.asymmetry(learned)
    largest = apart.max(axis=1)
    ax.plot(scales, apart, ".", color=PALETTE[0], markersize=3, alpha=0.35)
    ax.plot(scales, largest, color=PALETTE[0], label="largest")
    if order is not None:
        power = largest[-1] * (scales / scales[-1]) ** order
        ax.plot(scales, power, color=PALETTE[2], linewidth=5, alpha=0.3, label=rf"$\alpha^{{{order:.3g}}}$", zorder=0)
    names = _subscripts(entry.place).strip("$"), _subscripts(entry.mirror).strip("$")
    ax.set(xscale="log", yscale="log", xlabel=r"scale of the start, $\alpha$", ylabel=rf"$|{names[0]} - {names[1]}|$")
    ax.invert_xaxis()
    ax.legend(loc="upper right")


def draw_outputs(
    matrices: Mapping[str, np.ndarray], problem: gflow.MatrixCompletion, std: np.ndarray, axes: Any
) -> None:
    """Draw the matrices side by side; entries of the limit that depend on the start are hatched."""
    plain = np.where(problem.observed, EntryStatus.OBSERVED, EntryStatus.DETERMINED)
    depends = np.where((std > 0) & ~problem.observed, EntryStatus.SEED_DEPENDENT, plain)
    for ax, (name, matrix) in zip(np.ravel(axes), matrices.items(), strict=True):
        rounded = np.where(np.abs(matrix) < 5e-3, 0.0, matrix)
        draw_matrix(rounded, depends if name == "limit" else plain, ax, number="{:.3g}")
        if name != "limit":
            ax.get_legend().remove()
        ax.set_title(NAMES[name], size=8.5)
