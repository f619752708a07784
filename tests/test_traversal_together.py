"""Tests of modes of equal rates that escape together: from a given start, within one component, against the referee.

Expected entries are those of the multiprecision referee (``referee.py``), from ``start(shape, seed)`` below 1e-30.
"""

from __future__ import annotations

import json

import court
import numpy as np
import pytest
from referee import start

from gflow.limit import Traversal, TraversalStatus, saddle_to_saddle
from gflow.limit.law import together as together_module
from gflow.limit.law.elements import Sector, paired
from gflow.limit.law.transport import carried_together
from gflow.limit.orbit.fine import interpolated
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

GAP = np.nan
CIRCULANT = [[GAP, -3, -1, GAP], [GAP, GAP, -3, -1], [-1, GAP, GAP, -3], [-3, -1, GAP, GAP]]
TURNED = [[3, 2, GAP], [GAP, 3, 2], [2, GAP, 3]]
TWINS = [[2, 1, 0, GAP], [1, GAP, GAP, 0], [0, GAP, 2, 1], [GAP, 0, 1, GAP]]


def limit(rows: list[list[float]], seed: int = 0) -> Traversal:
    M = np.array(rows, dtype=float)
    return saddle_to_saddle(MatrixCompletion(M), Factorization(M.shape).theta(*start(M.shape, seed)))


@pytest.fixture(scope="module")
def circulant() -> Traversal:
    return limit(CIRCULANT)


def test_a_circulant_matrix_ends_where_the_referee_does(circulant: Traversal) -> None:
    # at 1e-30 the referee is alpha^0.1227 = 2e-4 from the limit
    for found, value in ((circulant, -2.5982), (limit(CIRCULANT, 1), -2.7315)):
        assert found.status == TraversalStatus.CONVERGED and found.rank == 3 and found.matrix is not None
        assert found.matrix[0, 0] == pytest.approx(value, abs=3e-4)
        assert [(each.rank, each.together) for each in found.saddles] == [(0, 1), (1, 2), (3, 1)]


def test_what_the_data_leave_open_depends_on_the_start(circulant: Traversal) -> None:
    seen = ~np.isnan(np.array(CIRCULANT, dtype=float))
    assert (circulant.determined == seen).all()
    assert (circulant.std[seen] == 0.0).all() and np.isnan(circulant.std[~seen]).all()
    assert "NaN" not in json.dumps(circulant.to_dict())
    with pytest.raises(ValueError, match="a chain of its own"):
        circulant.sample(np.random.default_rng(0), 2)


def test_the_ratio_of_modes_that_escape_together_converges_as_slowly_as_the_next_term_of_their_rows() -> None:
    row = [1.6882912141333533, -1.158258074838258, GAP, 1.4502556713901018, -1.2392818928936997]
    found = limit([[row[(j - i) % 5] for j in range(5)] for i in range(5)])
    pair = found.saddles[1]
    assert (pair.rank, pair.together) == (2, 2)
    assert found.order == pytest.approx(pair.exponents[2] - pair.exponents[0], abs=1e-12)
    # graded flows from another start lie .0064, .0016 and 8.9e-5 from their limit at 1e-40, 1e-80 and 1e-160
    assert found.order == pytest.approx(np.log10(0.0015908 / 8.885e-5) / 80, rel=0.05)
    assert (found.log10_alpha(0.01) or 0.0) < -28


def test_without_a_start_nothing_is_said_of_it() -> None:
    found = saddle_to_saddle(MatrixCompletion(CIRCULANT))
    assert found.status == TraversalStatus.DEGENERATE and found.matrix is None


@pytest.mark.parametrize(
    ("rows", "entries", "widths"),
    [
        (TURNED, {(0, 2): 1.405095, (1, 0): 4.297840, (2, 1): 2.089366}, [(0, 1), (1, 2), (3, 1)]),
        # two sectors, M = M^T: lambda = 1 of A + B^T and of A - B^T
        ([[0, 1], [1, GAP]], {(1, 1): 0.988792}, [(0, 2), (2, 1)]),
        # equal blocks, kept apart until both have grown
        (TWINS, {(0, 3): 0.005741, (1, 1): 0.500016, (1, 2): -0.005741}, [(0, 2), (2, 1)]),
    ],
)
def test_later_saddles_and_sectors_end_where_the_referee_does(
    rows: list[list[float]], entries: dict[tuple[int, int], float], widths: list[tuple[int, int]]
) -> None:
    found = limit(rows)
    assert found.status == TraversalStatus.CONVERGED and found.matrix is not None
    for place, value in entries.items():
        assert found.matrix[place] == pytest.approx(value, abs=3e-6)
    assert [(each.rank, each.together) for each in found.saddles] == widths


@pytest.mark.parametrize(
    ("rows", "rank", "where", "value"), [(CIRCULANT, 2, 1, -2.197), ([[0, 1], [1, GAP]], 1, 0, None)]
)
def test_a_narrow_model_takes_as_many_columns_as_it_has(
    rows: list[list[float]], rank: int, where: int, value: float | None
) -> None:
    problem = MatrixCompletion(rows)
    model = Factorization(problem.shape, rank)
    found = saddle_to_saddle(problem, model.random(np.random.default_rng(0)), rank=rank)
    assert found.saddles[where].together == 1 and found.saddles[where].launch is not None
    assert found.chains[0].open is not None and not found.determined.all()
    if value is not None:  # the flow in graded columns from 1e-40
        assert found.matrix is not None and found.matrix[0, 0] == pytest.approx(value, abs=1e-3)
    assert saddle_to_saddle(problem, rank=rank).status == TraversalStatus.DEGENERATE


