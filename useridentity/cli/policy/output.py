"""What the commands print: plain text that fits the terminal, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from textwrap import wrap

from useridentity.printable import printable

USUAL = 80
"""Columns where there is no terminal to ask."""

WIDEST = 100
"""Columns; longer lines are hard to read."""

NARROWEST = 40
"""Columns; on a narrower terminal lines break, as they must."""


def say(text: str = "", first: str = "", indent: str | None = None) -> None:
    """Print a paragraph that begins with `first`, its other lines indented as far or by `indent`."""
    for line in paragraph(text, first, " " * len(first) if indent is None else indent):
        print(line)


def paragraph(text: str, first: str, indent: str) -> list[str]:
    """The lines of a paragraph."""
    width = max(NARROWEST, min(shutil.get_terminal_size((USUAL, 24)).columns, WIDEST))
    lines = wrap(printable(text), width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    return lines or [first.rstrip()]


def rows(cells: Iterable[Sequence[str]]) -> Iterable[str]:
    """The lines of a table whose columns are two spaces apart."""
    table = [[printable(cell) for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def as_json(content: object) -> str:
    """For scripts; ASCII, so that nothing in it reaches a terminal as itself."""
    return json.dumps(content, indent=2, default=str)


def listed(words: Iterable[str], last: str = "and") -> str:
    """As people write lists: "a", "a and b", "a, b and c"."""
    *others, final = list(words) or ["nothing"]
    return f"{', '.join(others)} {last} {final}" if others else final
