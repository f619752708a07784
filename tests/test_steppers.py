"""Tests of the solvers: orders of convergence on textbook problems, in ``solve_ivp`` and as methods of the flow."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.integrate import DOP853, LSODA, RK23, OdeSolver, solve_ivp

import gflow
from gflow.flow import driver
from gflow.flow.driver import drive
from gflow.flow.run import Run
from gflow.flow.steppers import BDF2, RKC, ExponentialRosenbrock, LinearPhase
from gflow.graded.run import GradedRun

POINTS = 24


def laplacian() -> np.ndarray:
    """Return the second difference on (0, 1) with zero at the ends: eigenvalues from -10 to -2300."""
    L = -2.0 * np.eye(POINTS) + np.eye(POINTS, k=1) + np.eye(POINTS, k=-1)
    return L * (POINTS + 1) ** 2


def allen_cahn(t: float, u: np.ndarray) -> np.ndarray:
    """Return the field of Allen and Cahn's equation, the gradient flow of a double well."""
    return 0.02 * laplacian() @ u + u - u**3


def allen_cahn_jacobian(t: float, u: np.ndarray) -> np.ndarray:
    return 0.02 * laplacian() + np.diag(1.0 - 3.0 * u**2)


def brusselator(t: float, y: np.ndarray) -> np.ndarray:
    """Return the field of the Brusselator (Hairer, Noersett and Wanner 1993, section II.4)."""
    u, v = y
    return np.array([1.0 + u * u * v - 4.0 * u, 3.0 * u - u * u * v])


def prothero_robinson(t: float, y: np.ndarray) -> np.ndarray:
    """Return a field whose solution through cos 0 is cos t, though it depends on time."""
    return -20.0 * (y - np.cos(t)) - np.sin(t)


BUMP = np.sin(np.pi * np.arange(1, POINTS + 1) / (POINTS + 1)) * 0.5 + 0.1
PROBLEMS = {
    "Allen-Cahn": (allen_cahn, BUMP, 2.0),
    "Brusselator": (brusselator, np.array([1.5, 3.0]), 4.0),
    "Prothero-Robinson": (prothero_robinson, np.ones(1), 1.0),
}


@pytest.fixture(scope="module")
def exact() -> dict[str, np.ndarray]:
    options: dict[str, Any] = {"method": "Radau", "rtol": 1e-11, "atol": 1e-13}
    ends = {name: solve_ivp(f, (0.0, t), y, **options).y[:, -1] for name, (f, y, t) in PROBLEMS.items()}
    return ends | {"Prothero-Robinson": np.array([np.cos(1.0)])}


def steps_of(length: float, method: type[OdeSolver], problem: str, **options: Any) -> np.ndarray:
    """Return the end after steps of about that length; errors are allowed that ask for no shorter ones."""
    field, y, end = PROBLEMS[problem]
    tol = 1e2 if method is RKC else length**2  # Newton's iteration ends at a fraction of it
    limits = {"max_step": length, "first_step": length, "rtol": tol, "atol": tol}
    found = solve_ivp(field, (0.0, end), y, method=method, **limits, **options)
    assert found.success and len(found.t) - 1 == pytest.approx(end / length, abs=3)
    return np.asarray(found.y[:, -1])


@pytest.mark.parametrize(
    ("method", "problem", "lengths", "order"),
    [
        (RKC, "Allen-Cahn", (0.02, 0.01), 2.0),
        (RKC, "Brusselator", (0.02, 0.01), 2.0),
        (RKC, "Prothero-Robinson", (0.02, 0.01), 2.0),
        (BDF2, "Allen-Cahn", (0.02, 0.01), 2.0),
        (BDF2, "Brusselator", (0.02, 0.01), 2.0),
        (BDF2, "Prothero-Robinson", (0.02, 0.01), 2.0),
        (ExponentialRosenbrock, "Allen-Cahn", (0.1, 0.05), 5.0),
    ],
)
def test_errors_fall_with_the_order_of_the_method(
    method: type[OdeSolver], problem: str, lengths: tuple[float, float], order: float, exact: dict[str, np.ndarray]
) -> None:
    jacobian = {"jac": allen_cahn_jacobian} if problem == "Allen-Cahn" and method is not RKC else {}
    ends = [steps_of(length, method, problem, **jacobian) for length in lengths]
    errors = [float(np.linalg.norm(end - exact[problem])) for end in ends]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15 * order)


