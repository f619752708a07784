"""The goals: ensembles, limits, escapes, references, verification, start-up and large data, each with its check."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow_studies.benchmarks.bare import bare_flow
from gflow_studies.benchmarks.goals import Goal, Spent, reached, require, stored_ratios, told
from gflow_studies.benchmarks.large_limits import in_own_process
from gflow_studies.benchmarks.limits import random_problems
from gflow_studies.benchmarks.references import certified_gap
from gflow_studies.benchmarks.scale import low_rank
from gflow_studies.benchmarks.user_functions import TWO_SIDED_GOALS

RTOL, ALPHA, LOSS = 1e-8, 1e-8, 1e-16
ENSEMBLE, LIMITS, CHECKED = 200, 50, 5
"""Flows and limits that are timed, and those of them that are compared with the uncompiled ones."""
FIG3 = str(Path(gflow.__file__).resolve().parent / "data" / "fig3.csv")


def yardstick() -> np.ndarray:
    """Return the end of bare LSODA on Figure 3."""
    problem = example("fig3")
    model = gflow.Factorization(problem.shape)
    start = model.random(np.random.default_rng(0), ALPHA)
    flow = bare_flow(gflow.Objective.of(problem, model), model, start, LOSS, rtol=RTOL, atol=RTOL * ALPHA)
    return flow()[0]


@cache
def _ensemble() -> tuple[list[gflow.MatrixCompletion], list[np.ndarray]]:
    """Return the problems and the starts, after a look that the compiled ends are those of ``gradient_flow``."""
    problems = random_problems(ENSEMBLE)
    model, rng = gflow.Factorization((4, 4)), np.random.default_rng(0)
    starts = [model.random(rng, ALPHA) for _ in problems]
    ends = gflow.gradient_flows(problems[:CHECKED], starts[:CHECKED], compiled=True, loss_tol=LOSS)
    for problem, start, end in zip(problems, starts, ends, strict=False):
        path = gflow.gradient_flow(problem, start, loss_tol=LOSS)
        apart = np.abs(model.output(path.final) - model.output(end.theta)).max() / problem.size
        require(end.status == path.status and apart < 1e-5, f"a compiled end is {apart:.1e} from the other")
    return problems, starts


def flows() -> Spent:
    """Return after the ensemble."""
    problems, starts = _ensemble()
    ends = gflow.gradient_flows(problems, starts, compiled=True, rtol=RTOL, loss_tol=LOSS)
    require(all(end.status == "converged" for end in ends), "a flow has not converged")
    return Spent(len(problems))


@cache
def _limits() -> list[gflow.MatrixCompletion]:
    """Return the problems, after a look that compiled limits are those that are not."""
    problems = random_problems(LIMITS)
    for problem in problems[:CHECKED]:
        one, other = (gflow.saddle_to_saddle(problem, compiled=compiled) for compiled in (True, False))
        same = one.status == other.status and one.rank == other.rank
        if same and one.matrix is not None and other.matrix is not None:
            same = float(np.abs(one.matrix - other.matrix).max()) < 1e-6 * problem.size
        require(same, f"{one} compiled, else {other}")
    return problems


def limits() -> Spent:
    """Return after the compiled limits."""
    for problem in _limits():
        gflow.saddle_to_saddle(problem, compiled=True)
    return Spent(LIMITS)


def escape(make: Callable[[], tuple[gflow.TanhNetwork, gflow.Regression, np.ndarray]]) -> Spent:
    """Return after the escape limit of a network from the origin."""
    model, problem, direction = make()
    limit = gflow.escape_limit(gflow.Objective.of(problem, model), np.zeros(model.dim), direction)
    right = limit.verdict == "limit-exists" and limit.agreement is not None and limit.agreement < 1e-9
    require(right and abs((limit.fitted_order or 0.0) - 1.0) < 1e-3, f"{limit}")
    return Spent()


def one_neuron() -> tuple[gflow.TanhNetwork, gflow.Regression, np.ndarray]:
    """Return two neurons with bias for tanh(x + 1) at six points, and a direction."""
    X = np.linspace(-2.0, 2.0, 6)
    model = gflow.TanhNetwork(X, 2, bias=True)
    return model, gflow.Regression(X, np.tanh(X + 1)), model.random(np.random.default_rng(0))


def six_neurons() -> tuple[gflow.TanhNetwork, gflow.Regression, np.ndarray]:
    """Return six neurons of two inputs for a target of two neurons at twelve points, and a direction."""
    rng = np.random.default_rng([0, 1])
    points = rng.standard_normal((12, 2))
    target, model = gflow.TanhNetwork(points, 2), gflow.TanhNetwork(points, 6)
    return model, gflow.Regression(points, target.output(target.random(rng))), model.random(rng)


def nuclear(d: int) -> Spent:
    """Return after the minimum nuclear norm of a half observed matrix of rank 5."""
    problem = low_rank(d, 5, 0.5)
    require(certified_gap(problem, gflow.minimum_nuclear_norm(problem)) <= 1e-9, "the gap exceeds 1e-9")
    return Spent()


def command(*arguments: str, code: int = 0) -> Spent:
    """Return the user CPU time of a command of its own, with bytecode kept as that of an installed package is."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=kept)
    require(done.returncode == code, f"{' '.join(arguments)[:80]} ended with {done.returncode}: {done.stderr[-200:]}")
    return Spent(seconds=resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)


