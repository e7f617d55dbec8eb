"""Every record that was said to be on disk is there, in order, whatever happens to disk, file and process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.audit.builders import filled, locked, opened, record
from tests.audit.journals import HANG, ROOT, is_sound, kinds, refusal
from tests.lib.processes import on_a_small_disk
from useridentity.audit import journal as module
from useridentity.audit.journal import MAX_HELD, Journal
from useridentity.audit.record import Kind
from useridentity.audit.verify import verify
from useridentity.errors import Unavailable


@pytest.mark.threat("A5")
def test_a_killed_process_loses_nothing_that_was_on_disk(tmp_path: Path) -> None:
    """SIGKILL at any time: the chain is sound up to the last record that was committed, and goes on from there."""
    for seen in (1, 7, 40):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.audit.journal_writer", "write", str(tmp_path)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(seen)][-1]
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        writer.wait(HANG)
        writer.stdout.close()
        assert is_sound(tmp_path)
        with opened(tmp_path) as journal:
            assert journal.last >= acknowledged
            journal.append(record(), wait=True)
    assert is_sound(tmp_path)


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    command = [sys.executable, "-m", "tests.audit.journal_writer", "share", str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [writer.wait(HANG) for writer in writers] == [0, 0, 0]
    assert is_sound(tmp_path)
    with opened(tmp_path) as journal:
        assert len(journal.read(0, 1000)) == 301


def test_on_a_full_disk_it_refuses_until_there_is_room_and_then_says_so(tmp_path: Path) -> None:
    shown = "import sys; from tests.audit.test_journal_failing import show; show(sys.argv[1])"
    script = f'"{sys.executable}" -m tests.audit.journal_writer full "$1" && "{sys.executable}" -c "{shown}" "$1"'
    done = on_a_small_disk(tmp_path, "sh", "-c", script, "sh", str(tmp_path), within=HANG)
    kept, refused, again, *after = done.stdout.splitlines()
    assert kept == "kept", done.stderr
    assert refused == f"{tmp_path}/audit.db: is full, or its disk is (database or disk is full)"
    assert again == "kept"
    assert after == ["recording-resumed", "held", "True"]


def show(folder: str) -> None:
    """Whether the journal has what was held while its disk was full; run where that disk is."""
    with opened(Path(folder)) as journal:
        records = [each for _, each in journal.read(0, 100_000)]
    print(next(each.kind.value for each in records if each.kind is not Kind.STORED))
    print(next(each.detail for each in records if each.detail == "held"))
    print(verify(Path(folder) / "audit.db", Path(folder) / "audit.key").is_sound)


def test_a_locked_file_refuses_and_serves_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    with opened(tmp_path) as journal:
        journal.append(record(1), wait=True)
        with locked(tmp_path):
            journal.append(record(2, detail="held"), wait=False)
            assert "locked by another process" in refusal(journal)
        journal.append(record(3), wait=True)
        journal.ready()
        resumed = next(each for _, each in journal.read(0, 10) if each.kind is Kind.RECORDING_RESUMED)
        assert "locked by another process" in resumed.detail
        assert "held" in [each.detail for _, each in journal.read(0, 10)]
    assert is_sound(tmp_path)


def test_it_recovers_by_itself_where_nobody_asks_for_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An association that runs asks only whether the journal is ready: somebody has to try."""
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    monkeypatch.setattr(module, "RETRY", 0.01)
    filled(tmp_path, 1)
    with opened(tmp_path) as journal:
        with locked(tmp_path):
            refusal(journal)
        assert journal.wait(1, HANG)
        journal.ready()


