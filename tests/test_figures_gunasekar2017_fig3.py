"""The study of sampled entries: its measurements, its quick claims, and a swapped start that turns them red."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import gunasekar2017_fig3 as study
from gflow_studies.figures.factor_widths import planted

from gflow.studies import study_report

TINY = study.Config(order=14, widths=(2, 14), starts=1, steps=(100, 100), searches=10)
SMALL = replace(study.QUICK, widths=(2, 20), starts=1)


@pytest.fixture(scope="module")
def small() -> Any:
    """Return the result of a configuration that is smaller than the quick one."""
    return study.run(SMALL)


def contradicted(result: Any) -> set[str]:
    """Return the ids of the contradicted claims."""
    return {claim.id for claim in study.claims(result) if claim.verdict == "contradicted"}


@pytest.mark.parametrize("case", ["uniform", "power"])
def test_every_measurement_is_one_pair_of_entries_and_none_comes_twice(case: str) -> None:
    problem, X = planted(TINY, case, np.random.SeedSequence(0))
    A = problem.measurements
    assert np.array_equal(A, A.mT) and set(np.count_nonzero(A, axis=(1, 2))) <= {1, 2}
    assert np.allclose(np.linalg.norm(A, axis=(1, 2)), np.sqrt(14 / 2)) and len({a.tobytes() for a in A}) == len(A)
    assert np.linalg.norm(problem.misfit(X)) < 1e-12 and np.linalg.norm(X) == pytest.approx(1.0)


def test_the_power_law_prefers_the_first_rows() -> None:
    counts = {}
    for case in ("uniform", "power"):
        problem, _ = planted(replace(study.QUICK, order=40), case, np.random.SeedSequence(1))
        counts[case] = np.count_nonzero(problem.measurements, axis=(0, 2))
    assert counts["power"][:5].sum() > 1.5 * counts["uniform"][:5].sum()


def test_the_small_start_reconstructs_and_the_large_one_does_not(small: Any) -> None:
    assert {str(claim.verdict) for claim in study.claims(small)} == {"holds"}


def test_swapped_starts_turn_the_claims_red(small: Any) -> None:
    case = small.cases["uniform"]
    errors = {**case.errors, "small": case.errors["large-exact"], "large-exact": case.errors["small"]}
    norms = {**case.norms, "small": case.norms["large-exact"], "large-exact": case.norms["small"]}
    cases = {**small.cases, "uniform": replace(case, errors=errors, norms=norms)}
    assert {"uniform-start", "uniform-norm", "uneven"} <= contradicted(replace(small, cases=cases))


def test_the_report_draws_every_panel() -> None:
    report = study_report(study, "gunasekar2017-fig3", TINY)
    assert len(report.figures) == 4 and len(report.tables[0].rows) == 2 * 4 * 2
