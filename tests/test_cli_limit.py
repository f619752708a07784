"""The subcommands `gflow limit` and `gflow escape`, and `gflow flow` at scales where it meets the limit."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_cli
from hypothesis import given, settings, strategies as st
from scipy import sparse
from test_cli import assert_refused, saved, saved_start

import gflow
from gflow.cli import main
from gflow.data import example

run, folder = test_cli.run, test_cli.folder
LIMITS: dict[Any, gflow.Traversal] = {}
LIMIT_KEYS = {
    *("status", "matrix", "determined", "std", "rank", "nuclear_norm", "order", "saddles", "warnings"),
    *("reason", "name", "shape", "width", "seed", "greedy_low_rank"),
}
SADDLE_KEYS = {
    *("component", "rank", "loss", "residual_singular_values", "escape_rate", "gap"),
    *("assumption_1", "assumption_2"),
}


def values(found: dict[str, Any], key: str) -> list[Any]:
    return [saddle[key] for saddle in found["saddles"]]


def seeded(shape: tuple[int, int], seed: int, rank: int | None = None) -> tuple[gflow.Factorization, np.ndarray]:
    model = gflow.Factorization(shape, rank)
    return model, model.random(np.random.default_rng(seed), scale=1)


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit is computed once: that of C1 takes longer than all others."""
    plain = gflow.saddle_to_saddle

    def limit(problem: gflow.MatrixCompletion, theta: Any = None, **options: Any) -> gflow.Traversal:
        start = None if theta is None else theta.tobytes()
        key = (problem.with_gaps().tobytes(), start, tuple(sorted(options.items())))
        if key not in LIMITS:
            LIMITS[key] = plain(problem, theta, **options)
        return LIMITS[key]

    monkeypatch.setattr(gflow, "saddle_to_saddle", limit)


# limit


def test_the_limit_of_a_full_matrix_passes_its_truncations(run: Any) -> None:
    found = run("limit", saved("m.npy", [[2, 0], [0, 1]]), "--json").result
    assert set(found) >= LIMIT_KEYS and all(set(saddle) >= SADDLE_KEYS for saddle in found["saddles"])
    assert (found["status"], found["rank"], found["nuclear_norm"]) == ("converged", 2, pytest.approx(3))
    assert found["matrix"] == [pytest.approx([2, 0], abs=1e-9), pytest.approx([0, 1], abs=1e-9)]
    assert (found["determined"], found["std"]) == ([[True] * 2] * 2, [[0.0] * 2] * 2)
    assert (values(found, "component"), values(found, "rank")) == ([0, 0, 0], [0, 1, 2])
    assert values(found, "loss") == pytest.approx([5 / 4, 1 / 4, 0], abs=1e-12)
    assert values(found, "escape_rate") == pytest.approx([1, 1 / 2, 0], abs=1e-9)
    assert values(found, "gap")[:2] == pytest.approx([1 / 2, 1 / 2]) and values(found, "gap")[2] is None
    assert values(found, "assumption_1") == values(found, "assumption_2") == [True, True, None]
    assert [sizes[0] for sizes in values(found, "residual_singular_values")] == pytest.approx([2, 1, 0], abs=1e-9)
    assert (found["order"], found["seed"], found["warnings"], found["name"]) == (None, None, [], "m.npy")


def test_figure_3_is_completed_with_its_published_losses(run: Any) -> None:
    found = run("limit", "--example", "fig3", "--json").result
    assert values(found, "loss") == pytest.approx([16.850667, 0.32652694, 0.05227755, 0], rel=1e-6, abs=1e-12)
    assert found["rank"] == 3 and found["matrix"][1][3] == pytest.approx(1.2, abs=1e-9)
    assert found["nuclear_norm"] == pytest.approx(15.7792471 + 2.0950802 + 0.9088445, abs=2e-7)
    assert found["greedy_low_rank"]["agrees"] is True


