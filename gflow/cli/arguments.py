"""The arguments of the ``gflow`` command: what each option means, and the parser built from the table of commands."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from gflow.cli.output import Outcome, Refused
from gflow.cli.values import METHODS, archive, count, formats, inches, method, port, positive, seed, tolerance
from gflow.policy import START_SCALE

CHOICE = {"auto": None, "yes": True, "no": False}
STARTS_HELP = "starts of the survey (default %(default)s); each takes a few dense Hessians, so fewer are quicker"
COMPLETIONS = ("nuclear-norm", "rank", "trace")
READING: dict[str, dict[str, Any]] = {
    "--header": {"choices": tuple(CHOICE), "default": "auto", "help": "whether the first row holds column names"},
    "--index": {"choices": tuple(CHOICE), "default": "auto", "help": "whether the first column holds row names"},
    "--decimal": {"choices": ("comma", "point"), "help": "the mark of decimals (default: found out)"},
    "--triplets": {"action": "store_true", "help": "lines of row, column and value, as ratings are kept"},
}
"""How the text of FILE is read; what is decided is told on standard error."""
EPILOG = (
    "exit status: 0 done and nothing contradicted, though a premise or a conjecture may fail on the data; 1 a claim is "
    "contradicted; 2 bad usage or input, or a computation that failed; 130 interrupted. "
    "Results go to standard output, everything else to standard error."
)


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: its name, one line about it, the function that runs it, and the names of its options.

    ``on_matrix`` commands take a matrix: FILE, ``-`` or ``--example NAME``, which ``optional`` ones do without. Every
    command takes ``--json``.
    """

    name: str
    summary: str
    run: Callable[[argparse.Namespace], Outcome]
    options: tuple[str, ...] = ()
    on_matrix: bool = True
    optional: bool = False


OPTIONS: dict[str, dict[str, Any]] = {
    "--seed": {"type": seed, "metavar": "S", "help": "seed of numpy.random.default_rng (default 0; limit: none)"},
    "--scale": {
        "type": positive,
        "metavar": "ALPHA",
        "help": "theta(0) = ALPHA times standard Gaussian "
        f"(default {START_SCALE:g} min(1, sqrt(max|M|)); 1e-4 at depth 3)",
    },
    "--start": {
        "metavar": "POINT.npz",
        "help": "start from the arrays A and B of this file, instead of a random start",
    },
    "--at": {"metavar": "POINT.npz", "help": "analyse the critical point with the arrays A and B of this file"},
    "--rank": {"type": count, "metavar": "R", "help": "inner width of A B (default: the smaller side of the matrix)"},
    "--depth": {"type": count, "metavar": "L", "default": 2, "help": "number of factors of W = W1 ... WL (default 2)"},
    "--method": {
        "type": method,
        "choices": METHODS,
        "default": "auto",
        "metavar": "NAME",
        "help": f"one of {', '.join(METHODS)}; auto is graded below scale 1e-12 times sqrt(max|M|) at depth 2",
    },
    "--rtol": {"type": tolerance, "metavar": "TOL", "help": "relative tolerance of each step of the integration"},
    "--t-end": {"type": positive, "metavar": "T", "help": "time horizon (default: none)"},
    "--max-evaluations": {"type": count, "metavar": "N", "help": "budget of gradient evaluations (default 200000)"},
    "--optimizer": {
        "metavar": "NAME",
        "help": "discrete steps instead of the flow: gradient, heavy-ball, nesterov, weight-decay, normalized, sign, "
        "adagrad or adam; times are the numbers of the steps, and --max-evaluations bounds them",
    },
    "--step": {"type": positive, "metavar": "ETA", "help": "length of the optimizer's steps"},
    "--momentum": {"type": float, "metavar": "BETA", "help": "of heavy-ball and nesterov, in [0, 1) (default 0.9)"},
    "--decay": {"type": positive, "metavar": "LAMBDA", "help": "of weight-decay"},
    "--starts": {"type": count, "metavar": "N", "default": 60, "help": STARTS_HELP},
    "--save": {"flags": ("--out",), "type": archive, "metavar": "FILE.npz", "help": "write what was computed there"},
    "--name": {"flags": (), "nargs": "?", "metavar": "NAME", "help": "which one; --list shows the names"},
    "--list": {"action": "store_true", "help": "list the names that are known"},
    "--store": {"metavar": "FILE", "help": "the SQLite file that keeps every result as it arrives"},
    "--jobs": {"type": count, "metavar": "N", "help": "processes on this machine (default 1)"},
    "--scheduler": {"metavar": "ADDRESS", "help": "run on the workers of this dask scheduler, as tcp://host:8786"},
    "--resume": {"action": "store_true", "help": "go on with the results that are in the store"},
    "--csv": {"metavar": "FILE.csv", "help": "write the whole table there"},
    "--names": {"flags": (), "nargs": "*", "metavar": "STUDY", "help": "which ones; --list shows the names"},
    "--matrix": {"metavar": "FILE", "help": "run the study on this matrix instead of the published one"},
    "--quick": {"action": "store_true", "help": "a small version that takes seconds"},
    "--folder": {
        "flags": ("--out",),
        "metavar": "DIR",
        "help": "write report.html, its figures and data there",
    },
    "--details": {
        "action": "store_true",
        "help": "the numbers and the evidence of every claim, not of the doubtful alone",
    },
    "--format": {
        "type": formats,
        "metavar": "LIST",
        "default": ("svg",),
        "help": "files of the figures: svg, pdf, png, separated by commas (svg is always there)",
    },
    "--width": {"type": inches, "metavar": "LENGTH", "help": "of the figures in their files, as 5.5in, 14cm or 396pt"},
    "--lettered": {
        "action": "store_true",
        "help": "also all figures of a study as one with lettered panels",
    },
    "--set": {
        "action": "append",
        "default": [],
        "metavar": "NAME=VALUE",
        "help": "a parameter of the study, as variances=1e-4,1e-8; may be repeated",
    },
    "--force": {"action": "store_true", "help": "write over the report that the folder holds"},
    "--report": {"flags": ("--out",), "metavar": "DIR", "help": "write report.html, report.json and CSV files there"},
    "--port": {"type": port, "metavar": "N", "help": "of the loopback address (default: one that is free)"},
    "--link": {"metavar": "LINK", "help": "begin with the state of a link that an explorer has given"},
    "--by": {
        "choices": tuple(COMPLETIONS),
        "default": "nuclear-norm",
        "metavar": "WHAT",
        "help": f"what is least: {', '.join(COMPLETIONS)} (default %(default)s)",
    },
}
"""The options by name. Those with ``flags`` share one flag and mean another thing in each command."""


