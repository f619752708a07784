"""What a user would run instead on a small problem: the compiled ensemble, other solvers, and the command line cold."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import gflow
from gflow_studies.benchmarks.timing import Case, Side

RTOL = 1e-8
SLACK = 0.95
"""The step of gradient descent as a fraction of the largest one that is stable all along the flow."""
ROOT = Path(__file__).resolve().parents[3]

Run = Callable[[], tuple[np.ndarray, int]]
compile_seconds: dict[str, float] = {}
"""Seconds that each compiling solver took before its first step in this process."""


def largest_step(objective: gflow.Objective, path: gflow.Trajectory) -> float:
    """Return 0.95 times 2 / L, L the largest Hessian eigenvalue along the flow: longer steps do not stay near it."""
    states = path.states[:: max(len(path.states) // 100, 1)]
    sharpest = max(float(np.linalg.eigvalsh(objective.hessian(theta))[-1]) for theta in states)
    return SLACK * 2.0 / sharpest


def peer_sides(
    problem: gflow.MatrixCompletion, model: gflow.Factorization, start: np.ndarray, loss: float
) -> tuple[Side, ...]:
    """Return the compiled flow and every other compiled solver that is installed, each to the same loss.

    The first run of each, which is not timed, compiles; ``compile_seconds`` keeps how long that took.
    """
    sides = []
    if find_spec("numba") is not None:
        sides.append(Side("gflow, compiled", _first("gflow, compiled", _fast(problem, model, start, loss))))
    for package, name, build in (
        ("sksundae", "CVODE, same Jacobian", _cvode),
        ("heyoka", "heyoka", _heyoka),
        ("diffrax", "diffrax Kvaerno5", _diffrax),
    ):
        if find_spec(package) is not None:
            sides.append(Side(name, _first(name, build(problem, model, start, loss)), trusted=False))
    return tuple(sides)


def _first(name: str, run: Run) -> Run:
    """Return the run, its first call timed against its second: what is lost once is compilation."""

    def timed() -> tuple[np.ndarray, int]:
        if name in compile_seconds:
            return run()
        begin = time.perf_counter()
        run()
        between = time.perf_counter()
        answer = run()
        compile_seconds[name] = max((between - begin) - (time.perf_counter() - between), 0.0)
        return answer

    return timed


def compile_times() -> tuple[str, dict[str, Any]]:
    """Return the compile times met in this process, as text and as numbers for JSON."""
    lines = [f"{name:38} {seconds:8.2f} s before its first step" for name, seconds in compile_seconds.items()]
    return "\n".join(["compilation, in no time above", *lines]), dict(compile_seconds)


def _fast(problem: gflow.MatrixCompletion, model: gflow.Factorization, start: np.ndarray, loss: float) -> Run:
    target = loss / problem.unit**2

    def run() -> tuple[np.ndarray, int]:
        (end,) = gflow.gradient_flows(problem, start, rank=model.rank, compiled=True, loss_tol=target, rtol=RTOL)
        return model.output(end.theta), end.n_gradients

    return run


def _inner(problem: gflow.MatrixCompletion, model: gflow.Factorization, loss: float) -> tuple[gflow.Objective, float]:
    """Return the objective in the problem's own unit, and the loss there."""
    return gflow.Objective.of(problem.normalized, model), loss / problem.unit**2


def _cvode(problem: gflow.MatrixCompletion, model: gflow.Factorization, start: np.ndarray, loss: float) -> Run:
    from sksundae.cvode import CVODE

    objective, level = _inner(problem, model, loss)
    begin = start / np.sqrt(problem.unit)

    def slope(t: float, y: np.ndarray, result: np.ndarray) -> None:
        np.negative(objective.gradient(y), out=result)

    def jacobian(t: float, y: np.ndarray, yp: np.ndarray, result: np.ndarray) -> None:
        np.negative(objective.hessian(y), out=result)

    def reached(t: float, y: np.ndarray, events: np.ndarray) -> None:
        events[0] = objective.value(y) - level

    reached.terminal = [True]  # type: ignore[attr-defined]
    settings = {"rtol": RTOL, "atol": RTOL * float(np.abs(begin).max()), "max_num_steps": 10**6}
    solver = CVODE(slope, jacfn=jacobian, eventsfn=reached, num_events=1, **settings)

    def run() -> tuple[np.ndarray, int]:
        found = solver.solve(np.array([0.0, 1e6]), begin)
        return problem.unit * model.output(np.array(found.y[-1])), int(found.nfev)

    return run


