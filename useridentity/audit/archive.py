"""The files of a journal: the one that is written, and those that were full, named by their records.

`audit.db` becomes `audit-000000000001-000001048576.db`, and a new `audit.db` continues it.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from useridentity.audit.chain import Chain, Head
from useridentity.audit.here import this_process
from useridentity.audit.record import Anchor, Kind, Record
from useridentity.audit.segment import BUSY, checked_seal, reading, rows
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
    newest = [journal] if journal.is_file() else []  # looked for first: put away by then, it is found among the full
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


Opening = AbstractContextManager[sqlite3.Connection]


def in_order(journal: Path) -> Iterator[tuple[Path, Opening]]:
    """All files, oldest first, looked for one by one: those that are put away while others are read, too."""
    before = None
    while True:
        with at_once(journal) as (full, newest):
            more = next((each for each in full if before is None or each > before), None)
            if more is None:
                yield from [(journal, newest)] if journal.exists() else []
                return
        before = more
        yield more.path, reading(more.path)


@contextmanager
def at_once(journal: Path) -> Iterator[tuple[list[Archive], Opening]]:
    """The full files and the newest one as they are at one moment: that is opened, and may be put away meanwhile."""
    with ExitStack() as stack:
        newest: Opening = reading(journal)
        before = math.inf  # are the numbers of full ones; what was put away since it was opened, has higher ones
        try:
            database = stack.enter_context(newest)
            newest = nullcontext(database)
            (base,) = database.execute("SELECT CAST(sequence AS INTEGER) FROM seal WHERE name = 'base'").fetchone()
            before = int(base)
        except (sqlite3.Error, ConfigurationError, TypeError):  # which whoever reads it is told
            newest = reading(journal)
        yield [each for each in archives(journal) if each.last <= before], newest


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


class Outdated(NamedTuple):
    """A full file that is to be removed, and what the journal says of that before, so that it is not missed."""

    path: Path
    retirement: Record


def outdated(journal: Path, chain: Chain, keep: float, taken: int | None) -> Iterator[Outdated]:
    """Full files that are older than `keep` seconds, and up to `taken`, where that matters.

    Neither their names nor their index say so, but what the key has sealed: who can write them could make them old.
    """
    for archive in archives(journal):
        with reading(archive.path) as database:
            own_id, head = checked_seal(database, chain, "head")
            base, newest = checked_seal(database, chain, "base")[1], _sealed_record(database, chain, head)
        if newest.time.timestamp() >= time.time() - keep or (taken is not None and head.sequence > taken):
            return
        detail = f"{archive.path.name} was older than it is to be kept"
        anchor, count = Anchor(own_id, head.sequence, head.mac.hex()), head.sequence - base.sequence
        yield Outdated(
            archive.path,
            Record(Kind.RETIRED, acceptor=this_process(), detail=detail, count=count, anchor=anchor),
        )


def _sealed_record(database: sqlite3.Connection, chain: Chain, head: Head) -> Record:
    """The record that the head is of; raises `ConfigurationError` where that was altered."""
    row = next(rows(database, head.sequence - 1, 1), None)
    if row is None or chain.mac(row.before, head.sequence, row.body) != head.mac:
        raise ConfigurationError(f"record {head.sequence} was altered; see audit verify")
    return Record.from_json(row.body)