@pytest.mark.parametrize("method", [RKC, BDF2, ExponentialRosenbrock])
def test_the_heat_equation_is_solved_to_the_tolerance_and_between_the_steps(method: type[OdeSolver]) -> None:
    rates, Q = np.linalg.eigh(laplacian())
    times = np.linspace(0.0, 0.3, 7)
    options: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-7, "t_eval": times}
    options |= {} if method is RKC else {"jac": laplacian()}
    found = solve_ivp(lambda t, u: laplacian() @ u, (0.0, 0.3), BUMP, method=method, **options)
    exact = Q @ (np.exp(np.outer(rates, times)) * (Q.T @ BUMP)[:, None])
    assert found.success and np.abs(found.y - exact).max() < 1e-3


@pytest.mark.parametrize("method", [RKC, BDF2])
def test_a_first_step_that_is_too_long_is_not_taken(method: type[OdeSolver]) -> None:
    limits = {"first_step": 1.0, "rtol": 1e-6, "atol": 1e-8}
    found = solve_ivp(prothero_robinson, (0.0, 2.0), np.array([3.0]), method=method, **limits)
    assert found.success and found.t[1] < 0.1 and abs(float(found.y[0, -1]) - np.cos(2.0)) < 1e-4


@pytest.mark.parametrize("method", [RKC, BDF2, ExponentialRosenbrock])
def test_time_may_run_backwards(method: type[OdeSolver]) -> None:
    found = solve_ivp(lambda t, y: -y, (1.0, 0.0), np.array([np.exp(-1.0)]), method=method, rtol=1e-6, atol=1e-9)
    assert found.success and found.t[-1] == 0.0 and float(found.y[0, -1]) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(("problem", "said"), [("Brusselator", "symmetric"), ("Prothero-Robinson", "time")])
def test_exponential_steps_refuse_what_is_no_gradient_flow(problem: str, said: str) -> None:
    field, y, _ = PROBLEMS[problem]
    with pytest.raises(ValueError, match=said):
        solve_ivp(field, (0.3, 1.0), y, method=ExponentialRosenbrock)


def test_a_linear_phase_is_exact_and_says_where_the_field_is_not_linear_any_more() -> None:
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((POINTS, POINTS)))[0]
    rates = np.linspace(-2.0, 1.0, POINTS)
    J, y = Q * rates @ Q.T, 1e-9 * np.ones(POINTS)
    options: dict[str, Any] = {"method": LinearPhase, "jac": J, "rtol": 1e-8}
    found = solve_ivp(lambda t, u: J @ u, (0.0, 6.0), y, **options)
    assert found.success and np.allclose(found.y[:, -1], Q @ (np.exp(6.0 * rates) * (Q.T @ y)), rtol=1e-9, atol=0.0)
    bent = solve_ivp(lambda t, u: J @ u - (u @ u) * u, (0.0, 40.0), y, **options)
    assert not bent.success and "not linear any more" in bent.message and bent.t[-1] > 4.0


@pytest.mark.parametrize("wrong", [{"rtol": 0.0}, {"atol": -1.0}, {"max_step": 0.0}, {"first_step": -1.0}])
def test_tolerances_and_lengths_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    for method in (RKC, BDF2, ExponentialRosenbrock):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            solve_ivp(allen_cahn, (0.0, 1.0), BUMP, method=method, **wrong)


# Methods of the flow

GAP = np.nan
DATA = np.array([[1.0, 2.0, GAP], [3.0, 4.0, GAP], [6.0, GAP, 5.0]])
START = gflow.Factorization((3, 3)).random(0, 1e-2)


class Heun(RK23):
    """A user's method, as one of scipy's with a name of its own."""


class Midpoint(OdeSolver):
    """A user's method from the contract alone: explicit midpoint steps of a length that ``rtol`` sets."""

    order = 2

    def __init__(self, fun: Any, t0: float, y0: np.ndarray, t_bound: float, rtol: float, atol: float) -> None:
        super().__init__(fun, t0, y0, t_bound, vectorized=False)
        self.h = 0.2 * rtol ** (1 / 3)

    def _step_impl(self) -> tuple[bool, None]:
        h = min(self.h, self.t_bound - self.t)
        self.y = self.y + h * self.fun(self.t + h / 2, self.y + h / 2 * self.fun(self.t, self.y))
        self.t += h
        self.fun(self.t, 0.0 * self.y)  # the last look at the field need not be at the state
        return True, None


@pytest.fixture(scope="module")
def usual() -> gflow.Trajectory:
    return gflow.gradient_flow(DATA, START)


