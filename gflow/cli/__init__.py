"""The ``gflow`` command: parse the arguments, make one call, print, return the exit code.

A command line is refused before anything is computed. What goes wrong is one line on standard error that begins with
``gflow:``, without a traceback:

- 0: done, and nothing is contradicted; premises and conjectures that fail on the data are no contradiction;
- 1: done, and a claim is contradicted;
- 2: bad usage or input, an output that cannot be written, or a computation that failed (the line says what to try);
- 130: interrupted.

An error of any other kind is a defect of the program and keeps its traceback.
"""

from __future__ import annotations

import gc
import sys

try:
    from gflow.cli.arguments import parsed
    from gflow.cli.commands import COMMANDS
    from gflow.cli.output import Refused, one_line, recorded_warnings, silence_stdout, write
    from gflow.watch import TimeIsUp
except KeyboardInterrupt:  # before there is a ``main`` to catch it
    print("gflow: interrupted", file=sys.stderr)
    raise SystemExit(130) from None

__all__ = ["main"]

_NUMERICAL = ("gflow.", "numpy.linalg", "scipy.")
"""Where the exceptions are defined that say that the mathematics failed."""
_ADVICE = "try another --method, --rtol, --scale or --seed"
_YOUNG = 10_000
"""New objects after which a process of our own is looked through for cycles: imports and figures leave few of them."""


def main(argv: list[str] | None = None) -> int:
    """Return the exit code of the ``gflow`` command with the arguments ``argv``, by default those of the process.

    By default the process is ours, and ends after this: cycles are looked for less often, and no more at its end.
    """
    if argv is not None:
        return _ended(argv)
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    try:
        return _ended(sys.argv[1:])
    finally:
        gc.freeze()


def _ended(argv: list[str]) -> int:
    try:
        return _run(argv)
    except Refused as error:
        return _refusal(str(error))
    except KeyboardInterrupt:
        return _refusal("interrupted", 130)
    except MemoryError as error:
        said = one_line(error) if str(error) else "the data or an array made of them did not fit"
        return _refusal(f"not enough memory: {said}; a smaller --rank or fewer entries ask for less")
    except TimeIsUp as up:
        return _refusal(f"{up}, and nothing was found; allow more, or ask for less")
    except Exception as error:
        if not type(error).__module__.startswith(_NUMERICAL):
            raise
        return _refusal(f"the computation failed: {one_line(error)}; {_ADVICE}")


def _run(argv: list[str]) -> int:
    try:
        arguments = parsed(COMMANDS, argv)
    except SystemExit as done:  # --help and --version
        write("")
        return int(done.code or 0)
    from gflow.cli.watching import watching

    with recorded_warnings() as warned, watching(arguments):
        outcome = arguments.run(arguments)
    if not outcome.written:
        write(outcome.json() if arguments.json else outcome.text())
    for message in dict.fromkeys(one_line(warning.message) for warning in warned):
        print(f"gflow: warning: {message}", file=sys.stderr)
    return outcome.code


def _refusal(message: str, code: int = 2) -> int:
    if sys.stderr is not None:
        print(f"gflow: {one_line(message)}", file=sys.stderr)
    silence_stdout()
    return code