def test_the_law_of_figure_4_is_the_one_on_paper(run: Any) -> None:
    """W_12 = sqrt(5) <e_1, e_2> with independent unit vectors in R^3: the standard deviation is sqrt(5 / 3)."""
    found = run("limit", "--example", "fig4", "--json").result
    assert found["matrix"] == [
        [pytest.approx(1), None, pytest.approx(3)],
        [None, pytest.approx(5), None],
        [pytest.approx(3), None, pytest.approx(9)],
    ]
    assert found["determined"] == [[True, False, True], [False, True, False], [True, False, True]]
    assert found["std"][0][1] == pytest.approx((5 / 3) ** 0.5) and found["std"][1][2] == pytest.approx(15**0.5)
    assert (found["rank"], found["nuclear_norm"]) == (2, pytest.approx(15))
    greedy = found["greedy_low_rank"]
    assert (greedy["agrees"], greedy["rank"], greedy["status"]) == (False, 2, "converged")
    assert greedy["matrix"][0][1] == pytest.approx(0, abs=1e-9)
    assert greedy["cross_difference"] == pytest.approx(15**0.5) and greedy["difference"] < 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_a_seed_fixes_the_entries_between_the_components_of_figure_4(run: Any, seed: int) -> None:
    model, theta = seeded((3, 3), seed)
    A, B = model.factors(theta)
    e = np.array([1.0, 0.0, 3.0]) / 10**0.5
    first, second = A.T @ e + B @ e, A[1] + B[:, 1]
    expected = 5**0.5 * first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    found = run("limit", "--example", "fig4", "--seed", seed, "--json").result
    W = np.array(found["matrix"])
    assert W[0, 1] == pytest.approx(expected, abs=1e-9) and W[1, 0] == pytest.approx(W[0, 1], abs=1e-9)
    assert (found["rank"], found["nuclear_norm"], found["seed"]) == (2, pytest.approx(15), seed)
    assert W.tolist() == gflow.saddle_to_saddle(example("fig4"), theta).matrix.tolist()
    assert found["greedy_low_rank"]["cross_difference"] == pytest.approx(3 * abs(expected))


def test_integration_from_a_small_start_ends_near_the_limit_of_its_seed(run: Any) -> None:
    near = run("flow", "--example", "fig4", "--seed", 5, "--scale", "1e-9", "--json").result["matrix"]
    for seed, meets in ((5, True), (6, False)):
        limit = run("limit", "--example", "fig4", "--seed", seed, "--json").result["matrix"]
        assert np.allclose(near, limit, atol=1e-6) is meets


@pytest.mark.parametrize("size", [1.0, 1e-200, 1e200])
def test_a_start_from_a_file_gives_the_limit_of_its_direction(run: Any, size: float) -> None:
    model, theta = seeded((3, 3), 2)
    A, B = model.factors(theta)
    read = run("limit", "--example", "fig4", "--start", saved_start("p.npz", size * A, size * B), "--json").result
    drawn = run("limit", "--example", "fig4", "--seed", 2, "--json").result
    assert read["seed"] is None and np.allclose(read["matrix"], drawn["matrix"], rtol=0, atol=1e-12)


def test_the_width_is_that_of_the_start_or_of_the_rank_option(run: Any) -> None:
    model, theta = seeded((3, 3), 2, rank=4)
    start = saved_start("p.npz", *model.factors(theta))
    assert run("limit", "--example", "fig4", "--start", start, "--json").result["width"] == 4
    found = run("limit", "--example", "fig4", "--rank", 4, "--seed", 2, "--json").result
    assert found["width"] == 4 and found["std"][0][1] == pytest.approx((5 / 4) ** 0.5)
    assert found["matrix"] == run("limit", "--example", "fig4", "--start", start, "--json").result["matrix"]


def test_a_width_too_small_for_the_data_is_a_warning(run: Any) -> None:
    found = run("limit", "--example", "fig3", "--rank", 1, "--json").result
    assert (found["status"], found["rank"], len(found["warnings"])) == ("converged", 1, 1)
    assert "not interpolated" in found["warnings"][0]
    assert f"warning: {found['warnings'][0]}" in run("limit", "--example", "fig3", "--rank", 1).out


def test_the_flow_at_scale_1e_minus_100_meets_the_limit_with_the_order_on_paper(run: Any) -> None:
    """The order of M3 is 0.452: at alpha = 1e-100 the flow has reached its limit to 1e-45, far below its tolerance."""
    limit = run("limit", "--example", "m3", "--json").result
    assert (limit["order"], limit["rank"]) == (pytest.approx(0.452, abs=5e-4), 2)
    ran = run("flow", "--example", "m3", "--scale", "1e-100", "--json").result
    assert (ran["graded"], ran["status"]) == (True, "converged")
    assert np.abs(np.subtract(ran["matrix"], limit["matrix"])).max() < 1e-8
    coarse = run("flow", "--example", "m3", "--scale", "1e-8", "--json").result
    assert np.abs(np.subtract(coarse["matrix"], limit["matrix"])).max() > 1e-5


