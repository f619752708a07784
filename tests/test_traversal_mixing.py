"""Tests of which mode escapes: sectors that symmetry keeps apart, what leaks between them, and how sure the race is.

Expected entries are those of the multiprecision referee (``referee.py``) from starts alpha = 1e-30 and less.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from referee import STRICT, Referee, start

from gflow.graded import graded_flow
from gflow.limit import Traversal, TraversalStatus, saddle_to_saddle
from gflow.limit.law import race as race_module, sectors as sectors_module
from gflow.limit.law.frames import frame_of, raced
from gflow.limit.law.rigid import is_rigid
from gflow.limit.symmetric import symmetric_traversal
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

GAP = np.nan
CONVERGED = TraversalStatus.CONVERGED


def limit(rows: list[list[float]]) -> Traversal:
    return saddle_to_saddle(MatrixCompletion(rows))


def symmetric(seed: int, d: int = 4) -> np.ndarray:
    """Return a symmetric matrix with a symmetric mask that observes every row."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((d, d))
    P = np.triu(rng.random((d, d)) < 0.75)
    P = P | P.T | np.eye(d, k=1, dtype=bool) | np.eye(d, k=-1, dtype=bool)
    return np.where(P, M + M.T, GAP)


@pytest.mark.parametrize(
    ("rows", "entries"),
    [
        ([[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]], {(0, 2): -3.2763979, (1, 1): -1.4138421}),
        ([[GAP, 1.02, 2], [1.02, GAP, 0.5], [2, 0.5, -1.3]], {(0, 0): -1.79547}),
    ],
)
def test_symmetric_data_end_where_the_referee_does(
    rows: list[list[float]], entries: dict[tuple[int, int], float]
) -> None:
    found = limit(rows)
    assert found.status == CONVERGED and found.matrix is not None
    for place, value in entries.items():
        assert found.matrix[place] == pytest.approx(value, abs=5e-6)
    assert [saddle.mixing for saddle in found.saddles] == [True, False, None]


def test_the_order_of_symmetric_data_is_that_of_the_mode_that_escapes() -> None:
    found = limit([[1, 0, 3], [0, 4, 3], [3, 3, GAP]])
    assert found.order == pytest.approx(0.4551, abs=5e-5)
    assert found.saddles[1].exponents == pytest.approx((0.633512, 0.455147), abs=1e-6)


def test_an_error_of_the_active_columns_feeds_the_other_sector() -> None:
    # without what leaks the second stay would last 1.449 instead of 0.647, and q would be 0.0766
    rng = np.random.default_rng([5, 47])
    d = int(rng.integers(2, 6))
    d = int(rng.integers(3, 5))
    M = rng.standard_normal((d, d))
    low, high = 0.5, 0.9
    while True:
        P = rng.random((d, d)) < rng.uniform(low, high)
        P = np.triu(P) | np.triu(P).T
        if P.any(1).all() and P.any(0).all():
            break
    data = np.where(P, M + M.T, GAP)
    found = saddle_to_saddle(MatrixCompletion(data))
    assert found.saddles[1].plateau_time == pytest.approx(0.6473, abs=1e-3)
    assert found.order == pytest.approx(0.0342, abs=1e-4)


@pytest.mark.parametrize("seed", [3])
def test_plateaus_of_symmetric_data_last_as_long_as_those_of_the_referee(seed: int) -> None:
    data = symmetric(seed)
    found = saddle_to_saddle(MatrixCompletion(data))
    losses = [saddle.loss for saddle in found.saddles]
    levels = [np.sqrt(a * b) if b > 0 else 0.3 * a for a, b in pairwise(losses)]
    waits = []
    for power in (-20, -40):
        A, B = start(data.shape, 0)
        times = Referee(data, ~np.isnan(data), A, B, power).crossings(levels)
        waits.append(np.diff([0.0, *times]) / (-power * np.log(10.0)))
    expected = [saddle.plateau_time for saddle in found.saddles[:-1]]
    assert 2 * waits[1] - waits[0] == pytest.approx(np.array(expected), rel=0.05)


def test_circulant_data_depend_on_the_start_within_a_component() -> None:
    rows = [[GAP, -3, -1, GAP], [GAP, GAP, -3, -1], [-1, GAP, GAP, -3], [-3, -1, GAP, GAP]]
    found = limit(rows)
    assert found.status == TraversalStatus.DEGENERATE and not found.determined.any()
    assert found.saddles[1].mixing is False  # the repeated pair overtakes the single one


