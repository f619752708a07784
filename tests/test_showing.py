"""A record shows itself whatever room it lives in, and what shows it is loaded only then."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gflow.showing import Drawn, Shown, Tabular


class Odd(Drawn, Tabular):
    """A record that nothing knows how to show."""

    def __repr__(self) -> str:
        return "Odd(<b>1 & 2</b>)"


def test_an_unknown_record_is_shown_by_its_repr_and_has_neither_picture_nor_table() -> None:
    assert Odd()._repr_html_() == "<pre>Odd(&lt;b&gt;1 &amp; 2&lt;/b&gt;)</pre>"
    with pytest.raises(TypeError, match="no picture of a Odd"):
        Odd().plot()
    with pytest.raises(TypeError, match="a Odd is no table"):
        Odd().to_frame()


def test_the_bases_take_no_room() -> None:
    assert all(kind.__slots__ == () for kind in (Shown, Drawn, Tabular))


def test_computing_loads_nothing_that_shows() -> None:
    code = (
        "import sys, gflow; gflow.connectivity([[1, 2], [3, None]]);"
        "loaded = {name.split('.')[0] for name in sys.modules} & {'matplotlib', 'pandas', 'jinja2', 'IPython'};"
        "assert not loaded and 'gflow.show' not in sys.modules, loaded"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stderr == ""
