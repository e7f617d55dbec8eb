"""Who can write the journal and not beside its key, cuts nothing off that was marked, server or no server."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.audit.builders import filled, opened, record
from tests.audit.journals import findings, mark_in, verified
from useridentity.audit.archive import archives
from useridentity.audit.chain import Chain, Head, read_key
from useridentity.audit.journal import Journal
from useridentity.audit.mark import Mark, read_mark, write_mark
from useridentity.audit.record import Kind
from useridentity.audit.verify import verify
from useridentity.errors import ConfigurationError, Unavailable


def rotated(folder: Path) -> Path:
    """A journal of a full file and the next one."""
    filled(folder, 1001, rotate_bytes=1)
    filled(folder, 3)
    return folder / "audit.db"


def test_a_journal_is_marked_up_to_its_end_when_it_is_closed(tmp_path: Path) -> None:
    filled(tmp_path, 10)
    report = verified(tmp_path)
    assert (report.is_sound, report.marked, report.anchored) == (True, 10, 0)


def test_a_running_journal_is_marked_with_every_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("useridentity.audit.journal.ANCHOR_RECORDS", 3)
    with opened(tmp_path) as journal:
        for number in range(9):
            journal.append(record(number), wait=True)
        assert 0 < verified(tmp_path).marked <= journal.last


@pytest.mark.threat("A3")
def test_an_older_copy_put_back_while_no_server_runs_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    shutil.copy2(path, tmp_path / "older.db")
    filled(tmp_path, 5)
    assert verified(tmp_path).is_sound
    (tmp_path / "older.db").replace(path)
    assert findings(tmp_path) == [(11, 15, "cut off")]


@pytest.mark.threat("A3")
def test_an_older_copy_is_not_continued_by_a_server_that_starts(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    shutil.copy2(path, tmp_path / "older.db")
    filled(tmp_path, 1)
    (tmp_path / "older.db").replace(path)
    with opened(tmp_path) as journal:
        with pytest.raises(Unavailable, match="is an older copy: it ends with record 10, and record 11 was written"):
            journal.append(record(), wait=True)
        path.rename(tmp_path / "audit-000000000001-000000000010.db")
        journal.append(record(), wait=True)
        assert [number for number, each in journal.read(10, 9) if each.kind is Kind.STORED] == [13]
    assert findings(tmp_path) == [(11, 11, "removed")]


@pytest.mark.threat("A3")
def test_a_newest_file_that_was_removed_is_found(tmp_path: Path) -> None:
    path = rotated(tmp_path)
    first, last = archives(path)[-1].last + 1, verified(tmp_path).last
    assert verified(tmp_path).is_sound
    path.unlink()
    removed = "removed with the whole file, unless a server was killed just as it began it, and none has run since"
    assert findings(tmp_path) == [(first, first, removed), (first, last, "cut off")]
    mark_in(tmp_path).unlink()
    assert findings(tmp_path) == [(first, first, removed)]


@pytest.mark.threat("A3")
def test_a_newest_file_that_was_removed_is_missed_after_the_next_start_too(tmp_path: Path) -> None:
    path = rotated(tmp_path)
    first, last = archives(path)[-1].last + 1, verified(tmp_path).last
    path.unlink()
    filled(tmp_path, 1)
    assert findings(tmp_path) == [(first, last, "removed")]


@pytest.mark.threat("A3")
def test_a_journal_that_was_removed_as_a_whole_is_found_and_continued(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    path.unlink()
    assert findings(tmp_path)[-1] == (1, 10, "cut off")
    filled(tmp_path, 1)
    assert findings(tmp_path) == [(1, 10, "removed")]


def test_a_journal_of_another_name_has_a_mark_of_its_own(tmp_path: Path) -> None:
    """As a full file has that is verified by itself, and a second journal with the same key."""
    path = filled(tmp_path, 10)
    shutil.copy2(path, tmp_path / "copy.db")
    filled(tmp_path, 1)
    report = verify(tmp_path / "copy.db", tmp_path / "audit.key")
    assert (report.is_sound, report.marked) == (True, 0)


@pytest.mark.threat("A3")
@pytest.mark.parametrize("number", [" 5 ", f" {2**64} ", " -1 ", " x "])
def test_a_mark_that_was_changed_is_found_and_stops_a_server_from_starting(tmp_path: Path, number: str) -> None:
    filled(tmp_path, 10)
    mark = mark_in(tmp_path)
    mark.write_text(mark.read_text().replace(" 10 ", number))
    assert [str(each) for each in verified(tmp_path).findings] == [
        f"{mark.name}: record 0: is not what the key sealed; restore both from a copy, or remove this mark to go on "
        "without it"
    ]
    with pytest.raises(ConfigurationError, match="is not what the key sealed"), opened(tmp_path):
        pass
    mark.unlink()
    filled(tmp_path, 1)
    assert verified(tmp_path).marked == 11


def test_a_mark_of_an_earlier_build_is_one(tmp_path: Path) -> None:
    """It does not say where the journal was."""
    path, mark = filled(tmp_path, 10), mark_in(tmp_path)
    mark.write_text(mark.read_text().partition(' "')[0])
    assert verified(tmp_path).marked == 10
    path.unlink()
    filled(tmp_path, 1)
    assert findings(tmp_path) == [(1, 10, "removed")]


@pytest.mark.parametrize("text", ["", "a b", "a 1 zz zz", "a x 00 00", "a -1 00 00", "a 1 00 é", "{} 7", "{} x"])
def test_what_is_no_mark_is_told(tmp_path: Path, text: str) -> None:
    filled(tmp_path, 1)
    mark = mark_in(tmp_path)
    mark.write_text(text.format(mark.read_text().partition(' "')[0]))
    assert [each.what for each in verified(tmp_path).findings if "not what the key sealed" in each.what]


def test_a_mark_never_goes_back_nor_to_another_journal(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    chain, mark = Chain(read_key(tmp_path / "audit.key")), tmp_path / "mark"
    for sequence, expected in ((5, 5), (3, 5), (7, 7)):
        write_mark(mark, chain, Mark("a", Head(sequence, b"m"), Path("/a b\udcff.db")))
        assert read_mark(mark, chain) == ("a", Head(expected, b"m"), Path("/a b\udcff.db"))
    with pytest.raises(ConfigurationError, match=r"is of another journal, /a .*; give one of them another key"):
        write_mark(mark, chain, Mark("b", Head(8, b"m"), Path("/b.db")))


def test_journals_of_one_name_that_share_a_key_are_an_error(tmp_path: Path) -> None:
    """They would share the mark, too, and the second would go on where the first is."""
    first, second, key = tmp_path / "a" / "audit.db", tmp_path / "b" / "audit.db", tmp_path / "audit.key"
    for path in (first, second):
        path.parent.mkdir()
    with closing(Journal(first, key)) as journal:
        journal.append(record(), wait=True)
    with pytest.raises(ConfigurationError, match=r"b/audit\.db: has the key and the name of the journal .*/a/"):
        Journal(second, key)
    first.rename(second)
    with closing(Journal(second, key)) as journal:
        journal.append(record(), wait=True)
    report = verify(second, key)
    assert (report.findings, report.marked) == ([], 2), "a journal may be moved"


@pytest.mark.threat("A3")
def test_another_journal_of_the_same_key_put_in_place_is_not_continued(tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    for path in (tmp_path / "audit.db", tmp_path / "other.db"):
        with closing(Journal(path, key)) as journal:
            journal.append(record(), wait=True)
            journal.append(record(), wait=path.name == "other.db")
    (tmp_path / "other.db").replace(path := tmp_path / "audit.db")
    with opened(tmp_path) as journal:
        with pytest.raises(Unavailable, match="is another journal than the one that was written; put that back"):
            journal.append(record(), wait=True)
        path.unlink()
        journal.append(record(), wait=True)
    assert findings(tmp_path) == [(1, 2, "removed")]


def test_where_no_mark_can_be_kept_everything_goes_on_and_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key may be in a folder for reading only."""
    monkeypatch.setattr("useridentity.audit.journal.ANCHOR_RECORDS", 2)
    path = filled(tmp_path, 1)
    assert caplog.text == ""
    with opened(tmp_path) as journal:
        journal.append(record(), wait=True)
        mark_in(tmp_path).unlink()
        mark_in(tmp_path).mkdir(0o700)
        for number in range(6):
            journal.append(record(number), wait=True)
    assert caplog.text.count("Is a directory; that the journal was cut off shows only by") == 1
    mark_in(tmp_path).rmdir()
    assert verify(path, tmp_path / "audit.key").is_sound


def test_a_lost_key_is_told_where_only_its_mark_is_left(tmp_path: Path) -> None:
    filled(tmp_path, 1).unlink()
    (tmp_path / "audit.key").unlink()
    with (
        pytest.raises(ConfigurationError, match=r"the key .* is missing; .* move audit\.key\.audit\.db\.mark"),
        opened(tmp_path),
    ):
        pass
