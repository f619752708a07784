"""What is aimed at, in one table: user CPU time of each goal, checked, as a ratio to one yardstick of the same run."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

STORED = Path(__file__).resolve().parent / "ratios.json"
"""Ratios of an earlier run by name, with which the next ones are compared."""
YARDSTICK = 0.031
"""Seconds of the yardstick, bare LSODA on Figure 3 from 1e-8 to loss 1e-16, where the goals were set."""
SLOWER = 1.2
"""A ratio this many times the stored one is a regression."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A piece of work and the seconds it may take.

    ``run`` does it and raises ``ValueError`` where the answer is wrong; it returns how many pieces the time is for, or
    the seconds themselves where another process spent them. ``megabytes`` bounds the memory of such a process. Where a
    run has two sides of its own, ``most`` bounds their ratio instead.
    """

    name: str
    title: str
    seconds: float
    run: Callable[[], Spent]
    repeats: int = 3
    megabytes: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run says of itself: the pieces of work in it, seconds and MiB where another process did it.

    ``ratio`` is that of its two sides where it has them.
    """

    pieces: int = 1
    seconds: float | None = None
    megabytes: float | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class GoalRow:
    """One line of the table; ``ratio`` and ``allowed`` are in yardsticks, or of two sides; ``stored`` is older."""

    name: str
    title: str
    seconds: float
    ratio: float
    allowed: float
    stored: float | None
    megabytes: float | None = None
    most_megabytes: float | None = None

    @property
    def verdict(self) -> str:
        """Return PASS, or what it falls short of."""
        late = self.ratio > self.allowed
        large = self.most_megabytes is not None and (self.megabytes or 0.0) > self.most_megabytes
        return "PASS" if not late and not large else "short" if late else "short of memory"

    @property
    def slower(self) -> float | None:
        """Return the ratio relative to the stored one where it is a regression, else None."""
        if self.stored is None or self.ratio <= SLOWER * self.stored:
            return None
        return self.ratio / self.stored

    def to_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self) | {"verdict": self.verdict, "slower": self.slower}


def require(right: bool, what: str) -> None:
    """Raise ``ValueError`` where an answer is wrong."""
    if not right:
        raise ValueError(f"wrong answer: {what}")


def user_seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the user CPU time that a call takes, and what it returns."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    found = run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before, found


def reached(goals: Sequence[Goal], yardstick: Callable[[], Any], stored: dict[str, float]) -> list[GoalRow]:
    """Return a row for each goal; the yardstick is taken before and after each of them.

    Raises ``ValueError`` where an answer is wrong: it has no time.
    """
    yardstick()
    rows = []
    for goal in goals:
        lengths, times, last = [user_seconds(yardstick)[0]], [], Spent()
        for _ in range(goal.repeats):
            spent, last = user_seconds(goal.run)
            times.append((spent if last.seconds is None else last.seconds) / last.pieces)
            lengths.append(user_seconds(yardstick)[0])
        seconds, length = median(times), median(lengths)
        row = GoalRow(
            goal.name,
            goal.title,
            seconds,
            seconds / length if last.ratio is None else last.ratio,
            goal.seconds / YARDSTICK if goal.most is None else goal.most,
            stored.get(goal.name),
            last.megabytes,
            goal.megabytes,
        )
        rows.append(row)
    return rows


def told(rows: Sequence[GoalRow]) -> str:
    """Return the rows as lines of text."""
    lines = [f"{'goal':54} {'user s':>9} {'ratio':>8} {'allowed':>8} {'MiB':>6}  verdict"]
    for row in rows:
        memory = "" if row.megabytes is None else f"{row.megabytes:.0f}"
        change = "" if row.slower is None else f", {row.slower:.2f} times the stored ratio: REGRESSION"
        numbers = f"{row.seconds:9.4f} {row.ratio:8.3f} {row.allowed:8.3f} {memory:>6}"
        lines.append(f"{row.title:54} {numbers}  {row.verdict}{change}")
    lines.append(
        "ratio: to bare LSODA on Figure 3 from 1e-8 to loss 1e-16, in the same run, or as said; allowed: of the goal"
    )
    return "\n".join(lines)


def stored_ratios() -> dict[str, float]:
    """Return the ratios of an earlier run by the name of the goal."""
    kept: dict[str, float] = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    return kept


def store(rows: Sequence[dict[str, Any]], file: Path = STORED) -> None:
    """Write the ratios of these rows beside those that are stored of other goals."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept |= {row["name"]: round(row["ratio"], 4) for row in rows}
    file.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
