"""Tests of the orders over random problems: what is predicted, and what flows at extreme scales show."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import limit_order as study, orders
from gflow_studies.figures.orders import Check, CompletionClass

import gflow
from gflow import fast
from gflow.statements.claims import Verdict
from gflow.studies import study_report

TINY = study.Config(count=6, checks=0)


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(study.QUICK)


@pytest.fixture(scope="module")
def tiny() -> study.Result:
    return study.run(TINY)


def verdicts(result: study.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


def with_checks(result: study.Result, **changes: Any) -> study.Result:
    return replace(result, checks=tuple(replace(check, **changes) for check in result.checks))


def drawn_as(monkeypatch: pytest.MonkeyPatch, matrix: list[list[float]]) -> np.random.SeedSequence:
    monkeypatch.setattr(orders, "random_problem", lambda rng: gflow.MatrixCompletion(np.array(matrix)))
    return np.random.SeedSequence(0)


def test_the_order_of_a_unique_completion_is_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = drawn_as(monkeypatch, [[1, 2], [3, np.nan]])
    case = orders.order_case(0, seed, 1e-3)
    assert case.completion is CompletionClass.UNIQUE and case.rank == 1
    assert case.order == pytest.approx(0.8685, abs=1e-4)
    fitted = orders.order_check(case, seed).fitted
    assert fitted == pytest.approx(case.order, rel=0.02)


def test_the_order_within_a_family_is_the_published_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = drawn_as(monkeypatch, [[1, 2, np.nan], [3, 4, np.nan], [6, np.nan, 5]])
    case = orders.order_case(0, seed, 1e-3)
    assert case.completion is CompletionClass.FAMILY and case.rank == 2
    assert case.order == pytest.approx(0.452, abs=1e-3)


def test_a_whole_matrix_has_no_order_and_two_blocks_have_entries_between_components(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = drawn_as(monkeypatch, [[1, 2], [3, 4]])
    assert orders.order_case(0, seed, 1e-3).completion is CompletionClass.WHOLE
    seed = drawn_as(monkeypatch, [[1, np.nan], [np.nan, 4]])
    assert orders.order_case(0, seed, 1e-3).completion is CompletionClass.CROSS


def test_the_fitted_order_is_the_slope_of_a_power_above_the_floor(result: study.Result) -> None:
    exponents = np.array([-2.0, -4.0, -6.0, -60.0])
    check = Check(result.cases[0], exponents, 10.0 ** (0.5 * exponents), ("converged",) * 4, 1e-8)
    assert check.fitted == pytest.approx(0.5)
    assert replace(check, floor=1.0).fitted is None
    assert replace(check, statuses=("converged", "budget")).fitted is None


def test_an_order_has_settled_where_the_last_two_slopes_agree(result: study.Result) -> None:
    scales = np.array([-4.0, -8.0, -12.0, -16.0])
    check = replace(result.checks[0], log10_alphas=scales, floor=1e-20, statuses=("converged",))
    assert replace(check, distances=10.0 ** (0.5 * scales)).settled
    assert not replace(check, distances=10.0 ** np.array([-1.0, -2.0, -3.0, -6.0])).settled
    assert not replace(check, distances=10.0 ** (0.5 * scales), floor=1e-5).settled, "two points show one slope"


def test_the_quick_study_contradicts_nothing(result: study.Result) -> None:
    found = verdicts(result)
    assert found.pop("limit-exists") is Verdict.HYPOTHESIS_NOT_MET
    assert set(found.values()) == {Verdict.HOLDS}, found
    assert {check.case.completion for check in result.checks} == set(study.GROUPS)


def test_flows_that_fall_with_another_order_turn_the_fit_red(result: study.Result) -> None:
    slow = [replace(check, distances=np.sqrt(check.distances)) for check in result.checks]
    assert verdicts(replace(result, checks=tuple(slow)))["fitted"] is Verdict.CONTRADICTED


def test_flows_that_end_elsewhere_turn_the_promise_red(result: study.Result) -> None:
    far = with_checks(result, distances=np.ones(len(orders.WINDOW)))
    assert verdicts(far)["promise"] is Verdict.CONTRADICTED


def test_flows_that_do_not_converge_leave_the_promise_undecided(result: study.Result) -> None:
    assert verdicts(with_checks(result, statuses=("budget",)))["promise"] is Verdict.UNDECIDED


def test_a_bound_above_the_order_turns_its_claim_red(result: study.Result) -> None:
    cases = tuple(replace(case, safe_order=None if case.order is None else 1.1 * case.order) for case in result.cases)
    assert verdicts(replace(result, cases=cases))["safe-order"] is Verdict.CONTRADICTED


def test_the_result_does_not_depend_on_the_number_of_processes(tiny: study.Result) -> None:
    one, two = tiny, study.run(TINY, jobs=2)
    for first, second in zip(one.cases, two.cases, strict=True):
        assert repr(first) == repr(second) and first.scale == second.scale


def test_the_orders_are_the_same_without_numba(tiny: study.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast.installed():
        pytest.skip("numba is not installed")
    quick = tiny
    asked: list[bool] = []
    monkeypatch.setattr(fast, "installed", lambda: bool(asked.append(True)))
    plain = study.run(TINY)
    assert len(asked) >= TINY.count and verdicts(plain) == verdicts(quick)
    for one, other in zip(plain.cases, quick.cases, strict=True):
        assert (one.status, one.completion, one.rank) == (other.status, other.completion, other.rank)
        # an order is a quotient of an eigenvalue by the largest one: rounding is relative to 1, however small it is
        assert one.order == (None if other.order is None else pytest.approx(other.order, rel=1e-5, abs=1e-10))


def test_every_panel_is_drawn(result: study.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run", lambda config, jobs=1: result)
    module: Any = study
    report = study_report(module, "limit-order", study.QUICK)
    assert [figure.name.removeprefix("limit-order-") for figure in report.figures] == list(study.PANELS)
