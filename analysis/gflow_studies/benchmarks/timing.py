"""Timing of the sides of a case against each other."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work of a case.

    ``run`` returns the answer, an array, and the number of gradient evaluations (0 where that means nothing).
    ``trusted`` sides must give the case's answer; others are shown with their error, however large.
    """

    name: str
    run: Callable[[], tuple[np.ndarray, int]]
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """Sides of the same work; ratios are to the side named ``reference``.

    ``tolerance`` bounds the relative difference of answers of trusted sides. ``floor`` returns the seconds that the
    bare arithmetic of the given number of evaluations needs, where that is defined.
    """

    name: str
    title: str
    reference: str
    sides: Callable[[], tuple[Side, ...]]
    tolerance: float
    floor: Callable[[int], float] | None = None


@dataclass(frozen=True, slots=True)
class TimingRow:
    """One line of the table: median seconds of CPU and wall time, ratios, and the error of the answer."""

    case: str
    side: str
    cpu: float
    wall: float
    ratio: float
    evaluations: int
    error: float
    floor_ratio: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)


def measure(case: Case, repeats: int = 5) -> tuple[TimingRow, ...]:
    """Return the rows of a case: each side run once to warm up, then ``repeats`` times in turn with the others.

    Raises ``ValueError`` if a trusted side's answer differs from the reference's by more than the case's tolerance:
    a wrong answer has no time.
    """
    sides = case.sides()
    answers = {side.name: side.run() for side in sides}
    target = answers[case.reference][0]
    errors = {name: _error(answer, target) for name, (answer, _) in answers.items()}
    for side in sides:
        if side.trusted and not errors[side.name] <= case.tolerance:
            raise ValueError(
                f"{case.name}: the answer of {side.name} differs from {case.reference} by {errors[side.name]:.3g}, "
                f"allowed {case.tolerance:.3g}"
            )
    times: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            times[side.name].append(_timed(side.run))
    cpu = {name: median(pair[0] for pair in pairs) for name, pairs in times.items()}
    wall = {name: median(pair[1] for pair in pairs) for name, pairs in times.items()}
    rows = []
    for side in sides:
        count = answers[side.name][1]
        floor = case.floor(count) if case.floor is not None and count else None
        ratio = wall[side.name] / wall[case.reference]
        relative = None if floor is None else wall[side.name] / floor
        rows.append(
            TimingRow(case.name, side.name, cpu[side.name], wall[side.name], ratio, count, errors[side.name], relative)
        )
    return tuple(rows)


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = _cpu(), time.perf_counter()
    run()
    return _cpu() - cpu, time.perf_counter() - wall


def _cpu() -> float:
    """Return the seconds of CPU time of this process and of those that it started and saw end."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def _error(answer: np.ndarray, target: np.ndarray) -> float:
    """Return the largest difference, relative to the largest entry of the target; inf for another shape or NaN."""
    if answer.shape != target.shape or not np.isfinite(answer).all():
        return float("inf")
    return float(np.abs(answer - target).max() / max(float(np.abs(target).max()), 1e-300))


def table(rows: tuple[TimingRow, ...]) -> str:
    """Return the rows of a case as lines of text."""
    lines = [f"{'side':38} {'CPU ms':>9} {'wall ms':>9} {'ratio':>7} {'gradients':>10} {'error':>8} {'to floor':>9}"]
    for row in rows:
        floor = "" if row.floor_ratio is None else f"{row.floor_ratio:.1f}"
        times = f"{1e3 * row.cpu:9.1f} {1e3 * row.wall:9.1f} {row.ratio:7.2f}"
        lines.append(f"{row.side:38} {times} {row.evaluations:10d} {row.error:8.1e} {floor:>9}")
    return "\n".join(lines)


def surroundings() -> dict[str, Any]:
    """Return what times depend on, for JSON: the processor, its cores, versions, and the day."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {"Python": platform.python_version(), "gflow": version("gflow-toolkit")}
    versions |= {name: version(name) for name in ("numpy", "scipy")}
    machine = names[0] if names else platform.processor() or platform.machine()
    return {"machine": machine, "cores": os.cpu_count(), "date": date.today().isoformat(), "versions": versions}
