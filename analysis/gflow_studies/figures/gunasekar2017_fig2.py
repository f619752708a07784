"""Gunasekar et al. 2017, Figure 2: nuclear norm of the solutions of Figure 1 against the factor width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gflow.studies.study import Claim, Columns, Panel
from gflow_studies.figures.factor_width_views import columns, draw_widths, full, setting, tables_of_runs, words
from gflow_studies.figures.factor_widths import CASES, FIT_TOL, SMALL_WIDTHS, Result, WidthCase, Widths, shared_run

TITLE = "Gunasekar et al. 2017, Figure 2: nuclear norm against the factor width"
FORMULA = r"X = U U^\top, \quad \|X\|_*"
SETTING = setting("|X|_* at the end of descent on X = U U^T with U of width d; the runs are those of Figure 1.")
PANELS = {
    case: Panel(
        f"({case}) {said}: nuclear norm, mean and standard error over the starts; X_gd dashed, the certified minimum "
        "dash-dotted. Runs that do not fit may lie below it.",
        f"Nuclear norm against the factor width for case {case}, one curve for each start and step.",
        figsize=(6.6, 3.2),
    )
    for case, said in list(CASES.items())[:3]
}
SHOWN = ("small", "small-exact", "large-exact", "svd")
NEAR, ABOVE = 0.01, 0.05
"""A small start should end within NEAR of the minimum, a large one at least ABOVE it, both relative."""
Config, QUICK = Widths, SMALL_WIDTHS
run, tables = shared_run, tables_of_runs


def excess(case: WidthCase, curve: str) -> np.ndarray:
    """Return a bound on the relative excess of |X|_* at full width, one for each start.

    It is that over <nu, A(X)>, with nu the dual of the minimum: no X >= 0 with the measurements that the run met, be
    they y or not yet, has a smaller trace.
    """
    return full(case, curve, "norms") / (full(case, curve, "measured") @ case.minimum.dual) - 1.0


def claims(result: Result) -> Sequence[Claim]:
    """Return how far above the minimum the nuclear norms are at full width."""
    found = []
    for name, case in result.cases.items():
        found.append(Claim.bounded(f"{name}-minimum", f"({name}) the minimum is certified", case.minimum.gap, 0, 1e-6))
        text, misfit = f"({name}) X_gd fits the data", _misfit(case)
        found.append(Claim.bounded(f"{name}-projected", text, misfit, 0, FIT_TOL, reason="|A(X_gd) - y| / |y|"))
        if name != "c":
            found.append(_near(name, case))
        for curve in ("large", "large-exact"):
            text = f"({name}) a large start ends clearly above the minimum at full width ({words(curve)})"
            least = float(excess(case, curve).min())
            found.append(Claim.bounded(f"{name}-{curve}", text, least, ABOVE, None, reason="least relative excess"))
        text = f"({name}) a small start ends nearer to the minimum than to X_gd at full width"
        part = float(np.abs(excess(case, "small")).max()) / (np.trace(case.projected) / case.minimum.value - 1.0)
        found.append(Claim.bounded(f"{name}-between", text, part, 0, 0.5, reason="share of the way there"))
    return found


def _misfit(case: WidthCase) -> float:
    y = case.problem.targets
    return float(np.linalg.norm(case.problem.misfit(case.projected)) / np.linalg.norm(y))


def _near(name: str, case: WidthCase) -> Claim:
    """Return that descent with the fixed step from the small start ends within one per cent of the minimum."""
    text = f"({name}) from |U_0|_F = 1e-4 with eta = 1e-3 the nuclear norm is within 1 % of the minimum at full width"
    distance, misfit = np.abs(excess(case, "small")), float(full(case, "small", "misfits").max())
    reason = f"largest relative distance of the starts; |A(X) - y| <= {misfit:.1e} |y| there"
    if misfit > FIT_TOL:
        return Claim.undecided(f"{name}-small", text, f"{reason}: descent has not arrived", float(distance.max()))
    return Claim.bounded(f"{name}-small", text, float(distance.max()), 0, NEAR, reason=reason)


def data(result: Result) -> Mapping[str, Columns]:
    """Return means and standard errors of the nuclear norms against the width."""
    return {
        name: columns(result, case.norms, {"X_gd": float(np.trace(case.projected)), "minimum": case.minimum.value})
        for name, case in result.cases.items()
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that have axes; as published, without the large start with the fixed step."""
    shown = data(result)
    for name, ax in axes.items():
        draw_widths(shown[name], SHOWN, ax, r"$\|X\|_*$")
