"""The files of a journal: the one that is written, and those that were full, named by their records.

`audit.db` becomes `audit-000000000001-000001048576.db`, and a new `audit.db` continues it.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from useridentity.audit.chain import Chain, Head
from useridentity.audit.here import this_process
from useridentity.audit.record import Anchor, Kind, Record
from useridentity.audit.segment import BUSY, checked_seal, reading
from useridentity.errors import ConfigurationError

DIGITS = 12
"""Of a record's number in a file name, so that names sort as numbers: enough for 5,000 records a second for 6 years."""

LOOK_AGAIN = 0.01
"""Seconds between two looks whether another process has done with the file: it takes that long to sync one."""


class Archive(NamedTuple):
    """A full file, with the numbers of its first and last record."""

    first: int
    last: int
    path: Path


def archives(journal: Path) -> list[Archive]:
    """The full files of the journal at this path, oldest first."""
    pattern = re.compile(re.escape(journal.stem) + r"-(\d+)-(\d+)" + re.escape(journal.suffix))
    beside = journal.parent.iterdir() if journal.parent.is_dir() else ()
    names = [match for path in beside if (match := pattern.fullmatch(path.name))]
    return sorted(Archive(int(match[1]), int(match[2]), journal.parent / match[0]) for match in names)


def files(journal: Path) -> list[Path]:
    """All files of the journal, oldest first, the one that is written last."""
    newest = [journal] if journal.exists() else []  # looked for first: put away by then, it is found among the full
    return [each.path for each in archives(journal)] + newest


@contextmanager
def alone(key: Path) -> Iterator[None]:
    """Of all who write the journal with this key, nobody else opens or puts away its file until the block ends.

    SQLite finds a file's write-ahead log by name: who opened it under a name that is another file's by now, would
    mix the two up. Raises `ConfigurationError` where another process stays in such a block.
    """
    descriptor = os.open(key, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(descriptor, key)
        yield
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # at once, even where a child process has the descriptor too
    finally:
        os.close(descriptor)


def _lock(descriptor: int, key: Path) -> None:
    deadline = time.monotonic() + BUSY
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ConfigurationError(f"{key}: locked by another process for {BUSY:g} s") from None
        time.sleep(LOOK_AGAIN)


def in_order(journal: Path) -> Iterator[Path]:
    """All files, oldest first, looked for one by one: those that are put away while others are read, too."""
    before = None
    while True:
        with held(journal):
            more = next((each for each in archives(journal) if before is None or each > before), None)
            if more is None:
                yield from [journal] if journal.exists() else ()
                return
        before = more
        yield before.path


@contextmanager
def held(journal: Path) -> Iterator[None]:
    """The newest file, where there is one that can be read, is not put away until the block ends."""
    with ExitStack() as stack:
        with suppress(sqlite3.Error, ConfigurationError):
            stack.enter_context(reading(journal))
        yield


def full_name(journal: Path) -> Path:
    """The name of the file as a full one."""
    with reading(journal) as database:
        first, last = database.execute("SELECT min(sequence), max(sequence) FROM record").fetchone()
    return journal.with_name(f"{journal.stem}-{first:0{DIGITS}}-{last:0{DIGITS}}{journal.suffix}")


def inherited(journal: Path, chain: Chain) -> tuple[tuple[str, Head] | None, dict[str, int]]:
    """What the newest full file leaves to the next one: its head, and where each sink is."""
    full = archives(journal)
    if not full:
        return None, {}
    with reading(full[-1].path) as database:
        cursors = dict(database.execute("SELECT sink, sequence FROM cursor"))
        return checked_seal(database, chain, "head"), cursors


def outdated(journal: Path, keep: float, taken: int | None) -> Iterator[Archive]:
    """Full files whose records are all older than `keep` seconds, and up to `taken`, where that matters."""
    limit = (time.time() - keep) * 1_000_000
    for archive in archives(journal):
        with reading(archive.path) as database:
            newest = database.execute("SELECT max(time) FROM record").fetchone()[0]
        if newest >= limit or (taken is not None and archive.last > taken):
            return
        yield archive


def retirement(archive: Archive, chain: Chain) -> Record:
    """What the journal says of a full file before it is removed, so that it is not missed."""
    with reading(archive.path) as database:
        journal, head = checked_seal(database, chain, "head")
    return Record(
        Kind.RETIRED,
        acceptor=this_process(),
        detail=f"{archive.path.name} was older than it is to be kept",
        count=archive.last - archive.first + 1,
        anchor=Anchor(journal, head.sequence, head.mac.hex()),
    )
