"""What verify, figure and critical print: the answer first, the same words everywhere, nothing lost in silence."""

from __future__ import annotations

import os
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import test_cli
from test_cli import assert_refused

import gflow
from gflow.cli.columns import Columns
from gflow.cli.output import Outcome, table
from gflow.cli.survey import joined, without_rounding
from gflow.cli.verdicts import FOLD_WIDTH, report_parts
from gflow.data import example
from gflow.report import Report
from gflow.report.groups import GROUPS, SHORT, grouped
from gflow.statements import Statement, registry
from gflow.statements.claims import Claim, Finding

run, folder = test_cli.run, test_cli.folder


def proofs(*, wrong: bool = False) -> dict[str, list[Claim]]:
    """Return claims of five statements, one of them of a user; ``wrong`` contradicts Theorem 1."""
    asked = (Finding("full width", True, "the width r = 2 is at least 2"), Finding("limit exists", None, "stopped"))
    holds = Claim.bounded("thm1", "every critical point is a strict saddle", int(wrong), 0, 0, reason="of 3 met")
    open_ = Claim("thm3", "the limit has the minimum rank", "undecided", 2, None, "the bracket is open", asked)
    return {
        "thm1": [holds],
        "thm2": [Claim.bounded(f"thm2.{k}", f"part {k}", 1e-8, 0, 1e-3) for k in (1, 2)],
        "thm3": [open_],
        "thm4": [Claim.unmet("thm4", "the limit has the minimum nuclear norm", "the data are connected")],
        "mine": [Claim.bounded("mine", "no entry exceeds 100", 9.0, None, 100.0)],
    }


@pytest.fixture(scope="module")
def answer() -> Any:
    return gflow.explain(example("slides3"), name="slides3")


