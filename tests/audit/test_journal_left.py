"""What a killed process or an intruder left in a journal's place: it goes on, or says what is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.audit.builders import filled, opened, record, tampering
from tests.audit.journals import HANG, is_sound, verified
from tests.lib.processes import in_namespaces
from useridentity.audit.record import Kind
from useridentity.audit.search import Filter, every
from useridentity.errors import ConfigurationError, Unavailable

DIES = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode = DELETE")
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE record SET body = body || 'x'")
database.execute("PRAGMA cache_spill = 1")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_that_is_just_begun_needs_no_further_step_to_be_written(tmp_path: Path) -> None:
    """Each step is one at which a process may be killed."""
    path = filled(tmp_path, 1)
    assert path.read_bytes()[18:20] == b"\x02\x02", "the file says that it has a write-ahead log (SQLite format 1.3.4)"


def test_a_transaction_that_a_killed_process_left_is_undone_by_the_next_writer(tmp_path: Path) -> None:
    path = filled(tmp_path, 500)
    killed = subprocess.run([sys.executable, "-c", DIES, path], timeout=HANG, check=False)
    assert killed.returncode == -signal.SIGKILL
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("SELECT max(sequence) FROM record").fetchone()
    with opened(tmp_path) as journal:
        journal.append(record(500), wait=True)
        assert journal.last == 501
    assert is_sound(tmp_path)


@pytest.mark.threat("A3")
def test_an_older_copy_put_in_place_is_not_continued_until_it_is_moved_away(tmp_path: Path) -> None:
    path, older = filled(tmp_path, 3), tmp_path / "older.db"
    shutil.copy2(path, older)
    with opened(tmp_path) as journal:
        journal.append(record(3), wait=True)
        for left in tmp_path.glob("audit.db-*"):
            left.unlink()
        os.replace(older, path)
        for _ in range(2):
            with pytest.raises(Unavailable, match="is an older copy: it ends with record 3, and record 4 was written"):
                journal.append(record(4), wait=True)
        path.unlink()
        journal.append(record(4), wait=True)
        told = [(number, each.kind, each.detail) for number, each in journal.read(0, 10)]
    assert [(number, kind) for number, kind, _ in told] == [(5, Kind.RECORDING_RESUMED), (6, Kind.STORED)]
    assert "is an older copy" in told[0][2]


def test_a_newer_file_put_in_place_is_continued(tmp_path: Path) -> None:
    """As after another process has put a full one away."""
    path = filled(tmp_path, 3)
    with opened(tmp_path) as journal:
        journal.append(record(3), wait=True)
        with opened(tmp_path) as other:
            other.append(record(4), wait=True)
        shutil.copy2(path, tmp_path / "same.db")
        journal.append(record(5), wait=True)
        assert journal.last == 6
    assert is_sound(tmp_path)


def test_an_empty_file_is_no_journal_of_ours_and_it_is_said_what_to_do(tmp_path: Path) -> None:
    """None that was begun is ever empty, whenever the process is killed: somebody has cut it off."""
    path = filled(tmp_path, 3)
    with opened(tmp_path) as journal:
        assert journal.last == 3
    os.truncate(path, 0)
    with pytest.raises(ConfigurationError, match="is empty; move it away for a new one to be begun"), opened(tmp_path):
        pass
    path.unlink()
    with opened(tmp_path) as journal:
        journal.append(record(4), wait=True)


@pytest.mark.threat("A4")
def test_a_log_that_is_removed_under_a_running_server_takes_nothing_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a kill would leave is what is in the folder, and has every record that was waited for."""
    with opened(tmp_path) as journal:
        for number in range(3):
            journal.append(record(number), wait=True)
        assert caplog.text == ""
        Path(f"{tmp_path}/audit.db-wal").unlink()
        for number in range(3, 6):
            journal.append(record(number), wait=True)
        assert caplog.text.count("its write-ahead log was removed") == 1
        assert len(journal.read(0, 10)) == 6
        shutil.copytree(tmp_path, tmp_path / "left", ignore=shutil.ignore_patterns("left", "*-shm"))
    with opened(tmp_path / "left") as left:
        assert len(left.read(0, 10)) == 6
    assert is_sound(tmp_path)


def test_a_file_that_is_moved_under_a_running_server_has_all_its_records(tmp_path: Path) -> None:
    """Under the name of a full file it is one, though SQLite puts nothing into a file that has another name by then."""
    with opened(tmp_path) as journal:
        for number in range(3):
            journal.append(record(number), wait=True)
        (tmp_path / "audit.db").rename(tmp_path / "audit-000000000001-000000000003.db")
        journal.append(record(3), wait=True)
    report = verified(tmp_path)
    assert (report.findings, report.records) == ([], 4)


@pytest.mark.parametrize("change", ["UPDATE seal SET sequence = 'x'", "DELETE FROM seal"])
def test_a_seal_that_is_none_is_refused_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str) -> None:
    with tampering(filled(tmp_path)) as database:
        database.execute(change)
    with opened(tmp_path) as journal, pytest.raises(Unavailable, match=r"tampered with|taken out of the file"):
        journal.append(record(), wait=True)
    assert "nothing is recorded until that is over" in caplog.text


@pytest.mark.threat("A4")
def test_nobody_waits_for_what_is_no_file(tmp_path: Path) -> None:
    """SQLite would wait for the other end of a FIFO for ever, and cannot be interrupted."""
    path = filled(tmp_path)
    os.mkfifo(tmp_path / "audit-000000000000-000000000000.db", 0o600)
    assert "is not a regular file" in verified(tmp_path).findings[0].what
    with pytest.raises(ConfigurationError, match="is not a regular file"):
        list(every(path, Filter()))
    with opened(tmp_path) as journal, pytest.raises(Unavailable, match="is not a regular file"):
        journal.read(-1, 10)


def test_a_folder_for_reading_only_is_said_to_be(tmp_path: Path) -> None:
    """As on a medium that was handed over; SQLite says no more than that it cannot open the file."""
    path = filled(tmp_path)
    listed = (sys.executable, "-c", "from useridentity.cli import main; main()", "audit", "list", str(path))
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    done = in_namespaces("-rm", mounted, tmp_path, *listed, within=HANG)
    assert done.returncode == 1
    assert f"{path}: cannot be opened; SQLite has to write its folder too" in done.stderr
    assert in_namespaces("-rm", "true", tmp_path, *listed, within=HANG).returncode == 0
