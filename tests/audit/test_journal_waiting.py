"""Whoever waits for a record is told the truth, however slow the disk is."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.audit.builders import opened, record
from tests.audit.journals import HANG, is_sound
from useridentity.audit import journal as module
from useridentity.audit.journal import Journal
from useridentity.audit.segment import Segment
from useridentity.errors import Unavailable


def test_what_nobody_waits_for_any_more_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was told that there is no record has done nothing; what has happened is written though it takes long."""
    gone = threading.Event()
    append = Segment.append

    def slow(*args: Any) -> Any:
        assert gone.wait(HANG)
        return append(*args)

    with opened(tmp_path) as journal:
        journal.append(record(detail="in time"), wait=True)
        monkeypatch.setattr(Segment, "append", slow)
        monkeypatch.setattr(module, "WAIT", 0.2)
        journal.append(record(detail="has happened"), wait=False)
        with pytest.raises(Unavailable, match="nothing was written"):
            journal.append(record(detail="never was"), wait=True)
        gone.set()
    with opened(tmp_path) as journal:
        assert [each.detail for _, each in journal.read(0, 10)] == ["in time", "has happened"]
    assert is_sound(tmp_path)


def test_whoever_gives_up_takes_no_room_from_what_has_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs for hours, and peers that try again all the while."""
    entered, leave, write = threading.Event(), threading.Event(), Journal._write

    def slow(self: Journal, batch: Any) -> bool:
        entered.set()
        assert leave.wait(HANG)
        return write(self, batch)

    with opened(tmp_path) as journal:
        journal.append(record(detail="in time"), wait=True)
        monkeypatch.setattr(Journal, "_write", slow)
        monkeypatch.setattr(module, "MAX_HELD", 5)
        monkeypatch.setattr(module, "WAIT", 0.01)
        journal.append(record(detail="is being written"), wait=False)
        assert entered.wait(HANG)
        for _ in range(10):
            with pytest.raises(Unavailable, match="nothing was written"):
                journal.append(record(detail="never was"), wait=True)
        journal.append(record(detail="has happened"), wait=False)
        leave.set()
    with opened(tmp_path) as journal:
        assert [each.detail for _, each in journal.read(0, 100)] == ["in time", "is being written", "has happened"]


@pytest.mark.parametrize("hangs", [False, True])
def test_a_server_ends_though_its_disk_hangs_and_says_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, hangs: bool
) -> None:
    entered, leave, write = threading.Event(), threading.Event(), Journal._write

    def slow(self: Journal, batch: Any) -> bool:
        entered.set()
        assert not hangs or leave.wait(HANG)
        return write(self, batch)

    with opened(tmp_path) as journal:
        monkeypatch.setattr(Journal, "_write", slow)
        monkeypatch.setattr(module, "CLOSING", 0.1 if hangs else HANG)
        journal.append(record(0), wait=False)
        assert entered.wait(HANG)
        journal.append(record(1), wait=False)
        journal.append(record(2), wait=False)
        journal.close()
        assert ("2 records could not be written before the journal was closed" in caplog.text) is hangs
        leave.set()
        monkeypatch.setattr(module, "CLOSING", HANG)
        journal.open()
        journal.append(record(3), wait=True)
        found = [each.detail or each.association for _, each in journal.read(0, 10)]
    assert len(found) == (3 if hangs else 4)
    assert any("more came than could be written" in each for each in found) is hangs
    assert is_sound(tmp_path)


def test_a_server_ends_though_somebody_reads_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSING", 0.1)
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
        with journal.reader.paused():
            journal.close()
    with opened(tmp_path) as journal:
        assert len(journal.read(0, 10)) == 1
