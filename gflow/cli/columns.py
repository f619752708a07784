"""Tables that lose no digit and no word in silence: in a narrow room whole columns go, and a note says which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

LONGEST_WORD = 20
"""A column of text is never narrower than its longest word, up to so many characters; longer words are folded."""
BETWEEN = 2
"""Characters from one column to the next."""
RULED = "    \n    \n -- \n    \n    \n    \n    \n    \n"
"""Lines of a table: one under its head."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A table under its title, with as many of its columns, from the left, as the console has room for.

    Columns whose name ends in a space hold text: they begin at the left and fold. All others keep to one line.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        shown = self.fitting(options.max_width)
        yield Text(self.title, style="bold")
        yield self._grid(shown)
        dropped = [name.strip() for name in self.columns[shown:]]
        if dropped:
            yield f"left out at {options.max_width} characters a line: {', '.join(dropped)}"

    def fitting(self, room: int) -> int:
        """Return how many columns, one at least, fit into so many characters."""
        used = 0
        for count, width in enumerate(self._widths()):
            used += width + BETWEEN
            if used > room + 1 and count:
                return count
        return len(self.columns)

    def _widths(self) -> Iterator[int]:
        """Yield the least width of every column."""
        for k, name in enumerate(self.columns):
            cells = [name.strip(), *(str(row[k]) for row in self.rows)]
            if name.endswith(" "):
                yield min(LONGEST_WORD, max(len(word) for cell in cells for word in (cell.split() or [""])))
            else:
                yield max(map(len, cells))

    def _grid(self, shown: int) -> Any:
        from rich.box import Box
        from rich.table import Table

        result = Table(box=Box(RULED, ascii=True), show_edge=False, padding=(0, 1, 0, 0))
        for name in self.columns[:shown]:
            if name.endswith(" "):
                result.add_column(name.strip(), justify="left", overflow="fold")
            else:
                result.add_column(name, justify="right", no_wrap=True, overflow="fold")
        for row in self.rows:
            result.add_row(*row[:shown])
        return result
