"""What a user would run without gflow: scipy's own solvers on the same function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gflow


def bare_flow(
    objective: gflow.Objective,
    model: gflow.Factorization,
    start: np.ndarray,
    loss: float,
    method: str = "LSODA",
    t_end: float = 1e6,
    **tolerances: float,
) -> Callable[[], tuple[np.ndarray, int]]:
    """Return bare solve_ivp on the same function, in the same unit as ``t_end``, stopped by an event at that loss.

    Implicit methods have the same Jacobian.
    """
    from scipy.integrate import solve_ivp

    inner = objective.normalized or objective
    level = loss / objective.unit**2

    def reached(_: float, theta: np.ndarray) -> float:
        return inner.value(theta) - level

    reached.terminal = True  # type: ignore[attr-defined]
    options: dict[str, Any] = dict(tolerances)
    if method in ("LSODA", "Radau"):
        options["jac"] = lambda _, theta: -inner.hessian(theta)

    def run() -> tuple[np.ndarray, int]:
        result = solve_ivp(
            lambda _, theta: -inner.gradient(theta),
            (0.0, t_end),
            start / objective.theta_unit,
            method=method,
            events=reached,
            **options,
        )
        return objective.unit * model.output(result.y[:, -1]), result.nfev

    return run
