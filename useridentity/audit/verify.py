"""Whether a journal is as it was written: what was altered, removed, moved, cut off or hidden, and what could be.

Everything is read, nothing is believed: not the numbers, not the index by which records are found, not the end,
not the tables themselves.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from useridentity.audit.archive import Opening, alone, files, in_order
from useridentity.audit.chain import Chain, Head, read_key
from useridentity.audit.index import Index
from useridentity.audit.mark import Mark, mark_of, read_mark
from useridentity.audit.record import Anchor, Kind, Record
from useridentity.audit.segment import SCHEMA, Row, checked_seal, problem
from useridentity.errors import ConfigurationError

MAX_MOVED = 1000
"""Altered records of a file for which it is tried whether they are others in the wrong place: each with each.

Of more, as with a wrong key, only their numbers are kept.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the records `first` to `last` of a file."""

    file: Path
    first: int
    last: int
    what: str

    def __str__(self) -> str:
        numbers = f"record {self.first}" if self.first == self.last else f"records {self.first} to {self.last}"
        return f"{self.file.name}: {numbers}: {self.what}"


@dataclass(slots=True)
class Report:
    """What was found.

    Fields:
        journal: its id.
        records, first, last: how many there are, and their first and last number.
        marked: the newest record that the mark beside the key vouches for, 0 without one.
        anchored: the newest record that a sink vouches for; without anchors of its own this rests on the journal's
            cursors, which nothing seals. Records after both could be cut off unseen.
        findings: what is wrong.
        notes: what is worth knowing, and nothing wrong.
    """

    journal: str = ""
    records: int = 0
    first: int = 0
    last: int = 0
    marked: int = 0
    anchored: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.findings


def verify(journal: Path, key: Path, anchors: Iterable[Anchor] = ()) -> Report:
    """Verify the journal with all its files, against its mark and `anchors` that sinks have kept.

    Raises `ConfigurationError` where there is no journal, and never was, or no key to verify by.
    """
    path = mark_of(journal, key)
    if not files(journal) and not path.exists():
        raise ConfigurationError(f"{journal}: there is no journal here; name its file")
    verification = _Verification(Chain(read_key(key)), anchors)
    verification.read_mark(path)
    for each, opening in in_order(journal):
        verification.read(each, opening)
    with alone(key):  # who has just put a full file away has not begun the next one yet
        is_missing = not journal.exists()
    return verification.concluded(journal, is_missing=is_missing)


class _Altered:
    """Records that are not themselves: which, and as long as there are few, what they are instead."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.runs: list[tuple[int, int]] = []
        self._number = 0

    def add(self, row: Row) -> None:
        self._number += 1
        if self._number <= MAX_MOVED:
            self.rows.append(row)
        else:
            self.rows.clear()
        if self.runs and self.runs[-1][1] == row.sequence - 1:
            self.runs[-1] = (self.runs[-1][0], row.sequence)
        else:
            self.runs.append((row.sequence, row.sequence))


