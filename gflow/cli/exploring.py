"""The subcommand ``explore``: the page of a matrix, served to this machine until it is interrupted."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gflow.cli.inputs import problem_of
from gflow.cli.output import Outcome, Refused, refusing, write

FIRST = "fig3"
"""The example that is shown where nothing is named."""


def explore(arguments: Namespace) -> Outcome:
    """Return, after it has been interrupted, where the page was; its address is written when it can be opened."""
    import asyncio

    from gflow.explore import MISSING

    try:
        from gflow.explore.server import Server
    except ModuleNotFoundError:
        raise Refused(MISSING) from None
    server = Server(_first(arguments), arguments.port or 0)
    with suppress(KeyboardInterrupt):
        asyncio.run(_served(server, arguments))
    return replace(_told(server.address), written=True)


def _first(arguments: Namespace) -> dict[str, Any]:
    """Return what the page begins with; raises ``Refused`` for a link or a matrix that cannot be shown."""
    from gflow.explore import first_message, link_message

    if arguments.link is not None:
        if arguments.file is not None or arguments.example is not None:
            raise Refused("--link holds the matrix: leave out FILE and --example")
        with refusing("--link"):
            return link_message(arguments.link)
    if arguments.file is None and arguments.example is None:
        arguments.example = FIRST
    problem, name = problem_of(arguments)
    with refusing(name):
        return first_message(problem, name)


async def _served(server: Any, arguments: Namespace) -> None:
    """Serve until the time that was allowed is over, or for ever."""
    import asyncio

    try:
        await server.start()
    except OSError as error:
        busy = f"port {arguments.port} cannot be had ({error.strerror}): name another with --port, or none"
        raise Refused(busy) from None
    outcome = _told(server.address)
    write(outcome.json() if arguments.json else outcome.text())
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), arguments.timeout)
    finally:
        await server.close()


def _told(address: str) -> Outcome:
    return Outcome({"address": address}, lambda: iter([f"{address}\nOpen this in a browser; Ctrl-C ends it."]))
