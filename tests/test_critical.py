"""Tests of critical points: textbook functions, the published saddles, spectra, and surveys for Theorem 1."""

import json
from dataclasses import replace
from functools import cache, reduce
from operator import mul
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.sparse.linalg import ArpackNoConvergence

from gflow.connectivity import connectivity
from gflow.critical import (
    CriticalPoint,
    NotConverged,
    PointKind,
    SpectrumNotConverged,
    classify,
    critical_orbits,
    find_critical_point,
    hessian_spectrum,
)
from gflow.flow import Trajectory, gradient_flow
from gflow.models import DirectMatrix, Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

GAP = np.nan
FIGURE_3 = MatrixCompletion([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
FIGURE_4 = MatrixCompletion([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]])
SEEDS = st.integers(0, 2**32 - 1)


def textbook(function, dim: int = 2, lower_bound: float | None = None) -> Objective:  # type: ignore[no-untyped-def]
    """Return a function of a few variables as an objective."""
    return Objective.autodiff(function, dim, lower_bound=lower_bound)


SADDLE = textbook(lambda x: x[0] ** 2 - x[1] ** 2)
MONKEY = textbook(lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2)
BOWL = textbook(lambda x: x[0] ** 2 + 2 * x[1] ** 2, lower_bound=0.0)
CIRCLE = textbook(lambda x: (x[0] ** 2 + x[1] ** 2 - 1) ** 2, lower_bound=0.0)
QUARTIC = textbook(lambda x: x[0] ** 4, 1, lower_bound=0.0)
SLOPE = textbook(lambda x: anp.exp(x[0]), 1)


def objective_of(problem: MatrixCompletion) -> tuple[Factorization, Objective]:
    """Return the full-width factorisation and its objective."""
    model = Factorization(problem.shape)
    return model, Objective.of(problem, model)


@cache
def plateau_points(name: str) -> tuple[Trajectory, tuple[CriticalPoint, ...]]:
    """Return the flow of a published matrix from scale 1e-8 and the critical points its plateaus lead to."""
    problem = {"fig3": FIGURE_3, "fig4": FIGURE_4}[name]
    model, objective = objective_of(problem)
    path = gradient_flow(objective, model.random(np.random.default_rng(0), scale=1e-8))
    return path, tuple(find_critical_point(objective, plateau.theta) for plateau in path.plateaus)


def low_rank_truncation(U: np.ndarray, s: np.ndarray, V: np.ndarray, k: int, model: Factorization) -> np.ndarray:
    """Return the balanced factors of the best rank-k fit to U diag(s) V^T, critical when all is observed."""
    A, B = np.zeros((model.shape[0], model.rank)), np.zeros((model.rank, model.shape[1]))
    A[:, :k], B[:k] = U[:, :k] * np.sqrt(s[:k]), (V[:, :k] * np.sqrt(s[:k])).T
    return model.theta(A, B)


def outside_eigenvalues(problem: MatrixCompletion, model: Factorization, theta: np.ndarray, k: int) -> np.ndarray:
    """Return +-(2/n) sigma_i(E), r - k times each, with the zeros that a rectangular E adds, ascending."""
    E = problem.residual(model.output(theta))
    block = np.block([[np.zeros((E.shape[0],) * 2), E], [E.T, np.zeros((E.shape[1],) * 2)]])
    return np.sort(np.tile(2 / problem.n_observed * np.linalg.eigvalsh(block), model.rank - k))


def unmatched(predicted: np.ndarray, spectrum: np.ndarray, tol: float) -> list[float]:
    """Return the predicted eigenvalues without a partner in the spectrum, each partner taken once."""
    left, missing = list(spectrum), []
    for value in predicted:
        nearest = int(np.argmin(np.abs(np.subtract(left, value))))
        if abs(left[nearest] - value) <= tol:
            left.pop(nearest)
        else:
            missing.append(float(value))
    return missing


@pytest.mark.parametrize(
    ("objective", "theta", "kind", "index", "n_zero", "rate"),
    [
        (SADDLE, [0, 0], "strict-saddle", 1, 0, 2.0),
        (MONKEY, [0, 0], "degenerate-saddle", 0, 2, 0.0),
        (BOWL, [0, 0], "global-minimum", 0, 0, 0.0),
        (CIRCLE, [0.6, 0.8], "global-minimum", 0, 1, 0.0),
        (CIRCLE, [0, 0], "strict-saddle", 2, 0, 4.0),
        (BOWL, [1e-3, 0], "not-critical", 0, 0, 0.0),
        (SADDLE, [0, 1e-3], "not-critical", 1, 0, 2.0),
    ],
)
def test_textbook_points_are_classified(  # type: ignore[no-untyped-def]
    objective: Objective, theta, kind: str, index: int, n_zero: int, rate: float
) -> None:
    point = classify(objective, theta)
    assert (point.kind, point.index, point.n_zero) == (kind, index, n_zero)
    assert point.escape_rate == pytest.approx(rate)
    assert point.gauge_dimension is None


def test_without_a_lower_bound_no_minimum_is_called_global() -> None:
    point = classify(textbook(lambda x: x[0] ** 2 + x[1] ** 2), np.zeros(2))
    assert point.kind == "second-order" and point.reason == "a local minimum: the Hessian is positive"


FALLS = {
    "x^3": (lambda x: x[0] ** 3, 1, 3),
    "x^3 + y^2 + 7": (lambda x: x[0] ** 3 + x[1] ** 2 + 7.0, 2, 3),
    "-x^4": (lambda x: -(x[0] ** 4), 1, 4),
    "x^2 - y^4": (lambda x: x[0] ** 2 - x[1] ** 4, 2, 4),
    "Peano": (lambda x: (x[1] - x[0] ** 2) * (x[1] - 2.0 * x[0] ** 2), 2, 4),
    "below Peano": (lambda x: (x[1] - x[0] ** 2) * (x[1] - 2.0 * x[0] ** 2) + 0.24 * x[0] ** 4, 2, 4),
    "x^2 y^2 - x^6": (lambda x: x[0] ** 2 * x[1] ** 2 - x[0] ** 6, 2, 6),
    "steep": (lambda x: 1e6 * x[0] ** 3 + x[1] ** 2, 2, 3),
}


@pytest.mark.parametrize("name", FALLS)
def test_a_descent_of_higher_order_makes_a_degenerate_saddle(name: str) -> None:
    function, dim, order = FALLS[name]
    point = classify(textbook(function, dim=dim), np.zeros(dim))
    assert point.kind == "degenerate-saddle" and point.index == 0
    assert f"like the distance to the power {order}, at" in point.reason
    assert point.to_dict()["reason"] == point.reason


@pytest.mark.parametrize("depth", [3, 4])
def test_the_origin_of_a_deep_product_is_a_degenerate_saddle(depth: int) -> None:
    objective = textbook(lambda x: (reduce(mul, x) - 1.0) ** 2, lower_bound=0.0, dim=depth)
    point = classify(objective, np.zeros(depth))
    assert point.kind == "degenerate-saddle" and f"to the power {depth}, at" in point.reason


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x[0] ** 4 + x[1] ** 2, "undecided: 1 zero mode, and no descent"),
        (lambda x: x[0] ** 2 * x[1] ** 2, "undecided: 2 zero modes, and no descent"),
        (lambda x: (x[1] - x[0] ** 2) * (x[1] - 2.0 * x[0] ** 2) + 0.26 * x[0] ** 4, "undecided: 1 zero mode, and"),
        (lambda x: x[0] ** 2 + 1e-10 * x[1] ** 2 - x[1] ** 4, "a local minimum: the Hessian is positive"),
    ],
)
def test_where_no_descent_is_found_the_point_is_second_order_and_says_what_is_known(function: Any, words: str) -> None:
    point = classify(textbook(function), np.zeros(2))
    assert point.kind == "second-order" and point.reason.startswith(words)


