"""What arguments must be: messages name the argument, the rule and what was given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gflow.checks import positive, require_positive, require_tolerance


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_positive_integers_pass_as_ints(value: Any) -> None:
    assert positive(value, "rank") == value and type(positive(value, "rank")) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "2", None])
def test_others_are_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^rank must be a positive integer; got"):
        positive(value, "rank")


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_the_first_number_that_is_not_positive_is_named(value: float) -> None:
    require_positive(t_end=math.inf, loss_tol=1e-300)
    with pytest.raises(ValueError, match=r"^loss_tol must be positive"):
        require_positive(t_end=1.0, loss_tol=value, grad_tol=-1.0)


@pytest.mark.parametrize("rtol", [0.0, 9e-14, 0.02, math.nan])
def test_tolerances_no_solver_keeps_are_refused(rtol: float) -> None:
    for kept in (1e-13, 1e-8, 1e-2):
        require_tolerance(kept)
    with pytest.raises(ValueError, match=r"^rtol must lie between"):
        require_tolerance(rtol)
