"""The table of times, from what `scripts/benchmark.py --json docs/benchmarks.json` wrote: nobody copies a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gflow_studies.benchmarks import CASES, Case
from pages import plain, table, write

OURS = "gflow"
"""Sides whose names begin so are ours; all others are what people would run instead."""
UNLIKE = {"P9"}
"""Cases whose sides do different work: none is compared with another."""


def write_numbers(source: Path, target: Path) -> None:
    """Write the times of a run of the benchmark."""
    write(target, speed(json.loads(source.read_text(encoding="utf-8"))))


def speed(found: dict[str, Any]) -> list[str]:
    """Return a table of our sides beside the reference and the fastest other one, and all sides folded."""
    timed = [(case, sides) for case in CASES if (sides := [row for row in found["rows"] if row["case"] == case.name])]
    rows, slower = [], []
    for case, sides in timed:
        peer, base = fastest(case, sides), reference(case, sides)
        for number, side in enumerate(ours(sides) if peer else ()):
            name = f"{case.name}: {plain(case.title)}" if number == 0 else case.name
            rows.append([name, f"{plain(side['side'])}: {shown(side)}", beside(side, base), beside(side, peer)])
            slower += [f"{case.name} ({plain(side['side'])})"] * (side["cpu"] > peer["cpu"])
    head = ["case", "gflow: CPU", "times the reference", "times the fastest other"]
    lines = [about(found), "", "::::{div} wordy", *table(head, rows), "::::", ""]
    lines += [f"**Another is faster** in {len(slower)} of {len(rows)} lines: {'; '.join(slower) or 'none'}.", ""]
    lines += ["::::{dropdown} Every side of every case", ""]
    for case, sides in timed:
        lines += every(case, sides)
    for name, text in found["texts"].items():
        lines += [f"**{name}**", "", "```text", text, "```", ""]
    return [*lines, "::::"]


def about(found: dict[str, Any]) -> str:
    """Return where and when the times were taken, in sentences."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"Medians of {found['repeats']} runs on {plain(found['machine'])}, {found['cores']} cores, one BLAS thread, on "
        f"{found['date']}, with {versions}. {plain(found.get('remark', ''))}"
    ).rstrip()


def ours(sides: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sides of a case that are ours."""
    return [side for side in sides if side["side"].startswith(OURS)]


def reference(case: Case, sides: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the side to which the others of a case are compared."""
    return next(side for side in sides if side["side"] == case.reference)


def fastest(case: Case, sides: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the fastest side that is not ours and whose answer is within the tolerance of the case; None without."""
    others = [side for side in sides if side not in ours(sides) and side["error"] <= case.tolerance]
    return None if case.name in UNLIKE else min(others, key=lambda side: side["cpu"], default=None)


def beside(side: dict[str, Any], other: dict[str, Any]) -> str:
    """Return the ratio of a side's time to another's, and whose that is."""
    return f"{side['cpu'] / other['cpu']:.2f} × {plain(other['side'])} ({shown(other)})"


def shown(side: dict[str, Any]) -> str:
    """Return the CPU time of a side in a unit that suits it."""
    value = float(side["cpu"])
    return f"{value:.3g} s" if value >= 1.0 else f"{1e3 * value:.3g} ms"


def every(case: Case, sides: list[dict[str, Any]]) -> list[str]:
    """Return the table of one case."""
    base = reference(case, sides)["cpu"]
    rows = []
    for side in sides:
        count, error = str(side["evaluations"] or ""), f"{side['error']:.1e}"
        rows.append([plain(side["side"]), shown(side), f"{side['cpu'] / base:.2f}", count, error])
    heading = f"**{case.name}: {plain(case.title)}** (allowed error {case.tolerance:.0e})"
    return [heading, "", *table(["side", "CPU", f"ratio to {plain(case.reference)}", "gradients", "error"], rows)]
