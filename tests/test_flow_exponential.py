"""Tests of the linear phase: the exact exponential, how far it is trusted, and flows that begin with it."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.flow import Status, gradient_flow
from gflow.flow.exponential import LinearPhase
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

DIM, FAR = 40, 1e6
RATES = np.concatenate([[-1.0, -0.7, -0.7], np.linspace(-0.5, 1.5, DIM - 3)])


def hessian(seed: int = 0) -> np.ndarray:
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((DIM, DIM)))[0]
    return Q * RATES @ Q.T


def exponential(H: np.ndarray, y: np.ndarray, t: float) -> np.ndarray:
    rates, Q = np.linalg.eigh(H)
    return Q @ (np.exp(-t * rates) * (Q.T @ y))


def phase(H: np.ndarray, y: np.ndarray, *, bend: float = 0.0, t_bound: float = FAR, rtol: float = 1e-8) -> LinearPhase:
    """Return the phase of y' = -H y - bend |y|^2 y from y at time 2; velocities are thrown away."""

    def gradient(v: np.ndarray) -> np.ndarray:
        return H @ v + bend * (v @ v) * v

    return LinearPhase(lambda t, v: -gradient(v), 2.0, y, t_bound, rtol=rtol, product=lambda v: H @ v)


def travelled(found: LinearPhase) -> list[tuple[float, np.ndarray]]:
    states = []
    while found.status == "running" and not found.is_over:
        found.step()
        states.append((found.t, found.y))
    return states


@pytest.mark.parametrize("seed", [0, 1])
def test_states_are_the_exact_exponential(seed: int) -> None:
    H, y = hessian(seed), 1e-9 * np.random.default_rng(seed).standard_normal(DIM)
    found = phase(H, y)
    assert found.is_useful and found.goes_on
    states = travelled(found)
    assert found.is_over and states[-1][0] == pytest.approx(2.0 + found.length)
    for t, state in states:
        exact = exponential(H, y, t - 2.0)
        assert np.linalg.norm(state - exact) <= 1e-9 * np.linalg.norm(exact)
    assert np.diff([2.0, *(t for t, _ in states)]).max() * found.rate <= 0.7 + 1e-12
    between = np.array([2.1, 3.3])
    exact = np.column_stack([exponential(H, y, t - 2.0) for t in between])
    assert found.dense_output()(between) == pytest.approx(exact, rel=1e-7, abs=1e-16)


def test_the_velocity_of_each_state_is_handed_on() -> None:
    H, y, seen = hessian(), 1e-9 * np.ones(DIM), []
    found = LinearPhase(lambda t, v: -H @ v, 0.0, y, FAR, rtol=1e-8, product=partial(np.matmul, H), seen=seen.append)
    states = travelled(found)
    assert len(seen) == len(states)
    assert all(
        np.allclose(velocity, -H @ state, rtol=1e-7, atol=0) for velocity, (_, state) in zip(seen, states, strict=True)
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(-14, -5), st.floats(-2, 2), st.sampled_from([1e-6, 1e-8, 1e-10]))
def test_a_phase_ends_before_the_flow_is_linear_no_more(seed: int, size: float, bend: float, rtol: float) -> None:
    H, factor = hessian(seed), 10.0**bend
    found = phase(H, 10.0**size * np.random.default_rng(seed).standard_normal(DIM), bend=factor, rtol=rtol)
    if found.is_useful:
        end = travelled(found)[-1][1]
        assert factor * (end @ end) * np.linalg.norm(end) <= 1.01 * rtol * np.linalg.norm(H @ end)
    else:
        assert not found.goes_on


def test_a_phase_goes_as_far_as_the_flow_is_linear() -> None:
    y = 1e-7 * np.random.default_rng(0).standard_normal(DIM)
    ends = [travelled(phase(hessian(), y, bend=bend))[-1][1] for bend in (1e-2, 1.0, 1e2)]
    assert all(0.05e-8 <= bend * (end @ end) <= 2e-8 for bend, end in zip((1e-2, 1.0, 1e2), ends, strict=True))


def test_a_horizon_ends_a_phase_exactly() -> None:
    for t_bound in np.linspace(5.1, 7.3, 50).tolist():
        found = phase(hessian(), 1e-9 * np.ones(DIM), t_bound=t_bound)
        assert travelled(found)[-1][0] == t_bound and found.status == "finished"


