"""Gunasekar et al. 2017, Figure 3: reconstruction from entries, sampled uniformly and by a power law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.studies.study import Claim, Columns, Panel
from gflow_studies.figures.factor_width_views import columns, draw_widths, full, tables_of_runs
from gflow_studies.figures.factor_widths import CASES, Result, Widths, shared_run

TITLE = "Gunasekar et al. 2017, Figure 3: completion of entries sampled uniformly and by a power law"
FORMULA = r"\|X - X^*\|_F, \quad X_{ij} = X^*_{ij} \text{ observed}"
SETTING = (
    "As Figures 1 and 2, with entries in place of Gaussian measurements: X* of order n = 50 and rank 2 with equal "
    "eigenvalues and Haar distributed eigenvectors, |X*|_F = 1, and m = 3nr pairs (i, j), (j, i), drawn without "
    "repetition. Uniformly, or with probability proportional to 1 / (i j): the law, the sizes and the scale "
    "|A_i|_F = sqrt(n / 2), as for the Gaussian ones, were chosen for this study. Starts of norm 1e-4 and 1 with "
    "exact line search clipped at 2 / |H|, at most 400 steps, 1e-4 also with the step 1e-3, at most 15000; X_gd and "
    "the certified minimum of the nuclear norm as there."
)
CURVES = ("small", "small-exact", "large-exact", "svd")
PANELS = {
    f"{case}-{what}": Panel(
        f"{CASES[case].capitalize()} sampling: {words}, mean and standard error over the starts; X_gd dashed, the "
        "minimum of the nuclear norm dash-dotted.",
        f"{words.capitalize()} against the factor width for {case} sampling, one curve for each start and step.",
        figsize=(6.6, 3.2),
    )
    for case in ("uniform", "power")
    for what, words in (("error", "relative reconstruction error"), ("norm", "nuclear norm"))
}


@dataclass(frozen=True, slots=True)
class Config(Widths):
    """The two samplings."""

    cases: tuple[str, ...] = ("uniform", "power")
    curves: tuple[str, ...] = CURVES
    steps: tuple[int, ...] = (15_000, 15_000)
    searches: int = 400


QUICK = Config(order=20, widths=(2, 6, 20), starts=2, steps=(6000, 6000), searches=150)
run, tables = shared_run, tables_of_runs


def claims(result: Result) -> Sequence[Claim]:
    """Return what the sampling and the start do to the errors at full width."""
    found = []
    for name, case in result.cases.items():
        small, large = (float(full(case, curve, "errors").mean()) for curve in ("small", "large-exact"))
        found.append(Claim.bounded(f"{name}-minimum", f"{name}: the minimum is certified", case.minimum.gap, 0, 1e-6))
        text = f"{name}: a small start ends nearer to X* than a large one, at full width"
        found.append(Claim.bounded(f"{name}-start", text, small / large, 0, 0.9, reason="ratio of the mean errors"))
        text = f"{name}: a small start ends nearer to X* than X_gd, at full width"
        found.append(Claim.bounded(f"{name}-x-gd", text, small / case.projected_error, 0, 0.9, reason="ratio"))
        excess = {curve: float(full(case, curve, "norms").mean()) / case.minimum.value - 1.0 for curve in CURVES}
        text = f"{name}: the nuclear norm is nearer to the minimum from the small start, at full width"
        share = abs(excess["small"]) / excess["large-exact"] if excess["large-exact"] > 0 else None
        reason = f"relative excess {excess['small']:.3g} against {excess['large-exact']:.3g}"
        found.append(Claim.bounded(f"{name}-norm", text, share, 0, 0.5, reason=reason))
    errors = {name: float(full(case, "small", "errors").mean()) for name, case in result.cases.items()}
    text = "uneven sampling reconstructs worse than uniform sampling, from the small start at full width"
    found.append(
        Claim.bounded("uneven", text, errors["power"] / errors["uniform"], 1.0, None, reason="ratio of errors")
    )
    return found


def data(result: Result) -> Mapping[str, Columns]:
    """Return means and standard errors of errors and nuclear norms against the width."""
    found = {}
    for name, case in result.cases.items():
        exact = float(np.linalg.norm(case.minimum.matrix - case.planted))
        norms = {"X_gd": float(np.trace(case.projected)), "minimum": case.minimum.value}
        found[f"{name}-error"] = columns(result, case.errors, {"X_gd": case.projected_error, "minimum": exact})
        found[f"{name}-norm"] = columns(result, case.norms, norms)
    return found


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the panels that have axes."""
    shown = data(result)
    for name, ax in axes.items():
        label = r"$\|X\|_*$" if name.endswith("norm") else r"$\|X - X^*\|_F / \|X^*\|_F$"
        draw_widths(shown[name], CURVES, ax, label)