def test_a_point_that_newtons_method_left_beside_a_degenerate_one_owes_its_curvature_to_the_distance() -> None:
    objective = textbook(lambda x: x[0] ** 3 + x[1] ** 2)
    point = classify(objective, np.array([2e-5, 0.0]), gradient_tol=1e-8)
    assert point.spectrum.values[0] > point.zero_cut and point.kind == "degenerate-saddle"


def test_a_loss_that_the_last_newton_step_explains_is_a_global_minimum() -> None:
    point = np.array([0.0, 0.1])
    soft = textbook(lambda x: x[0] ** 2 + 1e-12 * x[1] ** 2, lower_bound=0.0)
    raised = textbook(lambda x: x[0] ** 2 + 1e-12 * x[1] ** 2 + 1e-10, lower_bound=0.0)
    assert classify(soft, point).value == pytest.approx(1e-14)
    assert classify(soft, point).kind == "global-minimum"
    assert classify(raised, point).kind == "second-order"
    assert classify(soft, np.array([1e-3, 0.0])).kind == "not-critical"


@pytest.mark.parametrize(
    ("objective", "guess", "limit"),
    [
        (SADDLE, [0.2, -0.1], [0, 0]),
        (SADDLE, [30, 40], [0, 0]),
        (CIRCLE, [3, 4], [0.6, 0.8]),
        (CIRCLE, [0.06, 0.08], [0, 0]),
        (MONKEY, [0.3, 0.1], [0, 0]),
        (QUARTIC, [1], [0]),
    ],
)
def test_newtons_method_finds_the_critical_point(objective, guess, limit) -> None:  # type: ignore[no-untyped-def]
    point = find_critical_point(objective, guess, radius=np.inf)
    assert point.theta == pytest.approx(limit, abs=1e-6)
    assert point.gradient_norm < 1e-12