@pytest.mark.parametrize("flaw", ["another Hessian", "a slope", "a large start", "no growth", "rest"])
def test_no_phase_is_taken_where_the_flow_is_not_linear_or_does_not_grow(flaw: str) -> None:
    H, y = hessian(), 1e-9 * np.ones(DIM)
    slope = 1e-12 if flaw == "a slope" else 0.0
    if flaw == "no growth":
        H = H + 2.0 * np.eye(DIM)
    if flaw in ("a large start", "rest"):
        y = y * (1e9 if flaw == "a large start" else 0.0)
    other = hessian(1) if flaw == "another Hessian" else H
    found = LinearPhase(lambda t, v: -(H @ v + slope + (v @ v) * v), 0.0, y, FAR, rtol=1e-8, jac=-other)
    assert not found.is_useful and not found.goes_on


def test_no_phase_is_tried_where_its_basis_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    y = 1e-9 * np.ones(DIM)
    assert phase(hessian(), y).is_useful
    monkeypatch.setattr("gflow.flow.exponential.LARGEST_BASIS", 9 * DIM)
    never = partial(pytest.fail, "a product was taken")
    found = LinearPhase(never, 0.0, y, FAR, rtol=1e-8, product=never)
    assert not found.is_useful


# Flows


def setting(alpha: float, seed: int = 0) -> tuple[Factorization, Objective, np.ndarray]:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((24, 2)) @ rng.standard_normal((2, 24))
    model = Factorization((24, 24))
    objective = Objective.of(MatrixCompletion(M, rng.random((24, 24)) < 0.6), model)
    return model, objective, model.random(np.random.default_rng(seed), alpha)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1e-6, 1e-12, 1e-60, 1e-200])
def test_a_flow_that_begins_with_linear_phases_is_that_of_small_steps(alpha: float) -> None:
    _, objective, start = setting(alpha)
    quick = gradient_flow(objective, start, loss_tol=1e-8)
    horizon = (0.8 if alpha < 1e-100 else 0.96) * quick.plateaus[-1].start
    times = np.linspace(0.05, 1.0, 12) * horizon
    sampled = gradient_flow(objective, start, t_eval=times)
    slow = gradient_flow(objective, start, t_eval=times, method="DOP853", rtol=1e-11)
    assert quick.method.split(", ")[:2] == ["Krylov", "DOP853"]
    assert sampled.method == ("Krylov" if alpha < 1e-100 else "Krylov, DOP853")  # the smallest is linear to the end
    assert slow.method == "DOP853" and np.array_equal(sampled.times, slow.times)
    assert np.allclose(sampled.states, slow.states, rtol=0, atol=1e-6 * np.abs(slow.states).max(axis=1, keepdims=True))
    assert sampled.conservation_drift is not None and sampled.conservation_drift < 1e-9
    plain = gradient_flow(objective, start, loss_tol=1e-8, method="DOP853")
    assert quick.n_gradients < 0.95 * plain.n_gradients
    assert len(quick.plateaus) == len(plain.plateaus)
    assert np.allclose([p.loss for p in quick.plateaus[:-1]], [p.loss for p in plain.plateaus[:-1]], rtol=1e-2)


def test_a_flow_may_end_within_its_linear_phase() -> None:
    _, objective, start = setting(1e-12)
    whole = gradient_flow(objective, start, loss_tol=1e-8)
    early = gradient_flow(objective, start, t_end=float(whole.times[6]) * 1.01)
    assert (early.status, early.method) == (Status.HORIZON, "Krylov")
    assert early.times[-1] == float(whole.times[6]) * 1.01
    seen: list[float] = []
    stopped = gradient_flow(objective, start, callback=lambda t, theta, loss: seen.append(t) or len(seen) == 3)
    assert stopped.status == Status.HORIZON and stopped.times[-1] == seen[-1] == stopped.times[3]


def test_rescaling_the_matrix_changes_no_bit_of_a_linear_phase() -> None:
    rng = np.random.default_rng(0)
    M, model = rng.uniform(-1, 1, (24, 24)), Factorization((24, 24))
    start = model.random(rng, 1e-9)
    plain, scaled = (
        gradient_flow(Objective.of(MatrixCompletion(M * s), model), start * np.sqrt(s), t_end=1e3 / s)
        for s in (1.0, 4.0**9)
    )
    assert plain.method == scaled.method == "Krylov, DOP853"
    assert np.array_equal(scaled.states, plain.states * 2.0**9)
