"""The figures of the limit: their points and lines are the predictions, and a wrong prediction does not go unseen."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from oracles import logistic

import gflow
from gflow.data import example
from gflow.report import Figure, FigureSet
from gflow.report.limit_figures import limit_figures
from gflow.report.limit_figures.chains import Leg, chain_legs
from gflow.report.limit_figures.convergence import completion_series, escape_series, slope_note
from gflow.report.limit_figures.plateaus import _slope, crossings, plateau_figure, predicted_waits
from gflow.report.limit_figures.polar import View, escape_views
from gflow.report.limit_figures.runs import LimitRun, completion_powers, root_mean_square
from gflow.statements import Evidence, thm2

GAP = np.nan
NAMES = ["limit-convergence", "plateau-times", "chain-of-losses", "polar-view"]


@cache
def study(name: str) -> Evidence:
    return Evidence.of(example(name))


@cache
def drawn(name: str) -> FigureSet:
    return limit_figures(study(name))


def figure(name: str, which: str) -> Figure:
    return next(each for each in drawn(name).figures if each.name == which)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def drawn_orders(data: Any, line: str) -> dict[str, float]:
    """Return the slope of a drawn line for every series of the figure of convergence."""
    own = {str(name): data["series"] == name for name in data["series"]}
    return {name: slope(data["alpha"][row], data[line][row]) for name, row in own.items()}


# Waiting times


def test_a_crossing_is_where_the_logistic_law_has_lost_half() -> None:
    times = np.linspace(0.0, 3.0, 4000)
    losses = (logistic(times, 1e-8, 2.0, 4.0) - 2.0) ** 2
    run = LimitRun(np.log(1e-4), times, losses, None, "this study")
    half = 2.0 - np.sqrt(2.0)
    expected = np.log((2.0 / 1e-8 - 1.0) / (2.0 / half - 1.0)) / 8.0
    assert crossings(run, np.array([2.0])) == pytest.approx([expected], abs=1e-5)
    assert np.isnan(crossings(run, np.array([5.0, 1e-12]))).all()


@pytest.mark.usefixtures("painted")
def test_a_single_entry_waits_a_quarter_of_the_logarithm_and_follows_the_logistic_law() -> None:
    own = Evidence.of(gflow.MatrixCompletion([[2.0]]), start=np.full(2, 1e-8))
    data = plateau_figure(own).data
    half = 2.0 - np.sqrt(2.0)
    w = data["alpha"] ** 2
    expected = np.log((2.0 / w - 1.0) / (2.0 / half - 1.0)) / 8.0
    assert data["measured"][:, 0] == pytest.approx(expected, rel=1e-4)
    assert data["multiple_predicted"] == pytest.approx([0.25])
    assert data["multiple_measured"] == pytest.approx([0.25], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tol"), [("fig4", 1e-4), ("fig3", 2e-3)])
def test_the_waits_grow_by_the_predicted_multiples(name: str, tol: float) -> None:
    data = figure(name, "plateau-times").data
    assert data["multiple_measured"] == pytest.approx(data["multiple_predicted"], rel=tol)
    assert np.diff(data["guide"], axis=0) == pytest.approx(
        np.diff(np.log(1.0 / data["guide_alpha"]))[:, None] * data["multiple_predicted"], rel=1e-9
    )
    assert "this study" in data["source"] and len(data["alpha"]) >= 4


def test_the_blocks_of_figure_4_leave_at_a_quarter_and_a_half_of_the_logarithm() -> None:
    ranks, waits, levels = predicted_waits(study("fig4"))
    assert ranks == [0, 1]
    assert waits == pytest.approx([0.25, 0.25]) and levels == pytest.approx([15.0, 2.5])


@pytest.mark.usefixtures("painted")
def test_a_wrong_exponent_shows_in_the_waiting_times() -> None:
    given = study("fig4")
    first, *others = given.visits
    late = [replace(visit, arrival=1.1 * visit.arrival) for visit in others]
    data = plateau_figure(given.altered(visits=(first, *late))).data
    assert not np.allclose(data["multiple_measured"], data["multiple_predicted"], rtol=0.02)


# Convergence


@pytest.mark.parametrize("name", ["fig3", "fig4"])
def test_the_drawn_slopes_are_the_orders_of_the_escape_limits(name: str) -> None:
    data = figure(name, "limit-convergence").data
    fitted, predicted = drawn_orders(data, "fitted_line"), drawn_orders(data, "predicted_line")
    limits: list[tuple[int, Any]] = [(escape.visit.rank, escape.limit) for escape in thm2.escapes(study(name))]
    assert len(limits) == {"fig3": 3, "fig4": 2}[name]
    for rank, limit in limits:
        assert fitted[f"from rank {rank}"] == pytest.approx(limit.fitted_order, abs=1e-9)
        assert predicted[f"from rank {rank}"] == pytest.approx(limit.predicted_order, abs=1e-9)
        row = data["series"] == f"from rank {rank}"
        assert np.array_equal(data["error"][row], limit.errors)
        assert data["alpha"][row] == pytest.approx(limit.alphas * np.sqrt(study(name).unit))
        assert slope(data["alpha"][row], data["error"][row]) == pytest.approx(limit.predicted_order, rel=0.06)


def test_the_escape_from_rank_1_of_figure_3_has_the_published_order() -> None:
    data = figure("fig3", "limit-convergence").data
    assert drawn_orders(data, "fitted_line")["from rank 1"] == pytest.approx(0.57016, rel=0.01)


def test_an_order_shifted_by_a_tenth_leaves_the_points(monkeypatch: pytest.MonkeyPatch) -> None:
    own, true = study("fig4"), thm2.escapes(study("fig4"))
    limits: list[Any] = [escape.limit for escape in true]
    worse = [replace(limit, fitted_order=limit.fitted_order + 0.1) for limit in limits]
    shifted = [replace(escape, limit=limit) for escape, limit in zip(true, worse, strict=True)]
    right, _ = escape_series(own)
    monkeypatch.setattr(thm2, "escapes", lambda _: shifted)
    wrong, _ = escape_series(own)
    for good, bad in zip(right, wrong, strict=True):
        assert np.abs(np.log(good.line(good.fitted) / good.errors)).max() < 0.01
        assert np.abs(np.log(bad.line(bad.fitted) / bad.errors)).max() > 0.2
        assert slope(bad.alphas, bad.line(bad.fitted)) == pytest.approx(slope(good.alphas, good.errors) + 0.1, abs=1e-3)


def test_a_completion_between_an_observed_zero_and_a_two_converges_with_its_order() -> None:
    series, note = completion_series(study("slides1"))
    assert series is not None and note == ""
    assert series.predicted == pytest.approx(1.0 - 1.0 / np.sqrt(2.0))
    assert series.fitted == pytest.approx(series.predicted, rel=0.01)


def test_a_wrong_limit_is_not_approached() -> None:
    given = study("slides1")
    assert given.matrix is not None
    wrong = given.altered(limit=given.limit._replace(matrix=given.matrix + 0.1))
    series, note = completion_series(wrong)
    assert series is not None and note
    assert series.fitted is None or abs(series.fitted) < 0.1


@pytest.mark.parametrize(
    ("slopes", "fitted", "lawful", "said"),
    [
        ([0.5, 0.501], 0.501, True, ""),
        ([0.3, 0.4], None, True, "has not settled: from point to point it is 0.3, 0.4, predicted 0.5"),
        ([0.4, 0.401], 0.401, True, "0.4, 0.401; at these scales below the predicted 0.5"),
        ([0.9, 0.901], 0.901, True, "at these scales above the predicted 0.5"),
        ([0.01, 0.01], 0.01, False, "no start shown is so small that the predicted 0.5 holds"),
    ],
)
def test_a_caption_names_a_slope_that_is_not_the_predicted_one(
    slopes: list[float], fitted: float | None, lawful: bool, said: str
) -> None:
    found = slope_note(np.array(slopes), 0.5, fitted, lawful)
    assert said in found and bool(said) == bool(found)


def test_the_completion_of_figure_3_is_compared_with_its_order() -> None:
    figure_3 = figure("fig3", "limit-convergence")
    shown = figure_3.data["panel"] == "completion"
    errors, alphas = figure_3.data["error"][shown], figure_3.data["alpha"][shown]
    assert figure_3.data["predicted_order"][shown] == pytest.approx(1.6313, abs=1e-3)
    assert 1.2 < slope(alphas[-2:], errors[-2:]) < 1.6
    assert "predicted 1.631" in figure_3.caption


def test_a_scale_that_was_integrated_twice_counts_once() -> None:
    assert _slope(np.array([1.0, 2.0, 2.0]), np.array([3.0, 5.0, 5.0])) == 2.0
    assert _slope(np.array([2.0, 2.0]), np.array([5.0, 5.0])) is None


def test_scales_too_small_to_reach_are_replaced() -> None:
    traversal = study("fig4").traversal
    assert completion_powers(replace(traversal, order=None)) == ()
    assert completion_powers(replace(traversal, order=0.01)) == (-20.0, -30.0, -60.0)
    assert np.diff(completion_powers(traversal)) == pytest.approx(-1.0)


# The chain of losses


def continuous(legs: list[Leg]) -> bool:
    """Return whether every orbit leaves at the loss of its first saddle and falls to that of the next."""
    steps = [leg.losses for leg in legs]
    starts = all(abs(losses[1] - losses[0]) <= 1e-6 * losses[0] for losses in steps)
    ends = all(losses[-2] - losses[-1] <= 1e-2 * losses[0] for losses in steps)
    return starts and ends and all((np.diff(losses) <= 1e-9 * losses[0]).all() for losses in steps)


def test_the_chain_of_figure_3_joins_the_published_losses() -> None:
    own = study("fig3")
    legs = chain_legs(own.problem, own.traversal.chains[0])
    ends = [legs[0].losses[0], *(leg.losses[-1] for leg in legs)]
    assert ends == pytest.approx([16.850667, 0.32652694, 0.05227755, 0.0], rel=1e-6)
    assert continuous(legs) and all((np.diff(leg.positions) >= 0).all() for leg in legs)
    assert [leg.positions[-1] for leg in legs[:-1]] == [leg.positions[0] for leg in legs[1:]]
    data = figure("fig3", "chain-of-losses").data
    assert np.array_equal(data["loss"], np.concatenate([leg.losses for leg in legs]))
    assert np.isnan(data["time"]).sum() == 6


def test_the_chains_of_figure_4_go_straight_and_their_losses_add_up() -> None:
    own = study("fig4")
    legs = [chain_legs(own.problem, chain)[0] for chain in own.traversal.chains]
    assert [leg.losses[0] for leg in legs] == pytest.approx([20.0, 5.0])
    for leg, length, weight in zip(legs, (10.0, 5.0), (0.2, 0.2), strict=True):
        assert leg.positions[-1] == pytest.approx(length, rel=1e-6)  # W grows along one matrix of that norm
        assert leg.losses == pytest.approx(weight * (length - leg.positions) ** 2, rel=1e-4, abs=1e-9)


def test_a_chain_with_orbits_in_the_wrong_order_is_broken() -> None:
    own = study("fig3")
    chain = own.traversal.chains[0]
    first, second, third = chain.saddles[:3]
    wrong = replace(chain, saddles=(first, replace(second, loss=2.0 * second.loss), third), orbits=chain.orbits[:2])
    assert not continuous(chain_legs(own.problem, wrong))


# The polar view


def product(view: View, time: int) -> np.ndarray:
    return view.rows[time] @ view.columns[time]


def test_the_plane_of_figure_4_holds_both_blocks_and_their_angle() -> None:
    (view,) = escape_views(study("fig4"))
    assert view.outside < 1e-9
    assert product(view, 0) == pytest.approx(np.array([[1.0, 0, 3], [0, 0, 0], [3, 0, 9]]), abs=1e-8)
    W, end = product(view, -1), view.rows[-1]
    assert np.linalg.norm(end, axis=1) == pytest.approx([1.0, np.sqrt(5.0), 3.0], rel=1e-6)
    assert [W[0, 0], W[0, 2], W[1, 1], W[2, 2]] == pytest.approx([1.0, 3.0, 5.0, 9.0], rel=1e-6)
    assert end[0] @ end[1] == pytest.approx(W[0, 1], abs=1e-6)
    assert end[1, 1] > 0 and abs(end[0, 1]) < 1e-9
    assert "random frame" in figure("fig4", "polar-view").caption


def test_the_plane_from_rank_1_of_figure_3_leads_from_saddle_to_saddle() -> None:
    first, second = escape_views(study("fig3"))
    saddles = study("fig3").traversal.saddles
    assert product(first, 0) == pytest.approx(saddles[1].matrix, abs=1e-8)
    assert product(first, -1) == pytest.approx(saddles[2].matrix, abs=1e-3)
    assert (first.outside, second.outside) == (pytest.approx(0.0, abs=1e-6), pytest.approx(0.31, abs=0.02))
    assert not np.allclose(product(second, -1), saddles[3].matrix, atol=1e-3)  # a projection does not hold all
    caption = figure("fig3", "polar-view").caption
    assert "From rank 1 the plane holds the whole orbit" in caption and "From rank 2 it is a projection" in caption


# What is left out


@pytest.mark.parametrize("name", ["fig3", "fig4"])
def test_a_matrix_with_a_limit_has_all_four_figures(name: str) -> None:
    assert [each.name for each in drawn(name).figures] == NAMES and not drawn(name).left_out


def test_without_a_limit_nothing_is_drawn_and_the_reason_is_given() -> None:
    assert drawn("c1").figures == () and list(drawn("c1").left_out) == NAMES
    assert all("the traversal is diverging" in said for said in drawn("c1").left_out.values())


CASES: list[tuple[Any, dict[str, Any], list[str], str]] = [
    (np.zeros((2, 3)), {}, NAMES, "no critical point of positive loss"),
    (np.ones((6, 12)), {}, NAMES, "dimension 108"),
    ([[1.0, 2.0], [GAP, 3.0]], {"start": np.zeros(8)}, ["plateau-times", "polar-view"], "no "),
    (np.diag([1.0, 3.0]), {}, [], ""),
    ([[1.0, 2.0], [GAP, 3.0]], {"scale": 1.0}, ["polar-view"], "no saddle of rank 1"),
    (np.array([[1.0, 2.0], [GAP, 3.0]]) * 3e149, {"scale": 1e67}, ["polar-view"], "no saddle of rank 1"),
    (np.array([[1.0, 2.0], [GAP, 3.0]]) * 1e-150, {}, ["polar-view"], "no saddle of rank 1"),
]


@pytest.mark.parametrize(("values", "options", "missing", "reason"), CASES)
def test_a_figure_that_cannot_be_drawn_gives_its_reason(
    values: Any, options: dict[str, Any], missing: list[str], reason: str, request: pytest.FixtureRequest
) -> None:
    if 1e-100 < np.abs(np.nan_to_num(values)).max() < 1e100:  # numbers of any size are written as well
        request.getfixturevalue("painted")
    found = limit_figures(Evidence.of(gflow.MatrixCompletion(values), **options))
    assert list(found.left_out) == missing
    assert all(reason in said for said in found.left_out.values())


# Units and repetition


def test_figures_have_the_units_of_the_matrix(request: pytest.FixtureRequest) -> None:
    factor = 4.0**10  # scales the unit exactly
    plain = drawn("slides2").figures
    request.getfixturevalue("painted")
    start = study("slides2").start * np.sqrt(study("slides2").unit * factor)
    scaled = limit_figures(Evidence.of(example("slides2").rescaled(factor), start=start))
    powers = {
        "limit-convergence": {"alpha": 0.5, "predicted_order": 0.0},
        "plateau-times": {"alpha": 0.5, "predicted": -1.0, "measured": -1.0, "multiple_measured": -1.0},
        "chain-of-losses": {"loss": 2.0, "time": -1.0, "arc_length": 1.0},
    }
    assert [each.name for each in scaled.figures] == list(powers)
    for before, after in zip(plain, scaled.figures, strict=True):
        for column, power in powers[before.name].items():
            expected = before.data[column] * factor**power
            assert after.data[column] == pytest.approx(expected, rel=1e-6, nan_ok=True), column


def test_equal_studies_give_equal_figures() -> None:
    first, second = drawn("slides2").figures, limit_figures(Evidence.of(example("slides2"))).figures
    assert [(each.svg, each.caption) for each in first] == [(each.svg, each.caption) for each in second]


def test_the_root_mean_square_of_tiny_entries_does_not_vanish() -> None:
    assert root_mean_square(np.full(3, 1e-200)) == pytest.approx(1e-200)
    assert root_mean_square(np.array([3.0, 4.0])) == pytest.approx(np.sqrt(12.5))
    assert root_mean_square(np.zeros(2)) == 0.0
