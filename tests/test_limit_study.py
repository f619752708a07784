"""Tests of the study of random limits: compiled steps and the number of processes change nothing it says."""

import pytest
from gflow_studies.limit_study import LimitStudy, limit_study

from gflow import fast

CASES = 3
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study() -> LimitStudy:
    return limit_study(CASES)


def test_outcomes_are_the_same_without_numba(study: LimitStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast.installed():
        pytest.skip("numba is not installed")
    asked: list[bool] = []
    monkeypatch.setattr(fast, "installed", lambda: bool(asked.append(True)))
    plain = limit_study(CASES)
    assert len(asked) >= CASES
    for one, other in zip(plain.cases, study.cases, strict=True):
        assert (one.outcome, one.connected) == (other.outcome, other.connected)
        assert one.log10_alpha == (None if other.log10_alpha is None else pytest.approx(other.log10_alpha, rel=1e-5))


def test_the_study_does_not_depend_on_the_number_of_processes(study: LimitStudy) -> None:
    assert limit_study(CASES, n_jobs=2).to_dict() == study.to_dict()
