"""The processes that compute, one for each visitor and one in reserve, and what passes between page and process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

MOST_VISITORS = 8
"""Pages that are served at once: each has a process of about 200 MB."""
RESERVE_AFTER = 2.0
"""Seconds after which the next process is started, so that the first answer has the machine for itself."""
OBEYS_WITHIN = 1.5
"""Seconds that an older run has to see that it is out of date; then its process is replaced."""
LONGEST_LINE = 2**26
COMMAND = (sys.executable, "-m", "gflow.explore.worker")
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
Tell = Callable[[str], Awaitable[None]]


class Calculator:
    """One process: messages go in, lines come out."""

    def __init__(self, process: Process) -> None:
        self.process, self.ready = process, False

    @classmethod
    async def started(cls, *options: str) -> Calculator:
        """Return a process that has just been started; it is of use at once, and quick when it is ``ready``."""
        path = os.pathsep.join(filter(None, (*sys.path, os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, *options),
            stdin=PIPE,
            stdout=PIPE,
            limit=LONGEST_LINE,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C in the terminal is for the server, which ends its processes
        )
        return cls(process)

    def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        assert self.process.stdin is not None
        with suppress(ConnectionError, RuntimeError):  # one that has ended is noticed where it is listened to
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def line(self) -> tuple[int, str] | None:
        """Return the number of a run and what is said of it; None when the process has ended."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            return None
        run, _, text = line.decode().partition(" ")
        self.ready = True
        return int(run), text

    async def end(self) -> None:
        """End the process."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


class Pool:
    """The processes of all visitors, and one in reserve."""

    def __init__(self) -> None:
        self.visits: set[Visitor] = set()
        self._reserve: asyncio.Task[Calculator] | None = None

    def prepare(self, after: float = 0.0) -> None:
        """Start the process in reserve, after some seconds, if there is none."""
        if self._reserve is None:
            self._reserve = asyncio.ensure_future(self._started(after))

    @staticmethod
    async def _started(after: float) -> Calculator:
        await asyncio.sleep(after)
        return await Calculator.started()

    async def take(self) -> Calculator:
        """Return the process in reserve, or a new one."""
        self.prepare()
        assert self._reserve is not None
        task, self._reserve = self._reserve, None
        if not task.done() and task.cancel():  # it still sleeps
            with suppress(asyncio.CancelledError):
                return await task
            found = await Calculator.started()
        else:
            found = await task
        self.prepare(RESERVE_AFTER)
        return found

    async def close(self) -> None:
        """End all processes."""
        for visit in list(self.visits):
            await visit.end()
        if self._reserve is not None:
            self._reserve.cancel()
            with suppress(asyncio.CancelledError):
                await (await self._reserve).end()


class Visitor:
    """One page that is open: what it asks goes to its process, what that finds goes back. It shares nothing.

    Attributes
    ----------
    pool : Pool
    tell : function
        Sends a line to the page.
    first : dict
        What is shown to who asks for nothing.
    """

    def __init__(self, pool: Pool, tell: Tell, first: dict[str, Any]) -> None:
        self.pool, self.tell, self.first = pool, tell, first
        self.heard, self.wanted, self.failures = 0, first, 0
        self.calculator: Calculator | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Take a process and listen to it."""
        self.pool.visits.add(self)
        self.calculator = await self.pool.take()
        self._keep(self._listen())

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def receive(self, message: dict[str, Any]) -> None:
        """Pass on what a page asks; a report has a process of its own, everything else replaces what runs."""
        if "report" in message:
            if not any(task.get_name() == "report" for task in self.tasks):
                self._keep(self._report(message))
            return
        if message.get("open") == "":
            message = {**self.first, "run": message["run"]}
        self.wanted, self.failures = message, 0
        assert self.calculator is not None
        self.calculator.send(message)
        self._keep(self._insist(message))

    async def _insist(self, message: dict[str, Any]) -> None:
        """Replace a process that goes on with an older run."""
        await asyncio.sleep(OBEYS_WITHIN)
        late = self.wanted is message and self.heard < message["run"]
        if late and self.calculator is not None and self.calculator.ready:
            await self.calculator.end()  # who listens takes another one

    async def _listen(self) -> None:
        while self.calculator is not None:
            said = await self.calculator.line()
            if said is None:
                await self._replace()
            elif said[0]:
                self.heard = max(self.heard, said[0])
                await self.tell(said[1])

    async def _replace(self) -> None:
        """Go on with another process; a message on which two have ended is given up."""
        self.failures += self.heard >= self.wanted.get("run", 0)
        self.calculator = await self.pool.take()
        if self.failures < 2:
            self.calculator.send(self.wanted)
            return
        says = "the process that computes this has ended twice; change the matrix to go on"
        await self.tell(json.dumps({"run": self.wanted["run"], "bad": {"says": says, "cells": []}}))

    async def _report(self, message: dict[str, Any]) -> None:
        """Pass on what a process of its own says while it writes the report."""
        task = asyncio.current_task()
        assert task is not None
        task.set_name("report")
        calculator = await Calculator.started("--cold")
        try:
            calculator.send(message)
            while (said := await calculator.line()) is not None:
                if said[0]:
                    told = json.loads(said[1])
                    await self.tell(json.dumps({"reporting": told}))
                    if "report" in told or "bad" in told:
                        return
            await self.tell(json.dumps({"reporting": {"bad": {"says": "the process that wrote it has ended"}}}))
        finally:
            await calculator.end()

    async def end(self) -> None:
        """End the process and everything that waits for it."""
        self.pool.visits.discard(self)
        calculator, self.calculator = self.calculator, None
        for task in list(self.tasks):
            task.cancel()
        if calculator is not None:
            await calculator.end()
