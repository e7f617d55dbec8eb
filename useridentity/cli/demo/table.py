"""The demo's table: five columns where there is room for them, two lines for each peer where there is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

LONGEST_REASON = len("identity-type-not-accepted:")
LONGEST_SIGHT = len("accepted, both proved")
BORDERS = 10
"""Of three columns: each has a space either side and a line."""

USUAL = 80
"""Columns of a terminal; on a narrower one words break, as they must."""

FIVE_COLUMNS = 130
"""Columns of the terminal from which on five of the table leave most cells on one line."""

COLOURS = {"accepted": "green", "rejected": "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one peer; each field is a column."""

    sent: str
    decided: str
    why: str
    saw: str
    through: str


def table(groups: Iterable[Sequence[Row]], width: int) -> Table:
    """The rows, a line between groups of them, for a terminal of `width` columns."""
    return _wide(groups) if width >= FIVE_COLUMNS else _narrow(groups, width)


def _wide(groups: Iterable[Sequence[Row]]) -> Table:
    made = Table("sent", "decided", "why", "what the peer saw", "what got through")
    for group in groups:
        for row in group:
            made.add_row(row.sent, _coloured(row.decided), Text(row.why), row.saw, Text(row.through))
        made.add_section()
    return made


def _narrow(groups: Iterable[Sequence[Row]], width: int) -> Table:
    made = Table()
    # What breaks first is what we worded, at spaces.
    made.add_column("sent", max_width=max(width, USUAL) - BORDERS - LONGEST_SIGHT - LONGEST_REASON)
    made.add_column("decided\nwhat the peer saw")
    made.add_column("why\nwhat got through", overflow="fold")
    for group in groups:
        for row in group:
            made.add_row(row.sent, _coloured(row.decided), Text(row.why))
            made.add_row("", row.saw, Text(row.through))
        made.add_section()
    return made


def _coloured(decided: str) -> Text:
    return Text(decided, COLOURS.get(decided, ""))