def test_a_function_without_critical_points_stops_the_search_with_its_numbers() -> None:
    with pytest.raises(NotConverged, match="no critical point reached: gradient norm") as caught:
        find_critical_point(SLOPE, [0.0], max_steps=7, radius=np.inf)
    assert caught.value.steps == 7
    assert 0 < caught.value.gradient_norm == SLOPE.value(caught.value.theta) < 1
    assert caught.value.allowed < caught.value.gradient_norm


def test_the_search_does_not_leave_its_radius() -> None:
    assert find_critical_point(SADDLE, [3.0, 4.0], radius=6.0).theta == pytest.approx([0, 0], abs=1e-12)
    for radius, reached in [(4.0, 4.0), (None, 1.25)]:
        with pytest.raises(NotConverged) as caught:
            find_critical_point(SADDLE, [3.0, 4.0], radius=radius)
        assert np.linalg.norm(caught.value.theta - [3.0, 4.0]) <= reached


@pytest.mark.parametrize("exponent", [-240, -10, 0, 10, 240])
def test_the_unit_of_the_data_changes_numbers_but_no_verdict(exponent: int) -> None:
    s, root = 4.0**exponent, 2.0**exponent
    _, plain = objective_of(FIGURE_4)
    _, scaled = objective_of(FIGURE_4.rescaled(s))
    guess = plateau_points("fig4")[0].plateaus[1].theta
    one, other = find_critical_point(plain, guess), find_critical_point(scaled, root * guess)
    assert np.array_equal(other.theta, root * one.theta)
    assert (other.kind, other.index, other.n_zero) == (one.kind, one.index, one.n_zero)
    assert other.gauge_dimension == one.gauge_dimension
    assert other.value == s * (s * one.value)
    assert other.escape_rate == s * one.escape_rate
    assert other.gradient_norm == pytest.approx(s * root * one.gradient_norm)
    assert np.array_equal(hessian_spectrum(scaled, other.theta).values, s * hessian_spectrum(plain, one.theta).values)


def test_the_plateaus_of_figure_3_lead_to_the_published_saddles() -> None:
    path, points = plateau_points("fig3")
    assert [point.kind for point in points] == ["strict-saddle"] * 3 + ["global-minimum"]
    assert [point.value for point in points[:3]] == pytest.approx([16.850667, 0.32652694, 0.05227755], rel=1e-6)
    assert points[3].value == pytest.approx(0.0, abs=1e-20)
    assert [point.n_zero for point in points] == [0, 7, 12, 17]
    assert [point.gauge_dimension for point in points] == [0, 7, 12, 15]
    assert [point.multiplicity for point in points] == [4, 3, 2, 0]
    for plateau, point in zip(path.plateaus, points, strict=True):
        assert np.linalg.norm(plateau.theta - point.theta) < 0.05 * FIGURE_3.unit**0.5


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_at_a_saddle_of_figure_3_the_outside_eigenvalues_come_from_the_residual(k: int) -> None:
    model, _ = objective_of(FIGURE_3)
    point = plateau_points("fig3")[1][k]
    predicted = outside_eigenvalues(FIGURE_3, model, point.theta, k)
    assert len(predicted) == 8 * (4 - k)
    assert unmatched(predicted, point.spectrum.values, 1e-9 * point.spectrum.norm) == []
    E = FIGURE_3.residual(model.output(point.theta))
    assert point.escape_rate == pytest.approx(2 / 15 * np.linalg.norm(E, 2), abs=1e-9)
    if k < 3:
        assert point.index == (4 - k) ** 2 == point.multiplicity * (4 - k)
        assert point.n_zero == k**2 + (8 - 2 * np.linalg.matrix_rank(E, 1e-6)) * (4 - k)