def test_the_slow_case_is_followed_to_its_end(run: Any) -> None:
    found = run("limit", "--example", "c4", "--json").result
    assert (found["status"], found["rank"]) == ("converged", 3)
    assert found["matrix"][2][0] == pytest.approx(0.44930, abs=5e-6)


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(
    ("name", "status", "seed"), [("c1", "diverging", ("--seed", 0)), ("zero_coupled", "degenerate", ())]
)
def test_without_a_limit_there_is_a_status_and_no_matrix(run: Any, name: str, status: str, seed: Any) -> None:
    found = run("limit", "--example", name, *seed, "--json").result
    assert (found["status"], found["matrix"], found["rank"], found["nuclear_norm"]) == (status, None, None, None)
    assert found["order"] is None and found["saddles"][0]["rank"] == 0
    ran = run("limit", "--example", name)
    assert (ran.code, ran.err) == (0, "") and "W: there is no limit" in ran.out and status in ran.out


def test_a_repeated_singular_value_fails_assumption_1(run: Any) -> None:
    found = run("limit", saved("m.npy", [[0, 1], [1, np.nan]]), "--json").result
    assert (found["status"], found["matrix"]) == ("degenerate", None)
    begun = run("limit", saved("m.npy", [[0, 1], [1, np.nan]]), "--seed", 0, "--json").result
    assert begun["matrix"][1][1] == pytest.approx(0.988792, abs=2e-6)  # the referee
    assert begun["std"][1][1] is None and begun["saddles"][0]["together"] == 2
    assert (values(found, "assumption_1"), values(found, "gap")) == ([False], [pytest.approx(0, abs=1e-12)])


@pytest.mark.parametrize("size", [1e-150, 3e149])
def test_extreme_entries_are_completed_like_ordinary_ones(run: Any, size: float) -> None:
    name = saved("m.npy", size * np.array([[1, 2], [3, np.nan]]))
    found = run("limit", name, "--json").result
    assert found["matrix"][1][1] / size == pytest.approx(6) and found["order"] == pytest.approx(0.8685, abs=1e-4)
    assert found["greedy_low_rank"]["agrees"] is True
    rates = values(run("escape", name, "--json").result, "escape_rate")
    assert rates[0] / size == pytest.approx(values(found, "escape_rate")[0] / size)
    cross = run("limit", saved("m.npy", size * np.array([[1, np.nan], [np.nan, 2]])), "--json").result
    assert cross["std"][0][1] / size == pytest.approx(1) and cross["greedy_low_rank"]["agrees"] is False


@pytest.mark.parametrize("matrix", [[[1, 2, 3]], [[1], [2]], [[0, 0], [0, 0]], [[1, np.nan], [np.nan, np.nan]]])
def test_degenerate_matrices_have_correct_limits(run: Any, matrix: list[list[float]]) -> None:
    name, filled = saved("m.npy", matrix), np.nan_to_num(matrix)
    found = run("limit", name, "--json").result
    assert (found["status"], found["rank"]) == ("converged", int(filled.any()))
    assert np.allclose(found["matrix"], filled, atol=1e-9) and np.all(found["determined"])
    saddles = run("escape", name, "--json").result["saddles"]
    assert [saddle["multiplicity"] for saddle in saddles] == [min(filled.shape), 0][-len(saddles) :]


def test_rows_and_columns_without_observations_are_named(run: Any) -> None:
    found = run("limit", saved("m.npy", [[1, np.nan], [np.nan, np.nan]]), "--json").result
    assert len(found["warnings"]) == 2 and all("no observation" in text for text in found["warnings"])


def test_out_holds_the_limit(run: Any, tmp_path: Path) -> None:
    found = run("limit", "--example", "fig4", "--seed", 1, "--out", "limit.npz", "--json").result
    kept = gflow.Traversal.load(tmp_path / "limit.npz")
    assert kept.matrix.tolist() == found["matrix"] and str(kept.status) == found["status"]
    assert [saddle.loss for saddle in kept.saddles] == values(found, "loss")


