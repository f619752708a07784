"""The option --depth of `gflow limit` and `gflow flow`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import test_cli
from test_cli import assert_refused

run, folder = test_cli.run, test_cli.folder


def test_the_limit_at_depth_three_says_matrix_law_and_saddles(run: Any) -> None:
    found = run("limit", "--example", "fig4", "--depth", "3", "--json").result
    assert (found["status"], found["rank"], found["depth"], found["signs"], found["order"]) == ("converged", 1, 3, 1, 2)
    assert abs(found["nuclear_norm"] - 15.0) < 1e-9
    np.testing.assert_allclose(found["std"][0][1], 5**0.5, atol=1e-9)
    assert [saddle["leaves"] for saddle in found["saddles"]] == ["rank", "inside", None]
    np.testing.assert_allclose(found["saddles"][1]["inside_rate"], 4.30886938, rtol=1e-8)
    said = run("limit", "--example", "fig4", "--depth", "3").out
    assert "4 of 9, a fair sign" in said and "0 ± 2.24" in said


def test_a_seed_gives_the_plateau_times(run: Any) -> None:
    found = run("limit", "--example", "fig3", "--depth", "3", "--seed", "0", "--json").result
    np.testing.assert_allclose(found["plateau_times"], [0.5134277058, 2.778905, 7.56174], rtol=1e-5)
    assert "7.5617" in run("limit", "--example", "fig3", "--depth", "3", "--seed", "0").out


def test_the_flow_at_depth_three_starts_where_rounding_does_not_decide(run: Any) -> None:
    found = run("flow", "--example", "fig3", "--depth", "3", "--json").result
    assert (found["status"], found["rank"], found["depth"], found["scale"]) == ("converged", 3, 3, 1e-4)
    assert not found["graded"]
    np.testing.assert_allclose(found["plateaus"][1]["start"] * 1e-4, 0.5134, rtol=1e-3)


def test_the_flow_at_depth_three_goes_beyond_the_wall_of_rounding(run: Any) -> None:
    asked = ("flow", "--example", "fig4", "--depth", "3", "--method", "graded", "--scale", "1e-12", "--json")
    found = run(*asked).result
    assert (found["status"], found["rank"], found["scale"]) == ("converged", 1, 1e-12)
    np.testing.assert_allclose(found["plateaus"][1]["start"] * 1e-12, 0.1859372660, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("limit", "--example", "fig3", "--depth", "1"), "at least two factors; got depth 1"),
        (("limit", "--example", "fig3", "--depth", "0"), "--depth: must be a positive integer; got '0'"),
        (("flow", "--example", "fig3", "--depth", "2.5"), "--depth: must be a positive integer; got '2.5'"),
        (("flow", "--example", "fig3", "--depth", "1", "--method", "graded"), "is for two factors and more"),
        (
            ("flow", "--example", "fig3", "--depth", "3", "--method", "graded", "--scale", "0.5"),
            "too large for channels",
        ),
        (
            ("flow", "--example", "fig3", "--depth", "3", "--method", "graded", "--max-evaluations", "9"),
            "--max-evaluations: not for --method graded at depth 3",
        ),
        (("flow", "--example", "fig3", "--depth", "3", "--start", "x.npz"), "--start is for two factors"),
        (("limit", "--example", "fig3", "--depth", "3", "--start", "x.npz"), "--start holds the two factors A and B"),
        (("limit", "--example", "fig3", "--depth", "3", "--out", "x.npz"), "--out stores limits of two factors"),
    ],
)
def test_wrong_use_is_told_in_one_sentence(run: Any, arguments: tuple[str, ...], sentence: str) -> None:
    assert_refused(run(*arguments), sentence)