class _Verification:
    """One pass over the files, oldest first."""

    def __init__(self, chain: Chain, anchors: Iterable[Anchor]) -> None:
        self._chain = chain
        self._mark: Mark | None = None
        self._anchors = list(anchors)
        self._expected = {(each.journal, each.sequence): each.head for each in self._anchors}
        self._before: Head | None = None
        self._base = Head(0, b"")
        self._retired: set[Anchor] = set()
        self._told: list[tuple[int, Anchor]] = []
        self._unknown = 0
        self._told_of = 0  # up to where there is a finding that something is missing at the end
        self._taken = 0
        self._genuine = True
        self._first: Path | None = None
        self._path = Path()
        self.report = Report()

    def read_mark(self, path: Path) -> None:
        """Learn up to where the journal was marked."""
        try:
            self._mark = read_mark(path, self._chain)
        except ConfigurationError as error:
            self._path = path
            for each in error.problems:
                self._find(0, 0, each.removeprefix(f"{path}: "))
        if self._mark is not None:
            journal, (sequence, mac), _ = self._mark
            self._expected.setdefault((journal, sequence), mac.hex())

    def read(self, path: Path, opening: Opening) -> None:
        """Verify one file as the continuation of those before."""
        self._path = path
        self._first = self._first or path
        try:
            with opening as database:
                self._verify_file(database)
        except (sqlite3.Error, OSError, ConfigurationError) as error:
            after = self._before.sequence if self._before else 0
            self._find(after + 1, after + 1, f"cannot be read from here: {problem(error)}")
            self._told_of = after + 1
            self._genuine = False

    def concluded(self, journal: Path, *, is_missing: bool) -> Report:
        """The report, once every file was read."""
        report = self.report
        if self._first is not None:
            self._judge_base(self._first, journal)
        self._path = journal
        if is_missing:
            what = "removed with the whole file, unless a server was killed just as it began it, and none has run since"
            self._find(report.last + 1, report.last + 1, what)
        ours = [anchor for anchor in self._anchors if anchor.journal == report.journal]
        self._judge_anchors(ours)
        self._judge_mark()
        if self._unknown:
            report.notes.append(
                f"{self._unknown} records are of a newer release; that can tell whether all of them are found"
            )
        kept = [anchor.sequence for anchor in ours if anchor.sequence <= report.last]
        told = [anchor.sequence for sequence, anchor in self._told if sequence <= self._taken]
        report.anchored = max(kept if self._anchors else told, default=0)
        return report

    def _judge_anchors(self, ours: list[Anchor]) -> None:
        """Whether all that sinks have anchors of is there."""
        report, others = self.report, len(self._anchors) - len(ours)
        if others and not ours and report.journal:
            self._find(1, report.last, "none of the anchors is of this journal: it was begun anew, or is another one")
        elif others:
            report.notes.append(f"{others} of the anchors are of other journals; if one was here, it was replaced")
        for anchor in ours:
            if anchor.sequence > report.last:
                self._find(report.last + 1, anchor.sequence, "cut off: a sink has the anchor of a later record")

    def _judge_mark(self) -> None:
        """Whether all that the mark has seen is there."""
        report = self.report
        if self._mark is None:
            return
        journal, (sequence, _), _ = self._mark
        if report.journal and journal != report.journal:
            self._find(1, report.last, "the mark beside the key is of another journal: this one is in its place")
        elif sequence <= report.last:
            report.marked = sequence
        elif self._told_of <= report.last:
            self._find(report.last + 1, sequence, "cut off: the mark beside the key is of a later record")

    def _judge_base(self, first: Path, journal: Path) -> None:
        """Whether what the oldest file continues was removed by the journal itself."""
        report, base = self.report, self._base
        if base.sequence == 0 or any((a.sequence, a.head) == (base.sequence, base.mac.hex()) for a in self._retired):
            return
        if first == journal and re.search(r"-\d+-\d+$", first.stem):  # a full file, verified by itself
            report.notes.append(f"{first.name} continues record {base.sequence}, which is in an older file")
            return
        self._path = first
        self._find(1, base.sequence, "removed: no file has them, and none says that they were outdated")

    def _verify_file(self, database: sqlite3.Connection) -> None:
        database.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")  # whatever is there is read
        _check_schema(database)
        base = self._sealed(database, "base")
        if self._before is None:
            self._base = self._before = base
        elif base != self._before:
            self._judge_gap(self._before, base)
            self._before = base
        index, altered, missing = Index(), _Altered(), list[tuple[int, int]]()
        for row in map(Row._make, database.execute("SELECT * FROM record ORDER BY sequence")):
            if row.sequence > base.sequence:
                self._verify_row(row, index, altered, missing)
            else:
                self._find(row.sequence, row.sequence, f"added: the file begins after record {base.sequence}")
        self._name(altered, missing)
        head = self._sealed(database, "head")
        known = [*altered.runs, *missing, self._judge_end(head)]
        for first, last in index.hidden(database, known):
            self._find(first, last, "altered index: some of them are not found as they should be")
        self._judge_cursors(database, head)
        self._judge_pages(database, base)

    def _judge_cursors(self, database: sqlite3.Connection, head: Head) -> None:
        """No sink can have taken what was not written yet."""
        for sink, sequence in database.execute("SELECT sink, sequence FROM cursor"):
            if isinstance(sequence, int) and sequence <= head.sequence:
                self._taken = max(self._taken, sequence)
            else:
                what = f"forged cursor: the sink {sink} has taken record {sequence}, it says, and there is none"
                self._find(head.sequence, head.sequence, what)

    def _judge_pages(self, database: sqlite3.Connection, base: Head) -> None:
        """Whether the file's own indexes have every record, whatever its schema says."""
        for (what,) in database.execute("PRAGMA integrity_check(1)"):
            if what != "ok":
                self._find(base.sequence + 1, self.report.last, f"the file is damaged, or made to hide some: {what}")

    def _sealed(self, database: sqlite3.Connection, name: str) -> Head:
        try:
            self.report.journal, head = checked_seal(database, self._chain, name)
        except ConfigurationError as error:
            at = self._before.sequence if self._before else 0
            self._find(at, at, str(error))
            return self._before or Head(0, b"")
        return head

    def _verify_row(self, row: Row, index: Index, altered: _Altered, missing: list[tuple[int, int]]) -> None:
        report, before = self.report, self._before or Head(0, b"")
        report.records += 1
        report.first = report.first or row.sequence
        report.last = row.sequence
        follows = row.sequence == before.sequence + 1
        if not follows:
            missing.append((before.sequence + 1, row.sequence - 1))
        genuine = self._is_record(row, row.sequence)
        if not genuine:
            altered.add(row)
        elif follows and self._genuine and row.before != before.mac:
            self._find(row.sequence, row.sequence, f"does not continue record {before.sequence}, which was replaced")
        expected = self._expected.get((report.journal, row.sequence))
        if genuine and expected not in (None, row.mac.hex()):
            self._find(row.sequence, row.sequence, "is not the record that a sink, or the mark, knows")
        if genuine:
            self._learn(row, index)
        self._before, self._genuine = Head(row.sequence, row.mac), genuine

    def _learn(self, row: Row, index: Index) -> None:
        """What a genuine record says of the journal."""
        try:
            record = Record.from_json(row.body)
        except ValueError:
            self._unknown += 1
            index.ignore(row)
            return
        index.expect(row, record)
        if record.anchor is not None and record.kind is Kind.ANCHOR:
            self._told.append((row.sequence, record.anchor))
        elif record.anchor is not None and record.kind is Kind.RETIRED:
            self._retired.add(record.anchor)

    def _name(self, altered: _Altered, missing: list[tuple[int, int]]) -> None:
        """Report what is missing and what is not itself: altered, or another record in its place."""
        places = {row.sequence for row in altered.rows} | {first for first, last in missing if first == last}
        for row in altered.rows:
            origin = next(self._origins(row, places), 0)
            self._find(row.sequence, row.sequence, f"reordered: this is record {origin}" if origin else "altered")
        for first, last in [] if altered.rows else altered.runs:
            self._find(first, last, "altered")
        for first, last in missing:
            self._find(first, last, "removed")

    def _origins(self, row: Row, places: Iterable[int]) -> Iterator[int]:
        return (each for each in places if self._is_record(row, each))

    def _is_record(self, row: Row, sequence: int) -> bool:
        """Whether this is, by its MAC, the record with this number; SQLite keeps anything in any column."""
        is_typed = isinstance(row.before, bytes) and isinstance(row.body, str) and row.body.isascii()
        return is_typed and self._chain.mac(row.before, sequence, row.body) == row.mac

    def _judge_gap(self, before: Head, base: Head) -> None:
        """Two files that do not fit together."""
        if base.sequence > before.sequence:
            self._find(before.sequence + 1, base.sequence, "removed: no file has them")
        else:
            self._find(base.sequence + 1, base.sequence + 1, "does not continue the file before")

    def _judge_end(self, head: Head) -> tuple[int, int]:
        """The records between the last there is and the last there should be."""
        last = self._before or Head(0, b"")
        if last.sequence < head.sequence:
            self._find(last.sequence + 1, head.sequence, "cut off: the journal had more records")
            self._told_of = head.sequence
        elif last.sequence > head.sequence:
            self._find(head.sequence + 1, last.sequence, "are beyond the head: it was set back, or they were added")
        return min(last, head)[0] + 1, max(last, head)[0]

    def _find(self, first: int, last: int, what: str) -> None:
        self.report.findings.append(Finding(self._path, first, last, what))


def _check_schema(database: sqlite3.Connection) -> None:
    """Raise `ConfigurationError` where the tables are not as they were made: another index shows other records."""
    everything = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in SCHEMA:
            made.execute(statement)
        if database.execute(everything).fetchall() != made.execute(everything).fetchall():
            raise ConfigurationError("its tables and indexes are not those of a journal: the file was tampered with")
