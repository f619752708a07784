"""Tests of the identities of several factors in matrices of symbolic size, with formulas that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gflow.symbolic import deep_identities
from gflow.symbolic.deep import layer_rates


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_conservation_and_invariance_hold_in_every_dimension(depth: int) -> None:
    found = deep_identities(depth)
    assert [identity.name for identity in found] == [f"conservation-{depth}", f"omega-invariance-{depth}"]
    assert all(identity.holds for identity in found), found
    assert [len(identity.residual) for identity in found] == [depth - 1, 2 * (depth - 1)]


def test_a_missing_layer_and_a_rate_of_its_own_are_seen() -> None:
    def dropped(layers: Sequence[Any], E: Any, n: Any) -> tuple[Any, ...]:
        first, middle, last = layer_rates(layers, E, n)
        return first, 0 * middle, last

    def decaying(layers: Sequence[Any], E: Any, n: Any) -> tuple[Any, ...]:
        first, *rest = layer_rates(layers, E, n)
        return (first + layers[0] * layers[0].T * first, *rest)

    conservation, invariance = deep_identities(3, dropped)
    assert not conservation.holds and invariance.holds
    conservation, invariance = deep_identities(3, decaying)
    assert not conservation.holds


def test_one_factor_has_no_such_identities() -> None:
    for depth in (1, 0, True):
        with pytest.raises(ValueError, match="depth must be an integer of at least 2"):
            deep_identities(depth)
