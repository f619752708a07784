"""The studies of factor widths: the joint descent against single ones, what a small case shows, and planted faults."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import factor_widths, gunasekar2017_fig1 as fig1, gunasekar2017_fig2 as fig2
from gflow_studies.figures.factor_widths import Together, Widths, planted, runs, spectrum

import gflow
from gflow.descent import projected
from gflow.studies import study_report

TINY = Widths(order=8, widths=(2, 8), starts=2, steps=(200, 200, 200), searches=20)
SMALL = Widths(order=20, widths=(2, 20), starts=2, steps=(2000, 2000, 2000), searches=60)


@pytest.fixture(scope="module")
def small() -> Any:
    """Return the result of a small configuration."""
    return runs(SMALL, 1)


def verdicts(study: Any, result: Any) -> dict[str, str]:
    """Return the verdicts of a study by claim."""
    return {claim.id: str(claim.verdict) for claim in study.claims(result)}


def test_the_spectrum_has_the_ratio_of_norms_that_is_stated() -> None:
    for n in (20, 50):
        sizes = spectrum(n, 2)
        assert sizes.sum() == pytest.approx(np.sqrt(2) * np.linalg.norm(sizes))
        assert np.log(sizes[9] / sizes[19]) / np.log(2) == pytest.approx(1.5, abs=0.1)


def test_the_joint_objective_is_the_sum_of_the_losses() -> None:
    problem, _ = planted(TINY, "a", np.random.SeedSequence(0))
    models = [gflow.SymmetricFactorization(8, width) for width in (1, 3, 8)]
    together = Together(problem, models).objective()
    theta, v = np.random.default_rng(0).standard_normal((2, together.dim))
    cuts = np.cumsum([model.dim for model in models])[:-1]
    parts = [gflow.Objective.of(problem, model) for model in models]
    pieces = list(zip(parts, np.split(theta, cuts), np.split(v, cuts), strict=True))
    assert together.value(theta) == pytest.approx(sum(part.value(x) for part, x, _ in pieces))
    assert np.allclose(together.gradient(theta), np.concatenate([part.gradient(x) for part, x, _ in pieces]))
    assert np.allclose(together.hvp(theta, v), np.concatenate([part.hvp(x, w) for part, x, w in pieces]))
    assert np.allclose(together.hessian(theta) @ v, together.hvp(theta, v))


def test_joint_steps_are_the_steps_of_each_run() -> None:
    problem, _ = planted(TINY, "b", np.random.SeedSequence(0))
    models = [gflow.SymmetricFactorization(8, width) for width in (2, 8)]
    starts = [[model.random(np.random.default_rng(k), 0.1)] for k, model in enumerate(models)]
    ends, _ = factor_widths._stepped(problem, models, starts, 100, step=1e-3)
    for model, (start,), (end,) in zip(models, starts, ends, strict=True):
        flow = gflow.gradient_descent(gflow.Objective.of(problem, model), start, step=1e-3, max_evaluations=100)
        assert np.allclose(flow.final, end, atol=1e-12)


def test_a_small_start_reaches_the_minimum_and_a_large_one_does_not(small: Any) -> None:
    found = verdicts(fig2, small)
    assert {id for id, verdict in found.items() if verdict != "holds"} <= {"b-small"}
    first = verdicts(fig1, small)
    assert {first[id] for id in ("a-small", "a-x-gd", "a-large", "a-large-exact", "c-none")} == {"holds"}
    case = small.cases["a"]
    assert case.minimum.gap <= 1e-8 and np.linalg.norm(case.minimum.matrix - case.planted) < 1e-6


def test_both_figures_share_the_runs_and_the_number_of_processes_does_not_matter() -> None:
    one, two = runs(TINY, 1), runs(TINY, 2)
    assert fig1.run(TINY) is one is fig2.run(TINY)
    for name, case in one.cases.items():
        for curve, errors in case.errors.items():
            assert np.array_equal(errors, two.cases[name].errors[curve])


@pytest.mark.parametrize("study", [fig1, fig2])
def test_the_report_draws_every_panel_and_counts_the_runs(study: Any) -> None:
    report = study_report(study, "widths", TINY)
    assert [figure.name for figure in report.figures] == ["widths-a", "widths-b", "widths-c"]
    assert len(report.tables[0].rows) == 3 * 5 * 2 and "of 2" in report.tables[0].rows[0][6]


def test_a_run_that_has_not_arrived_is_undecided(small: Any) -> None:
    case = small.cases["a"]
    far = {curve: np.full_like(misfits, 0.5) for curve, misfits in case.misfits.items()}
    cases = {**small.cases, "a": replace(case, misfits=far)}
    assert verdicts(fig2, replace(small, cases=cases))["a-small"] == "undecided"


FAULTY = replace(TINY, seed=1)


def test_true_reference_solutions_fit() -> None:
    found = verdicts(fig2, runs(FAULTY, 1))
    assert {found[f"{case}-{what}"] for case in "abc" for what in ("projected", "minimum")} == {"holds"}


def test_a_projection_that_forgets_the_eigenvectors_turns_the_claim_on_x_gd_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forgetful(X: np.ndarray) -> np.ndarray:
        return np.diag(np.maximum(np.linalg.eigvalsh(X / 2 + X.T / 2), 0.0))

    monkeypatch.setattr(projected, "positive_part", forgetful)
    found = verdicts(fig2, runs.__wrapped__(replace(FAULTY, widths=(8,)), 1))
    assert {found[f"{case}-projected"] for case in "ab"} == {"contradicted"}


def test_a_large_start_in_place_of_a_small_one_turns_the_claim_red(small: Any) -> None:
    case = small.cases["a"]
    swapped = {**case.norms, "small": case.norms["large"]}
    fits = {curve: np.zeros_like(misfits) for curve, misfits in case.misfits.items()}
    cases = {**small.cases, "a": replace(case, norms=swapped, misfits=fits)}
    assert verdicts(fig2, replace(small, cases=cases))["a-small"] == "contradicted"