def test_nearly_symmetric_data_need_a_smaller_start_the_nearer_they_are() -> None:
    def needed(tilt: float) -> float:
        found = limit([[-4, 2, GAP], [2 + tilt, GAP, 2], [GAP, 2, -3]])
        assert found.status == CONVERGED and all(saddle.mixing is not False for saddle in found.saddles)
        power = found.log10_alpha(1e-2)
        assert power is not None
        return power

    far, near, nearer = (needed(tilt) for tilt in (1e-2, 1e-5, 1e-8))
    assert nearer < near - 30 < far - 60


@pytest.mark.parametrize("unit", [1.0, 0.1, 1e-120])
@pytest.mark.parametrize("tilt", [1e-15, 1e-14, 1e-13, 1e-12])
def test_data_that_are_symmetric_but_for_rounding_are_not_taken_for_symmetric(tilt: float, unit: float) -> None:
    M = unit * np.array([[-4, 2, GAP], [2 + tilt, GAP, 2], [GAP, 2, -3]])
    for data in (M, M[:, ::-1]):
        found = limit(data)
        assert found.status == TraversalStatus.UNDECIDED
    exact = unit * np.array([[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]])
    assert limit(exact).status == CONVERGED and limit(exact + exact.T).status == CONVERGED


def test_nearly_equal_entries_of_data_without_a_symmetry_do_no_harm() -> None:
    near, far = (limit([[1.3, 2.1, GAP], [0.7, GAP, 2.1 + tilt], [GAP, 2.9, -3]]) for tilt in (1e-14, 0.0))
    assert near.matrix == pytest.approx(far.matrix, abs=1e-10)


def test_a_symmetry_that_rounding_may_have_broken_is_undecided() -> None:
    rng = np.random.default_rng(0)
    flows = sectors_module.residual_flow(np.array([E + E.T for E in rng.standard_normal((6, 4, 4))]))
    tilt = np.zeros((6, 4, 4))
    for size, found in ((0.0, 2), (1e-15, 2), (1e-9, 1), (1e-3, 1)):
        tilt[:, 0, 2] = size * rng.standard_normal(6)
        assert len(sectors_module.sectors(flows + sectors_module.residual_flow(tilt))) == found
    tilt[:, 0, 2] = 1e-11 * rng.uniform(1.0, 2.0, 6)
    with pytest.raises(sectors_module.MixingUnknown, match="rounding"):
        sectors_module.sectors(flows + sectors_module.residual_flow(tilt))


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 200))
def test_symmetric_limits_move_along_with_permutations_signs_and_scale(seed: int) -> None:
    data, rng = symmetric(seed), np.random.default_rng(seed)
    order, signs = rng.permutation(4), rng.choice([-1.0, 1.0], 4)
    plain = saddle_to_saddle(MatrixCompletion(data))
    moved = saddle_to_saddle(MatrixCompletion(7.0 * (signs[:, None] * data * signs)[np.ix_(order, order)]))
    if {moved.status, plain.status} == {TraversalStatus.DIVERGING, TraversalStatus.UNDECIDED}:
        # far out rounding decides whether modes are seen to meet: one of the two may then decline
        assert all(each.chains[0].infinite is not None for each in (moved, plain))
        return
    assert moved.status == plain.status
    if plain.matrix is not None and moved.matrix is not None:
        expected = 7.0 * (signs[:, None] * plain.matrix * signs)[np.ix_(order, order)]
        assert moved.matrix == pytest.approx(expected, abs=1e-6 * np.abs(expected).max() + 70 * (plain.error or 0.0))
        assert (moved.order is None) == (plain.order is None)
        assert plain.order is None or moved.order == pytest.approx(plain.order, rel=1e-5)
        assert [s.mixing for s in moved.saddles] == [s.mixing for s in plain.saddles]


def test_generic_data_have_one_sector_and_the_top_pair_escapes() -> None:
    rng = np.random.default_rng(1)
    M = rng.standard_normal((4, 4))
    M[0, 1] = M[2, 3] = M[3, 0] = GAP
    found = saddle_to_saddle(MatrixCompletion(M))
    assert all(saddle.mixing for saddle in found.saddles[:-1])


