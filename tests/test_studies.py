"""Tests of the studies behind figures: the catalogue, the report of one run, and reports on several."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gflow
from gflow.cli import main
from gflow.report import Table, write_report
from gflow.report.formulas import mathml
from gflow.statements.claims import Claim, Verdict
from gflow.studies import Panel, combined_report, configured, studies, study_named, study_names, study_report
from gflow.studies.parameters import changed


@dataclass(frozen=True)
class Config:
    problem: gflow.MatrixCompletion
    seed: int = 0


def toy(*, doubled: bool = False) -> Any:
    """Return a study that claims that the observed entries of a matrix sum to 3; ``doubled`` plants a wrong sum."""
    module: Any = ModuleType("toy")
    module.TITLE, module.SETTING = "A toy", "It adds."
    module.PANELS = {"sum": Panel("The entries.", "Entries of a matrix, one by one."), "never": Panel("None.", "None.")}
    default = gflow.MatrixCompletion([[1.0, np.nan], [2.0, np.nan]])
    module.Config, module.QUICK = Config, Config(default)

    def run(config: Config, *, jobs: int = 1) -> Config:
        return config

    def claims(result: Config) -> Sequence[Claim]:
        total = float(result.problem.targets.sum()) * (2 if doubled else 1)
        return [Claim.bounded("sum", "the entries sum to 3", total, 3, 3)]

    def data(result: Config) -> Mapping[str, Any]:
        return {"sum": {"value": result.problem.targets}}

    def draw(result: Config, axes: Mapping[str, Any]) -> None:
        axes["sum"].plot(result.problem.targets)

    module.run, module.claims, module.data, module.draw = run, claims, data, draw
    module.tables = lambda result: [Table("entries", "All.", ["value"], [[x] for x in result.problem.targets])]
    return module


def test_the_report_of_a_study_leads_every_name_with_that_of_the_study(tmp_path: Path) -> None:
    study = toy()
    report = study_report(study, "toy", study.QUICK)
    assert [claim.id for claim in report.claims] == ["toy/sum"]
    assert [figure.name for figure in report.figures] == ["toy-sum"], "a panel without data is left out"
    assert [table.name for table in report.tables] == ["toy-entries"]
    assert report.configuration["problem"] == [[1.0, None], [2.0, None]]
    assert json.loads((write_report(report, tmp_path / "out").parent / "report.json").read_text())["title"] == "A toy"


def test_a_wrong_sum_turns_the_claim_red() -> None:
    study = toy(doubled=True)
    assert study_report(study, "toy", study.QUICK).claims[0].verdict is Verdict.CONTRADICTED


def test_a_study_with_a_problem_runs_on_another_matrix_and_seed() -> None:
    config = configured(toy(), quick=True, seed=5, problem=gflow.MatrixCompletion([[7.0]]))
    assert config.seed == 5 and config.problem.targets.tolist() == [7.0]


def test_a_study_about_fixed_data_refuses_a_matrix() -> None:
    with pytest.raises(ValueError, match="takes no matrix"):
        configured(study_named("bai2024-fig2"), problem=gflow.MatrixCompletion([[7.0]]))


def test_several_reports_become_one_in_their_order() -> None:
    study = toy()
    parts = [study_report(study, name, study.QUICK) for name in ("one", "two")]
    whole = combined_report(parts, "Two studies")
    assert [claim.id for claim in whole.claims] == ["one/sum", "two/sum"]
    assert [figure.name for figure in whole.figures] == ["one-sum", "two-sum"]


@pytest.mark.parametrize("name", study_names())
def test_every_study_of_the_catalogue_offers_what_the_protocol_names(name: str) -> None:
    study = study_named(name)
    assert study.TITLE and "\n" not in study.TITLE
    assert study.SETTING.endswith(".")
    assert is_dataclass(study.Config) and isinstance(study.QUICK, study.Config)
    assert "seed" in {field.name for field in fields(study.Config)}
    assert all(isinstance(panel, Panel) and panel.alt and panel.caption for panel in study.PANELS.values())
    assert all(callable(getattr(study, part)) for part in ("run", "claims", "data", "tables", "draw"))


def test_the_formula_of_every_study_can_be_set() -> None:
    formulas = [getattr(study, "FORMULA", "") for study in studies().values()]
    assert sum(map(bool, formulas)) >= 28 and not any("<code" in str(mathml(tex)) for tex in formulas if tex)


def test_an_unknown_study_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown study 'fig9'; known are .*bai2024-fig2"):
        study_named("fig9")


def test_gflow_figure_writes_the_report_and_prints_its_claims(tmp_path: Path, capsys: Any) -> None:
    assert main(["figure", "bai2024-fig2", "--out", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["summary"]["holds"] == 6 and Path(said["page"]).is_file()
    assert (tmp_path / "out" / "bai2024-fig2-m1.csv").read_text().startswith("row,column,value\n1,1,1.0\n")


def test_gflow_figure_and_report_list_the_catalogue(capsys: Any) -> None:
    for command in ("figure", "report"):
        assert main([command, "--list", "--json"]) == 0
        assert [each["name"] for each in json.loads(capsys.readouterr().out)["studies"]] == list(study_names())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figure", "--out", "x"], "argument NAME: name a study"),
        (["figure", "fig9", "--out", "x"], "argument NAME: unknown study 'fig9'; known are"),
        (["figure", "bai2024-fig2", "--set", "matrices"], "argument --set: write NAME=VALUE, not 'matrices'"),
        (
            ["figure", "bai2024-fig2", "--set", "size=3"],
            "no parameter 'size'; this study has matrices (names separated",
        ),
        (["figure", "bai2024-fig2", "--set", "seed=x"], "argument --set: seed must be an integer, 0 or more; got 'x'"),
        (["figure", "bai2024-fig2", "--set", "matrices=m9"], "argument --set: name must be one of fig3,"),
        (["figure", "bai2024-fig2", "--out", "x", "--format", "gif"], "--format: must be some of svg, pdf, png"),
        (["figure", "bai2024-fig2", "--out", "x", "--width", "5 miles"], "--width: must be a length between 1in"),
        (["figure", "bai2024-fig2", "--out", "x", "--matrix", "no-such-file.csv"], "no-such-file.csv: No such file"),
        (["figure", "bai2024-fig2", "--out", "/proc/x"], "cannot write /proc/x"),
        (["report", "--out", "x"], "argument STUDY: name at least one study"),
        (["report", "bai2024-fig2", "fig9", "--out", "x"], "argument STUDY: unknown study 'fig9'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys: Any) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and not said.out
    assert not Path("x").exists()


def test_a_matrix_for_fixed_data_is_refused_by_the_command(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "m.csv").write_text("1, 2\n")
    assert main(["figure", "bai2024-fig2", "--out", str(tmp_path / "out"), "--matrix", str(tmp_path / "m.csv")]) == 2
    assert "takes no matrix" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_gflow_figure_without_a_folder_prints_its_verdicts(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["figure", "bai2024-fig2", "--set", "matrices=m1,m2"]) == 0
    said = capsys.readouterr().out
    assert "bai2024-fig2/" in said and "0 contradicted" in said and "report:" not in said
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Settings:
    problem: gflow.MatrixCompletion
    sizes: tuple[float, ...] = (1.0,)
    ranks: tuple[int, ...] = (1, 2)
    names: tuple[str, ...] = ("a",)
    rate: float = 0.5
    count: int | None = 3
    exact: bool = False
    seed: int = 0


def test_parameters_have_the_types_of_the_configuration() -> None:
    given = Settings(gflow.MatrixCompletion([[7.0]]))
    texts = ["sizes=1e-4, 1e-8", "ranks=(3,)", "names = b,c", "rate=1e-3", "count=none", "exact=yes", "seed=5"]
    with pytest.raises(ValueError, match=r"ranks must be integers separated by commas; got '\(3,\)'"):
        changed(given, texts)
    found = changed(given, [text.replace("(3,)", "3") for text in texts])
    assert (found.sizes, found.ranks, found.names) == ((1e-4, 1e-8), (3,), ("b", "c"))
    assert (found.rate, found.count, found.exact, found.seed, found.problem) == (1e-3, None, True, 5, given.problem)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("problem=x", r"no parameter 'problem'; this study has sizes \(numbers separated by commas\), ranks"),
        ("rate", "write NAME=VALUE, not 'rate'; this study has"),
        ("rate=fast", "rate must be a number; got 'fast'"),
        ("rate=inf", "rate must be a number; got 'inf'"),
        ("count=-1", "count must be an integer, 0 or more, or none; got '-1'"),
        ("seed=1.5", "seed must be an integer, 0 or more; got '1.5'"),
        ("exact=perhaps", "exact must be yes or no; got 'perhaps'"),
        ("sizes=", "sizes must be numbers separated by commas; got ''"),
    ],
)
def test_a_parameter_that_is_not_there_or_of_another_type_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed(Settings(gflow.MatrixCompletion([[7.0]])), [text])
