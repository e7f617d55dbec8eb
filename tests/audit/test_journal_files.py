"""Full files are put away and removed, the next one continues them, and nobody who reads meanwhile misses any."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.audit.builders import NOON, filled, opened, record, tampering
from tests.audit.journals import HANG, ROOT, is_sound, refusal
from useridentity.audit import journal as module
from useridentity.audit.archive import Archive, alone, archives, full_name
from useridentity.audit.here import host
from useridentity.audit.journal import ANCHOR_RECORDS, Journal
from useridentity.audit.record import Acceptor, Kind, Record
from useridentity.audit.segment import Segment
from useridentity.audit.verify import _Verification, verify

SMALL = 100_000  # bytes of a file that a test fills


def rotated(folder: Path, **settings: Any) -> list[Record]:
    """What a journal of several files holds, written by a process that was started three times."""
    written = []
    for start in range(3):
        with opened(folder, rotate_bytes=SMALL, **settings) as journal:
            for number in range(ANCHOR_RECORDS):
                written.append(record(number + start * ANCHOR_RECORDS))
                journal.append(written[-1], wait=number % 100 == 99)
    return written


def test_a_full_file_is_put_away_and_the_journal_goes_on_as_one(tmp_path: Path) -> None:
    written = rotated(tmp_path)
    assert len(archives(tmp_path / "audit.db")) >= 2
    assert is_sound(tmp_path)
    with opened(tmp_path) as journal:
        found: list[tuple[int, Record]] = []
        while more := journal.read(found[-1][0] if found else 0, 300):
            found += more
    assert [sequence for sequence, _ in found] == list(range(1, len(found) + 1))
    assert [each for _, each in found if each.kind is Kind.STORED] == written


def test_cursors_move_on_to_the_next_file(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
        journal.advance("arr", 1)
    rotated(tmp_path)
    with opened(tmp_path) as journal:
        assert journal.cursor("arr") == 1


@pytest.mark.parametrize("put_away_meanwhile", [False, True])
def test_a_reader_gets_every_record_of_a_file_that_is_put_away_while_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, put_away_meanwhile: bool
) -> None:
    """Between looking for full files and reading the newest, another one may become the newest."""
    monkeypatch.setattr(module, "ANCHOR_RECORDS", 5)

    def then_moved(path: Path) -> list[Archive]:
        found = archives(path)
        if put_away_meanwhile and writer.ident is None:
            writer.start()
            writer.join(0.5)  # in vain, where nothing can be put away now
        return found

    with opened(tmp_path, rotate_bytes=1) as journal:
        writer = threading.Thread(target=lambda: [journal.append(record(each), wait=True) for each in range(9)])
        journal.append(record(), wait=True)
        monkeypatch.setattr("useridentity.audit.reader.archives", then_moved)
        first = journal.read(0, 100)
        if put_away_meanwhile:
            writer.join(HANG)
        monkeypatch.undo()
        numbers = [sequence for sequence, _ in first]
        assert numbers == list(range(1, len(first) + 1))
        assert numbers or not put_away_meanwhile
        while more := journal.read(numbers[-1], 100):
            numbers += [sequence for sequence, _ in more]
    assert numbers == list(range(1, journal.last + 1))


def test_records_that_no_file_has_are_an_error_for_who_reads_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rotated(tmp_path)
    first, second, *_ = archives(tmp_path / "audit.db")
    with opened(tmp_path) as journal:
        assert journal.read(first.last, 1)[0][0] == second.first
        assert caplog.text == ""
        second.path.unlink()
        assert journal.read(first.last, 1)[0][0] == second.last + 1
    assert f"records {second.first} to {second.last} are in no file" in caplog.text


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_next_file_begins_whole_with_its_cursors_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool
) -> None:
    """A disk that fails, or a kill, while the next file is begun: a sink's place is not forgotten."""
    monkeypatch.setattr(module, "ANCHOR_RECORDS", 5)
    path = tmp_path / "audit.db"
    with opened(tmp_path, rotate_bytes=1, sinks=["arr"]) as journal:
        for number in range(3):
            journal.append(record(number), wait=True)
        journal.advance("arr", 3)
        while not archives(path):
            journal.append(record(), wait=True)
    path.unlink(missing_ok=True)
    with opened(tmp_path) as journal:
        if interrupted:
            with monkeypatch.context() as patched:
                patched.setattr("useridentity.audit.segment._ADVANCE", "no SQL")
                assert "no" in refusal(journal)
            assert not path.exists()
            assert [each.name for each in tmp_path.iterdir() if ".new" in each.name] == []
            assert journal.cursor("arr") == 3
        (tmp_path / "audit.db.new").write_text("left by a power cut")
        journal.append(record(), wait=True)
        assert path.exists()
        assert journal.cursor("arr") == 3
        assert path.stat().st_mode & 0o777 == 0o600