def test_the_escape_directions_are_the_top_singular_pair_of_the_residual() -> None:
    model, _ = objective_of(FIGURE_3)
    point = plateau_points("fig3")[1][1]
    u, _, vt = np.linalg.svd(FIGURE_3.residual(model.output(point.theta)))
    complement = np.linalg.svd(model.stacked(point.theta))[2][1:]
    escape = point.spectrum.vectors[:, : point.multiplicity]
    for w in complement:
        direction = model.theta(np.outer(u[:, 0], w), -np.outer(w, vt[0])) / np.sqrt(2)
        assert np.linalg.norm(escape.T @ direction) == pytest.approx(1.0, abs=1e-7)


def test_the_plateaus_of_figure_4_lead_to_a_saddle_of_multiplicity_3() -> None:
    model, _ = objective_of(FIGURE_4)
    _, points = plateau_points("fig4")
    assert [point.value for point in points] == pytest.approx([25, 5, 0], rel=1e-12, abs=1e-20)
    assert model.output(points[1].theta) == pytest.approx(np.array([[1, 0, 3], [0, 0, 0], [3, 0, 9]]), abs=1e-7)
    assert [point.multiplicity for point in points] == [3, 3, 0]
    assert points[1].escape_rate == pytest.approx(2.0, rel=1e-12)


@settings(deadline=None, max_examples=10)
@given(seed=SEEDS)
def test_a_plateau_leads_to_its_own_saddle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.permutation(np.arange(16) < rng.integers(7, 15)).reshape(4, 4)
    M = rng.standard_normal((4, 2)) @ rng.standard_normal((2, 4))
    model, objective = objective_of(MatrixCompletion(M, observed))
    path = gradient_flow(objective, model.random(rng, scale=1e-8), max_evaluations=20_000)
    for plateau in path.plateaus:
        try:
            point = find_critical_point(objective, plateau.theta)
        except NotConverged:
            continue
        assert point.value == pytest.approx(plateau.loss, rel=0.02, abs=1e-8 * objective.unit**2)
        assert np.linalg.norm(point.theta - plateau.theta) < 0.1 * objective.theta_unit


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS, k=st.integers(0, 2))
def test_newtons_method_stays_in_the_invariant_subspace_it_starts_in(seed: int, k: int) -> None:
    rng, (model, objective) = np.random.default_rng(seed), objective_of(FIGURE_3)
    start = model.unstacked(2 * rng.standard_normal((8, k)) @ np.eye(4)[:k])
    try:
        point = find_critical_point(objective, start)
    except NotConverged as stalled:
        theta = stalled.theta
    else:
        theta = point.theta
    assert np.abs(model.stacked(theta)[:, k:]).max() <= 1e-12 * (1 + np.abs(theta).max())


def test_lanczos_finds_every_copy_of_a_multiple_eigenvalue() -> None:
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((20, 20)))[0] for _ in "UV")
    s = np.array([5.0, 4.0, 1.9, 1.9, *np.linspace(1.2, 0.1, 16)])
    model = Factorization((20, 20), 26)
    problem = MatrixCompletion(U * s @ V.T)
    objective, theta = Objective.of(problem, model), low_rank_truncation(U, s, V, 2, model)
    assert model.dim == 1040
    predicted = outside_eigenvalues(problem, model, theta, 2)[:52]
    assert predicted[:49] == pytest.approx([-2 / 400 * 1.9] * 48 + [-2 / 400 * 1.2])
    found = hessian_spectrum(objective, theta, 52)
    assert not found.complete
    assert found.values == pytest.approx(predicted, abs=1e-9 * found.norm)
    assert found.multiplicity() == 48
    assert found.vectors.T @ found.vectors == pytest.approx(np.eye(52), abs=1e-12)
    assert np.linalg.eigvalsh(objective.hessian(theta))[:52] == pytest.approx(found.values, abs=1e-12)
    point = classify(objective, theta)
    assert (point.kind, point.index, point.multiplicity) == ("strict-saddle", 6, 6)
    with pytest.raises(ValueError, match="dimension 1040 exceeds 1000"):
        find_critical_point(objective, theta)


