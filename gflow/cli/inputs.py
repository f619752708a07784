"""What a command works on: the matrix, the start, the trajectory, and the places it may write to."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gflow.cli.arguments import CHOICE
from gflow.cli.output import Refused, one_line, refusing
from gflow.policy import GRADED_BELOW, LARGEST_START, START_SCALE

if TYPE_CHECKING:
    import numpy as np

    import gflow
    from gflow.report import Report

COSTLY = 2_000_000
"""Dimension above which a width that nobody chose is announced with its cost."""
ADVISED = 10
"""The width that is advised there."""


def problem_of(arguments: Namespace) -> tuple[gflow.MatrixCompletion, str]:
    """Return the matrix that the arguments name, and its name without folders.

    What was decided in reading it is told on standard error. Raises ``Refused`` if it cannot be read or breaks a rule.
    """
    if arguments.example is not None:
        from gflow.data import example

        with refusing("--example"):
            return example(arguments.example), arguments.example
    name = "standard input" if arguments.file == "-" else Path(arguments.file).name
    return read(arguments.file, name, arguments), name


def read(path: str, name: str, arguments: Namespace) -> gflow.MatrixCompletion:
    """Return the matrix of a file, read as the arguments say."""
    import gflow

    said = {"header": CHOICE[arguments.header], "index": CHOICE[arguments.index], "triplets": arguments.triplets}
    decimal = {None: None, "comma": ",", "point": "."}[arguments.decimal]
    with refusing(path):
        problem = gflow.read_matrix(path, decimal=decimal, **said)
    if problem.notes and sys.stderr is not None:
        print(f"gflow: {one_line(name)}: {'; '.join(problem.notes)}", file=sys.stderr, flush=True)
    return problem


def named(problem: gflow.MatrixCompletion) -> dict[str, Any]:
    """Return the names of rows and columns for JSON; nothing where there are none."""
    names = {"row_names": problem.row_names, "column_names": problem.column_names}
    return {key: list(value) for key, value in names.items() if value is not None}


@dataclass(frozen=True, slots=True, eq=False)
class TrajectoryRequest:
    """A problem, its model and the start of a trajectory; ``scale`` is None for a start that was read."""

    problem: gflow.MatrixCompletion
    name: str
    model: gflow.Factorization
    objective: gflow.Objective
    theta: np.ndarray
    seed: int
    scale: float | None
    settings: dict[str, Any]

    @classmethod
    def of(cls, arguments: Namespace) -> TrajectoryRequest:
        """Return the run that the arguments describe; raises ``Refused`` for a start that does not fit."""
        import numpy as np

        import gflow

        start, scale, depth = getattr(arguments, "start", None), arguments.scale, getattr(arguments, "depth", 2)
        if start is not None and scale is not None:
            raise Refused("--start holds the whole start: leave out --scale")
        if depth != 2 and start is not None:
            raise Refused("--start is for two factors: leave out --depth")
        if depth == 1 and getattr(arguments, "method", None) == "graded":
            raise Refused("--method graded is for two factors and more: leave out --depth 1")
        problem, name = problem_of(arguments)
        seed = arguments.seed or 0
        if start is None:
            if scale is None:  # of depth L the flow can be followed while scale^(L - 1) is above rounding errors
                scale = START_SCALE ** (1.0 / max(1, depth - 1)) * min(1.0, problem.unit ** (1.0 / depth))
            with refusing("--rank"):
                model = gflow.Factorization(problem.shape, arguments.rank, depth)
                theta = model.random(np.random.default_rng(seed), scale)
        else:
            model, theta = read_start(start, problem.shape, arguments.rank)
        objective = gflow.Objective.of(problem, model)
        check_size(theta, problem.unit, "the start")
        settings = integration(arguments) if getattr(arguments, "optimizer", None) is None else stepping(arguments)
        return cls(problem, name, model, objective, theta, seed, scale, settings)

    @property
    def size(self) -> float:
        """Return the scale of the start in the unit of theta: what was asked for, or the root mean square."""
        import numpy as np

        if self.scale is not None:
            return self.scale / self.objective.theta_unit
        largest = float(np.abs(self.theta).max())
        return largest and largest * float(np.sqrt(np.mean((self.theta / largest) ** 2))) / self.objective.theta_unit

    @property
    def discrete(self) -> bool:
        """Return whether an optimizer makes steps, instead of an integration."""
        return "optimizer" in self.settings

    @property
    def graded(self) -> bool:
        """Return whether the trajectory is integrated in graded columns."""
        method = self.settings.get("method", "auto")
        if self.model.depth != 2 or self.discrete:
            return False
        return method == "graded" or (method == "auto" and 0 < self.size < GRADED_BELOW)

    def trajectory(self) -> gflow.Trajectory:
        """Return the trajectory from the start."""
        import gflow
        from gflow import graded

        if self.model.depth > 2 and self.settings.get("method") == "graded":
            return self._apart()
        if self.graded:
            settings = {key: value for key, value in self.settings.items() if key != "method"}
            return graded.graded_flow(self.problem, self.theta, rank=self.model.rank, **settings)

        if self.discrete:
            with refusing("--optimizer"):
                return gflow.descent(self.objective, self.theta, **self.settings)
        return gflow.gradient_flow(self.objective, self.theta, **self.settings)

    def _apart(self) -> gflow.Trajectory:
        """Return the trajectory of three and more factors, with what is outside the channels apart."""
        from math import log10

        import gflow

        if others := [f"--{key.replace('_', '-')}" for key in self.settings if key not in ("method", "rtol")]:
            raise Refused(f"{', '.join(others)}: not for --method graded at depth {self.model.depth}")
        assert self.scale is not None
        shape: dict[str, Any] = {"depth": self.model.depth, "rank": self.model.rank}
        rtol = {"rtol": self.settings["rtol"]} if "rtol" in self.settings else {}
        with refusing("--scale"):
            return gflow.deep_flow(self.problem, self.theta / self.scale, log10(self.scale), **shape, **rtol)

    def to_dict(self) -> dict[str, Any]:
        """Return what was run, for JSON."""
        return {
            "name": self.name,
            "shape": list(self.problem.shape),
            "width": self.model.rank,
            "depth": self.model.depth,
            "seed": None if self.scale is None else self.seed,
            "scale": self.scale,
            "graded": self.graded,
            **named(self.problem),
        }

    def facts(self) -> list[tuple[str, str]]:
        """Return what was run, for a reader."""
        start = "read from a file" if self.scale is None else f"scale {self.scale:g}, seed {self.seed}"
        why = "asked for" if self.settings.get("method") == "graded" else f"below {GRADED_BELOW:g} sqrt(max|M|)"
        below = f" ({why}: integrated in graded columns)" if self.graded else ""
        d1, d2 = self.problem.shape
        size = f"{d1} x {d2}, {self.problem.n_observed} observed, inner width {self.model.rank}"
        size += "" if self.model.depth == 2 else f", depth {self.model.depth}"
        return [("matrix", f"{self.name}, {size}"), ("start", start + below)]


def integration(arguments: Namespace) -> dict[str, Any]:
    """Return the settings of the flow; raises ``Refused`` for one of an optimizer."""
    for name in ("step", "momentum", "decay"):
        if getattr(arguments, name, None) is not None:
            raise Refused(f"--{name} is for an optimizer: name one with --optimizer")
    names = ("method", "rtol", "t_end", "max_evaluations")
    return {key: getattr(arguments, key) for key in names if getattr(arguments, key, None) is not None}


def stepping(arguments: Namespace) -> dict[str, Any]:
    """Return the settings of an optimizer; raises ``Refused`` for one of the flow."""
    if arguments.method != "auto" or arguments.rtol is not None or arguments.t_end is not None:
        raise Refused("--method, --rtol and --t-end are for the flow: leave out --optimizer")
    names = ("optimizer", "step", "momentum", "decay")
    found = {key: getattr(arguments, key) for key in names if getattr(arguments, key) is not None}
    return found if arguments.max_evaluations is None else found | {"max_steps": arguments.max_evaluations}


def announce_cost(run: TrajectoryRequest, arguments: Namespace) -> None:
    """Say on standard error what one evaluation costs, where the width is the default one and large."""
    chosen = arguments.rank is not None or run.scale is None
    if chosen or run.model.dim <= COSTLY or run.model.rank <= ADVISED or sys.stderr is None:
        return
    began = time.perf_counter()
    run.objective.gradient(run.theta)
    seconds = time.perf_counter() - began
    print(
        f"gflow: width {run.model.rank}: {run.model.dim:.2g} numbers, one evaluation takes about {seconds:.2g} s; "
        f"try --rank {ADVISED}, or gflow limit",
        file=sys.stderr,
        flush=True,
    )


def read_start(path: str, shape: tuple[int, int], rank: int | None) -> tuple[gflow.Factorization, np.ndarray]:
    """Return the model and the point that the arrays A and B of a file describe.

    Raises ``Refused`` if it cannot be read or does not fit the shape or the width.
    """
    import gflow
    from gflow import files

    with refusing(path):
        A, B = files.read_point(path)
        model = gflow.Factorization(shape, A.shape[1] if rank is None else rank)
        return model, model.theta(A, B)


def check_size(theta: np.ndarray, unit: float, name: str) -> None:
    """Raise ``Refused`` if the loss at the point called ``name`` would leave the range of a double."""
    import numpy as np

    largest = float(np.abs(theta).max())
    if largest > LARGEST_START * unit**0.5:
        raise Refused(f"entries of {name} must be at most {LARGEST_START:g} sqrt(max|M|); the largest is {largest:.3g}")


def check_writable_file(path: str | None) -> None:
    """Raise ``Refused`` unless a file of that name can be written; None is fine."""
    if path is None:
        return
    if os.path.isdir(path):
        raise Refused(f"{path}: Is a directory")
    _check_folder(Path(path).parent, path)


def check_writable_folder(path: str | None) -> None:
    """Raise ``Refused`` unless a folder of that name can be made and written to; None is fine."""
    if path is None:
        return
    folder = Path(path)
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    _check_folder(folder, path)


def check_report_folder(path: str | None, force: bool) -> None:
    """Raise ``Refused`` unless a report can be written there: a folder that holds another one asks for --force."""
    check_writable_folder(path)
    if path is not None and not force and any((Path(path) / name).is_file() for name in ("report.json", "report.html")):
        raise Refused(f"{path} holds a report already: --force writes over it, or name another folder with --out")


def written(report: Report, folder: str | None, arguments: Namespace) -> Path | None:
    """Return the page of a report, written into the folder as the arguments say; None without one."""
    if folder is None:
        return None
    from gflow.report import write_report

    lettered = getattr(arguments, "lettered", False)
    with refusing(folder):
        return write_report(report, folder, formats=arguments.format, width=arguments.width, lettered=lettered)


def _check_folder(folder: Path, path: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}") from error
