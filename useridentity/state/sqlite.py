"""The memory of several processes on one machine: an SQLite file, on a local disk.

What one process has committed every other sees. A file that is locked, damaged or on a full disk
refuses, and is opened anew each time, so that it serves again as soon as it can.
"""

from __future__ import annotations

import logging
import os
import shlex
import sqlite3
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms import private_file
from useridentity.state import Debt, Kind
from useridentity.state.keys import digest, kept_until
from useridentity.state.memory import MAX_DEBTS, made_room
from useridentity.validator import Once

LOGGER = logging.getLogger("useridentity.state")

BUSY = 2.0
"""Seconds to wait for other threads, and again for other processes; each holds the file for milliseconds."""

PAUSE = 0.01
"""Seconds between two attempts to make a file that another process is making: it takes as long."""

MAX_BYTES = 64 * 1024 * 1024
"""Of the file: half a million keys, and the penalties. A full one refuses rather than forget a live key."""

PAGE = 4096
"""Bytes of a page, SQLite's own default; it bounds files by their number."""

APPLICATION = 0x44554944  # "DUID"
"""Tells this package's files from other programs' (PRAGMA application_id)."""

VERSION = 2
"""Of the schema below (PRAGMA user_version)."""

DEBTS = (
    """CREATE TABLE debt (kind TEXT NOT NULL, key BLOB NOT NULL, last REAL NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (kind, key)) WITHOUT ROWID""",
    "CREATE INDEX debt_until ON debt (kind, until)",
    f"PRAGMA user_version = {VERSION}",
)

SCHEMA = (
    "CREATE TABLE spent (key BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX spent_until ON spent (until)",
    *DEBTS,
    f"PRAGMA application_id = {APPLICATION}",
)

FROM_1 = ("DROP TABLE debt", *DEBTS)
"""Version 1 did not say of what kind a debt was. What was spent is kept, and all debts are forgiven."""

SWEPT = 16
"""Expired keys removed with each new one, so that the file shrinks faster than it grows and nobody waits long."""

COUNTED_EVERY = 64
"""Charges between two counts of the debts, which read them all; there may be so many too many."""

PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What may be over when something is to be spent, and so does not keep an acceptor from starting."""

_SPEND = "INSERT OR REPLACE INTO spent VALUES (?, ?)"
_SWEEP = f"DELETE FROM spent WHERE key IN (SELECT key FROM spent WHERE until < ? LIMIT {SWEPT})"  # noqa: S608
_CHARGE = """INSERT INTO debt VALUES (:kind, :key, :now, :now + :seconds) ON CONFLICT (kind, key)
    DO UPDATE SET last = :now, until = :now + max(until - max(last, :now), 0) + :seconds RETURNING last, until"""
_DEBT = "SELECT last, until FROM debt WHERE kind = ? AND key = ? AND until > ?"
_DROP_FORGIVEN = "DELETE FROM debt WHERE kind = ? AND until <= ?"
_DROP_SMALLEST = """DELETE FROM debt WHERE kind = :kind
    AND key IN (SELECT key FROM debt WHERE kind = :kind ORDER BY until DESC LIMIT -1 OFFSET :kept)"""


class SqliteStore:
    """A `Store` in a file. Where there is none it is made, mode 0600, when something is first remembered.

    Raises `ConfigurationError` where the file is damaged, another program's or open to other users, or has
    no folder.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._file = _File(path, max_bytes)
        self.ledger = SqliteLedger(self._file)

    def spend(self, keys: Sequence[Once], now: datetime) -> bool:
        try:
            return self._spend(keys, now)
        except _Full:
            with self._file.transaction() as database:
                database.execute("DELETE FROM spent WHERE until < ?", (now.timestamp(),))
            return self._spend(keys, now)

    def close(self) -> None:
        self._file.close()

    def _spend(self, keys: Sequence[Once], now: datetime) -> bool:
        at = now.timestamp()
        with self._file.transaction() as database:
            database.execute(_SWEEP, (at,))
            for once in keys:
                found = database.execute("SELECT until FROM spent WHERE key = ?", (digest(once.key),)).fetchone()
                if found is not None and found[0] >= at:
                    return False
            database.executemany(_SPEND, [(digest(once.key), kept_until(once, now)) for once in keys])
        return True


class SqliteLedger:
    """A `Ledger` in the same file."""

    def __init__(self, file: _File, capacity: int = MAX_DEBTS) -> None:
        self._file = file
        self._capacity = capacity
        self._charges = 0

    def charge(self, kind: Kind, key: bytes, now: float, seconds: float) -> Debt:
        with self._file.transaction() as database:
            if self._charges % COUNTED_EVERY == 0:
                self._make_room(database, now)
            self._charges += 1
            row = database.execute(_CHARGE, {"kind": kind, "key": key, "now": now, "seconds": seconds}).fetchone()
            return Debt(*row)

    def debt(self, kind: Kind, key: bytes, now: float) -> Debt | None:
        with self._file.opened() as database:
            row = database.execute(_DEBT, (kind, key, now)).fetchone()
        return row and Debt(*row)

    def forgive(self, kind: Kind, key: bytes) -> None:
        with self._file.transaction() as database:
            database.execute("DELETE FROM debt WHERE kind = ? AND key = ?", (kind, key))

    def _make_room(self, database: sqlite3.Connection, now: float) -> None:
        for kind in Kind:
            database.execute(_DROP_FORGIVEN, (kind, now))
            (count,) = database.execute("SELECT count(*) FROM debt WHERE kind = ?", (kind,)).fetchone()
            if count >= self._capacity:
                kept = self._capacity - made_room(self._capacity)
                database.execute(_DROP_SMALLEST, {"kind": kind, "kept": kept})