def test_who_was_away_while_others_went_on_continues_what_they_wrote(tmp_path: Path) -> None:
    """Its own last record is not the last any more when it begins the next file."""
    with opened(tmp_path) as away:
        away.append(record(), wait=True)
        away._written_file.close()
        filled(tmp_path, 5)
        (tmp_path / "audit.db").rename(full_name(tmp_path / "audit.db"))
        away.append(record(), wait=True)
        assert away.last == 7
    assert is_sound(tmp_path)


def test_several_processes_write_one_chain_while_files_are_put_away(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.audit.journal_writer", "rotate", str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [writer.wait(HANG) for writer in writers] == [0, 0, 0]
    assert len(archives(tmp_path / "audit.db")) > 1
    assert is_sound(tmp_path)
    with opened(tmp_path) as journal:
        found = [0]
        while more := journal.read(found[-1], 1000):
            found += [sequence for sequence, _ in more]
    assert found == list(range(found[-1] + 1))


def test_nothing_is_put_away_or_begun_while_another_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("useridentity.audit.archive.BUSY", 0.05)
    filled(tmp_path, 1)
    with opened(tmp_path) as journal:
        with alone(tmp_path / "audit.key"):
            assert "audit.key: locked by another process" in refusal(journal)
        journal.append(record(), wait=True)


def test_a_file_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    rotated(tmp_path)
    taken = archives(tmp_path / "audit.db")[1]
    taken.path.unlink()
    findings = verify(tmp_path / "audit.db", tmp_path / "audit.key").findings
    assert [(each.first, each.last, each.what) for each in findings] == [
        (taken.first, taken.last, "removed: no file has them")
    ]


@pytest.mark.parametrize("put_away_meanwhile", [False, True])
def test_a_file_that_is_put_away_while_the_journal_is_verified_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, put_away_meanwhile: bool
) -> None:
    rotated(tmp_path)
    read, put = _Verification.read, list[Path]()

    def then_put_away(self: _Verification, path: Path) -> None:
        read(self, path)
        if put_away_meanwhile and not put:
            put.append(tmp_path / "audit.db")
            put[0].rename(full_name(put[0]))
            filled(tmp_path, 5)

    filled(tmp_path, 5)
    monkeypatch.setattr(_Verification, "read", then_put_away)
    report = verify(tmp_path / "audit.db", tmp_path / "audit.key")
    assert report.findings == []
    assert len(put) == put_away_meanwhile


def test_one_full_file_can_be_verified_by_itself(tmp_path: Path) -> None:
    rotated(tmp_path)
    second = archives(tmp_path / "audit.db")[1]
    report = verify(second.path, tmp_path / "audit.key")
    assert report.findings == []
    assert report.notes == [f"{second.path.name} continues record {second.first - 1}, which is in an older file"]


def test_files_older_than_they_are_to_be_kept_are_removed_and_not_missed(tmp_path: Path) -> None:
    rotated(tmp_path, keep=timedelta(days=-100_000).total_seconds())
    full = archives(tmp_path / "audit.db")
    assert not full or full[0].first > 1
    with opened(tmp_path) as journal:
        retired = [each for _, each in journal.read(0, 10_000) if each.kind is Kind.RETIRED]
    assert retired[-1].anchor is not None
    assert is_sound(tmp_path)


def test_files_within_their_time_are_kept(tmp_path: Path) -> None:
    rotated(tmp_path, keep=timedelta(days=36_500).total_seconds())
    assert archives(tmp_path / "audit.db")[0].first == 1
    assert NOON.year == 2026


