"""Tests of the answer on one screen: it fits, says what is so, and names what it leaves out."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import test_cli
from scipy import stats
from test_cli import assert_refused

import gflow
from gflow.data import example, example_names
from gflow.limit.law.law import law_in_words
from gflow.report.explanation import Explanation
from gflow.report.labels import clipped
from gflow.report.screen import HEIGHT, WIDTH

run, folder = test_cli.run, test_cli.folder
GAP = np.nan


@cache
def explained(name: str) -> Explanation:
    """Return the answer on an example under its name."""
    return gflow.explain(example(name), name=name)


def fits(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) <= HEIGHT and max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize("name", ["fig4", "zero_coupled", "c1", "m1"])
def test_every_answer_fits_a_screen(name: str) -> None:
    assert name in example_names()
    assert fits(str(explained(name)))


def test_figure_3_is_answered_with_matrix_rank_chain_and_sentences() -> None:
    found = explained("fig3")
    said = str(found)
    assert fits(said)
    assert said.startswith("fig3: 4 x 4, 15 of 16 observed, connected\n")
    assert "[1.2]" in said and "[ ] learned, the same from every start" in said
    assert "rank 3 (least 3), nuclear norm 18.7832 (least 18.7832)" in said
    assert "16.9 (rank 0, rate 2.09) -> 0.327 (rank 1" in said
    assert "Theorem 3 holds: the completion has the minimum rank; its premise holds." in said
    assert "Theorem 4 does not apply" in said


def test_entries_that_depend_on_the_start_are_told_apart() -> None:
    found = explained("fig4")
    said, page = str(found), found._repr_html_()
    assert "0 ± 1.3" in said and "[ ]" not in said
    assert "mean ± deviation: depends on the start, uniform within 1.73 deviations" in said
    assert "Theorem 3 does not apply; its premise fails on these data." in said
    assert page.count("0 ± 1.29") == 2 and "the law: uniform within 1.73 deviations" in page and "<li>Theorem 4" in page
    described = found.to_dict()
    assert described["determined"][0] == [True, False, True]
    assert described["law"] == found.limit.to_dict()["law"] == "uniform within 1.73 deviations"
    assert described["statements"]["thm4"]["verdict"] == "holds"


def test_long_names_are_cut_so_that_they_differ() -> None:
    names = [f"a name that is long {k} and ends alike everywhere" for k in range(3)]
    table = gflow.MatrixCompletion([[1, 2, 3], [2, 4, GAP], [3, 7, 8]], row_names=names, column_names=names)
    found = gflow.explain(table)
    for shown in (str(found), found._repr_html_()):
        assert "ends alike everywhere" not in shown and "2 a name" in shown and "3 a name" in shown
    assert clipped(["a column of rates, x", "a column of rates, y"], 16) == ["a colum...tes, x", "a colum...tes, y"]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6])
def test_the_law_that_is_named_is_that_of_the_draws(width: int) -> None:
    limit = gflow.saddle_to_saddle([[2.0, GAP], [GAP, 3.0]], rank=width)
    draws = limit.sample(np.random.default_rng(0), 4000)[:, 0, 1] / limit.std[0, 1] / np.sqrt(width)

    def distance(r: int) -> float:
        """Return how far the draws are from the law of a cosine in R^r, that of the names."""
        law = stats.beta((r - 1) / 2, (r - 1) / 2, loc=-1, scale=2)
        return float(stats.kstest(draws, law.cdf).statistic)

    assert law_in_words(3) == "uniform within 1.73 deviations" and law_in_words(6).startswith(
        "cosine in R^6 within 2.45"
    )
    assert limit.law == law_in_words(width)
    if width == 1:
        assert set(np.round(draws, 9)) == {-1.0, 1.0} and abs(draws.mean()) < 0.05 and limit.law == "a fair sign"
    else:
        assert distance(width) < 0.03 < distance(width + 1)


def test_many_components_leave_room_for_the_sentences() -> None:
    blocks = np.full((14, 14), GAP)
    for k in range(7):
        blocks[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = np.random.default_rng(k).standard_normal((2, 2))
    said = str(gflow.explain(blocks, name="a matrix with a name that is long enough to need another line of its own"))
    assert fits(said) and "... more: gflow limit" in said and "Theorem 4" in said and said.endswith("gflow verify")


def test_complete_data_need_no_small_alpha_but_a_start_that_is_small() -> None:
    found = gflow.explain([[1.5, 2.5], [3, 4.25]])
    assert "every start that is small enough ends at the limit itself" in str(found)
    assert found.limit.exact and found.to_dict()["law"] is None
    assert not gflow.saddle_to_saddle([[1.0, GAP], [GAP, 2.0]]).exact
    assert not gflow.saddle_to_saddle(example("fig3")).exact


def test_three_factors_are_answered_too() -> None:
    found = gflow.explain(example("fig4"), depth=3, name="fig4")
    said = str(found)
    assert fits(said) and "2 coupling\n  components, 3 factors" in said
    assert "0 ± 2.2" in said and "depends on the start, a fair sign" in said
    assert "loss: 25 (rank 0) -> 5 (rank 1) -> 0 (rank 1)" in said and "the error falls as alpha^2;" in said
    assert "Our conjecture holds: the completion has the minimum rank, connected or not." in said
    assert found.to_dict()["depth"] == 3 and found.to_dict()["saddles"][1]["leaves"] == "inside"
    with pytest.raises(ValueError, match="at least two factors"):
        gflow.explain(example("fig4"), depth=1)


def test_a_contradicted_statement_and_a_missing_limit_are_said() -> None:
    said = str(explained("zero_coupled"))
    assert "no limit: degenerate: component 1" in said and "Theorem 4 IS CONTRADICTED" in said


def test_large_matrices_are_answered_without_statements() -> None:
    rng = np.random.default_rng(0)
    M = np.outer(rng.standard_normal(120), rng.standard_normal(100))
    found = gflow.explain(np.where(rng.random(M.shape) < 0.2, M, GAP))
    said = str(found)
    assert fits(said)
    assert found.limit.rank == 1 and not found.claims and found.least_norm is None
    assert "columns; [ ] learned" in said and "statements are checked up to 10000 entries" in said


def test_a_matrix_taller_than_the_screen_says_how_much_is_shown() -> None:
    M = np.outer(np.arange(1.0, 31.0), np.arange(1.0, 4.0))
    M[3, 1] = GAP
    said = str(gflow.explain(M))
    assert fits(said) and "the first " in said and " rows and 3 columns; " in said


def test_the_command_prints_it_and_its_json(run: Any) -> None:
    ran = run("explain", "--example", "fig4")
    assert ran.code == 0 and "Theorem 4 holds: the completion has the minimum nuclear norm." in ran.out
    assert run("explain", "--example", "fig4", "--json").result["rank"] == 2
    assert run("explain", "--example", "zero_coupled").code == 1
    assert_refused(run("explain", "nothing.csv"), "nothing.csv")


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(TypeError, match=r"got str: gflow\.read_matrix reads files"):
        gflow.explain("fig3.csv")


def test_one_component_has_one_limit_for_every_start_unless_modes_escape_together() -> None:
    given = gflow.Evidence.of(example("fig3"))
    found = gflow.saddle_to_saddle(given.problem, given.direction)
    assert given.traversal.chains is given.every_start.chains and np.array_equal(found.matrix, given.traversal.matrix)
    assert given.traversal.from_start is found.from_start is True and not given.every_start.from_start
    apart = gflow.Evidence.of(example("fig4"))
    assert len(apart.traversal.chains) > 1 and apart.traversal.chains is not apart.every_start.chains
    together = gflow.Evidence.of(np.array([[1.0, -1.0], [1.0, 1.0]]))
    assert together.every_start.status == "degenerate" and together.traversal.status == "converged"
