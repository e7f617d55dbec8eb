"""Records as an archive would write them, and journals full of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from useridentity.audit.journal import Journal
from useridentity.audit.record import Acceptor, Kind, Operation, Outcome, Record, Requestor, SopClass, Study, User

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

ALICE = User(2, "alice", "staff:alice", "alice", "Alice Adams", "staff", "authenticated", "person", ("radiology",))


def record(number: int = 0, **changes: Any) -> Record:
    """The record of one instance stored by Alice, a second after the one before."""
    usual: dict[str, Any] = {
        "kind": Kind.STORED,
        "outcome": Outcome.SUCCESS,
        "time": NOON + timedelta(seconds=number),
        "association": f"assoc-{number // 4}",
        "rule": "people",
        "validator": "staff",
        "user": ALICE,
        "requestor": Requestor("WS_1", "192.0.2.7", 40123, "server"),
        "acceptor": Acceptor("ARCHIVE", "pacs", "192.0.2.1", 2762, 77),
        "operation": Operation("C-STORE", "1.2.840.10008.5.1.4.1.1.2", status=0),
        "studies": (Study(f"1.2.3.{number}", f"P{number}", "Doe^Jane", ("A1",), (SopClass("1.2.840", 1),)),),
    }
    return Record(**(usual | changes))


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Journal]:
    """The journal `audit.db` in the folder, until the block ends."""
    with closing(Journal(folder / "audit.db", folder / "audit.key", **settings)) as journal:
        yield journal


def filled(folder: Path, number: int = 10, **settings: Any) -> Path:
    """The file of a journal with so many records, closed."""
    with opened(folder, **settings) as journal:
        for each in range(number):
            journal.append(record(each), wait=each == number - 1)
    return folder / "audit.db"


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """The database of a journal, for whoever can write the file; committed when the block ends."""
    with closing(sqlite3.connect(path)) as database:
        yield database
        database.commit()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process holds the journal `audit.db` in the folder, and lets go when the block ends."""
    with closing(sqlite3.connect(folder / "audit.db", isolation_level=None)) as thief:
        thief.execute("BEGIN IMMEDIATE")
        yield
