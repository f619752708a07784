"""Reports do not depend on the kernels of BLAS, and what would tell them apart does."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from agreement import disagreements
from machines import ROOT, floors, kernels, number, reports_agree
from oracles import TRAJECTORY

from gflow.data import example
from gflow.report import report_json
from gflow.report.verification import verify


def place(claim: str) -> tuple[str, int]:
    return "claims", [each["id"] for each in report()["claims"]].index(claim)


@cache
def report() -> dict[str, Any]:
    found = verify(example("slides3"), name="slides3", statements=TRAJECTORY, drawn=False)
    text: dict[str, Any] = json.loads(report_json(found))
    return text


def differences(*path: str | int | Callable[[], tuple[str, int]], to: Any) -> list[str]:
    """Return what is found when one part of the report is changed."""
    keys = [key for part in path for key in (part() if callable(part) else (part,))]
    other = deepcopy(report())
    part: Any = other
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = to(part[keys[-1]]) if callable(to) else to
    return disagreements(report(), other)


@pytest.mark.slow
def test_reports_agree_between_the_kernels_of_this_machine(capfd: pytest.CaptureFixture[str]) -> None:
    here = kernels()
    if len(here) < 2:
        pytest.skip(f"this processor or its BLAS has no two of the kernels: {here}")
    assert reports_agree(("slides5",), [here[0], here[-1]]), capfd.readouterr().out


def test_rounding_and_costs_may_differ() -> None:
    def shaken(values: list[list[float]]) -> list[list[float]]:
        return (np.array(values) * (1 + 1e-9 * np.random.default_rng(0).standard_normal((2, 2)))).tolist()

    assert differences("matrix", "values", to=shaken) == []
    assert differences("configuration", "trajectory", "n_steps", to=lambda n: n + 7) == []
    assert differences(partial(place, "conservation"), "measured", to=lambda size: 3.0 * size) == []


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        ((partial(place, "conservation"), "verdict"), "undecided", "claim conservation, verdict"),
        ((partial(place, "conservation"), "measured"), 1.0, "claim conservation, measured"),
        ((partial(place, "conservation"), "reason"), lambda text: text + " nearly", "reason"),
        ((partial(place, "thm1"), "measured"), 1.0, "claim thm1, measured"),
        (("matrix", "values", 1, 1), lambda entry: entry * (1 + 1e-4), "matrix 2 2"),
        (("matrix", "statuses", 1, 1), "seed-dependent", "matrix statuses"),
        (("tables", 0, "rows", 0, 0), lambda loss: loss * (1 + 1e-4), "table saddles, loss 1"),
        (("tables", 0, "rows", 0, 6), lambda index: index + 1, "table saddles, index"),
        (("tables", 0, "rows"), lambda rows: rows[:-1], "table saddles, rows"),
        (("configuration", "trajectory", "status"), "roundoff", "trajectory status"),
        (("summary", "undecided"), 1, "summary"),
    ],
)
def test_what_a_reader_would_call_another_answer_is_found(path: tuple[Any, ...], to: Any, message: str) -> None:
    found = differences(*path, to=to)
    assert found and any(message in difference for difference in found)


def test_the_lowest_versions_are_those_of_setup_cfg() -> None:
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    found = floors(setup)
    assert {"numpy", "scipy", "cvxpy", "pytest", "numba"} <= set(found) and "ruff" not in found
    assert all(f"{name} >= {floor}" in setup for name, floor in found.items())
    assert sorted(["3.10", "3.9.1.post1", "3.9.1", "3.9"], key=number) == ["3.9", "3.9.1", "3.9.1.post1", "3.10"]
