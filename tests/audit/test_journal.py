"""Records and the places of sinks are written and read in order, at once for whoever waits, and anchored."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.audit.builders import filled, opened, record, tampering
from tests.audit.journals import HANG, kinds
from useridentity.audit import journal as module
from useridentity.audit.journal import ANCHOR_RECORDS, Journal
from useridentity.audit.record import Kind
from useridentity.errors import ConfigurationError, Unavailable

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


@pytest.mark.parametrize("name", ["audit.db", "audit.key"])
def test_a_symbolic_link_is_refused_before_anything_is_served(tmp_path: Path, name: str) -> None:
    """SQLite finds a log by the name of its file, and a link could come to lead elsewhere."""
    filled(tmp_path)
    with opened(tmp_path):
        pass
    (tmp_path / name).rename(tmp_path / "elsewhere")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=rf"{name}: is a symbolic link; name the file itself: .*elsewhere"):
        Journal(tmp_path / "audit.db", tmp_path / "audit.key")


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    with tampering(tmp_path / "audit.db") as database:
        database.execute("CREATE TABLE patients (name)")
    (tmp_path / "audit.key").write_text("00" * 32)
    (tmp_path / "audit.key").chmod(0o600)
    with pytest.raises(ConfigurationError, match="another program's"):
        Journal(tmp_path / "audit.db", tmp_path / "audit.key")


def test_a_journal_that_is_its_own_key_is_refused(tmp_path: Path) -> None:
    """As one named `audit.key` would be by the key's default; nobody would ever be accepted."""
    Journal(tmp_path / "audit.db", tmp_path / "audit.key")
    with pytest.raises(ConfigurationError, match="named as the journal and as its key"):
        Journal(tmp_path / "audit.key", tmp_path / "audit.key")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder"):
        Journal(tmp_path / "nowhere" / "audit.db", tmp_path / "audit.key")