def test_frames_of_a_symmetric_component_are_those_of_the_referee() -> None:
    data = np.full((5, 5), GAP)
    data[:3, :3], data[3:, 3:] = [[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]], [[3, 1], [1, 2]]
    A, B = start((5, 5), 0)
    found = saddle_to_saddle(MatrixCompletion(data), np.concatenate([A.ravel(), B.ravel()]))
    assert found.matrix is not None and found.from_start
    assert found.matrix[0, 3:] == pytest.approx([1.003, -0.236], abs=2e-3)
    assert found.matrix[3:, 2] == pytest.approx([-0.128, 0.755], abs=2e-3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_race_has_the_frames_of_the_generic_formula(seed: int) -> None:
    rng, data = np.random.default_rng(seed), np.full((6, 6), GAP)
    data[:4, :4] = np.where(rng.random((4, 4)) < 0.85, rng.standard_normal((4, 4)), GAP)
    data[4:, 4:] = rng.standard_normal((2, 2))
    problem, model = MatrixCompletion(data), Factorization((6, 6))
    theta = model.random(rng)
    for chain in saddle_to_saddle(problem, theta).chains:
        plain = frame_of(problem, model, chain, theta, 1e-9)
        assert raced(problem, model, chain, theta).Q == pytest.approx(plain.Q, abs=1e-10)


def test_symmetric_data_of_some_size_are_not_assumed_to_mix() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((32, 2))
    P = np.triu(rng.random((32, 32)) < 0.5)
    found = saddle_to_saddle(MatrixCompletion(np.where(P | P.T, a @ (a * [1.0, -0.7]).T, GAP)))
    assert found.status == TraversalStatus.UNDECIDED and "growing modes do not meet" in found.reason


@pytest.mark.parametrize("hidden", [False, True])
def test_large_data_with_a_symmetry_are_not_assumed_to_mix(hidden: bool) -> None:
    # fifty equal rows and columns for each of a matrix in which another pair than the top one escapes
    rng = np.random.default_rng(0)
    data = np.kron([[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]], np.ones((50, 50)))
    if hidden:
        data = data[:, rng.permutation(150)] * rng.choice([-1.0, 1.0], 150)
    found = saddle_to_saddle(MatrixCompletion(data))
    assert found.status == TraversalStatus.UNDECIDED and "growing modes do not meet" in found.reason


def drawn(rng: np.random.Generator, W: np.ndarray, share: float) -> np.ndarray:
    return np.where(rng.random(W.shape) < share, W, GAP)


def test_a_symmetry_that_could_keep_modes_apart_is_seen_and_generic_data_and_twins_have_none() -> None:
    rng = np.random.default_rng(1)
    generic = drawn(rng, rng.standard_normal((30, 25)), 0.5)
    turned = np.where(np.isnan(generic[::-1, ::-1]), generic, generic[::-1, ::-1])
    turned = np.where(np.isnan(turned), turned[::-1, ::-1], turned)
    joined = np.kron(np.eye(2), rng.standard_normal((8, 9)))
    swapped = np.vstack([generic, np.where(np.arange(25) < 12, generic, GAP)])
    assert is_rigid(MatrixCompletion(generic))
    assert is_rigid(MatrixCompletion(np.sign(generic)))
    assert is_rigid(MatrixCompletion(np.repeat(np.repeat(generic, 3, axis=0), 2, axis=1)))
    assert is_rigid(MatrixCompletion(np.vstack([generic, -generic[:4]])))
    assert is_rigid(MatrixCompletion(swapped))
    assert not is_rigid(MatrixCompletion((turned + turned[::-1, ::-1]) / 2))
    assert not is_rigid(MatrixCompletion(joined))
    assert not is_rigid(MatrixCompletion(np.kron([[1.0, GAP], [GAP, 1.0]], generic)))


def test_symmetric_factors_whose_modes_are_kept_apart_are_undecided() -> None:
    # rows 1, 4 and 2, 3 may be exchanged: odd and even modes of -G never meet
    data = np.array([[2.0, 1.0, GAP, 0.5], [1.0, 3.0, 0.3, GAP], [GAP, 0.3, 3.0, 1.0], [0.5, GAP, 1.0, 2.0]])
    found = symmetric_traversal(MatrixCompletion(data))
    assert found.status == TraversalStatus.UNDECIDED and "keep apart" in found.reason


@pytest.mark.slow
def test_frames_follow_the_race_where_the_top_pair_escapes_but_not_all_modes_mix() -> None:
    block = np.array([[-0.924, 0.265, GAP], [GAP, 1.382, GAP], [0.265, -1.11, 1.382]])
    for rows in (block, block[:, ::-1]):  # symmetric about one diagonal, or the other
        data = np.full((4, 4), GAP)
        data[:3, :3], data[3, 3] = rows, -0.476
        problem, model = MatrixCompletion(data), Factorization((4, 4))
        theta = model.random(0)
        found = saddle_to_saddle(problem, theta)
        seen = graded_flow(problem, theta, log_scale=-150 * np.log(10.0))
        assert found.status == CONVERGED and all(saddle.mixing is not False for saddle in found.saddles)
        assert found.chains[0].apart and found.matrix is not None
        assert np.abs(model.output(seen.final) - found.matrix).max() < 1e-6


def test_an_orbit_that_only_rounding_takes_out_of_its_symmetry_is_no_limit() -> None:
    rows = [
        [1.4435462713596516, GAP, 0.5771548759425986, 0.3121320246265737],
        [GAP, 0.1679686720269143, 0.22673295430110926, -1.7721712512601282],
        [0.5771548759425986, 0.22673295430110926, -1.2534819686296808, 0.254640875557033],
        [0.3121320246265737, -1.7721712512601282, 0.254640875557033, 0.6243867309101392],
    ]
    # the referee, at 1e-250: W_12 and W_21 near -1.19. Rounding decides whether the orbit rests at the saddle between,
    # and the limit is found, or leaves it for -4.24 and 0.79, and it is declined
    found = limit(rows)
    if found.status == TraversalStatus.UNDECIDED:
        assert "displacements as small as rounding" in found.reason
    else:
        assert found.matrix is not None and found.matrix[[0, 1], [1, 0]] == pytest.approx(-1.191926, abs=1e-5)


def test_what_grows_while_a_valley_is_crossed_asks_for_the_alpha_it_needs() -> None:
    found = limit([[GAP, -1.5934948], [-1.7806493, 0.0970797]])
    needed = found.log10_alpha(0.01)
    assert needed is not None and needed < -300  # the referee: 18 % off at 1e-30, 9 % at 1e-60


def test_an_unknown_order_is_said_with_what_is_known_of_the_scale() -> None:
    found = limit([[-1, -3, -2], [-3, 1, GAP], [-2, GAP, GAP]])
    assert found.status == CONVERGED and found.log10_alpha(0.01) is None
    assert found.log10_alpha_bound(0.01) < -100 and any("at least" in said for said in found.warnings)
    known = limit([[1, 2], [3, GAP]])
    assert known.log10_alpha_bound(0.01) == known.log10_alpha(0.01)
    with pytest.raises(ValueError, match="between 0 and 1"):
        known.log10_alpha_bound(1.0)


@pytest.mark.slow
def test_an_error_of_the_active_columns_that_only_turns_the_frame_feeds_nothing() -> None:
    # the only gap lies on the axis of the symmetry: a^T a - b^T b is conserved, and keeps (odd errors of the first
    # column) x (odd modes) from the even one that escapes. Fed by these, it seemed to need 1e-51
    M = np.array([[0.492, 2.241, GAP], [0.418, 0.416, 2.241], [0.983, 0.418, 0.492]])
    found = limit(M.tolist())
    needed = found.log10_alpha(0.01)
    assert found.status == CONVERGED and needed is not None and needed < -200
    assert found.saddles[1].exponents == pytest.approx((0.72350, 0.24204), abs=1e-4)
    factors = start(M.shape, 0)
    plain, strict = (
        Referee(np.nan_to_num(M), ~np.isnan(M), *factors, -80, **given).end().W[0, 2] for given in ({}, STRICT)
    )
    assert strict == pytest.approx(9.91437, abs=1e-4) and abs(plain - strict) > 1.0  # short series do not conserve it
    assert found.matrix is not None and found.matrix[0, 2] == pytest.approx(17.57294, abs=1e-4)


def test_a_saddle_at_which_nothing_that_is_left_can_grow_is_undecided() -> None:
    # the last mode grows, but what is left of the start lies in the other sector: a race without winners
    found = limit([[-3, 1, 2, -5], [1, 1, 3, 3], [2, 3, 0, GAP], [-5, 3, GAP, 3]])
    assert found.status == TraversalStatus.UNDECIDED and "reached by the start" in found.reason


# planted bugs


def test_a_race_by_rates_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_module.Runner, "time", property(lambda self: 1.0 / self.rate if self.rate > 0 else np.inf))
    found = limit([[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]])
    assert found.matrix is None or abs(found.matrix[0, 2] + 3.2763979) > 0.1


@pytest.mark.parametrize("scale", [2.0, 3.0, 1e-6])
def test_how_small_alpha_must_be_does_not_hang_on_the_unit_of_the_data(scale: float) -> None:
    # the unit is a power of four: at twice the data the same orbit was cut elsewhere, and said -2.6 instead of -1.15
    M = np.array([[1.0, 0.5], [0.3, GAP]])
    one, other = (limit(each).log10_alpha(0.01) for each in (M, scale * M))
    assert other == pytest.approx(one, rel=1e-2)


def test_a_component_of_smaller_data_sees_a_larger_alpha() -> None:
    M = np.array([[GAP, -1.5934948], [-1.7806493, 0.0970797]])
    both = np.full((4, 4), GAP)
    both[:2, :2], both[2:, 2:] = [[2.0, 1.0], [GAP, 1.5]], 1e-6 * M
    alone, found = limit(M).chains[0].end, limit(both).chains[1].end
    assert found.peaks is not None and alone.peaks is not None
    ahead = 0.5 * np.log(2.0 / (1e-6 * 1.7806493))
    assert found.exponents[0] == pytest.approx(alone.exponents[0])
    assert found.peaks[0] == pytest.approx(alone.peaks[0] + ahead * alone.exponents[0], rel=1e-2)
