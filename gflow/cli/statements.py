"""The ledger of statements as a subcommand."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gflow.cli.inputs import TrajectoryRequest, announce_cost
from gflow.cli.output import Outcome, Refused, facts, progress, table, verdict
from gflow.workers import one_thread

if TYPE_CHECKING:
    from gflow.statements.ledger import Ledger


def ledger(arguments: Namespace) -> Outcome:
    """Return every statement with its verdict; a premise that fails on the data is no contradicted theorem."""
    if arguments.method == "graded":
        raise Refused("argument --method: graded is for 'gflow flow' and 'gflow critical' (see gflow ledger --help)")
    with one_thread():
        from gflow.statements.ledger import ledger as of

        run = TrajectoryRequest.of(arguments)
        announce_cost(run, arguments)
        start = {"start": run.theta} if run.scale is None else {"scale": run.scale}
        with progress("verifying"):
            found = of(run.problem, seed=run.seed, model=run.model, **start, **run.settings)
    return Outcome(found.to_dict(), lambda: _parts(run, found), found.exit_code)


def _parts(run: TrajectoryRequest, found: Ledger) -> Iterator[Any]:
    from gflow.report import format_interval
    from gflow.statements.claims import tally

    yield facts(run.facts())
    rows = (
        (claim.id, claim.statement, verdict(claim), claim.measured, format_interval(claim.allowed))
        for claim in found.claims.values()
    )
    yield table("ledger", ["statement ", "says ", "verdict", "measured", "allowed"], rows)
    yield facts([(claim.id, claim.reason) for claim in found.claims.values() if claim.reason])
    if found.completions:
        yield from _completions(found)
    yield tally(found.claims.values())


def _completions(found: Ledger) -> Iterator[Any]:
    rows, columns = found.completions["rows"], found.completions["columns"]
    head = [f"{columns[0]} ", *columns[1:4], *(f"to {k + 1}" for k in range(len(rows)))]
    numbered = ([f"{k + 1} {row[0]}", *row[1:-1]] for k, row in enumerate(rows))
    yield table("completions, and their distances in the Frobenius norm", head, numbered)
    yield facts([(row[0], row[-1]) for row in rows])
