"""A process that computes for one visitor: lines of JSON in, lines of JSON out, a newer line stops an older run.

What comes in has the number of its ``run`` and one of ``ask`` (a state), ``open`` (a link or a matrix as text),
``example``, ``summary`` (a matrix too large to be explored), ``report`` or ``stop``. Nothing that comes in is executed
or names a file. The process ends with its standard input, so that none is left behind.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any, TextIO

import gflow
from gflow import watch
from gflow.data import example
from gflow.explore import summary
from gflow.explore.stages import Memory, described
from gflow.explore.state import BadState, State, of_link, of_page, of_problem, of_text
from gflow.report import json_ready

FAILED = "the computation failed"


class Inbox:
    """The newest line that has come in; a thread waits for it, so that a run can see that it is out of date."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._line, self._ended = stream, "", False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._stream:
            with self._changed:
                self._line = line
                self._changed.notify()
        with self._changed:
            self._ended = True
            self._changed.notify()

    def waiting(self) -> bool:
        """Return whether a newer line has come in, or none will come any more."""
        return bool(self._line) or self._ended

    def take(self) -> dict[str, Any] | None:
        """Return the newest message when it has come; None at the end."""
        with self._changed:
            self._changed.wait_for(self.waiting)
            line, self._line = self._line, ""
        return json.loads(line) if line else None


class Calculation:
    """What one process does for its visitor."""

    def __init__(self, inbox: Inbox, out: TextIO) -> None:
        self.inbox, self.out, self.visit, self.run = inbox, out, Memory(), 0

    def serve(self) -> None:
        """Write answers until no more messages come."""
        self.tell(ready=True)
        while (message := self.inbox.take()) is not None:
            self.run = int(message.get("run", 0))
            try:
                with watch.watching(self.progress, strict=True, stopped=self.inbox.waiting):
                    self.answer(message)
            except BadState as bad:
                cells = [{"row": i, "column": j, "says": text} for i, j, text in bad.cells]
                self.tell(bad={"says": str(bad), "cells": cells})
            except watch.TimeIsUp:
                pass  # what is newer is told next
            except (ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
                self.tell(bad={"says": f"{FAILED}: {' '.join(str(error).split())}", "cells": []})

    def answer(self, message: dict[str, Any]) -> None:
        """Write the answer to one message, part by part."""
        if "stop" in message:
            self.tell(over=True, stopped=True)
        elif "summary" in message:
            summary.tell(message["summary"], self.part, lambda text: self.tell(running=text))
            self.tell(over=True)
        elif "report" in message:
            self.tell(report=summary.report(of_page(message["report"])))
        else:
            self.explore(state_of(message), fresh="ask" not in message)

    def explore(self, state: State, *, fresh: bool) -> None:
        """Write the state as it was understood, and then every part that has changed."""
        state.problem()  # what is wrong with the matrix as a whole is told before anything is computed
        if fresh:
            self.visit = Memory()
        self.part("state", described(state))
        self.tell(same=self.visit.unchanged(state))
        for running in self.visit.answer(state, self.part):
            self.tell(running=running)
        self.tell(over=True)

    def part(self, name: str, answer: dict[str, Any]) -> None:
        """Write one part of an answer."""
        self.tell(part=name, answer=answer)

    def progress(self, seen: watch.Progress) -> None:
        """Write what is running and how far it is."""
        self.tell(running=seen.stage, done=seen.done, total=seen.total)

    def tell(self, **said: Any) -> None:
        """Write one line: the number of the run, and what is said as JSON."""
        text = json.dumps(json_ready({"run": self.run, **said}), allow_nan=False, separators=(",", ":"))
        self.out.write(f"{self.run} {text}\n")
        self.out.flush()


def state_of(message: dict[str, Any]) -> State:
    """Return the state that a message asks for; ``BadState`` says what is wrong."""
    if "ask" in message:
        return of_page(message["ask"])
    if "example" in message:
        name = str(message["example"])
        try:
            return of_problem(example(name), name)
        except ValueError as error:
            raise BadState(str(error)) from None
    text = str(message.get("open", ""))
    found = of_link(text) if "m=" in text else of_text(text)
    return replace(found, name=str(message.get("name", found.name)))


def warm(inbox: Inbox) -> None:
    """Compute a small answer until a visitor comes, so that what is loaded on demand is loaded before."""
    problem = gflow.MatrixCompletion([[1.0, 2.0], [3.0, math.nan]])
    with suppress(watch.TimeIsUp), watch.watching(strict=True, stopped=inbox.waiting):
        for _ in Memory().answer(of_problem(problem, "warm"), lambda name, answer: None):
            pass


def main() -> None:
    """Serve standard input; whatever else prints goes to standard error."""
    from threadpoolctl import threadpool_limits

    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    inbox = Inbox(sys.stdin)
    with threadpool_limits(limits=1):
        if "--cold" not in sys.argv:
            warm(inbox)
        try:
            Calculation(inbox, out).serve()
        except BrokenPipeError:  # nobody listens any more
            os._exit(0)


if __name__ == "__main__":
    main()