@pytest.mark.threat("A1")
@pytest.mark.parametrize("forged", ["", "its index", "its name"])
def test_a_file_made_to_look_old_or_taken_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forged: str) -> None:
    """Who can write a full file must not have the server remove it, and vouch for that."""
    monkeypatch.setattr(module, "ANCHOR_RECORDS", 1)
    rotated(tmp_path)
    first = archives(tmp_path / "audit.db")[0]
    if forged == "its index":
        with tampering(first.path) as database:
            database.execute("UPDATE record SET time = ?", (-(2**61),))
    elif forged == "its name":
        first.path.rename(tmp_path / "audit-000000000001-000000000002.db")
    keep = timedelta(days=-100_000 if forged == "its name" else 36_500).total_seconds()
    with opened(tmp_path, keep=keep, sinks=["arr"]) as journal:
        journal.advance("arr", 5 if forged == "its name" else first.last)
        for number in range(3):
            journal.append(record(number), wait=True)
    assert archives(tmp_path / "audit.db")[0].first == 1


@pytest.mark.threat("A1")
def test_a_file_whose_last_record_was_altered_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ANCHOR_RECORDS", 1)
    rotated(tmp_path)
    first, second = archives(tmp_path / "audit.db")[:2]
    with tampering(second.path) as database:
        database.execute("UPDATE record SET body = replace(body, '2026', '1999') WHERE sequence = ?", (second.last,))
    with opened(tmp_path, keep=timedelta(days=-100_000).total_seconds()) as journal:
        for number in range(3):
            journal.append(record(number), wait=True)
    assert not first.path.exists()
    assert second.path.exists()
    assert f"record {second.last} was altered; see audit verify" in caplog.text


def test_a_disk_that_is_full_just_as_a_file_is_removed_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be said of the removal was not said, and is not missed."""
    rotated(tmp_path)
    monkeypatch.setattr(module, "ANCHOR_RECORDS", 1)
    append = Segment.append

    def full(self: Segment, entries: Any, after: Any) -> Any:
        head = append(self, entries, after)
        if any(Kind.RETIRED.value in each.body for each in entries):
            self._database.execute("ROLLBACK")  # as SQLite does where a commit finds the disk full
        return head

    with opened(tmp_path, keep=timedelta(days=-100_000).total_seconds()) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(Segment, "append", full)
            for number in range(3):
                journal.append(record(number), wait=True)
        assert "files are put away and removed later" in caplog.text
        assert archives(tmp_path / "audit.db")[0].first == 1
        for number in range(3):
            journal.append(record(number), wait=True)
    assert archives(tmp_path / "audit.db") == []
    assert is_sound(tmp_path)


def test_files_that_a_sink_has_not_taken_are_kept_whatever_their_age(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
        journal.advance("arr", 1)
        journal.advance("a sink of last year", 0)
    rotated(tmp_path, keep=timedelta(days=-100_000).total_seconds(), sinks=["arr", "new"])
    assert archives(tmp_path / "audit.db")[0].first == 1
    with opened(tmp_path, keep=timedelta(days=-100_000).total_seconds(), sinks=["arr"]) as journal:
        journal.advance("arr", journal.last)
        journal.append(record(), wait=True)
    assert not [each for each in archives(tmp_path / "audit.db") if each.first == 1], "nobody waits for it any more"


def test_what_the_journal_says_of_itself_names_this_machine_and_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive of audit records has nothing else to tell by whose journal they are of."""
    monkeypatch.setattr(module, "ANCHOR_RECORDS", 3)
    with opened(tmp_path, rotate_bytes=1, keep=timedelta(days=-100_000).total_seconds()) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "_write", lambda *_: {}["nothing"])
            refusal(journal)
        told: dict[Kind, Record] = {}
        while len(told) < 3:
            journal.append(record(), wait=True)
            told |= {each.kind: each for _, each in journal.read(0, 100) if each.kind is not Kind.STORED}
    assert set(told) == {Kind.RECORDING_RESUMED, Kind.ANCHOR, Kind.RETIRED}
    assert {each.acceptor for each in told.values()} == {Acceptor(host=host(), process=os.getpid())}
