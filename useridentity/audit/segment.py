"""One file of the journal: an SQLite database on a local disk, written by one connection, read by others."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from useridentity.audit.chain import SEALS, Chain, Head
from useridentity.audit.record import Record
from useridentity.audit.terms import terms_of
from useridentity.errors import ConfigurationError
from useridentity.mechanisms import private_file

BUSY = 2.0
"""Seconds to wait for another process that writes; each holds the file for milliseconds."""

SETTLING = 0.1
"""Seconds to wait for others to leave a full file: as long as a commit takes; who reads all of it takes longer."""

CACHE_KIB = 32 * 1024
"""Of pages: the index of a million records is written in many places at once."""

APPLICATION = 0x44554941  # "DUIA"
"""Tells this package's journals from other programs' files (PRAGMA application_id)."""

VERSION = 1
"""Of the schema below (PRAGMA user_version)."""

SCHEMA = (
    "CREATE TABLE record (sequence INTEGER PRIMARY KEY, time INTEGER NOT NULL, before BLOB NOT NULL, mac BLOB NOT NULL,"
    " body TEXT NOT NULL)",
    "CREATE INDEX record_time ON record (time)",
    "CREATE TABLE term (field INTEGER, value TEXT, time INTEGER, sequence INTEGER,"
    " PRIMARY KEY (field, value, time, sequence)) WITHOUT ROWID",
    "CREATE TABLE seal (name TEXT PRIMARY KEY, journal TEXT, sequence INTEGER, mac BLOB, seal BLOB) WITHOUT ROWID",
    "CREATE TABLE cursor (sink TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)

PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
"""What may be over when something is to be written, and so does not keep an acceptor from starting."""

_ADVANCE = """INSERT INTO cursor VALUES (?, ?)
    ON CONFLICT (sink) DO UPDATE SET sequence = max(sequence, excluded.sequence)"""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """An aware time as the index has it."""
    return (time - EPOCH) // timedelta(microseconds=1)


class Row(NamedTuple):
    """A record as the file has it."""

    sequence: int
    time: int
    before: bytes
    mac: bytes
    body: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A record ready to be written."""

    time: int
    body: str
    terms: frozenset[tuple[int, str]]

    @classmethod
    def of(cls, record: Record) -> Entry:
        return cls(microseconds(record.time), record.to_json(), frozenset(terms_of(record)))


class Segment:
    """A file open for writing. Raises `sqlite3.Error`, `OSError` and `ConfigurationError`."""

    def __init__(self, path: Path, chain: Chain) -> None:
        self._chain = chain
        self._path = path
        check_private(path)
        self._database = connect(path, "rw")
        try:
            self._set_up()
            self._inodes = self._found
        except BaseException:
            self.close()
            raise

    @property
    def lost(self) -> str:
        """What of the file has not its name any more; empty where all has."""
        (file, log), found = self._inodes, self._found
        if found[0] != file:
            return "was moved or replaced; a new file continues it"
        return "" if found[1] == log else "its write-ahead log was removed; what it had is put into the file"

    @property
    def _found(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return inode(self._path), inode(log_of(self._path))

    @property
    def head(self) -> tuple[str, Head]:
        """The journal's id and its newest record, of another process too; raises `ConfigurationError` if forged."""
        return checked_seal(self._database, self._chain, "head")

    def is_full(self, limit: int) -> bool:
        """Whether the file has more than `limit` bytes; one without a record never is."""
        pages, size = (self._database.execute(f"PRAGMA {word}").fetchone()[0] for word in ("page_count", "page_size"))
        return pages * size > limit and self._database.execute("SELECT 1 FROM record LIMIT 1").fetchone() is not None

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, alone, and on disk when it ends."""
        return _transaction(self._database)

    def append(self, entries: Iterable[Entry], after: tuple[str, Head]) -> Head:
        """Write the records after the head `after`, in a transaction; the new head."""
        journal, head = after
        rows, terms = [], []
        for entry in entries:
            linked = self._chain.link(head, entry.body)
            rows.append((linked.sequence, entry.time, head.mac, linked.mac, entry.body))
            terms += [(*term, entry.time, linked.sequence) for term in entry.terms]
            head = linked
        self._database.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
        self._database.executemany("INSERT INTO term VALUES (?, ?, ?, ?)", terms)
        _seal(self._database, self._chain, "head", journal, head)
        return head

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Note what each sink has taken; a cursor never goes back."""
        self._database.executemany(_ADVANCE, cursors.items())

    def cursors(self) -> dict[str, int]:
        return dict(self._database.execute("SELECT sink, sequence FROM cursor"))

    def settle(self) -> bool:
        """Make the file one that is complete by itself; False while somebody else has it open."""
        deadline = time.monotonic() + SETTLING
        self._database.execute("PRAGMA busy_timeout = 0")
        while True:
            try:
                return bool(self._database.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    return False
            time.sleep(SETTLING / 20)

    def leave(self) -> None:
        """Close the file for good; of one that was moved SQLite would put nothing that is in the log into it."""
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint")
        self.close()

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._database.close()

    def _set_up(self) -> None:
        execute = self._database.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")  # a power cut loses nothing that was answered
        execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        check_ours(self._database)


def begin(
    path: Path,
    chain: Chain,
    base: tuple[str, Head] | None,
    cursors: Mapping[str, int],
    instead_of: Path | None = None,
) -> None:
    """Make a file, mode 0600, that continues `base`, or a journal of its own; `cursors` is where the sinks are.

    It is there when it is complete, and not before: what is begun under another name may be left by a power cut.
    A file that it comes `instead_of` gets that name at the same moment.
    """
    beside = path.with_name(f"{path.name}.new")
    left = [path.with_name(beside.name + ending) for ending in ("", "-journal", "-wal", "-shm")]
    for each in left:
        each.unlink(missing_ok=True)
    try:
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private_file.MODE))
        with closing(connect(beside, "rw")) as database:
            with _transaction(database):
                _fill(database, chain, base, cursors)
            database.execute("PRAGMA journal_mode = WAL")  # which is a transaction, too, that a kill could leave
        _part_from_log(path)
        if instead_of is not None:
            os.rename(path, instead_of)
        os.link(beside, path)  # never over a file that has the name
    finally:
        for each in left:
            each.unlink(missing_ok=True)


