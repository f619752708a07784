"""Curves against the factor width with standard errors and reference lines, and the table of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gflow.plots.style import DASHES, INK, MARKERS, PALETTE
from gflow.studies.study import Columns, Table
from gflow_studies.figures.factor_widths import CURVES, EXACT, FIT_TOL, Result, WidthCase

SVD = "from the factor of $X_{gd}$"
LINES = {"X_gd": "$X_{gd}$", "minimum": "minimum $\\|X\\|_*$"}
"""Reference lines with their labels."""


def label(curve: str) -> str:
    """Return the words of the legend for a curve."""
    if curve == "svd":
        return SVD
    size, step = CURVES[curve]
    how = "line search" if step == EXACT else rf"$\eta$ = {step:g}"
    return rf"$\|U_0\|_F$ = {size:g}, {how}"


def words(curve: str) -> str:
    """Return start and step of a curve in plain text."""
    size, step = CURVES[curve]
    return f"|U_0|_F = {size:g}, {'exact line search' if isinstance(step, str) else f'eta = {step:g}'}"


def standard_error(values: np.ndarray) -> np.ndarray:
    """Return the standard error of the mean over the starts, zero for a single start; shape (widths,)."""
    count = values.shape[1]
    return values.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(len(values))


def columns(result: Result, values: Mapping[str, np.ndarray], lines: Mapping[str, float]) -> Columns:
    """Return widths, means and standard errors of every curve, and the reference lines as constant columns."""
    widths = np.array(result.config.widths)
    found: dict[str, np.ndarray] = {"width": widths}
    for curve, runs in values.items():
        found[curve] = runs.mean(axis=1)
        found[f"{curve}-error"] = standard_error(runs)
    return found | {name: np.full(len(widths), level) for name, level in lines.items()}


def draw_widths(shown: Columns, curves: Sequence[str], ax: Any, ylabel: str) -> None:
    """Draw the curves with error bars and the reference lines, named by their labels."""
    for k, curve in enumerate(curves):
        style = {"color": PALETTE[k % len(PALETTE)], "marker": MARKERS[k % len(MARKERS)], "capsize": 2, "linewidth": 1}
        ax.errorbar(shown["width"], shown[curve], yerr=shown[f"{curve}-error"], label=label(curve), **style)
    for k, (name, words) in enumerate(LINES.items()):
        ax.axhline(shown[name][0], color=INK, linestyle=DASHES[1 + k], linewidth=1, label=words)
    ax.set_xscale("log")
    ax.set_xticks(shown["width"], [str(width) for width in shown["width"]])
    ax.minorticks_off()
    ax.set(xlabel="factor width $d$", ylabel=ylabel)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)


def tables_of_runs(result: Result) -> Sequence[Table]:
    """Return mean error, trace over the minimum, and misfit of every curve and width, and how the runs ended."""
    names = ("case", "curve", "width", "error", "trace / minimum", "|A(X) - y| / |y|", "fit", "endings")
    rows: list[list[Any]] = []
    for name, case in result.cases.items():
        for curve, errors in case.errors.items():
            endings = np.reshape(case.ends[curve], errors.shape)
            for k, width in enumerate(result.config.widths):
                misfits, norms = case.misfits[curve][k], case.norms[curve][k] / case.minimum.value
                fit = f"{int(np.sum(misfits <= FIT_TOL))} of {len(misfits)}"
                counts = ", ".join(f"{np.sum(endings[k] == end)} {end}" for end in dict.fromkeys(endings[k]))
                rows.append([name, curve, width, errors[k].mean(), norms.mean(), misfits.max(), fit, counts])
    text = f"All runs: means over the starts; the misfit is the largest, and a run fits at {FIT_TOL:g}."
    return [Table("runs", text, names, rows)]


def setting(case_words: str) -> str:
    """Return the words on problems, starts, steps and references that two studies share."""
    return (
        f"{case_words} Problems of order n = 50 with r = 2: (a) X* of rank r with equal eigenvalues, m = 3nr; (b) the "
        "spectrum (k - c)^-1.5 with the c for which |X*|_* = sqrt(r) |X*|_F, m = 3nr; (c) as (a) with m = nr/4. "
        "|X*|_F = 1. The A_i are symmetric parts of Gaussian matrices with entries of variance 1/n, the loss is the "
        "plain sum of squares: the publication's normalisation is not known here, and with it the step 1e-3 is stable "
        "and the slow directions are followed far enough. Starts are Gaussian directions U_0 of the norm "
        "given, three for each width; the fixed step is 1e-3; the line search is exact and clipped at 2 / |H|. The "
        "steps are limited to 10000, 25000 and 20000 with the fixed step, 300 with line search; how every run ended "
        "and how well it fits is in the table. X_gd is the end of projected gradient descent from 0; 'from the factor "
        "of X_gd' is descent with line search from its d largest eigenvalues; the minimum of the nuclear norm over "
        "X >= 0 is certified by its dual."
    )


def full(case: WidthCase, curve: str, values: str) -> np.ndarray:
    """Return the values of a curve at the largest width, one for each start."""
    return np.asarray(getattr(case, values)[curve][-1])
