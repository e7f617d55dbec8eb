"""Reading a journal beside whoever writes it, this process or another."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from useridentity.audit.archive import archives
from useridentity.audit.record import Record
from useridentity.audit.segment import PASSING, code, inode, problem, reading, rows
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Unavailable, UserIdentityError

LOGGER = logging.getLogger("useridentity.audit")


class Unreadable(UserIdentityError):
    """The record `sequence` is none of this release: a newer one wrote it, or somebody has altered it."""

    def __init__(self, sequence: int, detail: str) -> None:
        self.sequence = sequence
        why = "a newer release wrote it, or `useridentity audit verify` tells that it was altered"
        super().__init__(f"record {sequence} cannot be read: {detail}; {why}")


def record_in(sequence: int, body: str) -> Record:
    """The record that a file has under this number; raises `Unreadable`."""
    try:
        return Record.from_json(body)
    except ValueError as error:
        raise Unreadable(sequence, str(error)) from None


class JournalReader:
    """Records and cursors of the journal at a path. Safe to use from many threads.

    Nothing stays open: a full file is put away once nobody has it open, in whichever process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def check(self) -> str:
        """What is wrong with the file, if that may pass; raises `ConfigurationError` for what will not."""
        before = inode(self._path)
        try:
            with reading(self._path) as database:
                database.execute("SELECT max(sequence) FROM record").fetchone()
        except sqlite3.Error as error:
            if code(error) in PASSING or inode(self._path) != before:  # another process is putting it away
                return problem(error)
            raise ConfigurationError(f"{self._path}: {problem(error)}") from error
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._path}: {each}" for each in error.problems) from None
        return ""

    def read(self, after: int, limit: int) -> list[tuple[int, Record]]:
        """As `Journal.read`; records that are in no file any more are passed over, which is logged as an error.

        Raises `Unreadable` for the next record, and for a later one only once those before it were read.
        """
        with self._opened() as newest:
            # Listed while the newest file is open, and so not put away: those before it have their names by now.
            full = [each.path for each in archives(self._path) if each.last > after]
            # Of a file whose name says more than it has, the next one is read.
            found = next(filter(None, (_records_of(each, after, limit) for each in full)), [])
            if not found and newest is not None:
                found = _records(newest, after, limit)
        self._tell_gaps(after, found)
        return found

    def cursors(self) -> dict[str, int]:
        """Where each sink is; raises `Unavailable`."""
        with self._opened() as database:
            return dict(database.execute("SELECT sink, sequence FROM cursor")) if database else {}

    def last(self) -> int:
        """The number of the newest record, 0 without one; raises `Unavailable`."""
        with self._opened() as database:
            if database is None:
                return 0
            return int(database.execute("SELECT sequence FROM seal WHERE name = 'head'").fetchone()[0])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is read until the block ends."""
        with self._lock:
            yield

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection | None]:
        """A connection to the newest file; None where there is no file (yet)."""
        with self._lock, self._mended():
            newest = self._newest()
            with reading(newest) if newest.exists() else nullcontext() as database:
                yield database

    def _newest(self) -> Path:
        """The file that is written, or the one that was put away last where the next is not begun yet."""
        if self._path.exists():
            return self._path
        return next((each.path for each in reversed(archives(self._path))), self._path)

    def _tell_gaps(self, after: int, found: Sequence[tuple[int, Record]]) -> None:
        """Who begins with the oldest record there is, misses none."""
        before = after
        for sequence, _ in found:
            if before and sequence > before + 1:
                LOGGER.error("%s: records %d to %d are in no file", self._path, before + 1, sequence - 1)
            before = sequence

    @contextmanager
    def _mended(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ConfigurationError, TypeError, ValueError) as error:  # SQLite keeps any type
            raise Unavailable(f"{self._path}: {problem(error)}", Reason.AUDIT_UNAVAILABLE) from error


def _records_of(path: Path, after: int, limit: int) -> list[tuple[int, Record]]:
    with reading(path) as database:
        return _records(database, after, limit)


def _records(database: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, Record]]:
    found: list[tuple[int, Record]] = []
    for row in rows(database, after, limit):
        try:
            found.append((row.sequence, record_in(row.sequence, row.body)))
        except Unreadable:
            if not found:
                raise
            break
    return found
