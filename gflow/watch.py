"""Progress and a limit of time for long calls: two keywords there, one look at the watch in every inner loop.

Functions that may take long are ``watched``: they take ``progress`` and ``timeout``, and what they call looks at the
watch by ``tick``. Where a computation can end early it catches ``TimeIsUp`` and returns what it has found, saying so.

>>> from gflow import watch
>>> with watch.watching(progress=None, timeout=60.0):
...     watch.tick("a step")
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias, TypeVar

EVERY = 0.1
"""Seconds between two reports at least."""


def _now() -> float:
    return time.monotonic()


class TimeIsUp(RuntimeError):
    """The time that a call was allowed is over, and there was nothing to return yet.

    What is one call of a library (the eigenvalues of a dense matrix, an import) is not interrupted. The compiler of the
    extra ``fast`` is left to itself: it goes on in the background, for the next call.
    """


class Progress(NamedTuple):
    """How far a long call is: what it does, how much of how much is done where that is known, and seconds so far."""

    stage: str
    done: float | None
    total: float | None
    elapsed: float


Report: TypeAlias = "Callable[[Progress], object]"
Stop: TypeAlias = "Callable[[], bool]"
Wish: TypeAlias = "bool | Report | None"
"""What ``progress`` may be: True for a bar on standard error or in the notebook, or a function of ``Progress``."""


@dataclass
class _Watch:
    report: Report | None
    deadline: float
    allowed: float
    strict: bool
    stopped: Stop | None = None
    began: float = field(default_factory=lambda: _now())
    stages: list[str] = field(default_factory=list)
    shown: float = -math.inf

    def look(self, stage: str, done: float | None, total: float | None) -> None:
        now = _now()
        if self.late(now):
            raise TimeIsUp(self.sentence)
        if self.report is not None and now - self.shown >= EVERY:
            self.shown = now
            named = ": ".join(filter(None, [*self.stages, stage]))
            self.report(Progress(named, done, total, now - self.began))

    def late(self, now: float) -> bool:
        return now > self.deadline or (self.stopped is not None and self.stopped())

    @property
    def sentence(self) -> str:
        stopped = self.stopped is not None and self.stopped()
        return "it was stopped" if stopped else f"the time allowed, {self.allowed:g} s, is over"


_CURRENT: ContextVar[_Watch | None] = ContextVar("gflow watch", default=None)
Status = TypeVar("Status")
Function = TypeVar("Function", bound=Callable[..., Any])


def tick(stage: str = "", done: float | None = None, total: float | None = None) -> None:
    """Raise ``TimeIsUp`` if the time allowed is over; report the progress if that was asked for.

    Costs a tenth of a microsecond where nothing was asked for: one call in each turn of a loop.
    """
    current = _CURRENT.get()
    if current is not None:
        current.look(stage, done, total)


def spent(stage: str = "", done: float | None = None, total: float | None = None) -> str | None:
    """Return the sentence that the time allowed is over, or None after reporting progress as ``tick`` does.

    For loops that return what they have found. Within a study it raises ``TimeIsUp`` as ``tick`` does.
    """
    current = _CURRENT.get()
    if current is None:
        return None
    try:
        current.look(stage, done, total)
    except TimeIsUp as up:
        if not ends_early():
            raise
        return str(up)
    return None


def ending(status: Status, stage: str = "", done: float | None = None) -> tuple[Status, str] | None:
    """Return ``status`` and the sentence that the time allowed is over, or None: ``spent`` for loops with a status."""
    late = spent(stage, done)
    return None if late is None else (status, late)


def ticking(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
    """Return a function that looks at the watch by ``tick`` before it is called, for what a library calls."""

    def call(*args: Any) -> Any:
        tick(stage)
        return function(*args)

    return call


def over() -> str | None:
    """Return the sentence that the time allowed is over, or None."""
    current = _CURRENT.get()
    return None if current is None or not current.late(_now()) else current.sentence


def remaining() -> float | None:
    """Return the seconds that are left, at least 0; None where no limit was set."""
    current = _CURRENT.get()
    if current is None or math.isinf(current.deadline):
        return None
    return max(0.0, current.deadline - _now())


def ends_early() -> bool:
    """Return whether computations return what they have found, instead of raising ``TimeIsUp``: see ``whole``."""
    current = _CURRENT.get()
    return current is None or not current.strict


@contextmanager
def whole() -> Iterator[None]:
    """Yield such that everything inside raises ``TimeIsUp`` when the time is over: it serves only as a whole."""
    current = _CURRENT.get()
    if current is None or current.strict:
        yield
        return
    current.strict = True
    try:
        yield
    finally:
        current.strict = False


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Yield with ``name`` before what is reported inside."""
    current = _CURRENT.get()
    if current is None:
        yield
        return
    current.stages.append(name)
    try:
        with suppress(TimeIsUp):  # what begins may end early by itself
            current.look("", None, None)
        yield
    finally:
        current.stages.pop()


@contextmanager
def watching(
    progress: Wish = None, timeout: float | None = None, *, strict: bool = False, stopped: Stop | None = None
) -> Iterator[None]:
    """Yield with a watch set: what runs inside reports its progress, and ends when the time is over.

    Parameters
    ----------
    progress : bool or function of ``Progress``, optional
        Default: that of the watch around it. Called at most every tenth of a second.
    timeout : float, optional
        Seconds; no longer than the watch around it allows.
    strict : bool
        Whether everything inside raises ``TimeIsUp``, instead of returning what it has found.
    stopped : function, optional
        Asked at every look; when it returns True the time is over. Default: that of the watch around it.

    Raises ``TypeError`` or ``ValueError`` for anything else.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress must be True or a function of one argument; got {progress!r}")
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (number and math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"timeout must be a positive number of seconds; got {timeout!r}")
    outer = _CURRENT.get()
    if progress is True and outer is not None and outer.report is not None:
        progress = None  # it is shown already
    bar = import_module("gflow.show.progress").bar() if progress is True else nullcontext(progress or None)
    with bar as report:
        inner = _Watch(report, math.inf, math.inf, strict, stopped)
        if timeout is not None:
            inner.deadline, inner.allowed = inner.began + timeout, timeout
        if outer is not None:
            inner.stages, inner.strict = list(outer.stages), strict or outer.strict
            inner.report, inner.stopped = inner.report or outer.report, stopped or outer.stopped
            if outer.deadline < inner.deadline:
                inner.deadline, inner.allowed = outer.deadline, outer.allowed
        token = _CURRENT.set(inner)
        try:
            yield
        finally:
            _CURRENT.reset(token)


def watched(function: Function, whole: bool = False) -> Function:
    """Return a function whose keywords ``progress`` and ``timeout`` set the watch for the call.

    With ``whole`` it raises ``TimeIsUp`` when the time that it was given is over.
    """

    @wraps(function)
    def call(*args: Any, progress: Wish = None, timeout: float | None = None, **settings: Any) -> Any:
        if progress is None and timeout is None:
            return function(*args, **settings)
        with watching(progress, timeout, strict=whole):
            return function(*args, **settings)

    return call  # type: ignore[return-value]
