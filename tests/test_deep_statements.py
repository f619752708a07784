"""Tests of the statements on three and more factors: where they hold, where a hypothesis fails, and planted bugs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import test_cli

import gflow
from gflow.data import example
from gflow.statements import deep, registry
from gflow.statements.claims import Claim, Verdict
from gflow.statements.evidence import Evidence

run, folder = test_cli.run, test_cli.folder
NAMES = {"deep_rank", "deep_norm", "deep_closed_form", "deep_saddles", "deep_escape"}


def verdicts(name: str, depth: int = 3, chosen: Any = None, **settings: Any) -> dict[str, Claim]:
    """Return the claims of the statements on depth for an example."""
    problem = example(name)
    given = Evidence.of(problem, gflow.Factorization(problem.shape, depth=depth), **settings)
    listed = [each for each in registry.statements() if each.id in (chosen or NAMES)]
    return {claim.id: claim for claims in registry.checked(given, listed).values() for claim in claims}


@pytest.mark.parametrize("depth", [3, 4])
def test_complete_components_hold_at_every_depth(depth: int) -> None:
    found = verdicts("fig4", depth)
    assert {claim.verdict for claim in found.values()} == {Verdict.HOLDS}
    assert set(found) >= {"deep_rank", "deep_norm", "deep_closed_form", "deep_escape.routes", "deep_escape.flow"}


def test_connected_data_lack_the_hypothesis_of_the_closed_form() -> None:
    found = verdicts("fig3")
    unmet = {id for id, claim in found.items() if claim.verdict is Verdict.HYPOTHESIS_NOT_MET}
    assert unmet == {"deep_norm", "deep_closed_form"}
    assert found["deep_rank"].measured == 3.0
    assert {claim.verdict for id, claim in found.items() if id not in unmet} == {Verdict.HOLDS}


def test_a_large_start_lacks_the_hypothesis_of_the_escape() -> None:
    found = verdicts("fig4", chosen={"deep_escape"}, scale=1.0)
    assert found["deep_escape.flow"].verdict is not Verdict.CONTRADICTED
    assert "a small start" in {finding.name for finding in found["deep_escape.flow"].hypotheses if not finding.met}


def test_two_factors_have_their_own_statements() -> None:
    problem = example("fig4")
    applying = {each.id for each in registry.statements() if each.applies(problem, gflow.Factorization((3, 3)))}
    assert not applying & NAMES
    deeper = {each.id for each in registry.statements() if each.applies(problem, gflow.Factorization((3, 3), depth=3))}
    assert deeper >= NAMES and "thm3" not in deeper


def red(claims: dict[str, Claim]) -> set[str]:
    """Return the claims that fail: contradicted, or news where the statement is a conjecture."""
    return {id for id, claim in claims.items() if claim.verdict is Verdict.CONTRADICTED or claim.news}


def test_a_product_rule_without_a_layer_is_seen() -> None:
    class Dropped(gflow.Factorization):
        """A product whose second layer has no gradient."""

        def pullback(self, theta: np.ndarray, G: Any) -> np.ndarray:
            right = super().pullback(theta, G)
            self.factors(right)[1][...] = 0.0
            return right

    problem = example("fig4")
    given = Evidence.of(problem, Dropped((3, 3), depth=3), t_end=10.0)
    (statement,) = [each for each in registry.statements() if each.id == "general.derivatives"]
    (claim,) = statement.claims(given)
    assert claim.verdict is Verdict.CONTRADICTED


def test_a_transposed_conserved_quantity_is_seen() -> None:
    class Transposed(gflow.Factorization):
        """A product that takes W_j W_j^T for the inner Gram matrix."""

        def conserved(self, theta: np.ndarray) -> np.ndarray:
            A, B, _ = self.factors(theta)
            return (A.mT @ A - B.mT @ B).reshape(*theta.shape[:-1], -1)

    given = Evidence.of(example("fig4"), Transposed((3, 3), depth=3), t_end=10.0)
    (statement,) = [each for each in registry.statements() if each.id == "general.conserved"]
    (claim,) = statement.claims(given)
    assert claim.verdict is Verdict.CONTRADICTED


def test_a_plateau_clock_of_two_factors_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gflow.degenerate_escape

    def logarithmic(objective: gflow.Objective, start: np.ndarray) -> gflow.DegenerateEscape:
        found = right(objective, start)
        time = float(np.log(1.0 / np.linalg.norm(start))) / found.rate
        return replace(found, time=time, other_time=time)

    monkeypatch.setattr(gflow, "degenerate_escape", logarithmic)
    assert red(verdicts("fig4", chosen={"deep_escape"})) == {"deep_escape.flow"}


def test_a_limit_of_other_channels_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = deep.limit

    def apart(given: Evidence) -> gflow.DeepTraversal:
        """The components side by side, as two factors would have them on average."""
        found = right(given)
        return replace(found, end=np.where(given.problem.observed, found.end, 0.0), reflections=())

    monkeypatch.setattr(deep, "limit", apart)
    assert red(verdicts("fig4")) == {"deep_rank", "deep_closed_form"}


@pytest.mark.usefixtures("painted")
def test_the_command_line_checks_depth(run: Any) -> None:
    found = run("ledger", "--example", "fig4", "--depth", "3", "--json").result
    assert found["deep_closed_form"]["verdict"] == "holds" and "thm4" not in found
    matrix = test_cli.saved("m.npy", [[2.0, np.nan], [np.nan, 1.0]])
    report = run("verify", matrix, "--depth", "3", "--json")
    assert report.code == 0
    assert {claim["id"] for claim in report.result["claims"]} >= {"deep_rank", "deep_escape.flow"}
