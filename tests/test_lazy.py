"""Packages that load a module when one of its names is used: nothing before, the same names after, errors as always."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gflow import critical, models

PACKAGE = {
    "rooms/__init__.py": "from gflow.lazy import attach\n\nattach(__name__)\n",
    "rooms/__init__.pyi": "from rooms.north import window as window\nfrom rooms.south import south as south\n",
    "rooms/north.py": "window = 'north'\n",
    "rooms/south.py": "def south(): return 'a function of the name of its module'\n",
    "rooms/broken.py": "import no_such_package\n",
}


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    (tmp_path / "rooms").mkdir()
    for name, text in PACKAGE.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def told(folder: Path, code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_module_is_loaded_when_one_of_its_names_is_used(rooms: Path) -> None:
    loaded = "print([m for m in sys.modules if m.startswith('rooms.')])"
    code = f"import sys, rooms; {loaded}; rooms.window; {loaded}"
    assert told(rooms, code).splitlines() == ["[]", "['rooms.north']"]


def test_a_name_goes_before_the_module_of_that_name(rooms: Path) -> None:
    assert told(rooms, "import rooms.south, rooms; print(rooms.south())") == "a function of the name of its module"
    assert told(rooms, "from rooms import *; print(south(), window)").endswith("north")


def test_submodules_are_attributes_and_their_own_errors_are_told(rooms: Path) -> None:
    assert told(rooms, "import rooms; print(rooms.north.window, 'broken' in dir(rooms))") == "north True"
    code = "import rooms\ntry:\n    rooms.broken\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    assert told(rooms, code) == "no_such_package"


@pytest.mark.parametrize("room", [models, critical])
def test_an_unknown_name_of_a_room_is_an_attribute_error(room: object) -> None:
    with pytest.raises(AttributeError, match=r"module 'gflow\.\w+' has no attribute 'modle'"):
        room.modle  # type: ignore[attr-defined]  # noqa: B018