class Parser(argparse.ArgumentParser):
    """An argument parser that refuses in one line and takes ``-1e-8`` for a number."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)
        self._negative_number_matcher = re.compile(r"-\.?(\d|inf|nan)", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        """Raise ``Refused`` with the message and where help is found."""
        raise Refused(f"{message} (see {self.prog} --help)")


class _Version(argparse.Action):
    """Print the version and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import gflow

        print(f"gflow {gflow.__version__}")
        parser.exit()


def parsed(commands: Iterable[Command], argv: list[str]) -> argparse.Namespace:
    """Return the parsed arguments; ``run`` is the function of the command.

    Raises ``Refused`` for a usage error and ``SystemExit`` after --help and --version.
    """
    parser = Parser(
        prog="gflow",
        description="Gradient flow of matrix factorisations on partially observed matrices.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version and exit")
    choices = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in commands:
        _add(
            choices.add_parser(command.name, help=command.summary, description=command.summary, epilog=EPILOG), command
        )
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what may follow
        complete(parser)
    return parser.parse_args(argv)


def complete(parser: argparse.ArgumentParser) -> None:
    """Tell the shell what may follow and exit, where argcomplete is installed: the extra ``completion``."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)


def _examples(**_: Any) -> list[str]:
    from gflow.data import example_names

    return list(example_names())


def _studies(**_: Any) -> list[str]:
    from importlib.metadata import entry_points

    return [point.name for point in entry_points(group="gflow.studies")]


def _add(parser: argparse.ArgumentParser, command: Command) -> None:
    parser.set_defaults(run=command.run)
    if command.on_matrix:
        source = parser.add_mutually_exclusive_group(required=not command.optional)
        source.add_argument(
            "file",
            nargs="?",
            metavar="FILE",
            help="matrix as .csv, .tsv, .txt, .npy, .npz or .mtx; * is 'not observed'; - is standard input",
        )
        named = source.add_argument(
            "--example", metavar="NAME", help="a matrix that comes with the package, such as fig3"
        )
        setattr(named, "completer", _examples)  # noqa: B010 - read by argcomplete
    if command.on_matrix or "--matrix" in command.options:
        reading = parser.add_argument_group("reading text")
        for name, settings in READING.items():
            reading.add_argument(name, **settings)
    for name in command.options:
        settings = dict(OPTIONS[name])
        option = parser.add_argument(*settings.pop("flags", (name,)), dest=name[2:].replace("-", "_"), **settings)
        if name in ("--name", "--names") and "--store" not in command.options:
            setattr(option, "completer", _studies)  # noqa: B010 - read by argcomplete
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--timeout", type=positive, metavar="SECONDS", help="end after so long with what was found")
    parser.add_argument("--quiet", action="store_true", help="show no progress on standard error")
