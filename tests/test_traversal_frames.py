"""Tests of frames at size: both paths of the passive modes agree, signs are those of direct integration, guards."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse
from scipy.linalg import expm
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from gflow.graded import graded_flow
from gflow.limit import (
    Traversal,
    TraversalStatus,
    chain as chain_module,
    saddle_to_saddle,
    traversal as traversal_module,
)
from gflow.limit.law import errors as errors_module, frames as frames_module, passive as passive_module
from gflow.limit.law.frames import Frame, FrameFailure, frame_of, in_joint_span
from gflow.limit.orbit import polish as polish_module, sizes as sizes_module
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

CONVERGED = TraversalStatus.CONVERGED
GAP = np.nan


def blocks(shapes: list[tuple[int, int]], ranks: list[int], fraction: float, seed: int = 0) -> MatrixCompletion:
    """Return components of these shapes and ranks side by side, each with that fraction of its entries observed."""
    rng = np.random.default_rng(seed)
    places, entries, corner = [], [], np.zeros(2, dtype=int)
    for shape, k in zip(shapes, ranks, strict=True):
        A, B = rng.standard_normal((shape[0], k)), rng.standard_normal((k, shape[1]))
        cells = np.sort(rng.choice(shape[0] * shape[1], int(fraction * shape[0] * shape[1]), replace=False))
        rows, columns = np.divmod(cells, shape[1])
        places.append(corner[:, None] + [rows, columns])
        entries.append(np.vecdot(A[rows], B[:, columns].T))
        corner = corner + shape
    return MatrixCompletion(sparse.coo_array((np.concatenate(entries), tuple(np.hstack(places))), shape=tuple(corner)))


def beside_a_single_entry(seed: int) -> MatrixCompletion:
    """Return a component with data of low rank, and a single entry beside it."""
    rng = np.random.default_rng(seed)
    d1, d2 = int(rng.integers(3, 7)), int(rng.integers(3, 7))
    k = int(rng.integers(2, min(d1, d2) + 1))
    W = rng.standard_normal((d1, k)) @ rng.standard_normal((k, d2))
    values = np.full((d1 + 1, d2 + 1), GAP)
    values[:d1, :d2], values[d1, d2] = np.where(rng.random((d1, d2)) < rng.uniform(0.6, 1.0), W, GAP), 1.0
    return MatrixCompletion(values)


def by_path(problem: MatrixCompletion, start: np.ndarray, sides: int, monkeypatch: pytest.MonkeyPatch) -> Traversal:
    """Return the limit with the passive modes of parts of more than ``sides`` rows and columns found by products."""
    with monkeypatch.context() as patch:
        patch.setattr(passive_module, "LARGE_SIDES", sides)
        return saddle_to_saddle(problem, start)


def by_large_path(problem: MatrixCompletion, start: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Traversal:
    """Return the limit by the path of large problems, however small the problem."""
    with monkeypatch.context() as patch:
        for module in (sizes_module, errors_module, polish_module, traversal_module):
            patch.setattr(module, "LARGE_CELLS", 0)
        return by_path(problem, start, 0, monkeypatch)


# passive modes in a constant residual


@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from([(9, 6), (6, 9), (7, 7)]), reach=st.floats(0.01, 8.0))
@settings(deadline=None, max_examples=15)
def test_the_series_is_the_exponential_of_the_residual(seed: int, shape: tuple[int, int], reach: float) -> None:
    rng = np.random.default_rng(seed)
    E, X = rng.standard_normal(shape), rng.standard_normal((sum(shape), 2))
    bound = 1.7 * float(np.linalg.norm(E, 2))
    S = np.block([[np.zeros((shape[0],) * 2), -E], [-E.T, np.zeros((shape[1],) * 2)]])
    exact = expm(S * reach / bound - reach * np.eye(len(S))) @ X
    found = passive_module._exponential(sparse.csr_array(E), bound, passive_module._series(reach), X)
    assert found == pytest.approx(exact, abs=1e-14 * np.abs(X).max())


@given(seed=st.integers(0, 2**32 - 1), log_time=st.floats(-2.0, 4.0))
@settings(deadline=None, max_examples=20)
def test_products_and_eigenvectors_carry_the_modes_to_the_same_place(seed: int, log_time: float) -> None:
    problem = blocks([(11, 8)], [3], 0.7, seed % 1000)
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((11, 2)), rng.standard_normal((2, 8))
    X = np.linalg.qr(rng.standard_normal((19, 3)))[0]
    plain = passive_module._by_eigenvectors(problem, A, B, X, 10.0**log_time)
    products = passive_module._by_products(problem, A, B, X, 10.0**log_time)
    assert np.abs(products - plain).max() < 1e-7
    assert products.T @ products == pytest.approx(np.eye(3), abs=1e-12)


def test_after_a_long_time_the_modes_are_the_leading_ones_in_order() -> None:
    problem = blocks([(11, 8)], [3], 0.7)
    rng = np.random.default_rng(1)
    A, B, X = np.zeros((11, 1)), np.zeros((1, 8)), np.linalg.qr(rng.standard_normal((19, 3)))[0]
    U, _, Vt = np.linalg.svd(problem.values)
    for carried in (passive_module._by_eigenvectors, passive_module._by_products):
        overlaps = np.concatenate([U[:, :3], Vt[:3].T]).T @ carried(problem, A, B, X, 1e6) / np.sqrt(2.0)
        assert np.abs(overlaps) == pytest.approx(np.eye(3), abs=1e-8)


@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from([(12, 30), (30, 12), (15, 15), (3, 20)]))
@settings(deadline=None, max_examples=20)
def test_leading_pairs_of_sparse_arrays_are_those_of_dense_ones(seed: int, shape: tuple[int, int]) -> None:
    E = sparse.random_array(shape, density=0.5, rng=np.random.default_rng(seed), format="csr")
    sigma, u, v = frames_module._leading_pairs(E, 3)
    assert sigma == pytest.approx(np.linalg.svd(E.toarray(), compute_uv=False)[:3], abs=1e-12 * sigma[0])
    assert E @ v == pytest.approx(u * sigma, abs=1e-10 * sigma[0])
    assert E.T @ u == pytest.approx(v * sigma, abs=1e-10 * sigma[0])


# limits of disconnected problems


@pytest.fixture(scope="module")
def medium() -> tuple[MatrixCompletion, np.ndarray]:
    problem = blocks([(16, 14), (12, 17)], [3, 2], 0.75)
    return problem, Factorization(problem.shape).random(np.random.default_rng(4))


def test_both_paths_end_in_the_same_limit(
    medium: tuple[MatrixCompletion, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, products = (by_path(*medium, sides, monkeypatch) for sides in (10**9, 0))
    large = by_large_path(*medium, monkeypatch)
    assert plain.status == products.status == large.status == CONVERGED and plain.rank == large.rank == 5
    assert np.abs(plain.matrix[:16, 14:]).max() > 0.1  # type: ignore[index]
    assert products.matrix == pytest.approx(plain.matrix, abs=1e-12)
    assert large.matrix == pytest.approx(plain.matrix, abs=1e-7)
    assert plain.factors is not None and large.factors is not None
    assert plain.factors[0].shape == (28, 28) and large.factors[0].shape == (28, 5)


def test_an_orbit_that_does_not_look_at_the_way_is_noticed(
    medium: tuple[MatrixCompletion, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, start = medium
    plain = saddle_to_saddle(problem, start)
    sound = chain_module.large_orbit
    monkeypatch.setattr(
        chain_module, "orbit", lambda problem, A, B, u, v, use: sound(problem, A, B, u, v, replace(use, tight=False))
    )
    coarse = by_large_path(problem, start, monkeypatch)
    assert coarse.matrix is None or np.abs(coarse.matrix - plain.matrix).max() > 1e-6


@pytest.mark.parametrize("sides", [0, 10**9])
def test_the_limit_moves_along_with_permutations(
    sides: int, medium: tuple[MatrixCompletion, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, start = medium
    model, rng = Factorization(problem.shape), np.random.default_rng(7)
    rows, columns = rng.permutation(problem.shape[0]), rng.permutation(problem.shape[1])
    A, B = model.factors(start)
    moved = MatrixCompletion(problem.with_gaps()[np.ix_(rows, columns)])
    found = by_path(moved, model.theta(A[rows], B[:, columns]), sides, monkeypatch)
    fixed = by_path(problem, start, sides, monkeypatch)
    assert fixed.matrix is not None
    assert found.matrix == pytest.approx(fixed.matrix[np.ix_(rows, columns)], abs=1e-7)


def test_two_sparse_components_are_completed_without_any_array_of_their_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = blocks([(150, 150), (150, 150)], [2, 1], 0.1)
    start = Factorization(problem.shape, 4).random(np.random.default_rng(0))

    def refuse(*_: object) -> np.ndarray:
        raise AssertionError("an array of the shape of the matrix was formed")

    with monkeypatch.context() as patch:
        patch.setattr(MatrixCompletion, "adjoint", refuse)
        patch.setattr(Factorization, "output", refuse)
        patch.setattr(Factorization, "jacobian", refuse)
        patch.setattr(passive_module, "_by_eigenvectors", refuse)
        patch.setattr("gflow.objective.loss.SPARSE_CELLS", 0)
        found = saddle_to_saddle(problem, start, rank=4)
    assert found.status == CONVERGED and found.rank == 3 and found.from_start
    assert found.factors is not None and found.factors[0].shape == (300, 3)
    A, B = found.factors
    assert problem.observed_product(A, B) == pytest.approx(problem.targets, abs=1e-8 * problem.size)
    a, b = A[:150], B[:, 150:]
    assert np.abs(a @ b).max() > 0.05


def test_frames_in_their_joint_span_have_the_same_products() -> None:
    problem = MatrixCompletion([[3.0, 1.0, GAP], [1.0, 2.0, GAP], [GAP, GAP, 1.0]])
    model = Factorization(problem.shape, 7)
    start = model.random(np.random.default_rng(0))
    frames = [frame_of(problem, model, each, start, 1e-9) for each in saddle_to_saddle(problem, rank=7).chains]
    inside = in_joint_span(frames)
    assert [frame.Q.shape for frame in frames] == [(7, 2), (7, 1)] and [len(frame.Q) for frame in inside] == [3, 3]
    for one in range(2):
        for other in range(2):
            expected = frames[one].Q.T @ frames[other].Q
            assert inside[one].Q.T @ inside[other].Q == pytest.approx(expected, abs=1e-14)


# modes that others outgrow


@pytest.fixture(scope="module")
def outgrown() -> tuple[MatrixCompletion, np.ndarray, np.ndarray]:
    """Return a problem whose later modes fall far behind within a step, a start, and the end of a direct run."""
    problem = beside_a_single_entry(134)
    model = Factorization(problem.shape, 5)
    start = model.random(np.random.default_rng(1))
    path = graded_flow(problem, start, rank=5, log_scale=-1000 * np.log(10.0), loss_tol=1e-24, rtol=1e-10)
    assert path.status == "converged"
    return problem, start, model.output(path.final)


@pytest.mark.parametrize("sides", [0, 10**9])
def test_a_mode_that_falls_far_behind_keeps_its_sign(
    sides: int, outgrown: tuple[MatrixCompletion, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, start, expected = outgrown
    monkeypatch.setattr(passive_module, "LARGE_SIDES", sides)
    found = saddle_to_saddle(problem, start, rank=5)
    assert [each.end.rank for each in found.chains] == [4, 1]
    assert found.matrix == pytest.approx(expected, abs=1e-4)


def test_a_lost_sign_of_an_outgrown_mode_leads_elsewhere(
    outgrown: tuple[MatrixCompletion, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, start, expected = outgrown
    honest, falls = passive_module._by_eigenvectors, []

    def lost(part: MatrixCompletion, A: np.ndarray, B: np.ndarray, X: np.ndarray, time: float) -> np.ndarray:
        """Return the modes with a wrong sign of the slowest where a step taken at once would drown it in rounding."""
        found, sizes = honest(part, A, B, X, time), np.linalg.svd(part.residual(A @ B), compute_uv=False)
        rates = 2.0 * part.weight * np.concatenate([sizes, -sizes[::-1]])
        if not falls and X.shape[1] > 1 and (rates[0] - rates[X.shape[1] - 1]) * time > -np.log(np.finfo(float).eps):
            falls.append(time)
            found[:, -1] *= -1
        return found

    monkeypatch.setattr(passive_module, "_by_eigenvectors", lost)
    found = saddle_to_saddle(problem, start, rank=5)
    assert falls and (found.matrix is None or np.abs(found.matrix - expected).max() > 0.1)


def test_a_pair_of_the_wrong_sign_is_noticed(
    medium: tuple[MatrixCompletion, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, start = medium
    plain, sound = saddle_to_saddle(problem, start), frames_module.leading_triples

    def wrong(*given: object, **settings: object) -> object:
        found = sound(*given, **settings)  # type: ignore[arg-type]
        return replace(found, V=-found.V)

    monkeypatch.setattr(frames_module, "leading_triples", wrong)
    found = by_path(problem, start, 0, monkeypatch)
    assert found.matrix is None or np.abs(found.matrix - plain.matrix).max() > 1e-3


def test_a_residual_of_the_wrong_sign_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, rng, sound = blocks([(11, 8)], [3], 0.7), np.random.default_rng(0), passive_module._exponential
    X = np.linalg.qr(rng.standard_normal((19, 3)))[0]
    rest = problem, rng.standard_normal((11, 2)), rng.standard_normal((2, 8)), X, 10.0
    plain = passive_module._by_eigenvectors(*rest)
    assert np.abs(passive_module._by_products(*rest) - plain).max() < 1e-9
    monkeypatch.setattr(passive_module, "_exponential", lambda E, *others: sound(-E, *others))
    assert np.abs(passive_module._by_products(*rest) - plain).max() > 0.1


# failures


def test_pairs_too_close_to_be_separated_leave_the_frame_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = blocks([(16, 14)], [3], 0.9)
    model = Factorization(problem.shape)
    learned = saddle_to_saddle(problem).chains[0]
    monkeypatch.setattr(passive_module, "LARGE_SIDES", 0)
    monkeypatch.setattr(frames_module, "leading_triples", partial(frames_module.leading_triples, max_steps=5))
    with pytest.raises(FrameFailure, match="too close together") as failure:
        frame_of(problem, model, learned, model.random(np.random.default_rng(0)), 1e-9)
    assert failure.value.status == TraversalStatus.UNDECIDED


def test_modes_that_turn_for_ever_leave_the_frame_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = blocks([(16, 14)], [3], 0.9)
    model = Factorization(problem.shape)
    learned = saddle_to_saddle(problem).chains[0]
    monkeypatch.setattr(passive_module, "MODE_FOLDINGS", 1e-4)
    monkeypatch.setattr(passive_module, "MOST_PIECES", 3)
    with pytest.raises(FrameFailure, match="rates are too close") as failure:
        frame_of(problem, model, learned, model.random(np.random.default_rng(0)), 1e-9)
    assert failure.value.status == TraversalStatus.UNDECIDED


def test_complete_components_of_low_rank_have_frames_by_products(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = blocks([(16, 14), (12, 17)], [3, 2], 1.0)
    start = Factorization(problem.shape).random(np.random.default_rng(0))
    plain, products = (by_path(problem, start, sides, monkeypatch) for sides in (10**9, 0))
    assert plain.status == products.status == CONVERGED
    assert products.matrix == pytest.approx(plain.matrix, abs=1e-12)


def test_a_residual_of_too_low_a_rank_has_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = blocks([(16, 14)], [3], 1.0)
    model = Factorization(problem.shape)
    learned = saddle_to_saddle(problem).chains[0]
    monkeypatch.setattr(passive_module, "LARGE_SIDES", 0)
    with pytest.raises(FrameFailure, match="a rank below 3"):
        frame_of(blocks([(16, 14)], [1], 1.0), model, learned, model.random(np.random.default_rng(0)), 1e-9)
    assert isinstance(frame_of(problem, model, learned, model.random(np.random.default_rng(0)), 1e-9), Frame)


def test_a_frame_whose_last_mode_ties_with_the_next_is_degenerate() -> None:
    rng = np.random.default_rng(3)
    w = rng.standard_normal(3)
    stretched = np.eye(3) + np.outer(w, w) / (w @ w)  # singular values 2, 1 and 1, also after a rotation

    def turned(r: np.ndarray) -> np.ndarray:
        return Rotation.from_rotvec(r).as_matrix() @ stretched

    r = least_squares(lambda r: np.diag(turned(r)), rng.standard_normal(3), xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    M = np.full((5, 5), GAP)
    M[:3, :3], M[3:, 3:] = turned(r), [[1.0, 2.0], [2.0, 4.0]]
    assert np.abs(np.diag(M)[:3]).max() < 1e-12
    M[range(3), range(3)] = GAP
    problem, start = MatrixCompletion(M), Factorization((5, 5)).random(rng)
    plain, found = saddle_to_saddle(problem), saddle_to_saddle(problem, start)
    assert (plain.status, [chain.end.rank for chain in plain.chains]) == (CONVERGED, [2, 1])
    assert found.status == TraversalStatus.DEGENERATE and "and from the next" in found.reason
    paths = [graded_flow(problem, factor * start) for factor in (1e-30, 1e-60)]
    ends = [Factorization((5, 5)).output(path.final)[:3, 3:] for path in paths]
    guess = frame_of(problem, Factorization((5, 5)), plain.chains[0], start, -1.0)
    other = frame_of(problem, Factorization((5, 5)), plain.chains[1], start, 1e-9)
    cross = guess.chain.end.A @ guess.Q.T @ other.Q @ other.chain.end.B
    assert np.abs(ends[0] - ends[1]).max() < 0.1 * np.abs(ends[1] - cross).max()  # the formula would be wrong
