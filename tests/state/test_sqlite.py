"""What can happen to a file: it refuses in words, and serves again without a restart."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.state.builders import NOW, T0, once
from tests.state.full_disk import filling
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.state import Debt, Kind, Store, open_store
from useridentity.state.keys import digest
from useridentity.state.sqlite import SqliteStore

HANG = 30.0  # seconds; ten times what the full disk takes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(opened: Callable[[str], Store]) -> Store:
    """A store in `file` that has spent once()."""
    made = opened("sqlite:state.db")
    assert made.spend([once()], NOW)
    return made


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program that holds the file, as an administrator's shell may."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def cannot_tell(store: Store) -> str:
    with pytest.raises(Unavailable) as refused:
        store.spend([once("other")], NOW)
    assert refused.value.reason is Reason.STATE_UNAVAILABLE
    return refused.value.detail


def misconfigured(file: Path) -> str:
    with pytest.raises(ConfigurationError) as wrong:
        SqliteStore(file)
    return str(wrong.value)


def test_what_is_spent_outlives_the_process(store: Store, tmp_path: Path) -> None:
    store.close()
    with closing(open_store("sqlite:state.db", tmp_path)) as next_day:
        assert not next_day.spend([once()], NOW)


def test_the_file_and_its_log_are_the_owners_alone(store: Store, tmp_path: Path) -> None:
    modes = {each.name: oct(each.stat().st_mode & 0o777) for each in tmp_path.iterdir()}
    assert modes == {"state.db": "0o600", "state.db-wal": "0o600", "state.db-shm": "0o600"}


def test_a_file_is_made_when_it_is_needed_and_not_by_who_only_looks(file: Path, opened: Callable[[str], Store]) -> None:
    store = opened("sqlite:state.db")
    assert not file.exists()
    assert store.spend([once()], NOW)
    assert file.is_file()


def test_a_locked_file_refuses_until_it_is_free(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("useridentity.state.sqlite.BUSY", 0.05)
    store.close()  # so that it opens again with that time
    with locked(file):
        assert cannot_tell(store) == f"{file}: locked by another process for 0.05 s"
    assert not store.spend([once()], NOW)
    assert store.spend([once("other")], NOW)


def test_threads_that_wait_too_long_for_each_other_refuse(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("useridentity.state.sqlite.BUSY", 0.05)
    assert isinstance(store, SqliteStore)
    with store._file.opened():
        assert "busy for 0.05 s" in cannot_tell(store)
    assert store.spend([once("other")], NOW)


def test_an_acceptor_starts_while_the_file_is_locked(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("useridentity.state.sqlite.BUSY", 0.05)
    with locked(file), caplog.at_level(logging.WARNING):
        started = SqliteStore(file)
    assert "locked by another process" in caplog.text
    with closing(started):
        assert not started.spend([once()], NOW)


def test_on_a_full_disk_it_refuses_until_there_is_room(tmp_path: Path) -> None:
    done = filling(tmp_path)
    first, refused, restarted, *after = done.stdout.splitlines()
    assert first == "fresh", done.stderr
    assert refused == f"{tmp_path}/state.db: is full, or its disk is (database or disk is full)"
    assert restarted == "state-unavailable"
    assert after == ["spent", "fresh"]


def test_a_damaged_file_refuses_until_it_is_moved_away(
    store: Store, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.close()
    octets = bytearray(file.read_bytes())
    octets[100:] = os.urandom(len(octets) - 100)
    file.write_bytes(octets)
    assert "is damaged" in cannot_tell(store)
    assert "move it away" in cannot_tell(store)
    file.rename(file.with_suffix(".damaged"))
    assert store.spend([once("other")], NOW)


def test_a_file_that_is_replaced_while_open_is_noticed(
    store: Store, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqliteStore(file)) as other_process:
        file.rename(file.with_suffix(".moved"))
        with caplog.at_level(logging.WARNING):
            assert store.spend([once()], NOW)
        assert "was moved or replaced; what the file before remembered is lost" in caplog.text
        assert not other_process.spend([once()], NOW)


@pytest.mark.parametrize("content", [b"not a database, but text enough to look at\n" * 100, b"SQLite format 3\0" * 300])
def test_what_is_no_database_is_refused_at_start(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)
    assert misconfigured(file) == (
        f"{file}: is damaged or no SQLite file; move it away for a new one to be made, which remembers nothing"
    )


def test_pages_that_contradict_each_other_are_refused_at_start(store: Store, file: Path) -> None:
    store.close()
    octets = bytearray(file.read_bytes())
    octets[4096 + 3 : 4096 + 5] = b"\x7f\xff"  # the number of cells of the second page
    file.write_bytes(octets)
    assert "is damaged" in misconfigured(file)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("PRAGMA user_version = 7", "has version 7 of the schema where 2 is known"),
        ("PRAGMA application_id = 7", "is another program's SQLite file"),
    ],
)
def test_a_file_of_another_kind_is_refused_at_start_and_later(
    store: Store, file: Path, statement: str, problem: str
) -> None:
    store.close()
    with closing(sqlite3.connect(file)) as other:
        other.execute(statement)
    assert problem in misconfigured(file)
    assert problem in cannot_tell(store)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_open_is_refused(store: Store, file: Path, mode: int) -> None:
    store.close()
    file.chmod(mode)
    assert misconfigured(file) == f"{file}: is open to other users (mode {mode:04o}): chmod 0600 {file}"
    assert "is open to other users" in cannot_tell(store)
    file.chmod(0o600)
    assert not store.spend([once()], NOW)


def test_a_name_that_leads_elsewhere_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "real.db").touch(mode=0o600)
    file.symlink_to(tmp_path / "real.db")
    assert "is not a regular file" in misconfigured(file)


def test_another_users_file_is_refused(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    assert "belongs to user" in misconfigured(file)


def test_a_folder_that_is_missing_is_said_at_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert (
        misconfigured(missing / "state.db")
        == f"{missing}/state.db: there is no folder {missing}; make it, or name another"
    )


def test_a_folder_that_goes_missing_refuses(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    assert "No such file or directory" in cannot_tell(store)


VERSION_1 = (
    "CREATE TABLE spent (key BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX spent_until ON spent (until)",
    "CREATE TABLE debt (key BLOB PRIMARY KEY, last REAL NOT NULL, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX debt_until ON debt (until)",
    "PRAGMA application_id = 1146440004",
    "PRAGMA user_version = 1",
)


def test_a_file_of_version_1_keeps_what_was_spent_and_forgives_all_debts(file: Path) -> None:
    file.touch(mode=0o600)
    with closing(sqlite3.connect(file)) as older, older:
        for statement in VERSION_1:
            older.execute(statement)
        older.execute("INSERT INTO spent VALUES (?, ?)", (digest(once().key), once().until.timestamp()))
        older.execute("INSERT INTO debt VALUES (?, ?, ?)", (b"a", T0, T0 + 600))
    with closing(SqliteStore(file)) as store:
        assert not store.spend([once()], NOW)
        assert store.spend([once("other")], NOW)
        assert store.ledger.charge(Kind.ACCOUNT, b"a", T0, 60) == Debt(T0, T0 + 60)


def test_expired_keys_are_swept_away(file: Path) -> None:
    with closing(SqliteStore(file)) as store:
        for number in range(20):
            store.spend([once(str(number), seconds=-10_000_000)], NOW)
        for number in range(3):
            store.spend([once("later", str(number), seconds=20_000)], once(seconds=10_000).until)
        with closing(sqlite3.connect(file)) as reader:
            assert reader.execute("SELECT count(*) FROM spent").fetchone() == (3,)


def test_penalties_never_take_the_room_of_what_is_spent(file: Path) -> None:
    with closing(SqliteStore(file)) as store:
        with store._file.transaction() as database:
            for kind in Kind:
                rows = ((kind, b"%032d" % number, T0, T0 + 60 + number) for number in range(70_000))
                database.executemany("INSERT INTO debt VALUES (?, ?, ?, ?)", rows)
        store.ledger.charge(Kind.ACCOUNT, b"one more", T0, 900)
        with closing(sqlite3.connect(file)) as reader:
            counts = reader.execute("SELECT kind, count(*) FROM debt GROUP BY kind").fetchall()
        assert dict(counts) == {"source": 61_440, "account": 61_440 + 1, "good": 61_440}
        assert file.stat().st_size < store._file._max_pages * 4096 / 2
