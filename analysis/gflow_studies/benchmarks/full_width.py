"""The alpha -> 0 limit against the flow of full width that it replaces, at size, and against gradient descent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gflow
from gflow_studies.benchmarks.scale import LOSS, RTOL, SCALE, descent_end, largest_stable_step, low_rank


def full_width(d: int = 200, rank: int = 5, fraction: float = 0.3, repeats: int = 3) -> tuple[str, dict[str, Any]]:
    """Return the limit and the flow from 1e-6 on one problem, timed in turn, and how far the ends lie apart.

    Distances are between the matrices, relative to the largest entry of the limit. Raises ``ValueError`` if the limit
    or a flow does not converge: a wrong answer has no time.
    """
    problem = low_rank(d, rank, fraction).normalized
    model = gflow.Factorization(problem.shape)
    objective = gflow.Objective.of(problem, model)
    start = model.random(np.random.default_rng(0), SCALE)
    limits, flows = [], []
    for _ in range(repeats):
        limits.append(_timed(lambda: gflow.saddle_to_saddle(problem)))
        flows.append(_timed(lambda: gflow.gradient_flow(objective, start, rtol=RTOL, loss_tol=LOSS)))
    limit, path = limits[-1][1], flows[-1][1]
    if limit.status != "converged" or limit.matrix is None or path.status != "converged":
        raise ValueError(f"the limit ended {limit.status} and the flow {path.status}")
    step = largest_stable_step(objective, path.final)
    seconds, (theta, count, loss) = _timed(lambda: descent_end(objective, start, step))
    ends = {"limit": limit.matrix, "flow": model.output(path.final), "descent": model.output(theta)}
    size = float(np.abs(limit.matrix).max())
    numbers: dict[str, Any] = {
        "limit_seconds": float(np.median([spent for spent, _ in limits])),
        "flow_seconds": float(np.median([spent for spent, _ in flows])),
        "rank": limit.rank,
        "descent_seconds": seconds,
        "descent_steps": count,
        "descent_loss": loss if np.isfinite(loss) else None,
    }
    for one, other in (("flow", "limit"), ("descent", "limit"), ("descent", "flow")):
        distance = float(np.abs(ends[one] - ends[other]).max()) / size
        numbers[f"{one}_to_{other}"] = distance if np.isfinite(distance) else None
    numbers["ratio"] = numbers["flow_seconds"] / numbers["limit_seconds"]
    return _told(numbers, path.conservation_drift, step), numbers


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = run()
    return time.perf_counter() - begin, found


def _told(numbers: dict[str, Any], drift: float | None, step: float) -> str:
    apart = {
        name: "not finite" if numbers[name] is None else f"{numbers[name]:.1e}"
        for name in ("flow_to_limit", "descent_to_limit", "descent_to_flow")
    }
    return (
        f"saddle_to_saddle, rank {numbers['rank']}: {1e3 * numbers['limit_seconds']:.0f} ms; "
        f"flow of full width from {SCALE:.0e}: {1e3 * numbers['flow_seconds']:.0f} ms, "
        f"{numbers['ratio']:.1f} times as long\n"
        f"gradient descent, step {step:.3g}: {1e3 * numbers['descent_seconds']:.0f} ms, "
        f"{numbers['descent_steps']} steps, loss {numbers['descent_loss'] or np.nan:.1e}\n"
        f"distance of the flow's end from the limit {apart['flow_to_limit']}, of gradient descent's from the limit "
        f"{apart['descent_to_limit']}, from the flow's {apart['descent_to_flow']}; conservation drift of the flow "
        f"{drift or 0.0:.1e}"
    )


FULL_WIDTH_STUDIES = {"P5": full_width}
"""Text to print below the table of a case, and its numbers."""