def test_few_lanczos_eigenvalues_give_a_lower_bound_of_the_multiplicity() -> None:
    model, objective = objective_of(MatrixCompletion(np.eye(23)))
    found = hessian_spectrum(objective, np.zeros(model.dim), 5)
    assert model.dim == 1058
    assert found.values == pytest.approx(np.full(5, -2 / 529))
    assert found.multiplicity() == 5 and not found.complete


def test_a_hessian_that_vanishes_has_a_spectrum_of_zeros() -> None:
    model, objective = objective_of(MatrixCompletion(np.zeros((23, 23))))
    found = hessian_spectrum(objective, np.zeros(model.dim), 4)
    assert found.values.tolist() == [0.0] * 4 and found.norm == 0.0
    assert classify(objective, np.zeros(model.dim)).kind == "global-minimum"
    assert classify(Objective.of(MatrixCompletion([[0.0]]), DirectMatrix((1, 1))), np.zeros(1)).n_zero == 0


def test_a_large_global_minimum_is_known_by_its_loss_and_its_spectrum_is_left_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, objective = objective_of(MatrixCompletion(np.eye(23)))
    minimum = model.theta(np.eye(23), np.eye(23))
    known = classify(objective, minimum, k=3)
    monkeypatch.setattr("gflow.critical.spectra._lanczos", lambda *_: pytest.fail("a spectrum was computed"))
    point = classify(objective, minimum)
    assert (point.kind, point.index, point.n_zero, point.escape_rate) == (PointKind.GLOBAL_MINIMUM, 0, None, 0.0)
    assert (known.kind, known.n_zero, known.index) == (PointKind.GLOBAL_MINIMUM, 3, 0)
    assert point.zero_cut == pytest.approx(known.zero_cut, rel=0.2)
    described = json.loads(json.dumps(point.to_dict(), allow_nan=False))
    assert described["n_zero"] is None and described["spectrum"]["values"] == []
    assert "zeros=not computed" in repr(point) and "not computed" in repr(point.spectrum)


def test_a_large_point_whose_loss_is_not_the_bound_gets_its_spectrum() -> None:
    model, objective = objective_of(MatrixCompletion(np.eye(23)))
    saddle = model.theta(np.diag([1.0] * 22 + [0.0]), np.diag([1.0] * 22 + [0.0]))
    point = classify(objective, saddle)
    assert (point.kind, point.index) == (PointKind.STRICT_SADDLE, 1) and len(point.spectrum.values) == 6


def test_a_lanczos_iteration_is_given_up_after_the_restarts_it_is_allowed() -> None:
    model, objective = objective_of(MatrixCompletion(np.diag(np.linspace(1.0, 2.0, 23))))
    theta = model.random(np.random.default_rng(0), 1.0)
    assert hessian_spectrum(objective, theta, 6).values[0] < 0
    with pytest.raises(SpectrumNotConverged):
        hessian_spectrum(objective, theta, 6, max_restarts=1)


def test_lanczos_that_stalls_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def stalled(operator: object, *, which: str, **_: object) -> tuple[np.ndarray, None]:
        if which == "LM":
            return np.ones(1), None
        raise ArpackNoConvergence("stalled", np.array([-1.0]), np.ones((1058, 1)))

    model, objective = objective_of(MatrixCompletion(np.eye(23)))
    monkeypatch.setattr("scipy.sparse.linalg.eigsh", stalled)
    with pytest.raises(SpectrumNotConverged, match="Lanczos found 1 of 3 eigenvalues to relative accuracy") as caught:
        hessian_spectrum(objective, np.zeros(model.dim), 3)
    assert (caught.value.found, caught.value.wanted, caught.value.tol) == (1, 3, 1e-10)


