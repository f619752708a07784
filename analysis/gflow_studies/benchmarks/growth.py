"""How time and memory of a gradient and of a Hessian-vector product grow with the size of a problem."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import gflow
from gflow_studies.benchmarks.scale import low_rank
from gflow_studies.powers import exponent


@dataclass(frozen=True, slots=True)
class CostGrowth:
    """The measured exponent of a cost in one size of the problem, and what the arithmetic leads to expect."""

    quantity: str
    size: str
    sizes: tuple[int, ...]
    costs: tuple[float, ...]
    expected: float

    @property
    def exponent(self) -> float:
        """Return the slope of log cost against log size."""
        return exponent(self.sizes, self.costs)

    def to_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self) | {"exponent": self.exponent}


SERIES: tuple[tuple[str, tuple[tuple[int, int, int], ...]], ...] = (
    ("n", tuple((2000, n, 10) for n in (50_000, 100_000, 200_000, 400_000))),
    ("k", tuple((2000, 200_000, k) for k in (8, 16, 32, 64))),
    ("d", tuple((d, 20 * d, 10) for d in (2000, 4000, 8000, 16000))),
)
"""Size that varies, and (d, n, k) along the series; with d, n = 20 d."""


def growth(
    series: Sequence[tuple[str, tuple[tuple[int, int, int], ...]]] = SERIES, repeats: int = 5
) -> tuple[CostGrowth, ...]:
    """Return time and peak memory of one gradient and one Hessian-vector product along the series."""
    rows = []
    for size, points in series:
        measured = [_costs(d, n, k, repeats) for d, n, k in points]
        sizes = tuple(point[("d", "n", "k").index(size)] for point in points)
        for quantity in measured[0]:
            costs = tuple(cost[quantity] for cost in measured)
            rows.append(CostGrowth(quantity, size, sizes, costs, _expected(quantity, sizes, points)))
    return tuple(rows)


def _expected(quantity: str, sizes: tuple[int, ...], points: Sequence[tuple[int, int, int]]) -> float:
    """Return the exponent of the operations, n k, or of the numbers held, n + 2 d k, along a series."""
    costs = [n * k if "seconds" in quantity else n + 2 * d * k for d, n, k in points]
    return exponent(sizes, costs)


def _costs(d: int, n: int, k: int, repeats: int) -> dict[str, float]:
    problem = low_rank(d, 3, n / d**2).normalized
    model = gflow.Factorization(problem.shape, k)
    objective, rng = gflow.Objective.of(problem, model), np.random.default_rng(0)
    theta, move = model.random(rng), model.random(rng)
    runs: dict[str, Callable[[], object]] = {
        "gradient": lambda: objective.gradient(theta),
        "hvp": lambda: objective.hvp(theta, move),
    }
    costs = {}
    for name, run in runs.items():
        run()
        costs[f"{name} seconds"] = min(_seconds(run) for _ in range(repeats))
        tracemalloc.start()
        run()
        costs[f"{name} bytes"] = float(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return costs


def _seconds(run: Callable[[], object]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


def growth_study() -> tuple[str, dict[str, Any]]:
    """Return the exponents as text and as numbers for JSON."""
    rows = growth()
    return growth_table(rows), {"rows": [row.to_dict() for row in rows]}


def growth_table(rows: Sequence[CostGrowth]) -> str:
    """Return the exponents as lines of text."""
    lines = [f"{'cost':18} {'in':>3} {'exponent':>9} {'expected':>9}   costs"]
    for row in rows:
        costs = "  ".join(f"{cost:.3g}" for cost in row.costs)
        lines.append(f"{row.quantity:18} {row.size:>3} {row.exponent:9.2f} {row.expected:9.2f}   {costs}")
    return "\n".join(lines)


def draw_growth(rows: Sequence[CostGrowth], ax: Any, **line_style: Any) -> Any:
    """Return the axes with each cost, relative to its first, against its size, and the expected power dashed."""
    for row in rows:
        sizes = np.array(row.sizes) / row.sizes[0]
        (line,) = ax.loglog(
            sizes, np.array(row.costs) / row.costs[0], "o-", label=f"{row.quantity} in {row.size}", **line_style
        )
        ax.loglog(sizes, sizes**row.expected, "--", color=line.get_color(), linewidth=0.7)
    ax.set(xlabel="size, relative to the smallest", ylabel="cost, relative to the first")
    ax.legend(fontsize="small")
    return ax
