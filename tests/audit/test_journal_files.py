"""Full files are put away and removed, the next one continues them, and nobody who reads meanwhile misses any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.audit.builders import filled, opened, record
from tests.audit.journals import HANG, ROOT, SMALL, is_sound, refusal, rotated
from useridentity.audit import journal as module
from useridentity.audit.archive import Archive, alone, archives, full_name
from useridentity.audit.here import host
from useridentity.audit.journal import Journal
from useridentity.audit.record import Acceptor, Kind, Record
from useridentity.audit.search import Filter, by_number, every, newest, since_number
from useridentity.audit.segment import connect
from useridentity.audit.verify import _Verification, verify


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

    def fill() -> None:
        for each in range(9):
            journal.append(record(each), wait=True)

    with opened(tmp_path, rotate_bytes=1) as journal:
        writer = threading.Thread(target=fill)
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


@pytest.mark.parametrize("how", ["rotate", "together"])
def test_several_processes_write_one_chain_while_files_are_put_away(tmp_path: Path, how: str) -> None:
    """Those that open a journal for every few records, and those that never leave it by themselves."""
    command = [sys.executable, "-m", "tests.audit.journal_writer", how, str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [writer.wait(HANG) for writer in writers] == [0, 0, 0]
    assert archives(tmp_path / "audit.db")
    assert is_sound(tmp_path)
    with opened(tmp_path) as journal:
        found = [0]
        while more := journal.read(found[-1], 1000):
            found += [sequence for sequence, _ in more]
    assert found == list(range(found[-1] + 1))


def test_a_process_that_has_nothing_to_write_leaves_a_full_file_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANCHOR_SECONDS", 0.01)
    with opened(tmp_path, rotate_bytes=SMALL) as idle, opened(tmp_path, rotate_bytes=SMALL) as busy:
        idle.append(record(), wait=True)
        deadline = time.monotonic() + HANG
        while not archives(tmp_path / "audit.db") and time.monotonic() < deadline:
            busy.append(record(), wait=True)
        assert archives(tmp_path / "audit.db")
        idle.append(record(), wait=True)
    assert is_sound(tmp_path)


def test_a_file_without_a_record_is_never_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path, rotate_bytes=1) as journal:
        journal.ready()
    assert archives(tmp_path / "audit.db") == []
    assert caplog.text == ""


def test_nothing_is_put_away_or_begun_while_another_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("useridentity.audit.archive.BUSY", 0.05)
    filled(tmp_path, 1)
    with opened(tmp_path) as journal:
        with alone(tmp_path / "audit.key"):
            assert "audit.key: locked by another process" in refusal(journal)
        journal.append(record(), wait=True)


@pytest.mark.parametrize(
    ("which", "what"),
    [(0, "removed: no file has them, and none says that they were outdated"), (1, "removed: no file has them")],
)
def test_a_file_that_was_taken_out_is_missed(tmp_path: Path, which: int, what: str) -> None:
    rotated(tmp_path)
    full = archives(tmp_path / "audit.db")
    assert len(full) >= 2, "so that a full file is the oldest though the first was taken"
    assert is_sound(tmp_path)
    taken = full[which]
    taken.path.unlink()
    findings = verify(tmp_path / "audit.db", tmp_path / "audit.key").findings
    assert [(each.first, each.last, each.what) for each in findings] == [(taken.first, taken.last, what)]


def test_a_full_file_whose_name_says_more_than_it_has_keeps_nobody_from_reading_on(tmp_path: Path) -> None:
    rotated(tmp_path)
    first, second, *_ = archives(tmp_path / "audit.db")
    with opened(tmp_path) as journal:
        assert journal.read(first.last, 1)[0][0] == second.first
        shutil.copy2(first.path, tmp_path / "audit-000000000001-999999999999.db")
        assert journal.read(first.last, 1)[0][0] == second.first
        last = journal.last
        assert [number for number, _ in journal.read(last - 3, 10)] == [last - 2, last - 1, last]


@pytest.mark.parametrize("put_away_meanwhile", [False, True])
def test_a_file_that_is_put_away_while_the_journal_is_verified_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, put_away_meanwhile: bool
) -> None:
    rotated(tmp_path)
    read, put = _Verification.read, list[Path]()

    def then_put_away(self: _Verification, path: Path, opening: Any) -> None:
        read(self, path, opening)
        if put_away_meanwhile and not put:
            put.append(tmp_path / "audit.db")
            put[0].rename(full_name(put[0]))
            filled(tmp_path, 5)

    filled(tmp_path, 5)
    monkeypatch.setattr(_Verification, "read", then_put_away)
    report = verify(tmp_path / "audit.db", tmp_path / "audit.key")
    assert report.findings == []
    assert len(put) == put_away_meanwhile


SEARCHES: dict[str, Callable[[Path], Iterable[tuple[int, Record]]]] = {
    "list": lambda path: newest(path, Filter(), 10_000),
    "export": lambda path: every(path, Filter()),
    "follow": lambda path: since_number(path, 0),
    "show": lambda path: [found for number in range(1, 16) if (found := by_number(path, number))],
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("put_away_meanwhile", [False, True])
def test_whoever_looks_while_a_file_is_put_away_sees_all_of_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: str, *, put_away_meanwhile: bool
) -> None:
    """Between opening the newest file and looking for full ones; some see what has come since, too."""
    path = filled(tmp_path, 10)
    with closing(connect(path, "rw")) as database:
        database.execute("PRAGMA journal_mode = DELETE")  # as just before a file is put away

    def then_listed(journal: Path) -> list[Archive]:
        if put_away_meanwhile:
            monkeypatch.undo()
            path.rename(full_name(path))
            filled(tmp_path, 5)
        return archives(journal)

    monkeypatch.setattr("useridentity.audit.archive.archives", then_listed)
    numbers = [number for number, _ in SEARCHES[search](path)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) in ((10, 15) if put_away_meanwhile else (10,))


def test_one_full_file_can_be_verified_by_itself(tmp_path: Path) -> None:
    rotated(tmp_path)
    second = archives(tmp_path / "audit.db")[1]
    report = verify(second.path, tmp_path / "audit.key")
    assert report.findings == []
    assert report.notes == [f"{second.path.name} continues record {second.first - 1}, which is in an older file"]


def test_what_the_journal_says_of_itself_names_this_machine_and_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive of audit records has nothing else to tell by whose journal they are of."""
    monkeypatch.setattr(module, "ANCHOR_RECORDS", 3)
    with opened(tmp_path, rotate_bytes=1, keep=timedelta(days=-100_000).total_seconds()) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "_write", lambda *_: dict[str, int]()["nothing"])
            refusal(journal)
        told: dict[Kind, Record] = {}
        while len(told) < 3:
            journal.append(record(), wait=True)
            told |= {each.kind: each for _, each in journal.read(0, 100) if each.kind is not Kind.STORED}
    assert set(told) == {Kind.RECORDING_RESUMED, Kind.ANCHOR, Kind.RETIRED}
    assert {each.acceptor for each in told.values()} == {Acceptor(host=host(), process=os.getpid())}
