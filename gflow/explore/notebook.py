"""The explorer in a notebook: the page inside its cell, served by a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from html import escape
from typing import Any

import gflow
from gflow.explore.state import EXPLORED_SIDE, of_link, of_problem

FRAME_HEIGHT = 900
MISSING = "the explorer needs tornado: pip install 'gflow-toolkit[explore]'"


class Explorer:
    """A running explorer. It shows its page in a notebook and its ``address`` elsewhere; ``close()`` ends it.

    Attributes
    ----------
    address : str
        On the loopback address of the machine on which Python runs, with a token.
    """

    def __init__(self, first: dict[str, Any], port: int) -> None:
        from gflow.explore.server import Server

        self._server = Server(first, port, framed=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result()
        except OSError:
            self._stop()
            raise
        self.address = self._server.address

    def close(self) -> None:
        """End the server and all processes; a second call does nothing."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result()
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __repr__(self) -> str:
        return f"Explorer({self.address})" if self._thread.is_alive() else "Explorer(closed)"

    def _repr_html_(self) -> str:
        if not self._thread.is_alive():
            return "<p>The explorer is closed.</p>"
        address = escape(self.address)
        style = f"width:100%;height:{FRAME_HEIGHT}px;border:0"
        return (
            f'<iframe src="{address}" title="gflow explore" style="{style}"></iframe>'
            f'<div><a href="{address}" target="_blank" rel="noopener">in a page of its own</a></div>'
        )


def link_message(link: str) -> dict[str, Any]:
    """Return the message with which a page begins that restores a link; ``BadState`` says what is wrong with it."""
    return {"run": 0, "open": of_link(link).link()}


def first_message(problem: gflow.MatrixCompletion, name: str) -> dict[str, Any]:
    """Return the message with which a page begins: the link of a matrix, or a large one to be summarised."""
    if max(problem.shape) > EXPLORED_SIDE:
        from gflow.explore.summary import packed

        return {"run": 0, "summary": packed(problem, name)}
    return {"run": 0, "open": of_problem(problem, name).link(), "name": name}


def explore(problem: Any, *, name: str = "the matrix", port: int = 0) -> Explorer:
    """Return a live explorer of a matrix: change it, and see class, saddles, limit and law at once.

    Parameters
    ----------
    problem : MatrixCompletion, or an array with NaN, a data frame or a sparse array
        Up to 12 x 12; a larger one is shown with its summary.
    name : str
        What it is called.
    port : int
        Of the loopback address on which the page is served. Default: one that is free.

    Raises
    ------
    ImportError
        If tornado is not installed: the extra ``explore``.
    TypeError, ValueError
        As ``MatrixCompletion`` for what is no matrix.
    OSError
        If the port is taken.

    The page is served to this machine alone, behind a token, until ``close()`` or the end of Python. ``gflow explore``
    does the same on the command line.
    """
    try:
        import tornado  # noqa: F401 - asked for before anything is started
    except ImportError:
        raise ImportError(MISSING) from None
    return Explorer(first_message(gflow.as_completion(problem), name), port)