def _part_from_log(path: Path) -> None:
    """Who moved a file away and not its write-ahead log left one that SQLite would apply to the next file.

    It may be all there is of some records, and is kept under a name that nothing has yet.
    """
    log = log_of(path)
    names = (log.with_name(f"{log.name}.left{number or ''}") for number in count())
    with suppress(FileNotFoundError):
        os.rename(log, next(each for each in names if not os.path.lexists(each)))
    Path(f"{path}-shm").unlink(missing_ok=True)


def _fill(
    database: sqlite3.Connection, chain: Chain, base: tuple[str, Head] | None, cursors: Mapping[str, int]
) -> None:
    for statement in SCHEMA:
        database.execute(statement)
    own = str(uuid4())
    journal, head = base or (own, chain.start(own))
    for name in SEALS:
        _seal(database, chain, name, journal, head)
    database.executemany(_ADVANCE, cursors.items())


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # gone with the connection, or undone by SQLite already
            database.execute("ROLLBACK")
        raise


def _seal(database: sqlite3.Connection, chain: Chain, name: str, journal: str, head: Head) -> None:
    row = (name, journal, *head, chain.seal(name, journal, head))
    database.execute("INSERT OR REPLACE INTO seal VALUES (?, ?, ?, ?, ?)", row)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to the file, "rw" or "ro"; it is never made. Raises `ConfigurationError` for what is none."""
    if not path.is_file() and path.exists():  # SQLite would wait for the other end of a FIFO
        raise ConfigurationError("is not a regular file; move it away")
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the file; raises `ConfigurationError` for what is no journal."""
    database = connect(path, "ro")
    database.text_factory = partial(str, encoding="utf-8", errors="replace")  # or one bad byte stops all reading
    try:
        database.execute("BEGIN")
        check_ours(database)
        yield database
    finally:
        database.close()


def rows(database: sqlite3.Connection, after: int, limit: int = -1) -> Iterator[Row]:
    """Records above a number, in order."""
    found = database.execute("SELECT * FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, limit))
    return map(Row._make, found)


def checked_seal(database: sqlite3.Connection, chain: Chain, name: str) -> tuple[str, Head]:
    """The journal's id and the head under this seal; raises `ConfigurationError` where the key did not seal it."""
    journal, head, seal = _sealed(database, name)
    if chain.seal(name, journal, head) != seal:
        raise ConfigurationError(f"the {name} is not what this key sealed: another key, or the file was tampered with")
    return journal, head


def _sealed(database: sqlite3.Connection, name: str) -> tuple[str, Head, bytes]:
    row = database.execute("SELECT journal, sequence, mac, seal FROM seal WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ConfigurationError(f"the {name} was taken out of the file")
    return row[0], Head(row[1], row[2]), row[3]


def check_ours(database: sqlite3.Connection) -> None:
    application, version = (
        database.execute(f"PRAGMA {word}").fetchone()[0] for word in ("application_id", "user_version")
    )
    if application == 0 and database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        raise ConfigurationError("is empty; move it away for a new one to be begun")
    if application != APPLICATION:
        raise ConfigurationError("is no audit journal, but another program's SQLite file; name another")
    if version != VERSION:
        raise ConfigurationError(f"has version {version} of the schema where {VERSION} is known; use the newer release")


def log_of(path: Path) -> Path:
    """The write-ahead log of a file, which is part of it."""
    return path.with_name(f"{path.name}-wal")


def check_private(path: Path) -> None:
    """Raise `ConfigurationError` where others have a say in the file.

    By its name: to open it here and close it would end SQLite's locks on it (POSIX fcntl).
    """
    if path.is_symlink():
        raise ConfigurationError(f"is a symbolic link; name the file itself: {os.path.realpath(path)}")
    problems = list(private_file.privacy_problems(path, os.lstat(path)))
    if problems:
        raise ConfigurationError(problems)


def inode(path: Path) -> tuple[int, int]:
    """What file has the name now; zeros without one."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def code(error: Exception) -> int:
    """SQLite's primary result code, zero for other errors; the rest of the bits tell variants apart."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def problem(error: Exception) -> str:
    """What is wrong with a file, in words that say what to do."""
    words = {
        sqlite3.SQLITE_CORRUPT: "is damaged; move it away for a new one to be begun",
        sqlite3.SQLITE_NOTADB: "is no SQLite file; name another, or move it away for a new one to be begun",
        sqlite3.SQLITE_READONLY: f"may not be written, or was left in a transaction, which who writes undoes ({error})",
        sqlite3.SQLITE_CANTOPEN: f"cannot be opened; SQLite has to write its folder too, and to have room ({error})",
        sqlite3.SQLITE_FULL: f"is full, or its disk is ({error})",
        sqlite3.SQLITE_BUSY: f"locked by another process for {BUSY:g} s",
    }
    return words.get(code(error), str(error))
