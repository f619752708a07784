"""Gunasekar et al. 2017, Figure 1: reconstruction error of descent on X = U U^T against the factor width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gflow.studies.study import Claim, Columns, Panel
from gflow_studies.figures.factor_width_views import columns, draw_widths, full, setting, tables_of_runs, words
from gflow_studies.figures.factor_widths import CASES, SMALL_WIDTHS, Result, Widths, shared_run

TITLE = "Gunasekar et al. 2017, Figure 1: reconstruction error against the factor width"
FORMULA = r"X = U U^\top, \quad \|X - X^*\|_F / \|X^*\|_F"
SETTING = setting("|X - X*|_F / |X*|_F at the end of descent on X = U U^T with U of width d.")
PANELS = {
    case: Panel(
        f"({case}) {said}: relative reconstruction error, mean and standard error over the starts; X_gd dashed, the "
        "minimum of the nuclear norm dash-dotted.",
        f"Reconstruction error against the factor width for case {case}, one curve for each start and step.",
        figsize=(6.6, 3.2),
    )
    for case, said in list(CASES.items())[:3]
}
Config, QUICK = Widths, SMALL_WIDTHS
run, tables = shared_run, tables_of_runs


def claims(result: Result) -> Sequence[Claim]:
    """Return what the figure says of the errors at full width."""
    case = result.cases
    recovered = float(full(case["a"], "small", "errors").max())
    found = [
        Claim.bounded(
            "a-small",
            "(a) a small start recovers X* to 1 % at full width, though nothing bounds the rank",
            recovered,
            0,
            0.01,
            reason=f"|U_0|_F = 1e-4, eta = 1e-3; largest error of the starts; X_gd: {case['a'].projected_error:.3g}",
        ),
        Claim.bounded("a-x-gd", "(a) X_gd is far from X*", case["a"].projected_error, 0.1, None),
    ]
    for curve in ("large", "large-exact"):
        least = float(full(case["a"], curve, "errors").min())
        text = f"(a) a large start does not recover X* ({words(curve)})"
        found.append(Claim.bounded(f"a-{curve}", text, least, 0.1, None, reason="the least error of the starts"))
    ratio = float(full(case["b"], "small", "errors").mean() / full(case["b"], "large", "errors").mean())
    text = "(b) a small start ends at most 0.7 times as far from X* as a large one at full width"
    found.append(Claim.bounded("b-small", text, ratio, 0, 0.7, reason="ratio of the mean errors, eta = 1e-3"))
    least = min(float(errors.min()) for errors in case["c"].errors.values())
    text = "(c) too few measurements: no width, start or step comes nearer to X* than half its norm"
    found.append(Claim.bounded("c-none", text, least, 0.5, None, reason="the least error of all runs"))
    wide = [k for k, width in enumerate(result.config.widths) if width >= result.config.order // 5]
    means = case["b"].errors["small"][wide].mean(axis=1)
    text = "(b) from a small start the error hardly depends on the width, from n / 5 on"
    found.append(Claim.bounded("b-width", text, float(means.max() / means.min()), 1, 1.3, reason="largest / least"))
    return found


def data(result: Result) -> Mapping[str, Columns]:
    """Return means and standard errors of the reconstruction errors against the width."""
    found = {}
    for name, case in result.cases.items():
        exact = float(np.linalg.norm(case.minimum.matrix - case.planted))
        found[name] = columns(result, case.errors, {"X_gd": case.projected_error, "minimum": exact})
    return found


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that have axes."""
    shown = data(result)
    for name, ax in axes.items():
        draw_widths(shown[name], list(result.cases[name].errors), ax, r"$\|X - X^*\|_F / \|X^*\|_F$")
