"""The compiled loops over many observed entries give the numbers of the sampled and of the dense loss."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gflow
from gflow import Factorization, MatrixCompletion
from gflow.limit.orbit.chebyshev import ChebyshevSteps
from gflow.objective import fused
from gflow.objective.fused import FusedEntries, is_fused
from gflow.objective.loss import masked_loss, sampled_loss


def ragged(seed: int, d1: int = 11, d2: int = 9) -> MatrixCompletion:
    """Return a problem whose rows hold every number of entries from none to all: no loop goes untried."""
    rng = np.random.default_rng(seed)
    mask = np.argsort(rng.random((d1, d2)), axis=1) < rng.permutation(d1)[:, None]
    return MatrixCompletion(rng.standard_normal((d1, d2)), mask).normalized


def fused_loss(problem: MatrixCompletion, model: Factorization) -> gflow.Objective:
    return FusedEntries(problem, model).objective(sampled_loss(problem, model))


@pytest.mark.parametrize(("seed", "k"), [(0, 1), (1, 2), (2, 3), (9, 4), (3, 5), (4, 8), (12, 9)])
def test_value_gradient_and_products_are_those_of_the_dense_loss(seed: int, k: int) -> None:
    problem, model, rng = ragged(seed), Factorization((11, 9), k), np.random.default_rng(seed)
    assert np.unique(np.diff(problem.pointers)).size >= 9
    theta, move = model.random(rng), model.random(rng)
    one, other = masked_loss(problem, model), fused_loss(problem, model)
    assert other.value(theta) == pytest.approx(one.value(theta), rel=1e-13)
    np.testing.assert_allclose(other.gradient(theta), one.gradient(theta), rtol=1e-12, atol=1e-13)
    for point in (theta, 2.0 * theta, np.zeros(model.dim)):
        np.testing.assert_allclose(other.hvp(point, move), one.hvp(point, move), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(other.hessian(theta), one.hessian(theta), rtol=1e-12, atol=1e-13)


def test_loops_over_short_rows_are_compiled_to_vector_operations_and_nothing_else_is() -> None:
    if not fused.installed():
        pytest.skip("without numba the loops run, slowly, as they are written")
    import numba

    from gflow.fast import jit, sampled

    config: Any = numba.config
    seen, before = [], config.SLP_VECTORIZE

    def compiling(packed: bool) -> Any:
        def call() -> None:
            seen.append(config.SLP_VECTORIZE)

        vars(call).update(signatures=[], packed=packed)
        return call

    for packed in (True, False):
        jit.in_time(compiling(packed))
    assert seen == [1, before] and config.SLP_VECTORIZE == before
    short, long = ([vars(each)["packed"] for each in sampled.loops(sampled.UNROLLED + more)] for more in (0, 1))
    assert short == [True, True] and long == [False, False]


def test_deviations_are_free_of_cancellation_and_nest() -> None:
    problem, model, rng = ragged(5), Factorization((11, 9), 3), np.random.default_rng(5)
    theta, move = model.random(rng), model.random(rng)
    near, far = fused_loss(problem, model).around(theta), masked_loss(problem, model).around(theta)
    for delta in (1e-100 * move, 1e-3 * move, move):
        size = float(np.abs(delta).max())
        np.testing.assert_allclose(near.gradient(delta) / size, far.gradient(delta) / size, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(near.hvp(theta, move), far.hvp(theta, move), rtol=1e-12, atol=1e-12)
    assert near.value(move) == pytest.approx(far.value(move), rel=1e-11)
    shifted, plain = near.around(move), far.around(move)
    np.testing.assert_allclose(shifted.gradient(theta), plain.gradient(theta), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("k", [2, 5])
def test_the_normal_product_is_that_of_the_jacobian(k: int) -> None:
    problem, model, rng = ragged(10), Factorization((11, 9), k), np.random.default_rng(10)
    theta, v = model.random(rng), model.random(rng)
    J = problem.measure(model.jacobian(theta))
    np.testing.assert_allclose(
        FusedEntries(problem, model).normal(theta)(v), 2.0 * problem.weight * J.T @ (J @ v), rtol=1e-11, atol=1e-13
    )


def test_the_value_is_known_where_the_gradient_was_asked_for_last() -> None:
    problem, model, rng = ragged(11), Factorization((11, 9), 3), np.random.default_rng(11)
    kernel, theta, other = FusedEntries(problem, model), model.random(rng), model.random(rng)
    expected = [masked_loss(problem, model).value(each) for each in (theta, other)]
    kernel.gradient(theta)
    kernel.errors = lambda point: (np.nan, point)  # type: ignore[assignment]
    assert kernel.value(theta.copy()) == pytest.approx(expected[0], rel=1e-13)
    assert np.isnan(kernel.value(other))
    theta += 1.0
    assert np.isnan(kernel.value(theta))


def test_many_entries_are_met_in_compiled_loops_where_numba_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, model = ragged(6), Factorization((11, 9), 2)
    theta = model.random(np.random.default_rng(6))
    monkeypatch.setattr(fused, "installed", lambda: True)
    assert not is_fused(problem)
    monkeypatch.setattr(fused, "FUSED_ENTRIES", problem.n_observed)
    assert is_fused(problem)
    quick = sampled_loss(problem, model)
    monkeypatch.setattr(fused, "installed", lambda: False)
    assert not is_fused(problem)
    plain = sampled_loss(problem, model)
    assert isinstance(getattr(quick.gradient, "__self__", None), FusedEntries)
    assert not isinstance(getattr(plain.gradient, "__self__", None), FusedEntries)
    np.testing.assert_allclose(quick.gradient(theta), plain.gradient(theta), rtol=1e-12, atol=1e-14)


def test_the_limit_of_a_large_component_is_the_same_in_compiled_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    if not fused.installed():
        pytest.skip("without numba the loops run, slowly, as they are written")
    rng = np.random.default_rng(7)
    M = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 300))
    problem = MatrixCompletion(M, rng.random((300, 300)) < 0.1)
    plain = gflow.saddle_to_saddle(problem)
    monkeypatch.setattr(fused, "FUSED_ENTRIES", 1)
    quick = gflow.saddle_to_saddle(problem)
    assert plain.status == quick.status == "converged" and plain.rank == quick.rank == 2
    np.testing.assert_allclose(
        [saddle.loss for saddle in quick.saddles], [saddle.loss for saddle in plain.saddles], rtol=1e-9
    )
    assert quick.factors is not None and plain.factors is not None
    (A, B), (C, D) = quick.factors, plain.factors
    assert np.abs(A @ B - C @ D).max() < 1e-9


def test_what_holds_long_arrays_is_let_go_of_at_once() -> None:
    problem, model = ragged(8), Factorization((11, 9), 2)
    theta = model.random(np.random.default_rng(8))
    gc.disable()
    try:
        kernel = FusedEntries(problem, model)
        objective = kernel.objective(sampled_loss(problem, model))
        objective.around(theta).gradient(theta)
        objective.hvp(theta, theta)
        steps = ChebyshevSteps(objective.gradient, lambda _: 10.0, theta, 1e-6)
        steps.step()
        assert steps.n_gradients > 1
        alive = weakref.ref(kernel), weakref.ref(steps)
        del kernel, objective, steps
        assert [each() for each in alive] == [None, None]
    finally:
        gc.enable()


def test_the_indices_of_a_sparse_array_in_order_stay_its_owner_s() -> None:
    rows, columns, order = np.array([0, 0, 1, 2]), np.array([1, 3, 0, 2]), [3, 0, 2, 1]
    given = sparse.coo_array((np.arange(1.0, 5.0), (rows, columns)), shape=(3, 4))
    mixed = sparse.coo_array((given.data[order], (rows[order], columns[order])), shape=(3, 4))
    problem = MatrixCompletion(given)
    assert MatrixCompletion(mixed) == problem
    assert given.row.flags.writeable and given.col.flags.writeable and given.data.flags.writeable
    given.row[0], given.data[0] = 2, 7.0
    assert problem.rows[0] == 0 and problem.targets[0] == 1.0
