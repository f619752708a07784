"""Tests of the models: the map from theta to W and the chain rule through it.

Every map here is at most bilinear, so with integer entries the differences are exact and no tolerance is needed.
"""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.models import DirectMatrix, Factorization

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 4))
FACTORIZATIONS = st.builds(Factorization, SHAPES, st.none() | st.integers(1, 5))
MODELS = FACTORIZATIONS | st.builds(DirectMatrix, SHAPES)
SEEDS = st.integers(0, 2**32 - 1)


class HalfTangent(Factorization):
    """A factorisation whose derivative forgets A dB."""

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dA B alone."""
        return self.factors(variation)[0] @ self.factors(theta)[1]


class SwappedPullback(Factorization):
    """A factorisation whose adjoint puts its two parts in the wrong order."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return (A^T G, G B^T)."""
        A, B = self.factors(theta)
        return np.concatenate([(A.T @ G).ravel(), (G @ B.T).ravel()])


class NoBend(Factorization):
    """A factorisation that takes itself for a linear model."""

    def bend(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return zeros."""
        return np.zeros(self.dim)


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return an array of small integers as doubles."""
    return rng.integers(-9, 10, size=shape).astype(float)


def tangent_defect(model: Factorization | DirectMatrix, rng: np.random.Generator) -> float:
    """Return the largest difference between ``tangent`` and the central difference, exact for a bilinear map."""
    theta, variation = integers(rng, model.dim), integers(rng, model.dim)
    difference = (model.output(theta + variation) - model.output(theta - variation)) / 2
    return float(np.abs(model.tangent(theta, variation) - difference).max())


def adjoint_defect(model: Factorization | DirectMatrix, rng: np.random.Generator) -> float:
    """Return <tangent(theta, v), G> - <v, pullback(theta, G)> in absolute value."""
    theta, variation, G = integers(rng, model.dim), integers(rng, model.dim), integers(rng, *model.shape)
    return float(abs(np.sum(model.tangent(theta, variation) * G) - variation @ model.pullback(theta, G)))


def bend_defect(model: Factorization | DirectMatrix, rng: np.random.Generator) -> float:
    """Return the largest difference between ``bend`` and the difference of ``pullback``, which is affine in theta."""
    theta, variation, G = integers(rng, model.dim), integers(rng, model.dim), integers(rng, *model.shape)
    difference = model.pullback(theta + variation, G) - model.pullback(theta, G)
    return float(np.abs(model.bend(theta, variation, G) - difference).max())


def orbit_dimension(A: np.ndarray, B: np.ndarray) -> int:
    """Return the rank of X -> (A X, -X B), the tangent space of the GL(r) orbit of (A, B)."""
    r = A.shape[1]
    units = np.eye(r * r).reshape(-1, r, r)
    return int(np.linalg.matrix_rank(np.array([np.concatenate([(A @ X).ravel(), (-X @ B).ravel()]) for X in units])))


def test_theta_is_A_row_major_then_B_row_major() -> None:
    model = Factorization((2, 4), 3)
    A, B = model.factors(np.arange(18.0))
    assert model.dim == 18
    assert np.array_equal(A, [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(B, [[6, 7, 8, 9], [10, 11, 12, 13], [14, 15, 16, 17]])
    assert np.array_equal(model.output(np.arange(18.0)), A @ B)


def test_the_chain_rule_agrees_with_a_hand_calculation() -> None:
    model = Factorization((1, 2), 1)
    theta, variation, G = np.array([2.0, 3.0, 5.0]), np.array([1.0, 0.0, -1.0]), np.array([[7.0, 11.0]])
    assert np.array_equal(model.output(theta), [[6, 10]])
    assert np.array_equal(model.tangent(theta, variation), [[3, 5 - 2]])
    assert np.array_equal(model.pullback(theta, G), [7 * 3 + 11 * 5, 2 * 7, 2 * 11])
    assert np.array_equal(model.bend(theta, variation, G), [-11, 7, 11])
    assert np.array_equal(model.conserved(theta), [4 - 9 - 25])


@pytest.mark.parametrize(("shape", "rank"), [((3, 5), 3), ((5, 3), 3), ((1, 4), 1), ((4, 4), 4)])
def test_the_default_width_is_full(shape: tuple[int, int], rank: int) -> None:
    assert Factorization(shape).rank == rank
    assert Factorization(shape) == Factorization(shape, rank)
    assert Factorization(shape).dim == rank * sum(shape)
    assert repr(Factorization(shape)) == f"Factorization(shape={shape}, rank={rank})"


@settings(deadline=None, max_examples=100)
@given(model=MODELS, seed=SEEDS)
def test_tangent_is_the_derivative_of_the_matrix(model: Factorization | DirectMatrix, seed: int) -> None:
    assert tangent_defect(model, np.random.default_rng(seed)) == 0


@settings(deadline=None, max_examples=100)
@given(model=MODELS, seed=SEEDS)
def test_pullback_is_the_adjoint_of_tangent(model: Factorization | DirectMatrix, seed: int) -> None:
    assert adjoint_defect(model, np.random.default_rng(seed)) == 0


@settings(deadline=None, max_examples=100)
@given(model=MODELS, seed=SEEDS)
def test_bend_is_the_derivative_of_pullback(model: Factorization | DirectMatrix, seed: int) -> None:
    assert bend_defect(model, np.random.default_rng(seed)) == 0


@settings(deadline=None, max_examples=50)
@given(model=MODELS, seed=SEEDS)
def test_the_second_derivative_of_the_matrix_is_symmetric(model: Factorization | DirectMatrix, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theta, u, v = integers(rng, 3, model.dim)
    G = integers(rng, *model.shape)
    assert u @ model.bend(theta, v, G) == v @ model.bend(theta, u, G)


@settings(deadline=None, max_examples=50)
@given(model=FACTORIZATIONS, seed=SEEDS)
def test_factors_and_theta_are_inverse(model: Factorization, seed: int) -> None:
    theta = integers(np.random.default_rng(seed), model.dim)
    A, B = model.factors(theta)
    assert A.shape == (model.shape[0], model.rank)
    assert B.shape == (model.rank, model.shape[1])
    assert np.array_equal(model.theta(A, B), theta)
    assert np.shares_memory(A, theta)
    assert np.shares_memory(B, theta)
    assert not np.shares_memory(model.theta(A, B), theta)


@settings(deadline=None, max_examples=50)
@given(model=FACTORIZATIONS, seed=SEEDS)
def test_stacked_and_unstacked_are_inverse(model: Factorization, seed: int) -> None:
    theta = integers(np.random.default_rng(seed), model.dim)
    Z = model.stacked(theta)
    A, B = model.factors(theta)
    assert np.array_equal(Z, np.vstack([A, B.T]))
    assert np.array_equal(model.unstacked(Z), theta)
    assert np.array_equal(model.stacked(model.unstacked(Z)), Z)


@settings(deadline=None, max_examples=50)
@given(model=MODELS, seed=SEEDS, lead=st.lists(st.integers(0, 3), max_size=2))
def test_leading_axes_of_theta_are_kept(model: Factorization | DirectMatrix, seed: int, lead: list[int]) -> None:
    states = integers(np.random.default_rng(seed), *lead, model.dim)
    W = model.output(states)
    assert W.shape == (*lead, *model.shape)
    for index in np.ndindex(*lead):
        assert np.array_equal(W[index], model.output(states[index]))
        if isinstance(model, Factorization):
            assert np.array_equal(model.stacked(states)[index], model.stacked(states[index]))


@settings(deadline=None, max_examples=50)
@given(model=FACTORIZATIONS, seed=SEEDS)
def test_the_conserved_quantity_has_no_slope_along_any_gradient(model: Factorization, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theta, G = integers(rng, model.dim), integers(rng, *model.shape)
    velocity = -model.pullback(theta, G)
    assert np.array_equal(model.conserved(theta + velocity), model.conserved(theta - velocity))


@settings(deadline=None, max_examples=50)
@given(model=FACTORIZATIONS, seed=SEEDS)
def test_the_conserved_quantity_is_the_flat_difference_of_gram_matrices(model: Factorization, seed: int) -> None:
    theta = integers(np.random.default_rng(seed), model.dim)
    A, B = model.factors(theta)
    expected = [sum(A[:, i] * A[:, j]) - sum(B[i] * B[j]) for i in range(model.rank) for j in range(model.rank)]
    assert model.conserved(theta).tolist() == expected


@settings(deadline=None, max_examples=50)
@given(model=FACTORIZATIONS, seed=SEEDS)
def test_rotating_the_inner_basis_leaves_the_matrix_and_turns_the_gradient(model: Factorization, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theta, G = rng.standard_normal(model.dim), rng.standard_normal(model.shape)
    Q = np.linalg.qr(rng.standard_normal((model.rank, model.rank)))[0]
    turned = model.unstacked(model.stacked(theta) @ Q)
    assert model.output(turned) == pytest.approx(model.output(theta), abs=1e-12)
    velocity = model.stacked(model.pullback(theta, G)) @ Q
    assert model.stacked(model.pullback(turned, G)) == pytest.approx(velocity, abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(model=FACTORIZATIONS, seed=SEEDS, data=st.data())
def test_the_gauge_dimension_is_the_rank_of_the_tangent_space_of_the_orbit(
    model: Factorization, seed: int, data: st.DataObject
) -> None:
    rng, (d1, d2) = np.random.default_rng(seed), model.shape
    a = data.draw(st.integers(0, min(d1, model.rank)))
    b = data.draw(st.integers(0, min(d2, model.rank)))
    A = rng.standard_normal((d1, a)) @ rng.standard_normal((a, model.rank))
    B = rng.standard_normal((model.rank, b)) @ rng.standard_normal((b, d2))
    expected = model.rank**2 - (model.rank - a) * (model.rank - b)
    assert orbit_dimension(A, B) == expected
    assert model.gauge_dimension(model.theta(A, B), rank_tol=1e-10) == expected


def test_the_origin_has_no_gauge_directions() -> None:
    model = Factorization((3, 4))
    assert model.gauge_dimension(np.zeros(model.dim)) == 0
    assert orbit_dimension(*model.factors(np.zeros(model.dim))) == 0


def test_the_gauge_rank_is_relative_to_the_larger_factor() -> None:
    model = Factorization((2, 2))
    theta = model.theta(np.diag([1.0, 1e-3]), np.diag([1e-9, 0.0]))
    assert model.gauge_dimension(theta) == 4 - 0 * 2
    assert model.gauge_dimension(theta, rank_tol=1e-2) == 4 - 1 * 2
    assert model.gauge_dimension(theta, rank_tol=1e-10) == 4 - 0 * 1
    assert model.gauge_dimension(1e-100 * theta, rank_tol=1e-2) == 4 - 1 * 2


@pytest.mark.parametrize("model", [Factorization((3, 2)), Factorization((2, 5), 7), DirectMatrix((3, 4))])
@pytest.mark.parametrize("scale", [1.0, 1e-8, 1e-240])
def test_a_random_start_is_the_scaled_standard_normal_of_the_generator(
    model: Factorization | DirectMatrix, scale: float
) -> None:
    start = model.random(np.random.default_rng(5), scale=scale)
    assert np.array_equal(start, scale * np.random.default_rng(5).standard_normal(model.dim))
    assert np.array_equal(start, scale * model.random(np.random.default_rng(5)))


def test_the_direct_model_is_the_identity_in_row_major_order() -> None:
    model = DirectMatrix((2, 3))
    theta = np.arange(6.0)
    assert model.dim == 6
    assert np.array_equal(model.output(theta), [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(model.tangent(7 * theta, theta), model.output(theta))
    assert np.array_equal(model.pullback(7 * theta, model.output(theta)), theta)
    assert np.array_equal(model.bend(theta, theta, np.ones((2, 3))), np.zeros(6))


@pytest.mark.parametrize("model", [Factorization, DirectMatrix])
def test_models_are_frozen_values(model: type[Factorization] | type[DirectMatrix]) -> None:
    assert model((2, 3)) == model((np.int64(2), np.int64(3))) == model([2, 3])  # type: ignore[arg-type]
    assert hash(model((2, 3))) == hash(model((2, 3)))
    assert model((2, 3)) != model((3, 2))
    assert all(type(length) is int for length in model((np.int64(2), np.int64(3))).shape)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        model((2, 3)).shape = (4, 4)  # type: ignore[misc]


@pytest.mark.parametrize("model", [Factorization, DirectMatrix])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2,), r"shape must be \(d1, d2\); got \(2,\)"),
        ((2, 2, 2), r"shape must be \(d1, d2\); got \(2, 2, 2\)"),
        ((0, 2), "d1 must be a positive integer; got 0"),
        ((2, -1), "d2 must be a positive integer; got -1"),
        ((2.0, 2), "d1 must be a positive integer; got 2.0"),
        ((True, 2), "d1 must be a positive integer; got True"),
    ],
)
def test_an_impossible_shape_is_refused(
    model: type[Factorization] | type[DirectMatrix], shape: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(shape)


@pytest.mark.parametrize("rank", [0, -1, 1.5, True, "2"])
def test_an_impossible_width_is_refused(rank: int) -> None:
    with pytest.raises(ValueError, match=f"rank must be a positive integer; got {rank!r}"):
        Factorization((2, 2), rank)


@pytest.mark.parametrize("model", [Factorization((2, 2)), DirectMatrix((2, 2))])
@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_not_positive_is_refused(model: Factorization | DirectMatrix, scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be a positive finite number; got"):
        model.random(np.random.default_rng(0), scale=scale)


def test_factors_of_another_shape_are_refused() -> None:
    model = Factorization((2, 3), 1)
    with pytest.raises(ValueError, match=r"A and B must have shapes \(2, 1\) and \(1, 3\); got \(2, 2\) and \(2, 3\)"):
        model.theta(np.ones((2, 2)), np.ones((2, 3)))


def test_the_checks_pass_the_right_model_and_catch_each_wrong_one() -> None:
    rng, shape = np.random.default_rng(0), (2, 3)
    right = Factorization(shape)
    assert tangent_defect(right, rng) == adjoint_defect(right, rng) == bend_defect(right, rng) == 0
    assert tangent_defect(HalfTangent(shape), rng) > 0
    assert adjoint_defect(SwappedPullback(shape), rng) > 0
    assert bend_defect(NoBend(shape), rng) > 0


def test_a_column_major_layout_of_B_would_not_give_the_same_matrix() -> None:
    model, theta = Factorization((2, 3)), np.arange(10.0)
    A, B = theta[:4].reshape(2, 2), theta[4:].reshape(2, 3, order="F")
    assert not np.array_equal(A @ B, model.output(theta))


def test_a_flow_that_moves_one_factor_alone_would_not_conserve_the_balance() -> None:
    rng, model = np.random.default_rng(0), Factorization((2, 3))
    theta, G = integers(rng, model.dim), integers(rng, 2, 3)
    velocity = model.pullback(theta, G)
    velocity[model.shape[0] * model.rank :] = 0.0
    assert not np.array_equal(model.conserved(theta + velocity), model.conserved(theta - velocity))
