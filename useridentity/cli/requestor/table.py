"""Rows for people: a table where the terminal is wide enough for it, else a block of lines for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from useridentity.printable import printable

GAP = "  "


class Table:
    """The first screenful decides how wide the columns are; the rows after it are shown as they come.

    `begins` is called before anything is shown.
    """

    def __init__(self, columns: Sequence[str], begins: Callable[[], None]) -> None:
        self._columns = list(columns)
        self._begins = begins
        self._console = Console(soft_wrap=True, highlight=False)
        self._waiting: list[list[str]] = []
        self._widths: list[int] | None = None

    def add(self, row: Sequence[str]) -> None:
        """Show a row, or keep it until there is a screenful."""
        cells = [printable(cell) for cell in row]
        if self._widths is not None:
            self._show(cells)
            return
        self._waiting.append(cells)
        if len(self._waiting) >= self._console.height - 1:  # the head needs a line
            self.show()

    def show(self) -> None:
        """Show the rows that were kept."""
        if self._widths is not None or not self._waiting:
            return
        self._begins()
        self._widths = [max(map(cell_len, column)) for column in zip(self._columns, *self._waiting, strict=True)]
        if self._fits:
            self._line(self._columns, "bold")
        for row in self._waiting:
            self._show(row)
        self._waiting.clear()

    @property
    def _fits(self) -> bool:
        widths = self._widths or []
        return sum(widths) + len(GAP) * (len(widths) - 1) <= self._console.width

    def _show(self, row: list[str]) -> None:
        if self._fits:
            self._line(row)
            return
        width = max(map(cell_len, self._columns))
        for name, cell in zip(self._columns, row, strict=True):
            self._console.print(Text(_padded(name, width), "bold") + Text((GAP + cell).rstrip()))
        self._console.print()

    def _line(self, cells: list[str], style: str = "") -> None:
        padded = (_padded(cell, width) for cell, width in zip(cells, self._widths or (), strict=True))
        self._console.print(Text(GAP.join(padded).rstrip(), style))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