class _Full(Unavailable):
    """There is no room in the file, or on its disk."""


class _File:
    """One connection for all threads of this process: commits come one after another in any case."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_pages = max_bytes // PAGE
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._inode = (0, 0)
        self._check()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the file from its start; committed unless the block fails."""
        with self.opened() as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone; raises `Unavailable` for whatever is wrong with the file."""
        if not self._lock.acquire(timeout=BUSY):
            raise Unavailable(f"{self._path}: busy for {BUSY:g} s", Reason.STATE_UNAVAILABLE)
        try:
            yield self._current()
        except (sqlite3.Error, ConfigurationError, OSError) as error:
            self._close()
            kind = _Full if _code(error) == sqlite3.SQLITE_FULL else Unavailable
            raise kind(f"{self._path}: {_problem(error)}", Reason.STATE_UNAVAILABLE) from error
        except BaseException:
            self._close()
            raise
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _check(self) -> None:
        """Find now what would never work; a file that is locked or on a full disk may work later.

        The connection is not kept: a server may fork before it serves, and SQLite's must not be carried over.
        Nor is a file made: who looks at a policy is not always who serves by it, and would own the file.
        """
        if not self._path.parent.is_dir():
            raise ConfigurationError(f"{self._path}: there is no folder {self._path.parent}; make it, or name another")
        if not os.path.lexists(self._path):
            return
        try:
            with closing(self._connect()) as database:
                found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            if _code(error) not in PASSING:
                raise ConfigurationError(f"{self._path}: {_problem(error)}") from error
            LOGGER.warning("%s: %s; nothing can be spent until that is over", self._path, _problem(error))
        else:
            if found != "ok":
                raise ConfigurationError(f"{self._path}: {_DAMAGED}")

    def _current(self) -> sqlite3.Connection:
        """The connection to the file that has the name now: writing to one that was moved away binds nobody."""
        if self._database is not None and _inode(self._path) != self._inode:
            LOGGER.warning("%s: was moved or replaced; what the file before remembered is lost", self._path)
            self._close()
        if self._database is None:
            self._database = self._connect()
            self._inode = _inode(self._path)
        return self._database

    def _connect(self) -> sqlite3.Connection:
        private_file.create(self._path, "")
        _check_private(self._path)
        database = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(database, time.monotonic() + BUSY)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection, deadline: float) -> None:
        """Where several processes make the file at once SQLite refuses some of them unasked: they try again."""
        while True:
            try:
                return self._set_up(database)
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                if database.in_transaction:
                    database.execute("ROLLBACK")
                time.sleep(PAUSE)

    def _set_up(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        # A power cut loses nothing that was answered: a token spent before it would be good again after it.
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA max_page_count = {self._max_pages}")
        database.execute("BEGIN IMMEDIATE")
        application, version, tables = (database.execute(query).fetchone()[0] for query in _WHOSE)
        if (application, version, tables) == (0, 0, 0):
            _run(database, SCHEMA)
        elif (application, version) == (APPLICATION, 1):
            _run(database, FROM_1)
        elif (application, version) != (APPLICATION, VERSION):
            raise ConfigurationError(_foreign(application, version))
        database.execute("COMMIT")

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()


_WHOSE = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")

_DAMAGED = "is damaged or no SQLite file; move it away for a new one to be made, which remembers nothing"


def _run(database: sqlite3.Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        database.execute(statement)


def _foreign(application: int, version: int) -> str:
    if application != APPLICATION:
        return "is another program's SQLite file; name one of this package's own, which is made where there is none"
    return (
        f"has version {version} of the schema where {VERSION} is known; move it away, or use the release that wrote it"
    )


def _problem(error: Exception) -> str:
    code = _code(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _DAMAGED
    if code == sqlite3.SQLITE_FULL:
        return f"is full, or its disk is ({error})"
    if code == sqlite3.SQLITE_BUSY:
        return f"locked by another process for {BUSY:g} s"
    return str(error)


def _code(error: Exception) -> int:
    """SQLite's primary result code, zero for other errors; the rest of the bits tell variants apart."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _check_private(path: Path) -> None:
    """Who can open the file can lock it, and who can write it can make a token good again.

    By its name: to open it here and close it would end SQLite's locks on it (POSIX fcntl).
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path}: is not a regular file; name the file itself")
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{path}: belongs to user {found.st_uid}; run this as that user, or move the file away"
        )
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigurationError(
            f"{path}: is open to other users (mode {mode:04o}): chmod 0600 {shlex.quote(str(path))}"
        )


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino
