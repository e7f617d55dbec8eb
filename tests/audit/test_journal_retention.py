"""Full files are removed once they are old enough and every sink has taken them, and not before, whoever says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.audit.builders import NOON, opened, record, tampering
from tests.audit.journals import is_sound, rotated
from useridentity.audit import journal as module
from useridentity.audit.archive import archives
from useridentity.audit.record import Kind
from useridentity.audit.segment import Segment


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
