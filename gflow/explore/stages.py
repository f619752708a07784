"""An answer in stages, the quick ones first; of a new state only those whose ingredients have changed are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gflow import watch
from gflow.explore import answers, courses, sweeping, theorems
from gflow.explore.program import program
from gflow.explore.state import State

Emit = Callable[[dict[str, Any]], None]
MATRIX = ("values", "seen")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One part of what is shown: its name, what is said while it runs, what it depends on, and how it is found."""

    name: str
    running: str
    depends: tuple[str, ...]
    find: Callable[[State, Emit], dict[str, Any] | None]

    def key(self, state: State) -> Any:
        """Return what must be equal for the part to stay as it is."""
        return tuple(getattr(state, name) for name in self.depends)


def _draws(state: State, _: Emit) -> dict[str, Any] | None:
    return {"draws": answers.draws(state, state.draws)} if state.draws else {"draws": []}


def _sweep(state: State, emit: Emit) -> dict[str, Any] | None:
    return {"points": [], "jumps": [], "done": True} if state.sweep is None else sweeping.sweep(state, emit)


PARTS = (
    Part("limit", "following the saddles", (*MATRIX, "depth"), lambda state, _: answers.limit(state)),
    Part("draws", "drawing starts", (*MATRIX, "depth", "seed", "draws"), _draws),
    Part("course", "integrating", (*MATRIX, "depth", "seed", "exponent"), lambda state, _: courses.course(state)),
    Part("sweep", "sweeping", (*MATRIX, "depth", "sweep"), _sweep),
    Part("minima", "certifying minima", (*MATRIX, "depth"), lambda state, _: theorems.minima(state)),
    Part("verdicts", "checking theorems", (*MATRIX, "depth"), theorems.verdicts),
)
"""The parts in the order in which they are found."""


def described(state: State) -> dict[str, Any]:
    """Return the state itself as the page takes it: cells, link and program."""
    return state.to_dict() | {"link": state.link(), "program": program(state)}


@dataclass
class Memory:
    """What one visitor has been told already: of every part, for which ingredients."""

    known: dict[str, Any] = field(default_factory=dict)

    def unchanged(self, state: State) -> list[str]:
        """Return the names of the parts that stay as they have been told."""
        return [part.name for part in PARTS if self.known.get(part.name) == part.key(state)]

    def answer(self, state: State, tell: Callable[[str, dict[str, Any]], None]) -> Iterator[str]:
        """Yield what is running; tell every part as it is found.

        A part that fails, as mathematics can, is told by the sentence of its error; the others go on. Raises
        ``watch.TimeIsUp`` where it is stopped.
        """
        for part in PARTS:
            key = part.key(state)
            if self.known.get(part.name) == key:
                continue
            self.known.pop(part.name, None)
            yield part.running
            with watch.stage(part.running):
                tell(part.name, self._found(part, state, lambda some, name=part.name: tell(name, some)))  # type: ignore[misc]
            self.known[part.name] = key

    @staticmethod
    def _found(part: Part, state: State, emit: Emit) -> dict[str, Any]:
        try:
            return part.find(state, emit) or {}
        except watch.TimeIsUp:
            raise
        except (ArithmeticError, ValueError, RuntimeError) as error:
            return {"failed": " ".join(str(error).split()) or type(error).__name__}