def test_the_survey_of_figure_3_meets_its_saddles_and_global_minima() -> None:
    model, objective = objective_of(FIGURE_3)
    orbits = critical_orbits(objective, model, np.random.default_rng(0))
    losses = [orbit.value for orbit in orbits]
    assert losses == sorted(losses, reverse=True)
    for loss, ranks in [(16.850667, (0, 0)), (0.32652694, (1, 1)), (0.05227755, (2, 2))]:
        assert any(orbit.value == pytest.approx(loss, rel=1e-6) and orbit.ranks == ranks for orbit in orbits)
    assert {(3, 3), (4, 4)} <= {orbit.ranks for orbit in orbits if PointKind.GLOBAL_MINIMUM in orbit.kinds}
    assert all(set(orbit.kinds) <= {PointKind.STRICT_SADDLE, PointKind.GLOBAL_MINIMUM} for orbit in orbits)
    json.dumps([orbit.to_dict() for orbit in orbits], allow_nan=False)


def test_a_survey_tells_the_number_of_every_start() -> None:
    model, objective = objective_of(MatrixCompletion([[1.0, 2.0]]))
    told: list[int] = []
    critical_orbits(objective, model, np.random.default_rng(0), n_starts=4, callback=told.append)
    assert told == [0, 1, 2, 3]


def test_escape_rates_change_along_an_orbit_outside_omega() -> None:
    model, objective = objective_of(FIGURE_3)
    saddle = plateau_points("fig3")[1][2]
    A, B = model.factors(saddle.theta)
    G = np.eye(4) + 0.3 * np.random.default_rng(0).standard_normal((4, 4))
    moved = classify(objective, model.theta(A @ G, np.linalg.solve(G, B)))
    assert moved.kind == "strict-saddle"
    assert moved.value == pytest.approx(saddle.value)
    assert abs(moved.escape_rate - saddle.escape_rate) > 1e-4 * saddle.escape_rate
    orbits = critical_orbits(objective, model, np.random.default_rng(0))
    (orbit,) = [orbit for orbit in orbits if orbit.value == pytest.approx(saddle.value) and orbit.ranks == (2, 2)]
    assert 0 < orbit.n_on_omega < len(orbit.points)
    assert orbit.escape_rates[0] < orbit.escape_rates[1]


def test_the_survey_of_disconnected_data_meets_the_saddle_of_one_component() -> None:
    model, objective = objective_of(FIGURE_4)
    components = [((0, 2), (0, 2)), ((1,), (1,))]
    orbits = critical_orbits(objective, model, np.random.default_rng(0), components=components)
    assert {0.0, 5.0, 20.0, 25.0} <= {round(orbit.value, 9) for orbit in orbits}