@settings(max_examples=12)
@given(mask=st.lists(st.lists(st.sampled_from("**0123"), min_size=3, max_size=3), min_size=1, max_size=3))
def test_every_status_is_a_result(mask: list[list[str]]) -> None:
    text = "\n".join(",".join(row) for row in mask)
    if not set(text) - set("*,\n"):
        return
    limit, escape = (printed(command, text) for command in ("limit", "escape"))
    assert set(limit) >= LIMIT_KEYS and (limit["matrix"] is None) is (limit["status"] != "converged")
    for key in SADDLE_KEYS:
        assert values(limit, key) == values(escape, key)
    if limit["matrix"] is not None:
        known = [[cell is not None for cell in row] for row in limit["matrix"]]
        assert known == limit["determined"] == (np.array(limit["std"]) == 0).tolist()


def printed(command: str, text: str) -> dict[str, Any]:
    """The object that the command prints on a matrix from standard input; nothing goes to standard error."""
    streams = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(text), io.StringIO(), io.StringIO()
    try:
        return test_cli.Ran(
            code=main([command, "-", "--json"]), out=sys.stdout.getvalue(), err=sys.stderr.getvalue()
        ).result
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams


# the text of limit


def test_the_text_shows_the_law_the_order_and_greedy_low_rank_learning(run: Any) -> None:
    out = " ".join(run("limit", "--example", "fig4").out.split())
    assert "0 ± 1.29" in out and "4 of 9, with standard deviations up to 3.873" in out
    assert "differs from the limit by up to 3.873 (root mean square)" in out
    assert "coupling components" in out and "1 1, 3 1, 3 2 2 2" in out
    out = " ".join(run("limit", "--example", "m3").out.split())
    assert "0.452276: alpha = 1e-10 leaves about 10^(-4.52), and 1e-06 needs about alpha = 10^(-13.27)" in out
    assert "GLRL agrees with the limit" in out and "±" not in out


def test_an_output_that_knows_only_ascii_gets_plus_and_minus(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["limit", "--example", "fig4"]) == 0
    assert "0 +- 1.29" in stream.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_a_seed_shows_values_instead_of_the_law(run: Any) -> None:
    out = run("limit", "--example", "fig4", "--seed", 0).out
    value = run("limit", "--example", "fig4", "--seed", 0, "--json").result["matrix"][0][1]
    assert "±" not in out and f"{value:.6g}" in out and "root mean square" not in out


