"""Figure 5: invariant sub-manifolds, the orders of the approach to them, and uniform directions of escape."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import bai2024_fig5
from gflow_studies.figures.bai2024_fig5 import QUICK, Result, claims, data, run
from gflow_studies.figures.plane_invariance import invariance, invariance_claims
from gflow_studies.figures.plane_runs import (
    crossing,
    escape_order,
    fitted_order,
    leading_parts,
    overlap_law,
    random_starts,
    start_of,
    uniform_p_value,
)

import gflow
from gflow.data import example
from gflow.statements.claims import Verdict
from gflow.studies import study_report
from gflow.studies.study import configured

TINY = replace(QUICK, exponents=(1.0, 3.0), alphas=(1e-2, 1e-3, 1e-4), directions=4)
FIG4 = example("fig4")
MODEL = gflow.Factorization(FIG4.shape)


@pytest.fixture(scope="module")
def quick() -> Result:
    return run(QUICK)


def verdicts(result: Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in claims(result)}


def test_the_two_parts_of_figure_4_have_the_known_rates_sizes_and_orders() -> None:
    first, second = leading_parts(FIG4)
    assert (first.rows, first.columns, second.rows, second.columns) == ((0, 2), (0, 2), (1,), (1,))
    assert (first.rate, second.rate) == (pytest.approx(4), pytest.approx(2))
    assert first.sizes == pytest.approx([0, np.sqrt(20)]) and second.sizes == pytest.approx([0, np.sqrt(10)])
    assert (first.spread_order, second.spread_order) == (pytest.approx(1), pytest.approx(2))
    assert escape_order(FIG4) == pytest.approx(0.5)


@pytest.mark.parametrize("t", [-1.0, -0.3, 0.0, 0.8, 1.0])
def test_the_law_of_cosines_is_arcsine_in_the_plane_and_uniform_in_space(t: float) -> None:
    assert overlap_law(2)(np.array(t)) == pytest.approx(1 - np.arccos(t) / np.pi)
    assert overlap_law(3)(np.array(t)) == pytest.approx((1 + t) / 2)


@pytest.mark.parametrize("rank", [2, 3, 6])
def test_uniform_directions_pass_and_directions_of_one_orthant_do_not(rank: int) -> None:
    gaussian = np.random.default_rng(rank).standard_normal((2, 200, rank))
    for directions, passes in ((gaussian, True), (np.abs(gaussian), False)):
        unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        assert (uniform_p_value([np.sum(unit[0] * unit[1], axis=1)], rank) > 1e-3) is passes


def test_a_power_is_fitted_where_rounding_does_not_hide_it() -> None:
    alphas = 10.0 ** -np.arange(1, 16)
    assert fitted_order(alphas, 3 * alphas**1.5 + 1e-16) == pytest.approx(1.5, abs=1e-3)
    assert fitted_order(alphas, np.full(15, 1e-16)) is None


def test_a_start_scales_one_part_alone() -> None:
    theta = MODEL.random(np.random.default_rng(0))
    A, B = MODEL.factors(start_of(MODEL, leading_parts(FIG4)[0], theta, 1e-2, 3.0))
    A0, B0 = MODEL.factors(theta)
    assert A / A0 == pytest.approx(np.outer([1e-6, 1e-2, 1e-6], np.ones(3)))
    assert B / B0 == pytest.approx(np.outer(np.ones(3), [1e-6, 1e-2, 1e-6]))


def test_every_claim_of_the_quick_study_holds(quick: Result) -> None:
    assert set(verdicts(quick).values()) == {Verdict.HOLDS}, claims(quick)
    measured = {claim.id: claim.measured for claim in claims(quick)}
    assert [measured[key] for key in ("distance", "spread-1", "spread-2")] == pytest.approx([0.5, 1, 2], abs=0.01)


def test_both_integrators_pass_half_way_in_the_same_state() -> None:
    parts = leading_parts(FIG4)
    start = start_of(MODEL, parts[0], MODEL.random(np.random.default_rng(3)), 1e-4)
    graded = gflow.graded_flow(FIG4, start)
    plain = gflow.gradient_flow(gflow.Objective.of(FIG4, MODEL), start, rtol=1e-10)
    for part in parts:
        one, other = crossing(MODEL, part, graded), crossing(MODEL, part, plain)
        assert one is not None and other is not None
        assert abs(one.w @ other.w) == pytest.approx(1, abs=1e-8)
        assert one.distance == pytest.approx(other.distance, rel=0.05)


def test_all_panels_are_drawn_with_their_data(quick: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bai2024_fig5, "run", lambda config, jobs: quick)
    report = study_report(bai2024_fig5, "bai2024-fig5", QUICK)
    assert [figure.name.rpartition("-")[2] for figure in report.figures] == list(bai2024_fig5.PANELS)
    ends = data(quick)["plane"]["norm"][-1]
    assert ends == pytest.approx([np.sqrt(20), np.sqrt(10)], rel=1e-6)


def test_the_result_does_not_depend_on_the_number_of_processes() -> None:
    one, two = (data(run(TINY, jobs=jobs)) for jobs in (1, 2))
    for panel, columns in one.items():
        for name, column in columns.items():
            assert np.array_equal(column, two[panel][name], equal_nan=True), (panel, name)


def test_another_disconnected_matrix_runs_too() -> None:
    problem = gflow.MatrixCompletion([[2.0, -1.0, np.nan, np.nan], [np.nan, np.nan, 1.0, 0.5]])
    result = run(replace(TINY, problem=problem, directions=12))
    assert set(verdicts(result).values()) == {Verdict.HOLDS}, claims(result)


def test_connected_data_and_equal_singular_values_are_refused() -> None:
    with pytest.raises(ValueError, match="two coupling components with a non-zero entry"):
        configured(bai2024_fig5, quick=True, problem=example("fig3"))
    with pytest.raises(ValueError, match="along one direction"):
        replace(QUICK, problem=gflow.MatrixCompletion([[1, 0, np.nan], [0, 1, np.nan], [np.nan, np.nan, 5]]))


def test_a_wrong_component_is_not_invariant() -> None:
    first, second = leading_parts(FIG4)
    wrong = replace(first, rows=(0, 1))
    found = {
        claim.id: claim.verdict
        for claim in invariance_claims(invariance(FIG4, (wrong, second), np.random.default_rng(0)))
    }
    assert found["invariant"] is found["any-values"] is found["confined"] is Verdict.CONTRADICTED


def test_a_flow_from_the_wrong_scale_turns_the_orders_red(monkeypatch: pytest.MonkeyPatch) -> None:
    flow: Callable[..., Any] = gflow.graded_flow
    monkeypatch.setattr(gflow, "graded_flow", lambda problem, start: flow(problem, start / np.abs(start).max() ** 0.5))
    found = verdicts(run(replace(TINY, alphas=(1e-4, 1e-6, 1e-8))))
    assert found["distance"] is found["spread-1"] is found["spread-2"] is Verdict.CONTRADICTED


def test_starts_of_one_sign_turn_the_uniform_law_red(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = random_starts
    monkeypatch.setattr(bai2024_fig5, "random_starts", lambda *args: [np.abs(theta) for theta in starts(*args)])
    found = verdicts(run(replace(TINY, directions=16)))
    assert found["uniform"] is Verdict.CONTRADICTED and found["from-start"] is Verdict.HOLDS


def test_a_limit_that_is_not_reached_turns_the_sum_red(quick: Result) -> None:
    spoiled = [replace(each, final=1.05 * each.final, status="budget") for each in quick.plane]
    found = verdicts(replace(quick, plane=spoiled))
    assert found["sum"] is found["followed"] is Verdict.CONTRADICTED
    backwards = [replace(each, crossings=each.crossings[::-1]) for each in quick.plane]
    assert verdicts(replace(quick, plane=backwards))["first"] is Verdict.CONTRADICTED