def report(answer: Any = None, **options: bool) -> Report:
    found = proofs(**options)
    own = Statement("mine", "no entry exceeds 100", lambda given: found["mine"], "a user", "check")
    statements = [own if id == "mine" else registry.statement_named(id) for id in found]
    ids = {id: [claim.id for claim in claims] for id, claims in found.items()}
    claims = [claim for claims in found.values() for claim in claims]
    return Report("On slides3", "", claims, statements=statements, claim_ids=ids, answer=answer, versions={})


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def printed(parts: Any, monkeypatch: pytest.MonkeyPatch, columns: int | None, colour: bool = True) -> str:
    """Return what an outcome prints on a terminal of so many columns, or into a pipe."""
    with monkeypatch.context() as patch:
        if columns is not None:
            patch.setattr("sys.stdout", Terminal())
            for name, value in {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm"}.items():
                patch.setenv(name, value)
        if not colour:
            patch.setenv("NO_COLOR", "1")
        return Outcome({}, parts).text()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_the_answer_comes_first_then_one_line_a_statement_by_theorem(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = printed(lambda: report_parts(report(answer), None), monkeypatch, None)
    lines = said.splitlines()
    assert lines[0].startswith("slides3: 2 x 2, ") and said.index("rank ") < said.index("Theorem 1: the landscape")
    assert "  holds                critical points are strict saddles or global minima" in lines
    assert "  hypothesis not met   the completion has the minimum nuclear norm" in lines
    below = lines[lines.index("Theorem 2: escape from saddles (Bai et al. 2024)") + 1]
    assert below == "  holds                escapes have a limit, which lies on an Omega_(k+1)"
    assert said.index("Theorem 4") < said.index("Further statements (a user)") < said.index("no entry exceeds 100")
    assert "rows and columns counted from 1, in --json from 0" in said
    assert "4 holds, 0 contradicted, 1 hypothesis-not-met, 1 undecided" in said


def test_the_same_words_at_80_and_120_columns_in_a_pipe_and_without_colour(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for details in (False, True):
        wide = [
            printed(lambda d=details: report_parts(report(answer), Path("x"), details=d), monkeypatch, *where)
            for where in ((80,), (120,), (None,), (120, False))
        ]
        if wanted := os.environ.get("GFLOW_ARTEFACTS"):
            for width, text in zip((80, 120), wide, strict=False):
                Path(wanted, f"verify-{width}{'-details' * details}.txt").write_text(text)
        assert "\x1b[" in wide[0] and "\x1b[" not in wide[2]
        assert len({plain(text) for text in wide}) == 1
        assert max(map(len, plain(wide[0]).splitlines())) <= FOLD_WIDTH
    narrow = printed(lambda: report_parts(report(answer), None), monkeypatch, 60)
    assert plain(narrow).split() == printed(lambda: report_parts(report(answer), None), monkeypatch, None).split()


def test_details_are_told_of_what_is_in_doubt_and_of_everything_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    brief = printed(lambda: report_parts(report(), None), monkeypatch, None)
    assert "thm3  undecided" in brief and "the bracket is open" in brief and "asks for limit exists: not known" in brief
    assert "of 3 met" not in brief and "thm2.1" not in brief and "--details" in brief
    full = printed(lambda: report_parts(report(), None, details=True), monkeypatch, None)
    assert "counterexamples 0; allowed none" in full and "of 3 met" in full and "found 10⁻⁸; at most 0.001" in full
    assert "--details" not in full
    wrong = printed(lambda: report_parts(report(wrong=True), None), monkeypatch, None)
    assert "thm1  contradicted" in wrong and "of 3 met" in wrong and "1 contradicted" in wrong


def test_every_own_statement_has_a_group_and_few_words() -> None:
    ids = [id for *_, known in GROUPS for id in known]
    assert len(ids) == len(set(ids)) and set(ids) == {each.id for each in registry.BUILT_IN} == set(SHORT)
    assert max(map(len, SHORT.values())) <= 57


def test_claims_without_a_statement_are_told_and_none_is_told_twice() -> None:
    stray = Claim.bounded("thm10", "another one", 1, 0, 2)
    groups, rest = grouped([registry.statement_named("thm1")], [*proofs()["thm1"], stray], {})
    assert [entry.whole.id for group in groups for entry in group.entries] == ["thm1"] and rest == (stray,)


WORDS = [["fig3", 1.25, 123456789.125, "a few words that fold"]]


@pytest.mark.parametrize(("room", "kept"), [(80, 4), (36, 4), (35, 3), (20, 2)])
def test_a_narrow_room_drops_whole_columns_with_a_note(room: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["name ", "size", "long number", "sentence "]
    said = plain(printed(lambda: [table("things", names, WORDS)], monkeypatch, room))
    assert (f"left out at {room} characters a line:" in " ".join(said.split())) is (kept < 4)
    assert all((name.strip() in said.split("left out")[0]) is (k < kept) for k, name in enumerate(names[1:], 1))
    assert ("123456789.13" in said or "1.2345679e+08" in said) is (kept > 2)


def test_a_table_that_loses_digits_in_silence_would_be_seen() -> None:
    assert Columns("t", ["a", "b"], [["1" * 30, "2" * 30]]).fitting(63) == 2
    assert Columns("t", ["a", "b"], [["1" * 30, "2" * 30]]).fitting(62) == 1


def orbit(loss: float, ranks: list[int], **changes: Any) -> dict[str, Any]:
    ranges = {"index": [3, 3], "n_zero": [10, 10], "multiplicity": [3, 3], "escape_rates": [4.0, 4.0]}
    counts = {"n_points": 1, "n_on_omega": 0, "zero_modes_on_omega": None, "kinds": ["strict-saddle"]}
    return {"loss": loss, "rank": min(ranks), "ranks": ranks, **ranges, **counts, **changes}


def test_equal_orbits_are_joined_and_all_stand_in_order() -> None:
    found = joined(
        [
            orbit(20.0 + 1e-12, [2, 2], n_zero=[11, 11]),
            orbit(3e-31, [3, 3], kinds=["global-minimum"]),
            orbit(20.0, [1, 1]),
            orbit(20.0, [2, 2], n_zero=[10, 10], zero_modes_on_omega=8),
            orbit(7e-31, [1, 1], kinds=["global-minimum"]),
            orbit(19.9, [1, 1]),
        ]
    )
    assert [(each["ranks"], each["n_orbits"]) for each in found] == [
        *(([1, 1], 1), ([1, 1], 1), ([1, 1], 1)),
        *(([2, 2], 2), ([3, 3], 1)),
    ]
    assert found[3]["n_zero"] == [10, 11] and found[3]["n_points"] == 2 and found[3]["zero_modes_on_omega"] == 8
    assert without_rounding([each["loss"] for each in found]) == [20.0, 19.9, 0.0, 20.0 + 1e-12, 0.0]


def test_the_ranks_of_saddles_are_those_of_the_report(run: Any) -> None:
    start = ("--example", "fig4", "--scale", "1e-2")
    critical = run("critical", *start, "--starts", 1, "--json").result["saddles"]
    given = gflow.statements.Evidence.of(example("fig4"), scale=1e-2)
    saddles = [saddle for saddle in given.saddles]
    assert [each["ranks"] for each in critical[: len(saddles)]] == [[saddle.rank] * 2 for saddle in saddles]


def test_rows_and_columns_are_counted_from_1_for_people_and_from_0_in_json(run: Any) -> None:
    said = run("classify", "--example", "fig4")
    assert re.search(r"^1, 3 +1, 3 +yes$", said.out, re.M) and "counted from 1, in --json from 0" in said.out
    assert run("classify", "--example", "fig4", "--json").result["components"][0]["rows"] == [0, 2]
    assert re.search(r"^ +1 +2\n-+\n1 ", run("limit", "--example", "slides3").out, re.M)


def test_a_folder_with_a_report_asks_for_force(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = test_cli.reported(test_cli.HOLDS)
    monkeypatch.setitem(test_cli.sys.modules, "gflow.report.verification", module)
    asked = ("verify", "--example", "slides3", "--out", "there")
    Path("there").mkdir()
    Path("there/notes.txt").write_text("mine")
    assert run(*asked).code == 0
    assert_refused(run(*asked), "there holds a report already: --force writes over it, or name another folder")
    assert len(module.calls) == 1, "it is refused before anything is computed"  # type: ignore[attr-defined]
    assert run(*asked, "--force").code == 0 and Path("there/notes.txt").read_text() == "mine"
    assert_refused(run("figure", "bai2024-fig2", "--out", "there"), "--force")