def _heyoka(problem: gflow.MatrixCompletion, model: gflow.Factorization, start: np.ndarray, loss: float) -> Run:
    import heyoka

    _, level = _inner(problem, model, loss)
    begin = start / np.sqrt(problem.unit)
    built: list[Any] = []

    def solver() -> Any:
        variables = np.array(heyoka.make_vars(*(f"x{k}" for k in range(model.dim))), dtype=object)
        A, B = model.factors(variables)
        inner = problem.normalized
        E = (A @ B - inner.values) * inner.observed
        slopes = np.concatenate([(-2.0 / inner.n_observed * part).ravel() for part in (E @ B.T, A.T @ E)])
        value = heyoka.sum([E[i, j] ** 2.0 for i, j in zip(inner.rows, inner.columns, strict=True)])
        event = heyoka.t_event(value / float(inner.n_observed) - level)
        return heyoka.taylor_adaptive(list(zip(variables, slopes, strict=True)), begin, tol=RTOL, t_events=[event])

    def run() -> tuple[np.ndarray, int]:
        if not built:
            built.append(solver())
        integrator = built[0]
        integrator.time = 0.0
        integrator.state[:] = begin
        integrator.reset_cooldowns()
        integrator.propagate_until(1e6)
        return problem.unit * model.output(integrator.state.copy()), 0

    return run


def _diffrax(problem: gflow.MatrixCompletion, model: gflow.Factorization, start: np.ndarray, loss: float) -> Run:
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    _, level = _inner(problem, model, loss)
    begin = jnp.asarray(start / np.sqrt(problem.unit))
    inner = problem.normalized
    mask, values, (d1, d2), r = jnp.asarray(inner.observed), jnp.asarray(inner.values), model.shape, model.rank

    def value(y: Any) -> Any:
        W = y[: d1 * r].reshape(d1, r) @ y[d1 * r :].reshape(r, d2)
        return jnp.sum((mask * (W - values)) ** 2) / inner.n_observed

    slope = jax.grad(value)
    atol = RTOL * float(np.abs(np.asarray(begin)).max())

    @jax.jit
    def solve(y: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: -slope(y)),
            diffrax.Kvaerno5(),
            0.0,
            1e6,
            0.1,
            y,
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=atol),
            event=diffrax.Event(lambda t, y, args, **_: value(y) <= level),
            max_steps=200_000,
            throw=False,
        ).ys[-1]

    def run() -> tuple[np.ndarray, int]:
        return problem.unit * model.output(np.asarray(solve(begin).block_until_ready())), 0

    return run


def _command_sides() -> tuple[Side, ...]:
    """Return the command line from a cold start; the answer is the exit code, CPU time is the child's, unseen."""
    file = str(ROOT / "gflow" / "data" / "fig3.csv")
    commands = {
        "python -c pass": ["-c", "pass"],
        "python -c 'import numpy'": ["-c", "import numpy"],
        "python -c 'import gflow'": ["-c", "import gflow"],
        "gflow --help": ["-m", "gflow", "--help"],
        "gflow classify fig3": ["-m", "gflow", "classify", file],
        "gflow limit fig3": ["-m", "gflow", "limit", file],
    }

    def side(name: str, arguments: list[str]) -> Side:
        def run() -> tuple[np.ndarray, int]:
            done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True)
            return np.array(1.0 + done.returncode), 0

        return Side(name, run)

    return tuple(side(name, arguments) for name, arguments in commands.items())


PEER_CASES = (
    Case("P9", "import, and time to first result on the command line", "python -c pass", _command_sides, 0.0),
)
PEER_STUDIES = {"P1": compile_times}
"""What the table of a case leaves out: text to print below it, and its numbers."""
