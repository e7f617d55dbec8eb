"""Every record that was said to be on disk is there, in order, whatever happens to disk, file and process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.audit.builders import filled, opened, record, tampering
from tests.parts import require
from useridentity.audit import journal as module
from useridentity.audit.journal import ANCHOR_RECORDS, MAX_HELD, Journal
from useridentity.audit.record import Kind
from useridentity.audit.verify import verify
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Unavailable

HANG = 60.0  # seconds; ten times what a process here needs
ROOT = Path(__file__).parents[2]


def kinds(journal: Journal) -> list[Kind]:
    return [each.kind for _, each in journal.read(0, 100_000)]


def is_sound(folder: Path) -> bool:
    report = verify(folder / "audit.db", folder / "audit.key")
    assert report.findings == []
    return report.is_sound


def refusal(journal: Journal) -> str:
    """What is said where a record cannot be kept."""
    with pytest.raises(Unavailable) as caught:
        journal.append(record(), wait=True)
    assert caught.value.reason is Reason.AUDIT_UNAVAILABLE
    with pytest.raises(Unavailable, match=r"."):
        journal.ready()
    return caught.value.detail


# Writing and reading.


def test_records_are_read_in_the_order_they_were_written_with_numbers_from_one(tmp_path: Path) -> None:
    written = [record(number) for number in range(5)]
    with opened(tmp_path) as journal:
        for each in written:
            journal.append(each, wait=True)
        assert journal.read(0, 10) == list(enumerate(written, 1))
        assert journal.read(2, 2) == [(3, written[2]), (4, written[3])]
        assert journal.read(5, 10) == []
        assert journal.last == 5


def test_a_record_that_was_waited_for_is_there_for_another_process_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, opened(tmp_path) as other:
        journal.append(record(), wait=True)
        assert len(other.read(0, 10)) == 1


def test_nothing_is_made_before_the_first_record(tmp_path: Path) -> None:
    """Who looks at a policy is not who serves by it, and a server may fork before it serves."""
    with opened(tmp_path):
        assert os.listdir(tmp_path) == []


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    filled(tmp_path)
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {
        "audit.db": "0o600",
        "audit.key": "0o600",
        "audit.key.audit.db.mark": "0o600",
    }


def test_those_who_wait_at_the_same_time_share_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Group commit: the writer is held in its first commit, and all who came meanwhile are in the second."""
    entered, leave, commits = threading.Event(), threading.Event(), list[int]()
    write = Journal._write

    def slow(self: Journal, batch: list[object]) -> bool:
        commits.append(len(batch))
        entered.set()
        assert leave.wait(HANG)
        return write(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "_write", slow)
    with opened(tmp_path) as journal:
        threads = [threading.Thread(target=journal.append, args=[record()], kwargs={"wait": True}) for _ in range(9)]
        threads[0].start()
        assert entered.wait(HANG)
        for thread in threads[1:]:
            thread.start()
        while len(journal._queue) < 8:
            pass
        leave.set()
        for thread in threads:
            thread.join(HANG)
        assert len(journal.read(0, 100)) == 9
    assert commits[:2] == [1, 8]


def test_what_nobody_waited_for_is_written_before_the_journal_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for number in range(50):
            journal.append(record(number), wait=False)
    with opened(tmp_path) as journal:
        assert len(journal.read(0, 100)) == 50
        assert journal.last == 50


def test_a_closed_journal_refuses_and_wakes_whoever_waits(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.db", tmp_path / "audit.key")
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(journal.wait(0, HANG)))
    waiter.start()
    journal.close()
    waiter.join(HANG)
    assert answers == [False]
    with pytest.raises(Unavailable, match="closed"):
        journal.append(record(), wait=False)