@pytest.mark.parametrize("method", [BDF2, ExponentialRosenbrock, RKC, Heun, LSODA, DOP853])
def test_the_flow_takes_any_solver_and_ends_where_it_always_does(
    method: type[OdeSolver], usual: gflow.Trajectory
) -> None:
    rtol = 1e-6 if method in (BDF2, Heun) else 1e-8
    path = gflow.gradient_flow(DATA, START, method=method, rtol=rtol, error_tol=None)
    assert path.status == usual.status == gflow.Status.CONVERGED and path.method == method.__name__
    assert path.gradient_norms[-1] == pytest.approx(np.linalg.norm(flow_gradient(path.final)), rel=1e-9)
    W, expected = (gflow.Factorization((3, 3)).output(end) for end in (path.final, usual.final))
    assert np.abs(W - expected).max() < 1e-3 and len(path.plateaus) == len(usual.plateaus)


def flow_gradient(theta: np.ndarray) -> np.ndarray:
    return gflow.Objective.of(gflow.MatrixCompletion(DATA), gflow.Factorization((3, 3))).gradient(theta)


def test_a_method_of_a_user_is_followed_by_the_contract_alone() -> None:
    path = gflow.gradient_flow(DATA, START, method=Midpoint, rtol=1e-5, t_end=2.0, error_tol=None)
    usual = gflow.gradient_flow(DATA, START, t_end=2.0)
    assert path.status == usual.status == gflow.Status.HORIZON and path.method == "Midpoint"
    assert np.abs(path.final - usual.final).max() < 1e-5
    assert path.gradient_norms[-1] == pytest.approx(usual.gradient_norms[-1], rel=1e-3)


@pytest.mark.parametrize("name", ["lsoda", "Lsoda", "AUTO", "rkc", "dop853", "radau"])
def test_names_may_be_written_in_any_case(name: str) -> None:
    path = gflow.gradient_flow(DATA, START, method=name, t_end=0.5)
    assert path.method == {"AUTO": "LSODA", "radau": "Radau"}.get(name, name.upper())


@pytest.mark.parametrize(("method", "error"), [("euler", ValueError), (3, TypeError), (RK23, None), (dict, TypeError)])
def test_what_is_no_solver_is_refused_in_one_sentence(method: Any, error: type[Exception] | None) -> None:
    if error is None:
        assert gflow.gradient_flow(DATA, START, method=method, t_end=0.5).method == "RK23"
        return
    with pytest.raises(error, match="method must be"):
        gflow.gradient_flow(DATA, START, method=method)


def test_neither_the_package_nor_a_small_limit_loads_the_solvers_of_scipy() -> None:
    code = (
        "import sys, gflow\n"
        "gflow.gradient_flow, gflow.graded_flow, gflow.descent\n"
        "limit = gflow.saddle_to_saddle(gflow.MatrixCompletion([[1.0, 2.0], [3.0, float('nan')]]))\n"
        "print(limit.rank, 'scipy.integrate' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


# The driver


def test_the_driver_asks_endings_in_their_order_and_the_watch_before_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    def question(name: str, at: int) -> Any:
        def asked(*_: Any) -> str | None:
            told.append(name)
            return name if told.count(name) > at else None

        return asked

    monkeypatch.setattr(driver.watch, "spent", question("watch", 9))
    assert drive(question("step", 9), (question("one", 2), question("two", 9))) == "one"
    assert told == ["one", "two", "watch", "step", "one", "two", "watch", "step", "one"]
    for name in ("step", "two", "watch"):
        told.clear()
        limits = {"step": 9, "two": 9, "watch": 9} | {name: 1}
        monkeypatch.setattr(driver.watch, "spent", question("watch", limits["watch"]))
        found = drive(question("step", limits["step"]), (question("two", limits["two"]),), late=lambda said: said)
        assert found == name and told.count(name) == 2


@pytest.mark.parametrize("graded", [False, True])
def test_the_watch_passes_every_step_of_a_flow_and_may_end_it(graded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, model = gflow.MatrixCompletion(DATA), gflow.Factorization((3, 3))
    limits = {"loss_tol": 1e-20, "gradient_tol": 1e-12, "norm_limit": 1e4}
    run: Any
    if graded:
        run = GradedRun(problem, model, START, 0.0, 1e-9, np.inf, 1000, limits)
    else:
        objective = gflow.Objective.of(problem, model)
        run = Run(objective, START, None, "LSODA", 1e-8, None, max_evaluations=1000, **limits)
    seen: list[float] = []

    def spent(stage: str, taken: int) -> str | None:
        seen.append(run.flow.t)
        return "too late" if taken == 7 else None

    monkeypatch.setattr(driver.watch, "spent", spent)
    path = run.trajectory() if graded else run.trajectory(None, None)
    assert (path.status, path.message) == (gflow.Status.BUDGET, "too late") and path.n_steps == len(seen) - 1 == 7
    assert np.allclose(path.times, np.array(seen) * run.units[1], rtol=1e-12)
