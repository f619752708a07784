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
    """Return a table of our sides beside the fastest other one with as good an answer, and all sides folded."""
    cases = [(case, [row for row in found["rows"] if row["case"] == case.name]) for case in CASES]
    timed = [(case, rows) for case, rows in cases if rows]
    rows, slower = [], []
    for case, sides in timed:
        peer = fastest(case, sides)
        for side in sides if peer else ():
            if side["side"].startswith(OURS):
                ratio = side["cpu"] / peer["cpu"]
                rows.append(
                    [plain(f"{case.name}: {case.title}"), plain(side["side"]), shown(side), told(peer), f"{ratio:.2f}"]
                )
                slower += [f"{case.name} ({plain(side['side'])} {ratio:.2g} times {plain(peer['side'])})"] * (
                    ratio > 1.0
                )
    lines = [about(found), "", *table(["case", "gflow", "CPU", "fastest other", "ratio"], rows)]
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


def fastest(case: Case, sides: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the fastest side that is not ours and whose answer is within the tolerance of the case."""
    others = [side for side in sides if not side["side"].startswith(OURS) and side["error"] <= case.tolerance]
    return None if case.name in UNLIKE else min(others, key=lambda side: side["cpu"], default=None)


def shown(side: dict[str, Any]) -> str:
    """Return the CPU time of a side in a unit that suits it."""
    value = float(side["cpu"])
    return f"{value:.3g} s" if value >= 1.0 else f"{1e3 * value:.3g} ms"


def told(side: dict[str, Any]) -> str:
    """Return the name of a side and its time."""
    return f"{plain(side['side'])}: {shown(side)}"


def every(case: Case, sides: list[dict[str, Any]]) -> list[str]:
    """Return the table of one case."""
    base = next(side["cpu"] for side in sides if side["side"] == case.reference)
    rows = [
        [
            plain(side["side"]),
            shown(side),
            f"{side['cpu'] / base:.2f}",
            str(side["evaluations"] or ""),
            f"{side['error']:.1e}",
        ]
        for side in sides
    ]
    heading = f"**{case.name}: {plain(case.title)}** (allowed error {case.tolerance:.0e})"
    return [heading, "", *table(["side", "CPU", f"ratio to {plain(case.reference)}", "gradients", "error"], rows)]