def test_waiting_ends_with_the_next_record(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        assert not journal.wait(0, 0.01)
        timer = threading.Timer(0.01, journal.append, [record()], {"wait": True})
        timer.start()
        assert journal.wait(0, HANG)
        assert journal.wait(0, 0)
        timer.join(HANG)


def test_waiting_finds_what_another_process_wrote(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, opened(tmp_path) as other:
        journal.append(record(), wait=True)
        other.append(record(), wait=True)
        assert journal.wait(1, 0.01)
        assert journal.last == 2


def test_a_record_of_what_no_encoding_carries_is_kept(tmp_path: Path) -> None:
    """A peer that sends it must not stop the journal."""
    odd = record(association="\udcff\x00", detail="\ud800")
    with opened(tmp_path) as journal:
        journal.append(odd, wait=True)
        assert journal.read(0, 1) == [(1, odd)]


# Cursors.


def test_every_sink_has_a_cursor_of_its_own_that_outlives_the_process(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for number in range(5):
            journal.append(record(number), wait=True)
        assert journal.cursor("arr") == 0
        journal.advance("arr", 3)
        journal.advance("fhir", 5)
    with opened(tmp_path) as journal:
        assert (journal.cursor("arr"), journal.cursor("fhir"), journal.cursor("new")) == (3, 5, 0)


def test_a_cursor_never_goes_back(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.advance("arr", 3)
        journal.advance("arr", 2)
        assert journal.cursor("arr") == 3


# Anchors.


def test_the_head_is_anchored_after_so_many_records(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for number in range(2 * ANCHOR_RECORDS):
            journal.append(record(number), wait=number % 100 == 0)
        journal.append(record(), wait=True)
        anchors = [each.anchor for _, each in journal.read(0, 10_000) if each.kind is Kind.ANCHOR]
    with tampering(tmp_path / "audit.db") as database:
        macs = dict(database.execute("SELECT sequence, mac FROM record"))
    assert len(anchors) == 2
    assert all(anchor is not None and macs[anchor.sequence].hex() == anchor.head for anchor in anchors)


def test_the_head_is_anchored_after_so_much_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANCHOR_SECONDS", 0.01)
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
        assert journal.wait(1, HANG)
        assert kinds(journal) == [Kind.STORED, Kind.ANCHOR]
        assert not journal.wait(2, 0.05), "nothing new is to be anchored"


# What goes wrong.


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
    mounted = 'mount -t tmpfs -o size=512k none "$0" && exec "$@"'
    if subprocess.run([require("unshare"), "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system of their own (unshare -rm)")
    shown = "import sys; from tests.audit.test_journal import show; show(sys.argv[1])"
    script = f'"{sys.executable}" -m tests.audit.journal_writer full "$1" && "{sys.executable}" -c "{shown}" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounted, str(tmp_path), "sh", "-c", script, "sh", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=HANG, check=False,
    )  # fmt: skip
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
    path = filled(tmp_path, 1)
    with opened(tmp_path) as journal:
        journal.append(record(1), wait=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as thief:
            thief.execute("BEGIN IMMEDIATE")
            journal.append(record(2, detail="held"), wait=False)
            assert "locked by another process" in refusal(journal)
            thief.execute("ROLLBACK")
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
    path = filled(tmp_path, 1)
    with opened(tmp_path) as journal, closing(sqlite3.connect(path, isolation_level=None)) as thief:
        thief.execute("BEGIN IMMEDIATE")
        refusal(journal)
        thief.execute("ROLLBACK")
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
        journal.reader.close()
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


def test_a_log_left_by_a_file_that_was_moved_away_is_not_the_next_ones(tmp_path: Path) -> None:
    path = filled(tmp_path, 5)
    with opened(tmp_path) as killed:
        killed.append(record(), wait=True)
        log = Path(f"{path}-wal").read_bytes()
        assert log
    path.rename(tmp_path / "audit.moved")
    Path(f"{path}-wal").write_bytes(log)
    with opened(tmp_path) as journal:
        journal.append(record(7), wait=True)
        assert [sequence for sequence, _ in journal.read(0, 10)] == [7], "nothing is left of the file before"
    findings = verify(path, tmp_path / "audit.key").findings
    assert [(each.first, each.last) for each in findings] == [(1, 6)]
    assert Path(f"{path}-wal.left").read_bytes() == log


def test_what_cannot_be_held_any_more_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    monkeypatch.setattr(module, "MAX_HELD", 3)
    path = filled(tmp_path, 1)
    with opened(tmp_path) as journal, closing(sqlite3.connect(path, isolation_level=None)) as thief:
        thief.execute("BEGIN IMMEDIATE")
        refusal(journal)
        for _ in range(10):
            journal.append(record(), wait=False)
        thief.execute("ROLLBACK")
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
            patched.setattr(Journal, "_write", lambda *_: {}["nothing"])
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


# What would never work.


def test_a_journal_without_its_key_is_not_continued_with_another(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "audit.key").unlink()
    with pytest.raises(ConfigurationError, match=r"audit\.key: the key of the journal .* is missing; restore it"):
        Journal(tmp_path / "audit.db", tmp_path / "audit.key")


@pytest.mark.parametrize("content", ["", "zz" * 32, "00" * 31, "00" * 33])
def test_a_key_file_that_holds_no_key_is_refused(tmp_path: Path, content: str) -> None:
    filled(tmp_path)
    (tmp_path / "audit.key").write_text(content)
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
        Journal(tmp_path / "audit.db", tmp_path / "audit.key")


@pytest.mark.parametrize("name", ["audit.db", "audit.key"])
def test_a_file_open_to_other_users_is_refused(tmp_path: Path, name: str) -> None:
    filled(tmp_path)
    (tmp_path / name).chmod(0o644)
    with pytest.raises((ConfigurationError, Unavailable), match="open to other users"), opened(tmp_path) as journal:
        journal.append(record(), wait=True)


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    with tampering(tmp_path / "audit.db") as database:
        database.execute("CREATE TABLE patients (name)")
    (tmp_path / "audit.key").write_text("00" * 32)
    (tmp_path / "audit.key").chmod(0o600)
    with pytest.raises(ConfigurationError, match="another program's"):
        Journal(tmp_path / "audit.db", tmp_path / "audit.key")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder"):
        Journal(tmp_path / "nowhere" / "audit.db", tmp_path / "audit.key")