@pytest.mark.parametrize("gap", [1e-13, 1e-10])
def test_rates_that_are_nearly_equal_are_declined(gap: float) -> None:
    assert limit([[0, 1], [1 + gap, GAP]]).status == TraversalStatus.DEGENERATE


def test_components_with_equal_rates_share_inner_directions_as_the_start_has_it() -> None:
    rows = [[0, GAP, 1, GAP], [GAP, 0, GAP, 1], [1, GAP, 0, GAP], [GAP, 1, GAP, 0]]
    found, (A, B) = limit(rows), start((4, 4), 0)
    assert found.matrix is not None
    frames = []  # both components take the polar frame of the sums A_i + B_j at their equal rates
    for c in ((0, 2), (1, 3)):
        Z = np.concatenate([A[list(c)], B[:, list(c)].T])
        modes = np.array([[1, 0, 0, 1], [0, 1, 1, 0]]) / np.sqrt(2.0)
        frames.append((modes, modes @ Z))
    columns = np.zeros((8, 4))
    for (modes, rows_of), c in zip(frames, ((0, 2), (1, 3)), strict=True):
        U, _, Vt = np.linalg.svd(rows_of, full_matrices=False)
        columns[[c[0], c[1], 4 + c[0], 4 + c[1]]] = np.sqrt(2.0) * modes.T @ U @ Vt
    assert found.matrix == pytest.approx(columns[:4] @ columns[4:].T, abs=1e-8)


def terms(Q: np.ndarray, H: np.ndarray) -> Sector:
    """Return the terms q_i h_i^T, all of the exponent 1, in one sector."""
    zero = np.zeros(Q.shape[1])
    return Sector(np.eye(len(Q)), zero + 1.0, zero, zero, zero, Q, H, zero.astype(bool))


def total(found: Sector) -> np.ndarray:
    """Return the sum of the terms of one exponent."""
    return np.asarray((found.vectors * np.exp(found.gains)) @ found.directions.T)


def test_an_orbit_takes_terms_of_one_exponent_to_what_the_propagator_makes_of_them() -> None:
    rng = np.random.default_rng(1)
    Q, H, flows = rng.standard_normal((6, 3)), rng.standard_normal((5, 3)), rng.standard_normal((4, 6, 6))
    flows += flows.mT
    times, whole = np.array([0.0, 0.3, 1.0, 1.4, 2.5]), Q @ H.T
    for h, flow in zip(np.diff(times), flows, strict=True):
        rates, modes = np.linalg.eigh(flow)
        whole = modes @ (np.exp(h * rates)[:, None] * (modes.T @ whole))
    found = carried_together(terms(Q, H), flows, times, np.zeros((5, 6, 0)), 3)
    assert found.vectors.T @ found.vectors == pytest.approx(np.eye(3), abs=1e-10)
    assert np.abs(total(found) - whole).max() <= 1e-9 * np.abs(whole).max()


def test_modes_hold_all_terms_of_their_exponent_and_what_is_left_holds_none_of_those_that_escape() -> None:
    rng = np.random.default_rng(2)
    elements = terms(rng.standard_normal((6, 3)), rng.standard_normal((5, 3)))
    modes, rates = np.linalg.qr(rng.standard_normal((6, 6)))[0], np.array([3.0, 2.0, 2.0, 1.0, -1.0, -2.0])
    found = together_module.with_rows(paired(rates, modes, elements, 0), elements)
    rows = np.array([each.vector @ total(elements) for each in found])
    assert np.array([np.exp(each.gain) * each.direction for each in found]) == pytest.approx(rows, abs=1e-10)
    rest = elements.without(found[1:])
    assert np.abs(np.array([each.vector for each in found[1:]]) @ rest.vectors).max() < 1e-12


def test_terms_of_one_exponent_are_one_matrix() -> None:
    # gathered terms are orthonormal, and their sum is what it was
    Q, H = np.random.default_rng(0).standard_normal((2, 6, 3))
    H = H[:5]
    found = together_module.gathered(terms(Q, H), np.zeros((5, 0)))
    assert found.vectors.T @ found.vectors == pytest.approx(np.eye(3), abs=1e-12)
    assert total(found) == pytest.approx(Q @ H.T, abs=1e-12)


def test_between_the_states_of_an_orbit_lies_a_quintic() -> None:
    f = np.polynomial.Polynomial(np.random.default_rng(0).standard_normal(6))
    values, slopes, bends = (np.array([[g(0.0)], [g(1.0)]]) for g in (f, f.deriv(), f.deriv(2)))
    s = np.linspace(0.0, 1.0, 7)
    assert interpolated(s, (values, slopes, bends), 5)[:, 0] == pytest.approx(f(s), abs=1e-12)


def test_the_court_sees_a_wrong_start(monkeypatch: pytest.MonkeyPatch) -> None:
    M = np.array([[0, 1], [1, GAP]])
    judge = court.Court(M, np.random.default_rng(0))
    assert judge.limit()[0] is court.Outcome.AGREE
    import gflow

    true = gflow.saddle_to_saddle
    monkeypatch.setattr(gflow, "saddle_to_saddle", lambda problem, theta: true(problem, theta[::-1].copy()))
    assert judge.limit()[0] is court.Outcome.WRONG
