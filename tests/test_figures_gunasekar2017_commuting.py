"""The study of commuting measurements: its quick claims, a closed form, and planted faults that turn claims red."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import gunasekar2017_commuting as study

import gflow
from gflow.operators import paths
from gflow.statements.claims import Verdict
from gflow.studies import study_report

TINY = study.Config(smallest=5, largest=5, count=1, rectangular=1)


@pytest.fixture(scope="module")
def quick() -> Any:
    """Return the result of the quick configuration."""
    return study.run(study.QUICK)


def verdicts(result: Any) -> dict[str, str]:
    """Return the verdict of every claim by its id."""
    return {claim.id: str(claim.verdict) for claim in study.claims(result)}


def contradicted(result: Any) -> set[str]:
    """Return the ids of the contradicted claims."""
    return {id for id, verdict in verdicts(result).items() if verdict == "contradicted"}


def test_every_claim_of_theorem_1_holds(quick: Any) -> None:
    assert set(verdicts(quick).values()) == {"holds"}
    law = next(claim.reason for claim in study.claims(quick) if claim.id == "fall")
    assert "measured law alpha^q with q from" in law


def test_one_measurement_of_two_eigenvalues_has_the_order_of_the_closed_form() -> None:
    # x_1 + x_2 / 4 = 1 has the solution (1, 0) of least sum; the reduced cost of x_2 is 1 - 1/4
    problem = gflow.MatrixSensing(np.diag([1.0, 0.25])[None], [1.0])
    costs, order = study._reduced_costs(problem, np.eye(2))
    assert order == pytest.approx(0.75) and np.allclose(costs, [0.0, 0.75])


def test_the_extrapolated_limit_is_exact_for_a_single_power(quick: Any) -> None:
    slow = study.ALPHAS**0.01
    case = replace(quick.cases[0], minimum=2.0, norms=2.0 * (1 + slow))
    assert abs(case.limit / 2.0 - 1) < 1e-12 < 1e-6 < case.norms[-1] / 2.0 - 1


def test_cases_do_not_depend_on_the_number_of_processes() -> None:
    one, two = (study.run(TINY, jobs=jobs) for jobs in (1, 2))
    for a, b in zip(one.cases, two.cases, strict=True):
        assert a.distance == b.distance and np.array_equal(a.norms, b.norms)


def test_the_report_draws_every_panel() -> None:
    report = study_report(study, "gunasekar2017-commuting", TINY)
    assert [figure.name.split("-")[-1] for figure in report.figures] == list(study.PANELS)


def test_a_doubled_adjoint_turns_the_path_red(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("adjoint", "gradient"):
        plain = getattr(gflow.MatrixSensing, name)
        monkeypatch.setattr(gflow.MatrixSensing, name, lambda self, x, plain=plain: 2.0 * plain(self, x))
    assert "path" in contradicted(study.run(TINY))


def test_forgotten_eigenvectors_turn_the_path_and_the_norm_red(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = paths._common_eigenvectors

    def forgetful(problem: Any, tol: float) -> Any:
        Q, _ = plain(problem, tol)
        spectra = np.einsum("mii->mi", problem.measurements)
        return np.eye(len(Q)), spectra

    monkeypatch.setattr(paths, "_common_eigenvectors", forgetful)
    monkeypatch.setattr(study, "_reduced_costs", lambda problem, Q: (np.zeros(len(Q)), None))
    one = study.Config(smallest=6, largest=6, count=1, rectangular=0, seed=3)
    assert {"path", "norm"} <= contradicted(study.run(one))


def test_a_start_that_is_not_small_turns_the_norm_red(quick: Any) -> None:
    large = replace(quick.cases[1], norms=np.full(len(study.ALPHAS), 1.01 * quick.cases[1].minimum))
    assert contradicted(replace(quick, cases=(large,))) == {"norm"}


def test_an_excess_that_falls_too_slowly_is_contradicted(quick: Any) -> None:
    slow = replace(quick.cases[0], excess=1.0 / np.sqrt(study.LEVELS))
    red = {claim.id for claim in study.claims(replace(quick, cases=(slow,))) if claim.verdict is Verdict.CONTRADICTED}
    assert red == {"fall", "order"}
