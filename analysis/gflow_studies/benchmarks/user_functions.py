"""Goals with two sides of their own: flows and Hessians of a user's function, and an ensemble on two cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any

import numpy as np

import gflow
from gflow_studies.benchmarks.goals import Goal, Spent, require, user_seconds

RTOL, T_END, ROUNDS = 1e-8, 50.0, 3
JOBS_RUNS = 400
"""Flows on two cores: enough that threads and queues are a small part."""


def ratio(ours: Callable[[], Any], other: Callable[[], Any], seconds: Callable[..., Any] = user_seconds) -> Spent:
    """Return how long one side takes and its ratio to the other, each taken in turn; both have run before."""
    pairs = [(seconds(ours)[0], seconds(other)[0]) for _ in range(ROUNDS)]
    return Spent(seconds=median(one for one, _ in pairs), ratio=median(one / two for one, two in pairs))


def wall_seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the wall time that a call takes, and what it returns."""
    before = time.perf_counter()
    found = run()
    return time.perf_counter() - before, found


@cache
def network() -> tuple[gflow.Objective, Callable[[Any], Any], np.ndarray]:
    """Return the loss of six neurons of two inputs as a user writes it, the function itself, and a start."""
    import autograd.numpy as anp

    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 2))
    y = np.tanh(X @ [1.0, -0.5]) - 0.7 * np.tanh(X @ [0.3, 1.2])

    def loss(theta: Any) -> Any:
        return anp.mean((anp.dot(anp.tanh(anp.dot(X, anp.reshape(theta[:12], (2, 6)))), theta[12:]) - y) ** 2)

    return gflow.Objective.autodiff(loss, 18, 0.0), loss, 0.5 * rng.standard_normal(18)


def users_flow() -> Spent:
    """Return the flow of that loss to a time, beside bare LSODA with the same derivatives and tolerances."""
    from scipy.integrate import solve_ivp

    objective, _, start = network()
    options: dict[str, Any] = {"rtol": RTOL, "atol": RTOL * np.linalg.norm(start) / np.sqrt(start.size)}
    options["jac"] = lambda _, theta: -objective.hessian(theta)

    def bare() -> np.ndarray:
        return solve_ivp(lambda _, theta: -objective.gradient(theta), (0.0, T_END), start, "LSODA", **options).y[:, -1]

    def ours() -> gflow.Trajectory:
        return gflow.gradient_flow(objective, start, rtol=RTOL, t_end=T_END)

    apart = float(np.abs(ours().final - bare()).max())
    require(apart < 1e-6, f"the two ends are {apart:.1e} apart")
    return ratio(ours, bare)


def hessian_columns() -> Spent:
    """Return the Hessian of that loss, beside one by columns: forward mode over reverse mode."""
    import autograd

    objective, loss, start = network()
    gradient = autograd.grad(loss)

    def columns() -> np.ndarray:
        return np.array([autograd.make_jvp(gradient)(start)(v)[1] for v in np.eye(start.size)])

    apart = float(np.abs(objective.hessian(start) - columns()).max())
    require(apart < 1e-12, f"the two Hessians are {apart:.1e} apart")
    return ratio(lambda: objective.hessian(start), columns)


def two_jobs() -> Spent:
    """Return the wall time of an ensemble with two jobs, beside one: it means something where two cores are free."""
    from gflow_studies.benchmarks.limits import random_problems

    problems, rng = random_problems(JOBS_RUNS), np.random.default_rng(0)
    starts = [gflow.Factorization((4, 4)).random(rng, 1e-8) for _ in problems]

    def ends(jobs: int) -> list[gflow.FlowEnd]:
        return gflow.gradient_flows(problems, starts, compiled=True, rtol=RTOL, loss_tol=1e-16, jobs=jobs)

    same = all(np.array_equal(one.theta, two.theta) for one, two in zip(ends(1), ends(2), strict=True))
    require(same, "the ends depend on the number of jobs")
    return ratio(lambda: ends(2), lambda: ends(1), wall_seconds)


TWO_SIDED_GOALS = (
    Goal("autodiff", "flow of a user's function, to bare LSODA", 0.0, users_flow, 1, most=1.3),
    Goal("hessian", "its Hessian, to forward columns", 0.0, hessian_columns, 1, most=1.0),
    Goal("jobs", "random 4 x 4 flows, two jobs to one, wall time", 0.0, two_jobs, 1, most=1 / 1.8),
)
