"""Records that cannot be read: each is told on standard error, all others are shown, and the exit code says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from useridentity.audit.reader import Unreadable
from useridentity.cli.ending import complain

UNSOUND = 12
"""Exit code: the journal is not as it was written, or has records that this release cannot read."""


class PassedOver:
    """A `search.PassOver`; `last` is the highest number of a record that was passed over, 0 where none was."""

    def __init__(self) -> None:
        self.last = 0

    def __call__(self, unreadable: Unreadable) -> None:
        self.last = max(self.last, unreadable.sequence)
        complain("warning: ", "yellow", f"passed over: {unreadable}")


@contextmanager
def passing_over() -> Iterator[PassedOver]:
    """What is shown in the block is not everything where records were passed over."""
    passed = PassedOver()
    yield passed
    if passed.last:
        raise typer.Exit(UNSOUND)
