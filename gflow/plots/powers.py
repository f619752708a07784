"""Powers of ten at logarithmic axes as plain text, 10⁻³: to typeset each as a formula takes half the drawing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from matplotlib.ticker import Formatter, LogFormatterMathtext

_WRAPPED = re.compile(r"\$\\mathdefault\{(.*)\}\$\Z")
_POWER = re.compile(r"\^\{(-?\d+)\}")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class PlainPowers(Formatter):  # type: ignore[misc]
    """The labels of matplotlib's formatter of a logarithmic axis, without a formula."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def set_locs(self, locs: Any) -> None:
        """Tell where all ticks are, on which it depends which of them have labels."""
        self.inner.set_locs(locs)

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick."""
        label = str(self.inner(x, pos))
        found = _WRAPPED.match(label)
        if found is None:
            return label
        text = found[1].replace(r"\times", " × ").replace("-", "−") if "^" not in found[1] else found[1]
        return _POWER.sub(lambda power: power[1].translate(_RAISED), text.replace(r"\times", " × "))


def write_plainly(axes: Iterable[Any]) -> None:
    """Give all logarithmic axes plain labels."""
    for ax in axes:
        for axis in (ax.xaxis, ax.yaxis):
            for found, change in (
                (axis.get_major_formatter(), axis.set_major_formatter),
                (axis.get_minor_formatter(), axis.set_minor_formatter),
            ):
                if isinstance(found, LogFormatterMathtext):
                    change(PlainPowers(found))
