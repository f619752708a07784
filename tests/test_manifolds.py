"""Tests of the invariant manifolds: the subspaces, their invariance, and rounding told apart from a false statement."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.linalg import subspace_angles

from gflow.connectivity import connectivity
from gflow.flow import gradient_flow
from gflow.manifolds import (
    Confinement,
    Manifold,
    confinement,
    factor_ranks,
    imbalance,
    omega,
    omega_basis,
    omega_distance,
    principal_angles,
    sub_omega,
)
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

GAP = np.nan
FIGURE_3 = MatrixCompletion([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
FIGURE_4 = MatrixCompletion([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]])
COMPONENT = (0, 2), (0, 2)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 4))
SEEDS = st.integers(0, 2**32 - 1)


class LeakingMask(MatrixCompletion):
    """A problem whose residual takes every entry beyond the mask for an observed 1."""

    def residual(self, W: np.ndarray) -> np.ndarray:
        """Return W - M with M = 1 where nothing is observed."""
        return W - self.values - ~self.observed


def frame(rng: np.random.Generator, r: int, k: int) -> np.ndarray:
    """Return a random r x k matrix with orthonormal columns."""
    return np.linalg.qr(rng.standard_normal((r, r)))[0][:, :k]


def random_problem(rng: np.random.Generator, shape: tuple[int, int]) -> MatrixCompletion:
    """Return Gaussian values on a random mask with at least one observation."""
    observed = rng.random(shape) < 0.6
    observed.flat[rng.integers(observed.size)] = True
    return MatrixCompletion(rng.standard_normal(shape), observed)


def with_entrywise_penalty(objective: Objective) -> Objective:
    """Return the objective plus 1e-6 sum theta^4, which is no function of A B."""
    return replace(
        objective,
        gradient=lambda theta: objective.gradient(theta) + 4e-6 * theta**3,
        hessian=lambda theta: objective.hessian(theta) + 12e-6 * np.diag(theta**2),
        normalized=None,
        deviation=None,
        unit=1.0,
        theta_unit=1.0,
    )


def started_on(manifold: Manifold, problem: MatrixCompletion, scale: float, t_end: float) -> Confinement:
    """Return how a flow from a random point of the manifold keeps to it."""
    objective = Objective.of(problem, manifold.model)
    start = manifold.project(manifold.model.random(np.random.default_rng(0), scale=scale))
    return confinement(objective, manifold, gradient_flow(objective, start, t_end=t_end))


def test_omega_1_along_an_axis_is_the_first_column_and_row() -> None:
    model = Factorization((2, 3))
    theta = np.arange(1.0, 11.0)
    line = omega(model, np.array([[1.0], [0.0]]))
    A, B = model.factors(line.project(theta))
    assert A.tolist() == [[1, 0], [3, 0]]
    assert B.tolist() == [[5, 6, 7], [0, 0, 0]]
    assert line.distance(theta) ** 2 == pytest.approx(4 + 16 + 64 + 81 + 100)
    a, b = line.reduced(theta)
    assert (a.tolist(), b.tolist()) == ([[1], [3]], [[5, 6, 7]])
    assert (line.k, line.dim) == (1, 5)
    part = sub_omega(model, np.eye(2), rows=[1], columns=[0, 2])
    A, B = model.factors(part.project(theta))
    assert (A.tolist(), B.tolist()) == ([[0, 0], [3, 4]], [[5, 0, 7], [8, 0, 10]])
    assert part.dim == 6


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_the_projector_and_the_coordinates_of_a_manifold_agree(
    shape: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    rng, model = np.random.default_rng(seed), Factorization(shape, data.draw(st.integers(1, 5)))
    k = data.draw(st.integers(0, model.rank))
    rows, columns = (data.draw(st.sets(st.integers(0, length - 1))) for length in shape)
    manifold, theta = sub_omega(model, frame(rng, model.rank, k), rows, columns), rng.standard_normal(model.dim)
    projected = manifold.project(theta)
    assert manifold.project(projected) == pytest.approx(projected, abs=1e-13)
    assert manifold.embed(*manifold.reduced(theta)) == pytest.approx(projected, abs=1e-13)
    assert manifold.distance(theta) == pytest.approx(np.linalg.norm(theta - projected))
    assert (theta - projected) @ projected == pytest.approx(0.0, abs=1e-12)
    P = np.column_stack([manifold.project(e) for e in np.eye(model.dim)])
    assert P == pytest.approx(P.T) and np.trace(P) == pytest.approx(manifold.dim)


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_omega_k_is_invariant_for_every_data_set(shape: tuple[int, int], seed: int, data: st.DataObject) -> None:
    rng, model = np.random.default_rng(seed), Factorization(shape)
    manifold = omega(model, frame(rng, model.rank, data.draw(st.integers(0, model.rank))))
    objective = Objective.of(random_problem(rng, shape), model)
    assert manifold.defect(objective, rng.standard_normal(model.dim)) < 1e-13


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, seed=SEEDS)
def test_omega_k_of_every_coupling_component_is_invariant(shape: tuple[int, int], seed: int) -> None:
    rng, model = np.random.default_rng(seed), Factorization(shape)
    problem = random_problem(rng, shape)
    for part in connectivity(problem).coupling_components:
        manifold = sub_omega(model, frame(rng, model.rank, 1), part.rows, part.columns)
        assert manifold.defect(Objective.of(problem, model), rng.standard_normal(model.dim)) < 1e-13


@settings(deadline=None, max_examples=40)
@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_the_flow_on_omega_k_is_the_flow_of_the_rank_k_model(
    shape: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    rng, model = np.random.default_rng(seed), Factorization(shape)
    k = data.draw(st.integers(1, model.rank))
    narrow, problem = Factorization(shape, k), random_problem(rng, shape)
    manifold, point = omega(model, frame(rng, model.rank, k)), rng.standard_normal(narrow.dim)
    theta = manifold.embed(*narrow.factors(point))
    assert model.output(theta) == pytest.approx(narrow.output(point), abs=1e-12)
    inside = manifold.reduced(Objective.of(problem, model).gradient(theta))
    assert narrow.theta(*inside) == pytest.approx(Objective.of(problem, narrow).gradient(point), abs=1e-12)


def test_the_closures_are_nested_and_their_output_sets_grow() -> None:
    rng, model = np.random.default_rng(0), Factorization((4, 4))
    Q = frame(rng, 4, 4)
    for k in range(4):
        theta = omega(model, Q[:, :k]).project(rng.standard_normal(model.dim))
        assert omega(model, Q[:, : k + 1]).distance(theta) < 1e-14
        assert np.linalg.matrix_rank(model.output(theta)) == k
        W = model.output(sub_omega(model, Q[:, :k], *COMPONENT).project(theta))
        assert np.linalg.matrix_rank(W) == min(k, 2)


@settings(deadline=None, max_examples=40)
@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_the_distance_to_the_nearest_omega_k_is_the_tail_of_the_singular_values(
    shape: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    rng, model = np.random.default_rng(seed), Factorization(shape, data.draw(st.integers(1, 5)))
    k, theta = data.draw(st.integers(0, model.rank)), rng.standard_normal(model.dim)
    nearest = omega(model, omega_basis(model, theta, k))
    assert float(omega_distance(model, theta, k)) == pytest.approx(nearest.distance(theta), abs=1e-13)
    other = omega(model, frame(rng, model.rank, k))
    assert omega_distance(model, theta, k) <= other.distance(theta) + 1e-13
    states = rng.standard_normal((3, model.dim))
    assert omega_distance(model, states, k).tolist() == [float(omega_distance(model, x, k)) for x in states]


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, data=st.data())
def test_the_normal_growth_is_the_top_eigenvalue_on_the_whole_normal_space(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    problem = data.draw(st.sampled_from([FIGURE_3, FIGURE_4]))
    model, k = Factorization(problem.shape), data.draw(st.integers(0, 2))
    objective, theta = Objective.of(problem, model), rng.standard_normal(model.dim)
    manifold = omega(model, frame(rng, model.rank, k))
    if problem is FIGURE_4 and data.draw(st.booleans()):
        manifold = sub_omega(model, manifold.Q, *COMPONENT)
    P = np.column_stack([manifold.project(e) for e in np.eye(model.dim)])
    N = np.linalg.eigh(P)[1][:, : model.dim - manifold.dim]
    top = np.linalg.eigvalsh(-N.T @ objective.hessian(manifold.project(theta)) @ N)[-1]
    assert manifold.normal_growth(objective, theta) == pytest.approx(top, rel=1e-10)
    if manifold.active.all():
        E = problem.residual(model.output(manifold.project(theta)))
        assert top == pytest.approx(2 / problem.n_observed * np.linalg.norm(E, 2), rel=1e-10)


def test_nothing_is_normal_to_the_whole_space() -> None:
    model = Factorization((3, 3))
    whole = omega(model, np.eye(3))
    assert whole.normal_growth(Objective.of(FIGURE_4, model), np.ones(model.dim)) == 0.0
    assert whole.dim == model.dim


def test_ranks_angles_and_balance_of_hand_made_factors() -> None:
    model = Factorization((2, 2))
    tilted = model.theta([[1, 0], [0, 0]], [[np.cos(0.3), 0], [np.sin(0.3), 0]])
    assert factor_ranks(model, tilted) == (1, 1, 2)
    assert principal_angles(model, tilted, 1) == pytest.approx([0.3], abs=1e-15)
    assert imbalance(model, tilted) == pytest.approx(np.sqrt(2) * np.sin(0.3) / 2)
    balanced = model.theta([[2, 0], [0, 1e-9]], [[0, 2], [0, 0]])
    assert factor_ranks(model, balanced) == (1, 1, 1)
    assert factor_ranks(model, balanced, rank_tol=1e-10) == (2, 1, 2)
    assert factor_ranks(model, 1e-200 * balanced) == (1, 1, 1)
    assert imbalance(model, 1e-200 * balanced) == pytest.approx(0.0, abs=1e-17)
    assert imbalance(model, model.theta(np.eye(2)[:, :1] @ [[3, 0]], np.zeros((2, 2)))) == 1.0
    assert factor_ranks(model, np.zeros(8)) == (0, 0, 0)
    assert imbalance(model, np.zeros(8)) == 0.0


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, k=st.integers(1, 3), exponent=st.integers(-14, 0))
def test_the_principal_angles_agree_with_scipy(seed: int, k: int, exponent: int) -> None:
    rng, model = np.random.default_rng(seed), Factorization((4, 5), 6)
    a, Q = rng.standard_normal((4, k)), frame(rng, 6, k)
    near = np.linalg.qr(Q + 10.0**exponent * rng.standard_normal((6, k)))[0]
    theta = model.theta(a @ Q.T, near @ rng.standard_normal((k, 5)))
    angles = principal_angles(model, theta, k)
    assert angles == pytest.approx(subspace_angles(Q, near), rel=1e-9, abs=1e-13)
    assert (np.diff(angles) <= 0).all()


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [1e-8, 1.0])
def test_a_flow_that_starts_on_omega_k_leaves_it_by_rounding_alone(k: int, scale: float) -> None:
    model = Factorization((4, 4))
    found = started_on(omega(model, frame(np.random.default_rng(k), 4, k)), FIGURE_3, scale, 300.0)
    assert found.holds
    assert found.worst_ratio <= 1.0
    assert found.largest_distance < 1e-3 * found.norms.max()
    assert found.horizon > 5.0


@pytest.mark.parametrize("k", [1, 2])
def test_a_flow_that_starts_on_the_part_of_a_component_stays_there(k: int) -> None:
    model = Factorization((3, 3))
    found = started_on(sub_omega(model, frame(np.random.default_rng(0), 3, k), *COMPONENT), FIGURE_4, 1e-8, 12.0)
    assert found.holds and found.horizon > 6.0


def test_ranks_and_angles_stay_equal_along_a_flow_on_omega_2() -> None:
    rng, model = np.random.default_rng(0), Factorization((4, 4))
    manifold, objective = omega(model, frame(rng, 4, 2)), Objective.of(FIGURE_3, model)
    path = gradient_flow(objective, manifold.project(model.random(rng, scale=1e-2)), t_end=30.0)
    for theta in path.states:
        assert factor_ranks(model, theta) == (2, 2, 2)
        assert principal_angles(model, theta, 2) == pytest.approx([0, 0], abs=1e-10)


@pytest.mark.parametrize("exponent", [-100, 100])
def test_the_verdict_does_not_depend_on_the_unit(exponent: int) -> None:
    model, s = Factorization((4, 4)), 4.0**exponent
    manifold = omega(model, frame(np.random.default_rng(1), 4, 1))
    plain = started_on(manifold, FIGURE_3, 1e-2, 10.0)
    scaled = started_on(manifold, FIGURE_3.rescaled(s), 1e-2 * s**0.5, 10.0 / s)
    assert np.array_equal(scaled.distances, s**0.5 * plain.distances)
    assert scaled.budgets == pytest.approx(s**0.5 * plain.budgets, rel=1e-9)
    assert scaled.holds and scaled.horizon == plain.horizon / s


def test_the_record_of_a_trajectory_is_ready_for_json_and_read_only() -> None:
    found = started_on(omega(Factorization((4, 4)), np.eye(4)[:, :1]), FIGURE_3, 1.0, 1.0)
    assert set(found.to_dict()) == {"holds", "horizon", "largest_distance", "worst_ratio"}
    json.dumps(found.to_dict(), allow_nan=False)
    assert not found.distances.flags.writeable
    assert repr(found).startswith("Confinement(holds, distance")
    at_rest = started_on(omega(Factorization((4, 4)), np.zeros((4, 0))), FIGURE_3, 1.0, 1.0)
    assert at_rest.holds and not at_rest.distances.any()
    json.dumps(at_rest.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(2), [0], [0]), r"Q must have shape \(r, k\) with r = 3 and k <= r; got \(2, 2\)"),
        ((np.eye(3)[0], [0], [0]), r"Q must have shape .* got \(3,\)"),
        ((2 * np.eye(3), [0], [0]), "Q must have orthonormal columns; Q.T Q differs from the identity by 3"),
        ((np.full((3, 1), GAP), [0], [0]), "Q must have orthonormal columns"),
        ((np.eye(3), [3], [0]), r"rows must lie between 0 and 2; got \[3\]"),
        ((np.eye(3), [0], [-1]), r"columns must lie between 0 and 2; got \[-1\]"),
    ],
)
def test_an_impossible_manifold_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sub_omega(Factorization((3, 3)), *arguments)


def test_impossible_ranks_and_coordinates_are_refused() -> None:
    model = Factorization((3, 3))
    with pytest.raises(ValueError, match="k must lie between 0 and the width r = 3; got 4"):
        omega_distance(model, np.ones(18), 4)
    with pytest.raises(ValueError, match="k must lie between 1 and the rank of A, 1; got 2"):
        principal_angles(model, np.ones(18), 2)
    with pytest.raises(ValueError, match="k must lie between 1 and the rank of A, 0; got 1"):
        principal_angles(model, np.zeros(18), 1)
    with pytest.raises(ValueError, match=r"a and b must have shapes \(3, 2\) and \(2, 3\); got \(3, 1\) and \(2, 3\)"):
        omega(model, np.eye(3)[:, :2]).embed(np.ones((3, 1)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="safety must be positive; got 0"):
        path = gradient_flow(Objective.of(FIGURE_4, model), np.zeros(18))
        confinement(Objective.of(FIGURE_4, model), omega(model, np.eye(3)), path, safety=0)


def test_a_set_that_is_no_manifold_of_the_data_is_found_out() -> None:
    rng = np.random.default_rng(0)
    model4, model3 = Factorization((4, 4)), Factorization((3, 3))
    theta4, theta3 = rng.standard_normal(model4.dim), rng.standard_normal(model3.dim)
    right, part = Objective.of(FIGURE_3, model4), sub_omega(model3, np.eye(3)[:, :1], *COMPONENT)
    assert sub_omega(model4, np.eye(4)[:, :1], (0, 1), (0, 1)).defect(right, theta4) > 0.1
    unit = FIGURE_4.with_gaps() / 9
    assert part.defect(Objective.of(MatrixCompletion(unit), model3), theta3) < 1e-15
    assert part.defect(Objective.of(LeakingMask(unit), model3), theta3) > 0.1
    penalised, line = with_entrywise_penalty(right), omega(model4, frame(rng, 4, 1))
    assert line.defect(penalised, theta4) > 1e-8
    transposed = replace(right, gradient=lambda theta: right.gradient(theta)[::-1])
    assert line.defect(transposed, theta4) > 0.1


def test_a_small_force_off_the_manifold_exceeds_the_rounding_budget() -> None:
    model = Factorization((4, 4))
    manifold = omega(model, frame(np.random.default_rng(0), 4, 1))
    objective = with_entrywise_penalty(Objective.of(FIGURE_3, model))
    start = manifold.project(model.random(np.random.default_rng(0)))
    found = confinement(objective, manifold, gradient_flow(objective, start, t_end=3.0))
    assert not found.holds
    assert found.worst_ratio > 1e3


def test_a_start_beside_the_manifold_is_found_out() -> None:
    model, objective = Factorization((4, 4)), Objective.of(FIGURE_3, Factorization((4, 4)))
    manifold = omega(model, np.eye(4)[:, :1])
    start = manifold.project(np.ones(model.dim)) + 1e-10
    assert not confinement(objective, manifold, gradient_flow(objective, start, t_end=1.0)).holds