def with_page() -> Spent:
    """Return the time of a verification with its page."""
    with tempfile.TemporaryDirectory() as folder:
        return command("-m", "gflow", "verify", FIG3, "--out", f"{folder}/page")


def cold() -> Spent:
    """Return the time of the first compiled flow where nothing is kept, less that of an import."""
    run = "import gflow, numpy as np; M = np.outer([1., 2, 3, 4], [1., 2, 3, 4]); M[0, 0] = np.nan; "
    run += "(end,) = gflow.gradient_flows(M, 1e-8 * np.random.default_rng(0).standard_normal(32), compiled=True); "
    run += "assert end.method.startswith('compiled')"
    with tempfile.TemporaryDirectory() as folder:
        kept = os.environ.get("NUMBA_CACHE_DIR")
        os.environ["NUMBA_CACHE_DIR"] = folder
        try:
            first, second = command("-c", run), command("-c", run)
        finally:
            os.environ.pop("NUMBA_CACHE_DIR")
            if kept is not None:
                os.environ["NUMBA_CACHE_DIR"] = kept
    return Spent(seconds=(first.seconds or 0.0) - (second.seconds or 0.0))


def large(d: int, fraction: float) -> Spent:
    """Return time and memory of the limit of a large problem; the answer is compared with the truth."""
    found: dict[str, Any] = in_own_process(d, fraction)
    require(found["status"] == "converged" and found["error"] < 1e-6, f"{found}")
    return Spent(seconds=found["cpu"], megabytes=found["megabytes"])


def verified(d: int) -> Spent:
    """Return after the verification of a square matrix of rank 2, half observed."""
    claims = gflow.verify(low_rank(d, 2, 0.5)).claims
    require(all(claim.verdict != "contradicted" for claim in claims), "a statement is contradicted")
    return Spent()


FLOW = ("-m", "gflow", "flow", FIG3)
GOALS = (
    Goal("flows", "random 4 x 4 flows from 1e-8, each, compiled", 5e-4, flows),
    Goal("limits", "random 4 x 4 limits, each, compiled", 2e-3, limits),
    Goal("cold", "compilation of the flow, where nothing is kept", 2.0, cold, 1),
    Goal("escape-6", "escape_limit, tanh network of 6 parameters", 0.5, partial(escape, one_neuron)),
    Goal("escape-18", "escape_limit, tanh network of 18 parameters", 1.0, partial(escape, six_neurons)),
    Goal("nuclear-50", "minimum nuclear norm, d = 50", 0.15, partial(nuclear, 50)),
    Goal("nuclear-100", "minimum nuclear norm, d = 100", 0.3, partial(nuclear, 100)),
    Goal("start", "gflow flow FILE", 0.3, partial(command, *FLOW)),
    Goal("verify", "gflow verify FILE", 2.5, partial(command, "-m", "gflow", "verify", FIG3), 1),
    Goal("verify-out", "gflow verify FILE --out", 4.0, with_page, 1),
    *TWO_SIDED_GOALS,
)
LARGE_GOALS = (
    Goal("nuclear-200", "minimum nuclear norm, d = 200", 0.6, partial(nuclear, 200), 1),
    Goal("nuclear-300", "minimum nuclear norm, d = 300", 2.0, partial(nuclear, 300), 1),
    Goal("verify-100", "verify, 100 x 100", 15.0, partial(verified, 100), 1),
    Goal("verify-300", "verify, 300 x 300", 15.0, partial(verified, 300), 1),
    Goal("large-3000", "limit, 3000 x 3000, 1.2 million entries", 12.0, partial(large, 3000, 0.13333), 1, 250.0),
    Goal("large-10000", "limit, 10000 x 10000, 4.6 million entries", 60.0, partial(large, 10000, 0.046), 1, 800.0),
)


def study(goals: tuple[Goal, ...]) -> tuple[str, dict[str, Any]]:
    """Return how far the goals are reached, as text and as numbers for JSON."""
    rows = reached(goals, yardstick, stored_ratios())
    return told(rows), {"rows": [row.to_dict() for row in rows]}


GOAL_STUDIES = {"goals": partial(study, GOALS), "goals-large": partial(study, LARGE_GOALS)}
"""By the name on the command line."""