@settings(deadline=None, max_examples=12)
@given(seed=SEEDS, n=st.integers(1, 9))
def test_every_critical_point_of_a_3_by_3_problem_is_a_strict_saddle_or_a_global_minimum(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    problem = MatrixCompletion(rng.standard_normal((3, 3)), rng.permutation(np.arange(9) < n).reshape(3, 3))
    model, objective = objective_of(problem)
    components = [(part.rows, part.columns) for part in connectivity(problem).coupling_components]
    points = [
        point
        for orbit in critical_orbits(objective, model, rng, n_starts=24, components=components)
        for point in orbit.points
    ]
    assert {point.kind for point in points} <= {PointKind.STRICT_SADDLE, PointKind.GLOBAL_MINIMUM}
    assert all(point.n_zero >= point.gauge_dimension for point in points)  # type: ignore[operator]
    assert PointKind.GLOBAL_MINIMUM in {point.kind for point in points}


def test_with_too_small_a_width_flows_end_in_local_minima_that_are_not_global() -> None:
    """The six observations form a cycle whose signs no matrix of rank 1 can match: one must give way."""
    problem, ends = MatrixCompletion([[1, 2, GAP], [GAP, 1, 2], [-2, GAP, 1]]), {}
    for width in (1, 3):
        rng, model = np.random.default_rng(0), Factorization((3, 3), width)
        objective = Objective.of(problem, model)
        paths = [gradient_flow(objective, model.random(rng), t_end=1e3) for _ in range(12)]
        points = [find_critical_point(objective, path.final) for path in paths]
        ends[width] = {(point.kind, round(point.value, 6)) for point in points}
    assert ends[3] == {(PointKind.GLOBAL_MINIMUM, 0.0)}
    assert ends[1] == {(PointKind.SECOND_ORDER, 0.766444), (PointKind.SECOND_ORDER, 0.904643)}


def test_records_are_ready_for_json() -> None:
    for point in plateau_points("fig4")[1]:
        json.dumps(point.to_dict(), allow_nan=False)
        assert not point.theta.flags.writeable and not point.spectrum.values.flags.writeable
    assert repr(plateau_points("fig4")[1][1]).startswith("CriticalPoint(strict-saddle, value=5, index=3, zeros=9")


@pytest.mark.parametrize("act", [classify, find_critical_point, hessian_spectrum])
@pytest.mark.parametrize(
    ("theta", "message"), [([0.0], r"theta must have shape \(2,\); got \(1,\)"), ([0.0, GAP], "theta must be finite")]
)
def test_an_impossible_point_is_refused(act, theta: list[float], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        act(SADDLE, theta)


@pytest.mark.parametrize("k", [0, 3, -1])
def test_an_impossible_number_of_eigenvalues_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k must lie between 1 and the dimension 2; got {k}"):
        hessian_spectrum(SADDLE, np.zeros(2), k)
    with pytest.raises(ValueError, match="max_steps must be a positive integer; got 0"):
        find_critical_point(SADDLE, np.zeros(2), max_steps=0)


def test_a_wrong_residual_or_multiplicity_would_be_noticed() -> None:
    model, _ = objective_of(FIGURE_3)
    point = plateau_points("fig3")[1][1]
    predicted, spectrum = outside_eigenvalues(FIGURE_3, model, point.theta, 1), point.spectrum
    tol = 1e-9 * spectrum.norm
    assert unmatched(predicted / 2, spectrum.values, tol) != []
    assert unmatched(outside_eigenvalues(FIGURE_3, model, point.theta, 0), spectrum.values, tol) != []
    assert unmatched(outside_eigenvalues(FIGURE_3, model, point.theta * 1.01, 1), spectrum.values, tol) != []


# Eigenvalues near rounding


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize(
    ("small", "kind"), [(1e-9, "strict-saddle"), (1e-12, "strict-saddle"), (1e-16, "second-order")]
)
def test_a_weak_saddle_is_told_from_a_flat_one_by_rounding(scale: float, small: float, kind: str) -> None:
    point = classify(textbook(lambda x: scale * (x[0] ** 2 - small * x[1] ** 2)), np.zeros(2))
    assert point.kind == kind and point.index == (kind == "strict-saddle") and point.n_zero == 1 - point.index
    assert kind == "strict-saddle" or point.reason.startswith("undecided")


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_values_that_do_not_fall_contradict_a_weak_negative_eigenvalue(sign: float) -> None:
    bent = textbook(lambda x: x[0] ** 2 - 1e-11 * x[1] ** 2)
    said = replace(bent, value=lambda x: float(x[0] ** 2 - sign * 1e-11 * x[1] ** 2))
    assert (classify(said, np.zeros(2)).kind == "strict-saddle") is (sign > 0)


def test_a_saddle_at_which_little_is_left_to_learn_is_strict() -> None:
    problem, model = MatrixCompletion([[1, 0], [0, 1e-11]]), Factorization((2, 2))
    corner = np.diag([1.0, 0.0])
    point = classify(Objective.of(problem, model), model.theta(corner, corner), value_tol=1e-30)
    assert point.kind == "strict-saddle" and point.escape_rate == pytest.approx(0.5e-11, rel=1e-3)


@pytest.mark.parametrize("function", [lambda x: 0.0, lambda x: anp.array(3.0), lambda x: 2.0 * x[1]])
def test_derivatives_of_what_does_not_depend_on_theta_are_zero(function: Any) -> None:
    objective, at = textbook(function), np.array([0.3, -2.0])
    slope = function(np.array([0.0, 1.0])) - function(np.zeros(2))
    assert np.array_equal(objective.gradient(at), [0.0, slope])
    assert not objective.hessian(at).any() and not objective.hvp(at, at).any()
