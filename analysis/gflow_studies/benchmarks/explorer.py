"""How soon the explorer answers an edit, and how much memory its process takes, as a page would see it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import gflow
from gflow.explore.calculators import Calculator
from gflow.explore.state import of_problem

EDITS, MANY = 50, 1000
PAUSE = 0.1
"""Seconds between an answer and the next edit: long enough for what follows the limit to be under way, and stopped."""
ALLOWED = {4: 0.150, 8: 0.600}
"""Seconds from an edit to its limit that are allowed, by the side of the matrix."""


def explorer(edits: int = EDITS, many: int = MANY) -> tuple[str, dict[str, Any]]:
    """Return a table and its numbers: median seconds from edit to limit at 4 x 4 and 8 x 8, memory over many edits."""
    found = asyncio.run(_measured(edits, many))
    lines = ["edit to limit", f"{'matrix':>8}  {'median':>8}  {'allowed':>8}"]
    lines += [f"{d:>4} x {d}  {found['median'][str(d)]:>7.3f}s  {ALLOWED[d]:>7.3f}s" for d in ALLOWED]
    told = ", ".join(f"{size:.0f} MB after {count}" for count, size in found["memory"].items())
    return "\n".join([*lines, f"memory over edits of 4 x 4: {told or 'not known here'}"]), found


def problem_of(d: int) -> gflow.MatrixCompletion:
    """Return Figure 3 for d = 4, else a matrix of rank two with 60 % of its entries."""
    if d == 4:
        return gflow.data.example("fig3")
    rng = np.random.default_rng(1)
    M = rng.standard_normal((d, 2)) @ rng.standard_normal((2, d))
    M[rng.random((d, d)) < 0.4] = np.nan
    return gflow.MatrixCompletion(M)


async def _measured(edits: int, many: int) -> dict[str, Any]:
    median, memory = {}, {}
    calculator = await Calculator.started()
    try:
        await calculator.line()  # it is ready
        run = 0
        for d in ALLOWED:
            await _answered(calculator, run := run + 1, _edited(d, 0.0))
            taken = []
            for k in range(edits):
                await asyncio.sleep(PAUSE)
                taken.append(await _answered(calculator, run := run + 1, _edited(d, 0.01 * (k + 1))))
            median[str(d)] = float(np.median(taken))
        for k in range(many):
            await _answered(calculator, run := run + 1, _edited(4, 1e-3 * (k + 1)))
            size = resident(calculator.process.pid)
            if size is not None and k + 1 in (many // 10, many):
                memory[k + 1] = size
    finally:
        await calculator.end()
    return {"median": median, "memory": memory}


def _edited(d: int, more: float) -> dict[str, Any]:
    """Return what a page asks after the first entry that is observed has been changed."""
    state = of_problem(problem_of(d), "edited").to_dict()
    i, j = next((i, j) for i, row in enumerate(state["seen"]) for j, shown in enumerate(row) if shown)
    state["values"][i][j] += more
    return state


async def _answered(calculator: Calculator, run: int, state: dict[str, Any]) -> float:
    """Return the seconds from sending a state until its limit has been read as JSON."""
    began = time.perf_counter()
    calculator.send({"run": run, "ask": state})
    while True:
        said = await calculator.line()
        if said is None:
            raise ValueError("the process has ended")
        if said[0] == run and json.loads(said[1]).get("part") == "limit":
            return time.perf_counter() - began


def resident(pid: int) -> float | None:
    """Return the memory of a process in MB; None where the system does not tell it in a file."""
    held = Path(f"/proc/{pid}/status")
    if not held.is_file():
        return None
    line = next(line for line in held.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS"))
    return float(line.split()[1]) / 1024.0
