"""Old names of classes work, warn, and are the new ones."""

from __future__ import annotations

import importlib

import pytest

MOVED = [
    ("gflow.critical", "Kind", "PointKind"),
    ("gflow.studies", "Row", "SweepRow"),
    ("gflow.studies", "Table", "SweepTable"),
    ("gflow.statements", "Saddle", "VisitedSaddle"),
]


@pytest.mark.parametrize(("package", "old", "new"), MOVED)
def test_an_old_name_is_the_new_one_and_says_so(package: str, old: str, new: str) -> None:
    module = importlib.import_module(package)
    with pytest.warns(DeprecationWarning, match=rf"{package}.{old} is called {package}.{new}"):
        assert getattr(module, old) is getattr(module, new)
    assert new in module.__all__ and old not in module.__all__


def test_other_names_are_unknown_as_ever() -> None:
    with pytest.raises(AttributeError, match=r"'gflow\.critical' has no attribute 'Sort'"):
        importlib.import_module("gflow.critical").Sort  # noqa: B018


def test_the_old_room_of_the_limit_is_the_new_one_and_says_so() -> None:
    old, new = importlib.import_module("gflow.traversal"), importlib.import_module("gflow.limit")
    with pytest.warns(DeprecationWarning, match=r"gflow.traversal is called gflow.limit"):
        assert old.saddle_to_saddle is new.saddle_to_saddle
    with pytest.raises(AttributeError, match="has no attribute 'nowhere'"):
        old.nowhere  # noqa: B018
