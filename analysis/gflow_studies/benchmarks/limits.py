"""The cases of the alpha -> 0 limit: many small problems, and a slow one; each against the flow it replaces."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow_studies.benchmarks.large_limits import LARGE_CASE, growth
from gflow_studies.benchmarks.timing import Case, Side
from gflow_studies.figures.expectations import accuracy

ALPHA, RTOL = 1e-8, 1e-8
NUMBER = 200
DRIFT = 1e-8
"""Largest drift of the conserved quantity of a flow that is timed: it is integrated again more finely above."""
REPEATS = 3
FAR = 0.1
"""Predicted distances above this fraction of the data predict nothing."""
SLACK = 100.0
"""The flow may end this many times as far from the limit as predicted: powers of alpha come with factors."""

COMPILES = find_spec("numba") is not None
TITLES = {
    "flow_seconds": ("flow from 1e-8, ms", 1e3),
    "limit_seconds": ("saddle_to_saddle, ms", 1e3),
    "compiled_seconds": ("saddle_to_saddle, compiled, ms", 1e3),
    "ratio": ("limit / flow, same problem", 1.0),
}


def random_problems(count: int, shape: tuple[int, int] = (4, 4), seed: int = 0) -> list[gflow.MatrixCompletion]:
    """Return random connected problems of rank 1 to 3 with every row and column observed."""
    rng = np.random.default_rng(seed)
    problems: list[gflow.MatrixCompletion] = []
    while len(problems) < count:
        rank = int(rng.integers(1, min(shape)))
        M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
        observed = np.zeros(shape[0] * shape[1], dtype=bool)
        wanted = int(rng.integers(sum(shape) - 1, shape[0] * shape[1]))
        observed[rng.permutation(observed.size)[:wanted]] = True
        problem = gflow.MatrixCompletion(M, observed.reshape(shape))
        parts = gflow.connectivity(problem)
        if parts.kind == "connected" and not parts.unobserved_rows and not parts.unobserved_columns:
            problems.append(problem)
    return problems


@dataclass(frozen=True, slots=True)
class Comparison:
    """The limit and the flow from alpha = 1e-8 on one problem; ``compiled_seconds`` is None without numba.

    ``predicted`` is the distance of the flow's end from the limit, relative to max|M|, that the limit's order and gains
    predict (None where they predict none), ``distance`` the distance found (None where either has no end).
    """

    limit_seconds: float
    flow_seconds: float
    limit_status: str
    flow_status: str
    predicted: float | None
    distance: float | None
    drift: float
    compiled_seconds: float | None = None

    @property
    def ratio(self) -> float:
        """Return the time of the limit in units of the time of the flow."""
        return self.limit_seconds / self.flow_seconds

    @property
    def verdict(self) -> str:
        """Return 'agree', 'wrong', 'out of reach' of this alpha, or 'no limit'."""
        if self.distance is None:
            return "no limit"
        if self.predicted is None or self.predicted > FAR:
            return "out of reach"
        return "agree" if self.distance <= SLACK * self.predicted + 100 * RTOL else "wrong"


def flow_end(problem: gflow.MatrixCompletion) -> tuple[np.ndarray, gflow.Trajectory]:
    """Return where the flow from alpha = 1e-8, seed 0, ends, and its trajectory."""
    model = gflow.Factorization(problem.shape)
    start = model.random(np.random.default_rng(0), ALPHA)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), start, rtol=RTOL, drift_tol=DRIFT)
    return model.output(path.final), path


def compared(problem: gflow.MatrixCompletion) -> Comparison:
    """Return the comparison of limit and flow on one problem; each is timed ``REPEATS`` times, in turn."""
    seconds = []
    for _ in range(REPEATS):
        times = [time.process_time()]
        limit = gflow.saddle_to_saddle(problem)
        times.append(time.process_time())
        W, path = flow_end(problem)
        times.append(time.process_time())
        if COMPILES:
            gflow.saddle_to_saddle(problem, compiled=True)
            times.append(time.process_time())
        seconds.append(np.diff(times))
    limit_seconds, flow_seconds, *compiled_seconds = np.median(seconds, axis=0).tolist()
    distance = predicted = None
    if limit.matrix is not None:
        predicted = None if limit.log10_alpha(0.5) is None else accuracy(limit, ALPHA)
        if path.status == gflow.Status.CONVERGED:
            distance = float(np.abs(W - limit.matrix).max()) / problem.size
    ended = str(limit.status), str(path.status)
    drift = path.conservation_drift or 0.0
    return Comparison(limit_seconds, flow_seconds, *ended, predicted, distance, drift, *compiled_seconds)


def comparison(number: int = NUMBER) -> tuple[str, dict[str, Any]]:
    """Return the comparison on ``number`` random 4 x 4 problems as text, and as numbers for JSON."""
    problems = random_problems(number)
    compared(problems[0])
    cases = [compared(problem) for problem in problems]
    times = ["flow_seconds", "limit_seconds", *(["compiled_seconds"] if COMPILES else []), "ratio"]
    numbers: dict[str, Any] = {name: quantiles([getattr(case, name) for case in cases]) for name in times}
    for name in ("limit_status", "flow_status", "verdict"):
        numbers[name] = dict(Counter(getattr(case, name) for case in cases))
    lines = [f"{number} random 4 x 4 problems                   median     90 %    worst"]
    for name in times:
        title, factor = TITLES[name]
        lines.append(f"{title:38}" + "".join(f"{factor * x:9.2f}" for x in numbers[name]))
    for name in ("flow_status", "limit_status", "verdict"):
        lines.append(f"{name}: " + ", ".join(f"{count} {word}" for word, count in sorted(numbers[name].items())))
    numbers["drift"] = max(case.drift for case in cases)
    lines.append(f"largest drift of the conserved quantity of a flow: {numbers['drift']:.1e}")
    return "\n".join(lines), numbers


def quantiles(values: list[float]) -> tuple[float, float, float]:
    """Return the median, the 90 % quantile and the largest value."""
    middle, high, worst = np.quantile(values, [0.5, 0.9, 1.0])
    return float(middle), float(high), float(worst)


def _small_sides() -> tuple[Side, ...]:
    """Return the traversal and the flow from 1e-8 on the random problems; the answer is how many ended."""
    problems = random_problems(NUMBER)

    def limits(compiled: bool) -> tuple[np.ndarray, int]:
        found = [gflow.saddle_to_saddle(problem, compiled=compiled) for problem in problems]
        return np.array(float(sum(limit.status in ("converged", "diverging") for limit in found))), 0

    def flows() -> tuple[np.ndarray, int]:
        paths = [flow_end(problem)[1] for problem in problems]
        return np.array(float(sum(path.status == "converged" for path in paths))), sum(p.n_gradients for p in paths)

    def ensemble() -> tuple[np.ndarray, int]:
        ends = gflow.gradient_flows(problems, starts, rtol=RTOL, drift_tol=DRIFT)
        return np.array(float(sum(end.status == "converged" for end in ends))), sum(end.n_gradients for end in ends)

    models = [gflow.Factorization(problem.shape) for problem in problems]
    starts = [model.random(np.random.default_rng(0), ALPHA) for model in models]
    quick = [Side("gflow saddle_to_saddle, compiled (P3b)", partial(limits, True))] if COMPILES else []
    return (
        Side("gflow flow from 1e-8 (P3a)", flows),
        Side("gflow gradient_flows from 1e-8 (P3a)", ensemble),
        Side("gflow saddle_to_saddle (P3b)", partial(limits, False)),
        *quick,
    )


@cache
def slow_end() -> tuple[gflow.Traversal, np.ndarray]:
    """Return the limit of the slow case C4 and its completed matrix."""
    limit = gflow.saddle_to_saddle(example("c4"))
    assert limit.matrix is not None
    return limit, limit.matrix


def descent_steps(tol: float = 1e-6, trial: int = 20_000) -> dict[str, float]:
    """Return how many steps gradient descent needs on C4 from its rank-2 saddle to the rank-3 limit, by extrapolation.

    ``by_time`` is the time at which the flow is within ``tol`` of the limit divided by the largest stable step;
    ``by_rate`` extrapolates the rate seen in the second half of ``trial`` steps, which can only grow worse.
    """
    problem, (limit, W) = example("c4"), slow_end()
    path, model = limit.chains[0].orbits[2], gflow.Factorization(problem.shape, 3)
    objective = gflow.Objective.of(problem.normalized, model)
    step = 1.9 / float(np.linalg.eigvalsh(objective.hessian(path.final))[-1])
    near = np.abs(model.output(path.states) * problem.unit - W).max(axis=(1, 2)) / np.abs(W).max()
    reached = float(path.times[int(np.argmax(near <= tol))] if (near <= tol).any() else path.times[-1])
    theta = path.states[0].copy()
    distances = []
    for _ in range(2):
        for _ in range(trial // 2):
            theta -= step * objective.gradient(theta)
        distances.append(float(np.abs(model.output(theta) * problem.unit - W).max() / np.abs(W).max()))
    rate = float(np.log(distances[0] / distances[1])) / (trial // 2)
    return {
        "step": step,
        "by_time": reached / step,
        "by_rate": trial + float(np.log(distances[1] / tol)) / rate if rate > 0 else float("inf"),
        "distance": distances[1],
    }


def slow_case() -> tuple[str, dict[str, Any]]:
    """Return P7 as text and numbers: the limit of C4 in milliseconds, gradient descent in extrapolated steps."""
    limit, W = slow_end()
    begin = time.process_time()
    gflow.saddle_to_saddle(example("c4"))
    seconds = time.process_time() - begin
    steps = descent_steps()
    text = (
        f"C4 to rank {limit.rank}, W_31 = {W[2, 0]:.5f}: {1e3 * seconds:.1f} ms\n"
        f"gradient descent at its largest stable step {steps['step']:.3g}, from the rank-2 saddle: after 20000 steps "
        f"{steps['distance']:.2g} away; {steps['by_time']:.2g} steps by the time of the flow, "
        f"{steps['by_rate']:.2g} by the rate seen; at step 0.1, {steps['by_time'] * steps['step'] / 0.1:.2g}"
    )
    return text, {"seconds": seconds, **steps}


def _slow_sides() -> tuple[Side, ...]:
    """Return the traversal of C4; its answer is the completed entry."""

    def limit() -> tuple[np.ndarray, int]:
        found = gflow.saddle_to_saddle(example("c4"))
        assert found.matrix is not None
        return found.matrix[2, 0], sum(path.n_gradients for path in found.chains[0].orbits)

    return (Side("gflow saddle_to_saddle", limit),)


LIMIT_CASES = (
    Case(
        "P3",
        f"{NUMBER} random 4 x 4 problems: the flow from 1e-8, and the limit",
        "gflow flow from 1e-8 (P3a)",
        _small_sides,
        0.05,
    ),
    Case("P7", "the slow case C4 to rank 3", "gflow saddle_to_saddle", _slow_sides, 1e-9),
    LARGE_CASE,
)

LIMIT_STUDIES = {"P3": comparison, "P7": slow_case, "P8": growth}
"""What a total time cannot say: text to print below the table of a case, and its numbers."""