def test_a_greedy_chain_that_ends_elsewhere_is_seen(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = gflow.greedy_low_rank

    def other(problem: gflow.MatrixCompletion, **options: Any) -> gflow.Chain:
        found = greedy(problem, **options)
        return replace(found, saddles=(*found.saddles[:-1], replace(found.end, A=1.001 * found.end.A)))

    monkeypatch.setattr(gflow, "greedy_low_rank", other)
    found = run("limit", "--example", "fig4", "--json").result["greedy_low_rank"]
    assert (found["agrees"], found["difference"]) == (False, pytest.approx(9e-3, rel=1e-6))


def test_greedy_low_rank_learning_can_be_degenerate_where_the_limit_is_not(run: Any) -> None:
    name = saved("m.npy", [[1, np.nan], [np.nan, 1]])
    found = run("limit", name, "--json").result
    assert found["status"] == "converged" and found["greedy_low_rank"]["status"] == "degenerate"
    assert (found["greedy_low_rank"]["matrix"], found["greedy_low_rank"]["agrees"]) == (None, None)
    assert "degenerate" in run("limit", name).out


def blocks(d: int, parts: int) -> str:
    """The name of a file with so many observed d x d blocks of rank 1 on the diagonal, each with an entry missing."""
    M = np.full((parts * d, parts * d), np.nan)
    for i in range(parts):
        M[i * d : (i + 1) * d, i * d : (i + 1) * d] = (i + 1.0) * np.outer(np.arange(1, d + 1), np.ones(d)) / d
        M[i * d, i * d] = np.nan
    return saved("m.npy", M)


def refused(*_: Any, **__: Any) -> gflow.Chain:
    raise AssertionError("greedy low-rank learning was run")


def test_greedy_low_rank_learning_on_one_component_is_the_limit_also_beside_unobserved_rows(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gflow, "greedy_low_rank", refused)
    found = run("limit", saved("m.npy", [[1, 2, np.nan], [3, np.nan, np.nan], [np.nan] * 3]), "--json").result
    greedy = found["greedy_low_rank"]
    assert (greedy["status"], greedy["agrees"], greedy["difference"], greedy["cross_difference"]) == (
        *("converged", True, 0, 0),
    )
    assert greedy["matrix"] == found["matrix"] and greedy["nuclear_norm"] == pytest.approx(found["nuclear_norm"])


def test_greedy_low_rank_learning_leaves_unobserved_rows_out(run: Any) -> None:
    M = [[1, 2, np.nan, np.nan], [np.nan] * 4, [np.nan, np.nan, np.nan, 3]]
    found = run("limit", saved("m.npy", M), "--json").result["greedy_low_rank"]
    assert (found["status"], found["rank"], found["agrees"]) == ("converged", 2, False)
    assert np.allclose(found["matrix"], np.nan_to_num(M), atol=1e-9)


@pytest.mark.usefixtures("once")
def test_greedy_low_rank_learning_on_large_disconnected_data_is_left_out_with_a_reason(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gflow, "greedy_low_rank", refused)
    monkeypatch.setattr("gflow.cli.traversals.LARGEST_GREEDY", 15)
    name = blocks(2, 2)
    found = run("limit", name, "--json").result
    reason = "not computed above 15 entries with more than one coupling component"
    assert found["status"] == "converged" and found["greedy_low_rank"]["reason"] == reason
    assert {found["greedy_low_rank"][key] for key in ("status", "rank", "matrix", "agrees", "difference")} == {None}
    assert reason in " ".join(run("limit", name).out.split())
    assert "not computed above 15 entries with no limit" in run("limit", "--example", "c1").out


def test_large_limits_are_given_by_their_factors(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gflow.limit.records", "gflow.limit.traversal", "gflow.cli.traversals"):
        monkeypatch.setattr(f"{module}.LARGEST_TABLE", 15)
    found = run("limit", "--example", "fig3", "--json").result
    M = gflow.saddle_to_saddle(example("fig3")).matrix
    for each in (found, found["greedy_low_rank"], found["saddles"][-1]):
        A, B = map(np.array, each["factors"])
        assert each["matrix"] is None and pytest.approx(M, abs=1e-9) == A @ B
    assert "W: 4 x 4, too large to print: --json holds its factors A (4 x 3) and B (3 x 4)" in (
        run("limit", "--example", "fig3").out
    )


def test_long_lists_of_rows_are_cut_and_a_known_order_is_printed_without_its_factor(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gflow.limit.law.clocks.LARGEST_BY_MODE", 20)
    out = " ".join(run("limit", blocks(11, 1)).out.split())
    assert "times a factor that is not computed for a component of this size" in out and "alpha = 1e-10 leaves" in out
    entries = sparse.coo_array((np.ones(300), (np.arange(300), np.repeat([0, 1], [200, 100]))), shape=(300, 2))
    gflow.write_matrix(gflow.MatrixCompletion(entries), "tall.npz")
    out = " ".join(run("limit", "tall.npz").out.split())
    assert "18, 19, 20, ... (200 in all)" in out and "199" not in out


# escape


def test_the_escapes_from_the_truncations_of_a_diagonal_matrix_are_its_singular_pairs(run: Any) -> None:
    found = run("escape", saved("m.npy", [[2, 0], [0, 1]]), "--json").result
    assert values(found, "multiplicity") == [2, 1, 0]
    for saddle, i in zip(found["saddles"], (0, 1), strict=False):
        unit = np.eye(2)[i]
        assert np.allclose(saddle["u"], unit, atol=1e-7) and np.allclose(saddle["v"], -unit, atol=1e-7)
    assert (found["saddles"][2]["u"], found["saddles"][2]["v"]) == (None, None)
    assert [np.round(W, 6).tolist() for W in values(found, "matrix")] == [
        [[0, 0], [0, 0]],
        [[2, 0], [0, 0]],
        [[2, 0], [0, 1]],
    ]


@pytest.mark.parametrize("rank", [2, 4, 6])
def test_multiplicities_are_those_of_the_hessian(run: Any, rank: int) -> None:
    problem, model = example("fig3"), gflow.Factorization((4, 4), rank)
    objective = gflow.Objective.of(problem, model)
    found = run("escape", "--example", "fig3", "--rank", rank, "--json").result
    saddles = gflow.saddle_to_saddle(problem, rank=rank).saddles
    assert len(found["saddles"]) == len(saddles) == min(rank, 3) + 1
    for row, saddle in zip(found["saddles"], saddles, strict=True):
        assert row["multiplicity"] == (0 if saddle.rank == min(rank, 3) else rank - saddle.rank)
        if row["multiplicity"]:
            measured = gflow.escape_directions(objective, saddle.embed(model))
            assert measured.multiplicity == row["multiplicity"]
            assert measured.rate == pytest.approx(row["escape_rate"])


def test_a_repeated_singular_value_doubles_the_multiplicity(run: Any) -> None:
    name = saved("m.npy", [[0, 1], [1, np.nan]])
    for rank in (1, 2, 3):
        assert values(run("escape", name, "--rank", rank, "--json").result, "multiplicity") == [2 * rank]


def test_the_escapes_of_figure_4_lie_in_their_components(run: Any) -> None:
    found = run("escape", "--example", "fig4", "--json").result
    assert (values(found, "component"), values(found, "loss")) == ([0, 0, 1, 1], pytest.approx([20, 0, 5, 0], abs=1e-9))
    first, second = found["saddles"][0], found["saddles"][2]
    assert np.allclose(np.abs(first["u"]), np.array([1, 0, 3]) / 10**0.5) and np.allclose(
        np.abs(second["v"]), [0, 1, 0]
    )
    assert np.allclose(found["saddles"][1]["matrix"], [[1, 0, 3], [0, 0, 0], [3, 0, 9]], atol=1e-9)
    assert values(found, "multiplicity") == [3, 0, 3, 0]


def test_escape_analyses_a_point(run: Any) -> None:
    """The saddle of Figure 4 at which one component is learned: whole-matrix loss 5, top multiplicity r = 3."""
    A, B = np.zeros((3, 3)), np.zeros((3, 3))
    A[[0, 2], 0] = B[0, [0, 2]] = [1, 3]
    found = run("escape", "--example", "fig4", "--at", saved_start("p.npz", A, B), "--json").result
    (row,) = found["saddles"]
    assert (row["component"], row["rank"], row["multiplicity"]) == (None, 1, 3)
    assert (row["loss"], row["escape_rate"], row["gap"]) == tuple(map(pytest.approx, (5, 2, 2)))
    assert (row["assumption_1"], row["assumption_2"], found["status"]) == (True, True, None)
    assert "multiplicity" in run("escape", "--example", "fig4", "--at", "p.npz").out


def test_the_matrix_of_a_large_point_is_neither_printed_nor_written(run: Any) -> None:
    """One observed entry 3 at the origin: its residual has the one singular value 3, n = 1."""
    entry = sparse.coo_array(([3.0], ([5], [7])), shape=(1100, 1000))
    gflow.write_matrix(gflow.MatrixCompletion(entry), "m.npz")
    given = ("escape", "m.npz", "--at", saved_start("p.npz", np.zeros((1100, 1)), np.zeros((1, 1000))))
    (row,) = run(*given, "--json").result["saddles"]
    assert row["matrix"] is None and row["escape_rate"] == pytest.approx(6.0)
    assert "W: too large to print" in run(*given).out


def test_the_saddles_of_the_limit_are_critical_points_with_the_same_escape(run: Any) -> None:
    problem, model = example("fig3"), gflow.Factorization((4, 4))
    found = run("escape", "--example", "fig3", "--json").result["saddles"]
    for row, saddle in zip(found[:-1], gflow.saddle_to_saddle(problem).saddles, strict=False):
        name = saved_start("p.npz", *model.factors(saddle.embed(model)))
        (at,) = run("escape", "--example", "fig3", "--at", name, "--json").result["saddles"]
        assert at.keys() == row.keys() and at["component"] is None
        for key in set(at) - {"component"}:
            assert np.allclose(at[key], row[key], rtol=1e-9, atol=1e-9), key


def test_a_minimum_has_no_escape(run: Any) -> None:
    root = 3**0.5
    name = saved_start("p.npz", [[root]], [[root]])
    (row,) = run("escape", saved("m.npy", [[3.0]]), "--at", name, "--json").result["saddles"]
    assert (row["escape_rate"], row["gap"], row["u"], row["v"], row["multiplicity"]) == (0, None, None, None, 0)
    assert (row["assumption_1"], row["assumption_2"]) == (None, None)


def test_a_point_that_is_not_critical_is_refused_with_its_gradient_norm(run: Any) -> None:
    name = saved_start("p.npz", [[1.0]], [[1.0]])
    ran = run("escape", saved("m.npy", [[3.0]]), "--at", name, "--json")
    assert_refused(ran, "p.npz: saddle must be a critical point")
    assert "gradient norm is" in ran.err and "allowed" in ran.err


@pytest.mark.usefixtures("once")
def test_every_status_of_the_escapes_exits_0(run: Any) -> None:
    for name, status in (("c1", "diverging"), ("zero_coupled", "degenerate")):
        found = run("escape", "--example", name, "--json").result
        assert found["status"] == status and found["saddles"][0]["multiplicity"] > 0
        ran = run("escape", "--example", name)
        assert (ran.code, ran.err) == (0, "") and status in ran.out and ran.out.isascii()


# refusals

LIMIT, ESCAPE = ("limit", "good.csv"), ("escape", "good.csv")
BAD_USAGE = [
    ((*LIMIT, "--seed", "-1"), "--seed: must be a non-negative integer; got '-1'"),
    ((*LIMIT, "--seed", "x"), "--seed: must be a non-negative integer"),
    ((*LIMIT, "--seed", "0", "--start", "fit.npz"), "--start holds the whole start: leave out --seed"),
    ((*LIMIT, "--start", "missing.npz"), "missing.npz: No such file"),
    ((*LIMIT, "--start", "good.csv"), "good.csv is not a readable .npz archive"),
    ((*LIMIT, "--start", "half.npz"), "half.npz must hold an array named 'B'"),
    ((*LIMIT, "--start", "wide.npz"), "wide.npz: A and B must have shapes (2, 3) and (3, 2); got (4, 3) and (3, 2)"),
    ((*LIMIT, "--start", "fit.npz", "--rank", "2"), "fit.npz: A and B must have shapes (2, 2) and (2, 2)"),
    ((*LIMIT, "--start", "zero.npz"), "zero.npz: A and B must not both be zero"),
    ((*LIMIT, "--scale", "1e-8"), "unrecognized arguments: --scale"),
    ((*LIMIT, "--rank", "0"), "--rank: must be a positive integer; got '0'"),
    ((*LIMIT, "--rank", "9" * 12), "not enough memory"),
    ((*LIMIT, "--out", "limit.csv"), "--out: must be the name of an .npz file"),
    ((*LIMIT, "--out", "nowhere/limit.npz"), "cannot write nowhere/limit.npz: No such file or directory"),
    ((*ESCAPE, "--at", "missing.npz"), "missing.npz: No such file"),
    ((*ESCAPE, "--at", "half.npz"), "half.npz must hold an array named 'B'"),
    ((*ESCAPE, "--at", "wide.npz"), "wide.npz: A and B must have shapes (2, 3) and (3, 2); got (4, 3) and (3, 2)"),
    ((*ESCAPE, "--at", "fit.npz", "--rank", "2"), "fit.npz: A and B must have shapes (2, 2) and (2, 2)"),
    ((*ESCAPE, "--at", "fit.npz"), "fit.npz: saddle must be a critical point"),
    ((*ESCAPE, "--at", "huge.npz"), "entries of huge.npz must be at most 1e+50"),
    ((*ESCAPE, "--seed", "0"), "unrecognized arguments: --seed"),
]


@pytest.mark.parametrize(("argv", "message"), BAD_USAGE, ids=[" ".join(argv) for argv, _ in BAD_USAGE])
def test_bad_usage_is_refused_in_one_line_and_leaves_nothing(
    run: Any, folder: Path, argv: tuple[str, ...], message: str
) -> None:
    saved_start("zero.npz", np.zeros((2, 2)), np.zeros((2, 2)))
    saved_start("huge.npz", np.full((2, 2), 1e60), np.ones((2, 2)))
    before = sorted(path.name for path in folder.iterdir())
    assert_refused(run(*argv), message)
    assert sorted(path.name for path in folder.iterdir()) == before
