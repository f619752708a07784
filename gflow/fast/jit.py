"""Compilation by numba where it is installed; without it the same functions run, slowly, as they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import numpy as np

from gflow import watch

Function = TypeVar("Function", bound=Callable[..., Any])
HERE = Path(__file__).resolve().parent
CONSTANTS = ("rest", "rosenbrock", "rounding", "saddles")
"""The modules of ``gflow.flow`` whose constants are compiled in."""
WATCHED_SECONDS = 0.1
"""Between two looks at the watch while something is compiled."""
# sums may be taken in any order, products fused with sums; infinities and NaN keep their meaning
OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract"}, "error_model": "numpy"}
OPTIONS["no_cfunc_wrapper"] = True


def installed() -> bool:
    """Return whether numba is there to compile."""
    try:
        return find_spec("numba") is not None
    except ValueError:  # a module of that name without a specification
        return False


def compiled(function: Function, *, packed: bool = False, **options: Any) -> Function:
    """Return the function compiled to machine code that is kept on disk between runs.

    Where it is called by ``in_time`` and ``packed``, operations that stand side by side become those of vectors, which
    numba leaves out by default.
    """
    if not installed():
        return function
    import numba

    try:
        with _kept(numba.config):
            dispatcher: Any = numba.njit(function, cache=True, **OPTIONS, **options)
    except (OSError, RuntimeError):  # nowhere to keep it
        dispatcher = numba.njit(function, **OPTIONS, **options)
    dispatcher.packed = packed
    return dispatcher


def lean(function: Function) -> Function:
    """Return the function compiled without counts of references: it makes no arrays, and views only of what it has.

    Whole tuples of arrays would be counted at every call.
    """
    return compiled(function, _nrt=False)


def part(function: Function) -> Function:
    """Return the function compiled as a part of the one that calls it: by itself it would be compiled twice."""
    return compiled(function, inline="always", _nrt=False)


def record(fields: np.dtype, count: int = 1) -> np.ndarray:
    """Return an array of records, of zeros: plain for compiled code, which is quick to take it.

    What runs as it is written needs records with attributes.
    """
    found = np.zeros(count, fields)
    return found if installed() else found.view(np.recarray)


def entry_setter() -> Any:
    """Return (numbers, place, number) -> the tuple with another number there: a row that loops keep in registers.

    numba has no other way to change what is no array.
    """
    if not installed():
        return lambda numbers, place, number: (*numbers[:place], number, *numbers[place + 1 :])
    from numba.cpython.unsafe.tuple import tuple_setitem

    return tuple_setitem


def in_time(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a function; where it must be compiled first, and there is a limit of time, within it.

    Nothing interrupts the compiler: it goes on in a thread of its own, for the next call, when ``TimeIsUp`` is raised.
    """
    if getattr(function, "signatures", True):
        return function(*arguments)
    with _packing(function):
        return _compiled_in_time(function, *arguments)


def _compiled_in_time(function: Callable[..., Any], *arguments: Any) -> Any:
    if watch.remaining() is None:
        return function(*arguments)
    from concurrent.futures import Future, wait

    found: Future[Any] = Future()

    def compiling() -> None:
        try:
            found.set_result(function(*arguments))
        except BaseException as error:  # it is the caller's
            found.set_exception(error)

    Thread(target=compiling, daemon=True).start()
    while not wait((found,), WATCHED_SECONDS).done:
        watch.tick("compiling")
    return found.result()


@contextmanager
def _packing(function: Any) -> Iterator[None]:
    """Let the compiler make vectors of what stands side by side, if the function asks for it."""
    if not getattr(function, "packed", False):
        yield
        return
    import numba

    config: Any = numba.config
    before, config.SLP_VECTORIZE = config.SLP_VECTORIZE, 1
    try:
        yield
    finally:
        config.SLP_VECTORIZE = before


@contextmanager
def _kept(config: Any) -> Iterator[None]:
    """Keep machine code in a folder named after all sources: numba alone looks only at the file of each function."""
    chosen = config.CACHE_DIR
    config.CACHE_DIR = str(_folder(chosen))
    try:
        yield
    finally:
        config.CACHE_DIR = chosen


@cache
def _folder(chosen: str) -> Path:
    """Return the first folder that can be written: where the user wants it, beside the sources, or at home."""
    from hashlib import sha256

    sources = [*sorted(HERE.glob("*.py")), *(HERE.parent / "flow" / f"{name}.py" for name in CONSTANTS)]
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    beside = HERE / "__pycache__"
    for base in (Path(chosen),) if chosen else (beside, Path.home() / ".cache" / "gflow"):
        folder = base / f"compiled-{digest}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "writable").touch()
        except OSError:
            continue
        return folder
    raise OSError("no folder for compiled code can be written")