def test_a_damaged_file_refuses_until_it_is_moved_away_and_the_next_one_continues_it(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
    octets = bytearray(path.read_bytes())
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
        octets[100:] = os.urandom(len(octets) - 100)
        path.unlink()
        path.write_bytes(octets)
        path.chmod(0o600)
        assert "move it away" in refusal(journal)
        path.rename(tmp_path / "audit.damaged")
        journal.append(record(), wait=True)
        assert journal.read(0, 1)[0][0] == 8
        assert Kind.RECORDING_RESUMED in kinds(journal)
    findings = verify(path, tmp_path / "audit.key").findings
    assert [(each.first, each.last) for each in findings] == [(1, 7)]


def test_a_file_deleted_while_it_is_written_is_missed_and_continued(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path, 5)
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
        path.unlink()
        journal.append(record(), wait=True)
        assert [sequence for sequence, _ in journal.read(0, 10)] == [7]
    assert "was moved or replaced" in caplog.text
    assert [str(each) for each in verify(path, tmp_path / "audit.key").findings] == [
        "audit.db: records 1 to 6: removed: no file has them, and none says that they were outdated"
    ]


def test_logs_left_by_files_that_were_moved_away_are_kept_and_not_the_next_ones(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    logs = []
    for number in (6, 8):
        with opened(tmp_path) as killed:
            killed.append(record(number), wait=True)
            logs.append(Path(f"{path}-wal").read_bytes())
        path.rename(tmp_path / f"audit.moved{number}")
        Path(f"{path}-wal").write_bytes(logs[-1])
        with opened(tmp_path) as journal:
            journal.append(record(), wait=True)
            assert [sequence for sequence, _ in journal.read(0, 10)] == [number + 1], (
                "nothing is left of the one before"
            )
    findings = verify(path, tmp_path / "audit.key").findings
    assert [(each.first, each.last) for each in findings] == [(1, 8)]
    assert [Path(f"{path}-wal.left{number}").read_bytes() for number in ("", 1)] == logs
    assert all(logs)


def test_what_cannot_be_held_any_more_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    monkeypatch.setattr(module, "MAX_HELD", 3)
    filled(tmp_path, 1)
    with opened(tmp_path) as journal:
        with locked(tmp_path):
            refusal(journal)
            for _ in range(10):
                journal.append(record(), wait=False)
        journal.append(record(), wait=True)
        resumed = next(each for _, each in journal.read(0, 100) if each.kind is Kind.RECORDING_RESUMED)
        assert resumed.count >= 10 - 3 - 3
    assert MAX_HELD > 3


def test_what_comes_faster_than_it_can_be_written_is_counted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 5)
    monkeypatch.setattr(module, "GATHER", HANG)
    with opened(tmp_path) as journal:
        for number in range(20):
            journal.append(record(number), wait=False)
        journal.append(record(), wait=True)
        resumed = [each.count for _, each in journal.read(0, 100) if each.kind is Kind.RECORDING_RESUMED]
        assert kinds(journal).count(Kind.STORED) + sum(resumed) == 21
        assert len(resumed) == 1


def test_a_failure_nobody_foresaw_loses_its_records_and_stops_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "_write", lambda *_: dict[str, int]()["nothing"])
            assert "KeyError" in refusal(journal)
        journal.append(record(), wait=True)
        assert kinds(journal) == [Kind.RECORDING_RESUMED, Kind.STORED]
    assert "could not be written" in caplog.text


def test_a_disk_that_hangs_makes_nobody_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = threading.Event()
    write = Journal._write
    monkeypatch.setattr(Journal, "_write", lambda self, batch: leave.wait(HANG) and write(self, batch))
    with opened(tmp_path) as journal:
        try:
            monkeypatch.setattr(module, "WAIT", 0.05)
            with pytest.raises(Unavailable, match="nothing was written"):
                journal.append(record(), wait=True)
            monkeypatch.setattr(module, "WAIT", 0.0)
            with pytest.raises(Unavailable, match="nothing was written"):
                journal.ready()
        finally:
            leave.set()
        monkeypatch.setattr(module, "WAIT", HANG)
        journal.append(record(), wait=True)
        journal.ready()
