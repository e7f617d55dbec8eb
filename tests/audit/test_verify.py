"""Whoever has the journal but not its key can change nothing in it unseen, and what could be cut off is said."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.audit.builders import ALICE, NOON, filled, opened, record, tampering
from tests.audit.journals import findings, mark_in, verified
from useridentity.audit.chain import Chain, Head, read_key
from useridentity.audit.journal import ANCHOR_RECORDS
from useridentity.audit.record import Anchor
from useridentity.audit.search import Filter, by_number, every, newest
from useridentity.audit.segment import Entry, Segment, microseconds
from useridentity.errors import ConfigurationError


def anchor_of(folder: Path, sequence: int) -> Anchor:
    """What a sink would have been told of this record."""
    with tampering(folder / "audit.db") as database:
        mac = database.execute("SELECT mac FROM record WHERE sequence = ?", (sequence,)).fetchone()[0]
        journal = database.execute("SELECT journal FROM seal").fetchone()[0]
    return Anchor(journal, sequence, mac.hex())


def test_a_journal_that_nobody_touched_is_sound(tmp_path: Path) -> None:
    filled(tmp_path, 10)
    report = verified(tmp_path)
    assert report.findings == []
    assert (report.records, report.first, report.last, report.anchored) == (10, 1, 10, 0)


HIDDEN = [(0, 255, "altered index")]
UNREADABLE = [(1, 1, "cannot be read from here")]

TAMPERED = [
    ("UPDATE record SET body = replace(body, 'alice', 'mallo') WHERE sequence = 5", [(5, 5, "altered")]),
    ("UPDATE record SET body = CAST(body AS BLOB) WHERE sequence = 5", [(5, 5, "altered")]),
    ("UPDATE record SET body = CAST(x'7bff7d' AS TEXT) WHERE sequence = 5", [(5, 5, "altered")]),
    ("UPDATE record SET mac = 'x' WHERE sequence = 5", [(5, 5, "altered")]),
    ("UPDATE record SET before = 'x' WHERE sequence = 5", [(5, 5, "altered")]),
    (
        "UPDATE record SET sequence = 11 WHERE sequence = 10",
        [(11, 11, "reordered"), (10, 10, "removed"), (11, 11, "are beyond the head")],
    ),
    (
        f"UPDATE record SET sequence = {2**62} WHERE sequence = 10",
        [(2**62, 2**62, "altered"), (10, 2**62 - 1, "removed"), (11, 2**62, "are beyond the head")],
    ),
    ("DELETE FROM record WHERE sequence = 5", [(5, 5, "removed")]),
    ("DELETE FROM record WHERE sequence IN (3, 4, 5)", [(3, 5, "removed")]),
    ("DELETE FROM record WHERE sequence = 1", [(1, 1, "removed")]),
    ("DELETE FROM record WHERE sequence > 7", [(8, 10, "cut off")]),
    ("DELETE FROM record", [(1, 10, "cut off")]),
    ("UPDATE record SET time = 0 WHERE sequence = 5", HIDDEN),
    ("DELETE FROM term WHERE sequence = 5 AND field = 1", HIDDEN),
    ("UPDATE term SET value = CAST(value AS BLOB) WHERE value = 'p7'", HIDDEN),
    (f"UPDATE term SET time = time + {2**61 - 1} WHERE sequence = 5", HIDDEN),  # a number of the same hash
    ("UPDATE term SET sequence = 'x' WHERE sequence = 5", HIDDEN),
    ("UPDATE term SET value = CAST(x'ff' AS TEXT) WHERE value = 'p7'", HIDDEN),
    ("INSERT INTO term VALUES (1, 'mallory', 0, 5)", HIDDEN),
    ("INSERT INTO cursor VALUES ('arr', 11)", [(10, 10, "forged cursor")]),
    ("INSERT INTO cursor VALUES ('arr', 'x')", [(10, 10, "forged cursor")]),
    ("INSERT INTO cursor VALUES (CAST(x'ff' AS TEXT), 11)", [(10, 10, "forged cursor")]),
    ("CREATE TABLE other (a)", UNREADABLE),
    ("CREATE INDEX i ON record (mac)", UNREADABLE),
    ("CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM term; END", UNREADABLE),
]


@pytest.mark.parametrize(("statement", "expected"), TAMPERED)
@pytest.mark.threat("A1", "A2")
def test_what_was_done_to_a_journal_is_found_and_named(
    tmp_path: Path, statement: str, expected: list[tuple[int, int, str]]
) -> None:
    path = filled(tmp_path, 10)
    assert verified(tmp_path).is_sound
    with tampering(path) as database:
        database.execute(statement)
    assert findings(tmp_path) == expected


@pytest.mark.parametrize("sequence", [-5, 0])
@pytest.mark.threat("A1")
def test_a_record_added_before_the_first_is_found_and_shown_to_nobody(tmp_path: Path, sequence: int) -> None:
    path = filled(tmp_path, 10)
    assert verified(tmp_path).is_sound
    with tampering(path) as database:
        forged = (sequence, microseconds(NOON), b"", b"", record(detail="forged").to_json())
        database.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", forged)
        database.execute("INSERT INTO term VALUES (1, 'alice', ?, ?)", (microseconds(NOON), sequence))
    assert (sequence, sequence, "added") in findings(tmp_path)
    for wanted in (Filter(), Filter(user=ALICE.subject)):
        assert [number for number, _ in newest(path, wanted, 50)] == list(range(1, 11))
        assert [number for number, _ in every(path, wanted)] == list(range(1, 11))
    assert by_number(path, sequence) is None


@pytest.mark.threat("A2")
def test_a_record_left_out_of_an_index_whose_schema_does_not_say_so_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    assert verified(tmp_path).is_sound
    with tampering(path) as database:
        made = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'record_time'").fetchone()
        database.execute("DROP INDEX record_time")
        database.execute("CREATE INDEX record_time ON record (time) WHERE sequence <> 8")
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'record_time'", made)
    assert 8 not in [number for number, _ in newest(path, Filter(), 50)]
    assert findings(tmp_path) == [(1, 10, "the file is damaged, or made to hide some")]


@pytest.mark.parametrize(
    "change",
    ["journal = x'00'", "journal = CAST(x'ff' AS TEXT)", "sequence = 'x'", "sequence = -1", "mac = 'x'", "seal = 7"],
)
@pytest.mark.threat("A1")
def test_a_seal_with_values_of_other_types_is_found(tmp_path: Path, change: str) -> None:
    path = filled(tmp_path, 10)
    assert verified(tmp_path).is_sound
    with tampering(path) as database:
        database.execute(f"UPDATE seal SET {change} WHERE name = 'head'")
    assert [each.what for each in verified(tmp_path).findings if "sealed" in each.what]


@pytest.mark.threat("A1")
def test_a_base_without_a_number_is_found_after_full_files_too(tmp_path: Path) -> None:
    for _ in range(2):
        path = filled(tmp_path, 1000, rotate_bytes=100_000)
    assert verified(tmp_path).is_sound
    with tampering(path) as database:
        database.execute("UPDATE seal SET sequence = NULL WHERE name = 'base'")
    assert [each.what for each in verified(tmp_path).findings if "sealed" in each.what]
    with pytest.raises(ConfigurationError, match="see audit verify"):
        newest(path, Filter(), 50)


@pytest.mark.threat("A3")
def test_a_journal_that_was_begun_anew_is_found_by_anchors_of_the_one_before(tmp_path: Path) -> None:
    filled(tmp_path, 10)
    anchor = anchor_of(tmp_path, 8)
    assert findings(tmp_path, anchor) == []
    (tmp_path / "audit.db").unlink()
    mark_in(tmp_path).unlink()
    filled(tmp_path, 5)
    assert findings(tmp_path, anchor) == [(1, 5, "none of the anchors is of this journal")]


def test_anchors_of_other_journals_beside_those_of_this_one_are_told(tmp_path: Path) -> None:
    filled(tmp_path, 10)
    report = verified(tmp_path, anchor_of(tmp_path, 8), Anchor("another", 8, "00"))
    assert report.is_sound
    assert report.anchored == 8
    assert report.notes == ["1 of the anchors are of other journals; if one was here, it was replaced"]


@pytest.mark.threat("A1")
def test_records_that_changed_places_are_each_named(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    with tampering(path) as database:
        for old, new in ((3, -1), (7, 3), (-1, 7)):
            database.execute("UPDATE record SET sequence = ? WHERE sequence = ?", (new, old))
    what = [str(each) for each in verified(tmp_path).findings]
    assert what == [
        "audit.db: record 3: reordered: this is record 7",
        "audit.db: record 7: reordered: this is record 3",
    ]


@pytest.mark.threat("A1")
def test_records_renumbered_to_close_a_gap_are_found(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    with tampering(path) as database:
        database.execute("DELETE FROM record WHERE sequence = 5")
        for sequence in range(6, 11):
            database.execute("UPDATE record SET sequence = ? WHERE sequence = ?", (sequence - 1, sequence))
    found = verified(tmp_path).findings
    assert [each.first for each in found if each.what.startswith(("reordered", "altered"))] == [5, 6, 7, 8, 9]
    assert "reordered: this is record 6" in found[0].what


def test_a_record_of_another_journal_with_another_key_is_altered(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        filled(folder, 10)
    with tampering(ours / "audit.db") as database:
        database.execute("ATTACH ? AS theirs", (str(theirs / "audit.db"),))
        database.execute("REPLACE INTO record SELECT * FROM theirs.record WHERE sequence = 5")
    assert findings(ours) == [(5, 5, "altered")]


@pytest.mark.threat("A3")
def test_a_head_set_back_with_the_records_it_was_made_for_shows_only_by_an_anchor(tmp_path: Path) -> None:
    """Whoever kept a copy of the file and of its mark can put both back: that is what anchors are for."""
    filled(tmp_path, 10)
    before = {path: path.read_bytes() for path in (tmp_path / "audit.db", mark_in(tmp_path))}
    filled(tmp_path, 5)
    anchor = anchor_of(tmp_path, 15)
    assert findings(tmp_path, anchor) == []
    for path, octets in before.items():
        path.write_bytes(octets)
    assert findings(tmp_path) == []
    assert findings(tmp_path, anchor) == [(11, 15, "cut off")]


def test_a_forged_head_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    with tampering(path) as database:
        database.execute("DELETE FROM record WHERE sequence > 7")
        database.execute("UPDATE seal SET sequence = 7 WHERE name = 'head'")
    assert [each.what for each in verified(tmp_path).findings if "sealed" in each.what]


def test_records_put_in_the_place_of_others_are_found_by_an_anchor(tmp_path: Path) -> None:
    """A second journal with the same key, as after a restored backup: both are genuine, one was anchored."""
    filled(tmp_path, 10)
    anchor = anchor_of(tmp_path, 8)
    for each in (tmp_path / "audit.db", mark_in(tmp_path)):
        each.unlink()
    filled(tmp_path, 10)
    forged = Anchor(anchor_of(tmp_path, 8).journal, 8, anchor.head)
    assert findings(tmp_path, anchor_of(tmp_path, 8)) == []
    assert findings(tmp_path, forged) == [(8, 8, "is not the record that a sink, or the mark, knows")]


def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = filled(tmp_path, 2000)
    content = bytearray(path.read_bytes())
    with tampering(path) as database:
        root = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'record'").fetchone()[0]
    content[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(content)
    assert [each.what for each in verified(tmp_path).findings if "cannot be read" in each.what]


def test_what_sinks_have_not_taken_yet_is_said_not_to_be_anchored(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for number in range(ANCHOR_RECORDS + 10):
            journal.append(record(number), wait=number % 200 == 0)
        journal.append(record(), wait=True)
        last = journal.last
        assert verified(tmp_path).anchored == 0
        journal.advance("arr", last)
    report = verified(tmp_path)
    assert report.findings == []
    assert 0 < report.anchored < report.last


@pytest.mark.parametrize("change", ['"kind":"eaten"', '"kind":"stored","of_next_year":1'])
def test_records_of_a_newer_release_are_noted_and_hide_nothing_else(tmp_path: Path, change: str) -> None:
    """Their MACs are as they should be; what the index should have of them is not known here."""
    path = filled(tmp_path, 300)
    body = record(300).to_json().replace('"kind":"stored"', change)
    with closing(Segment(path, Chain(read_key(tmp_path / "audit.key")))) as segment, segment.transaction():
        segment.append([Entry(microseconds(NOON), body, frozenset({(99, "x")}))], segment.head)
    report = verified(tmp_path)
    assert (report.findings, report.records) == ([], 301)
    assert report.notes == ["1 records are of a newer release; that can tell whether all of them are found"]
    with tampering(path) as database:
        database.execute("DELETE FROM term WHERE sequence = 5")
    assert findings(tmp_path) == [(0, 255, "altered index")]


def test_without_the_key_nothing_is_verified(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "audit.key").unlink()
    with pytest.raises(ConfigurationError, match=r"audit\.key"):
        verified(tmp_path)


def test_another_key_makes_every_record_altered(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "audit.key").write_text("00" * 32)
    assert len([each for each in verified(tmp_path).findings if each.what == "altered"]) == 10


def test_of_very_many_altered_records_only_the_numbers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key makes all of them such, and a file may have millions."""
    path = filled(tmp_path)
    with tampering(path) as database:
        database.execute("UPDATE record SET body = body || ' ' WHERE sequence NOT IN (4, 9)")
    altered = [(number, number, "altered") for number in (1, 2, 3, 5, 6, 7, 8, 10)]
    assert findings(tmp_path) == altered
    monkeypatch.setattr("useridentity.audit.verify.MAX_MOVED", 7)
    assert findings(tmp_path) == [(1, 3, "altered"), (5, 8, "altered"), (10, 10, "altered")]


def test_a_journal_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no journal here"):
        verified(tmp_path)


def test_no_two_lists_of_parts_have_the_same_mac(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    chain = Chain(read_key(tmp_path / "audit.key"))
    start = chain.start("a")
    assert chain.link(start, "b") != chain.link(start, "c")
    assert chain.start("b") != start
    assert chain.seal("head", "a", start) != chain.seal("base", "a", start)
    assert chain.mac(start.mac, 1, "b") != chain.mac(start.mac, 2, "b")
    assert chain.link(Head(1, start.mac), "b").mac != chain.link(start, "b").mac
