"""The subcommand ``landscape``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gflow.cli.inputs import check_report_folder, named, problem_of, written
from gflow.cli.output import Outcome, facts, progress, refusing, table
from gflow.workers import one_thread

if TYPE_CHECKING:
    from pathlib import Path

    import gflow

NARROW = {
    **{"node": "node ", "kind": "kind ", "Omega": "Omega ", "leads to": "leads to "},
    **{"zero modes": "zero", "continuum": "flat"},
}
"""Heads of the columns on a terminal; those that end in a space hold text."""


def landscape(arguments: Namespace) -> Outcome:
    """Return every critical orbit with its spectrum, the flow between them, and whether one may be missing."""
    import numpy as np

    import gflow
    from gflow.report.landscapes import landscape_claims, landscape_report
    from gflow.statements.claims import exit_code

    check_report_folder(arguments.report, arguments.force)
    with one_thread():
        problem, name = problem_of(arguments)
        with refusing("--rank"), progress("searching the landscape"):
            model = gflow.Factorization(problem.shape, arguments.rank)
            rng = np.random.default_rng(arguments.seed or 0)
            start = None if arguments.seed is None else model.random(arguments.seed)
            found = gflow.landscape(problem, model, rng=rng, start=start)
        asked = arguments.report is not None
        page = written(landscape_report(found, name), arguments.report, arguments) if asked else None
    payload = {"name": name, "n_observed": problem.n_observed} | found.to_dict() | named(problem)
    return Outcome(payload, lambda: _parts(found, name, page), exit_code(landscape_claims(found)))


def _parts(found: gflow.Landscape, name: str, page: Path | None) -> Iterator[Any]:
    from gflow.report.landscapes import HEAD, level_rows, rows, summary

    shown = [n for n, name in enumerate(HEAD) if name != "gauge" and (name != "Omega" or _partial(found))]

    assert found.shape is not None
    size = " x ".join(map(str, found.shape))
    yield facts(
        [
            ("matrix", f"{name}, {size}, inner width {found.width}"),
            ("found", summary(found)),
            ("completeness", found.sentence()),
            ("path", f"{' -> '.join(str(each + 1) for each in found.path)}: {found.path_status}"),
            *(("note", note) for note in found.notes),
            *((("page", str(page)),) if page is not None else ()),
        ]
    )
    yield table(
        "nodes", [NARROW.get(HEAD[n], HEAD[n]) for n in shown], [[row[n] for n in shown] for row in rows(found)]
    )
    head, levels = level_rows(found)
    yield table("counts", [*head[:-1], f"{head[-1]} "], levels)
    yield (
        "*: on the path of small starts; index: negative eigenvalues of the Hessian,\n"
        "inside: those at width k; zero: zero modes; flat: dimension of a continuum at\n"
        "width k; a node stands for an orbit, whatever A and B; rates, connections and\n"
        "gauge: --json, or the page of --out"
    )


def _partial(found: gflow.Landscape) -> bool:
    """Return whether some node lies on a sub-Omega."""
    return any(node.omega == "sub-Omega" for node in found.nodes)
