"""Tests of the study of mask classes: compiled steps and the number of processes change nothing it says."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from gflow_studies.mask_study import Group, MaskCase, MaskStudy, mask_study

import gflow
from gflow import fast


def masks() -> Iterator[np.ndarray]:
    return islice(gflow.mask_classes(3, 3), 1, None, 3)


@pytest.fixture(scope="module")
def study() -> MaskStudy:
    return mask_study(masks(), ranks=(1, 2))


def words(case: MaskCase) -> tuple[object, ...]:
    return case.mask, case.rank, case.group, case.status, case.learned_rank, case.least_rank, case.minimal_rank


def test_what_the_study_says_is_the_same_without_numba(study: MaskStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast.installed():
        pytest.skip("numba is not installed")
    asked: list[bool] = []
    monkeypatch.setattr(fast, "installed", lambda: bool(asked.append(True)))
    plain = mask_study(masks(), ranks=(1, 2))
    assert len(asked) >= len(plain.cases) and {case.group for case in plain.cases} == set(Group)
    assert [words(case) for case in plain.cases] == [words(case) for case in study.cases]
    assert [claim.verdict for claim in plain.claims()] == [claim.verdict for claim in study.claims()]
    for one, other in zip(plain.cases, study.cases, strict=True):
        assert one.norm == (None if other.norm is None else pytest.approx(other.norm, rel=1e-6))


def test_the_study_does_not_depend_on_the_number_of_processes(study: MaskStudy) -> None:
    assert mask_study(masks(), ranks=(1, 2), n_jobs=2).to_dict() == study.to_dict()
