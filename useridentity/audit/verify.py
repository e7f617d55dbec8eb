"""Whether a journal is as it was written: what was altered, removed, moved, cut off or hidden, and what could be.

Everything is read, nothing is believed: not the numbers, not the index by which records are found, not the end.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from useridentity.audit.archive import files
from useridentity.audit.chain import Chain, Head, read_key
from useridentity.audit.record import Anchor, Kind, Record
from useridentity.audit.segment import Row, checked_seal, microseconds, problem, reading, rows
from useridentity.audit.terms import terms_of
from useridentity.errors import ConfigurationError

BUCKET = 256
"""Records that are looked at together for whether the index finds them: few to look through, many to count."""

MAX_MOVED = 1000
"""Altered records for which it is tried whether they are others in the wrong place: each with each."""


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
    """What was found. `anchored` is the newest record that a sink vouches for; later ones could be cut off unseen."""

    journal: str = ""
    records: int = 0
    first: int = 0
    last: int = 0
    anchored: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.findings


def verify(journal: Path, key: Path, anchors: Iterable[Anchor] = ()) -> Report:
    """Verify the journal with all its files, against `anchors` that sinks have kept.

    Raises `ConfigurationError` where there is no journal or no key to verify by.
    """
    found = files(journal)
    if not found:
        raise ConfigurationError(f"{journal}: there is no journal here; name its file")
    verification = _Verification(Chain(read_key(key)), anchors)
    for path in found:
        verification.read(path)
    return verification.concluded(found)


class _Verification:
    """One pass over the files, oldest first."""

    def __init__(self, chain: Chain, anchors: Iterable[Anchor]) -> None:
        self._chain = chain
        self._anchors = list(anchors)
        self._expected = {each.sequence: each for each in self._anchors}
        self._before: Head | None = None
        self._base = Head(0, b"")
        self._retired: set[Anchor] = set()
        self._told: list[tuple[int, Anchor]] = []
        self._taken = 0
        self._genuine = True
        self._path = Path()
        self.report = Report()

    def read(self, path: Path) -> None:
        """Verify one file as the continuation of those before."""
        self._path = path
        try:
            with reading(path) as database:
                self._verify_file(database)
        except (sqlite3.Error, OSError, ConfigurationError) as error:
            after = self._before.sequence if self._before else 0
            self._find(after + 1, after + 1, f"cannot be read from here: {problem(error)}")
            self._genuine = False

    def concluded(self, found: list[Path]) -> Report:
        """The report, once every file was read."""
        report = self.report
        self._judge_base(found[0])
        for anchor in self._anchors:
            if anchor.journal == report.journal and anchor.sequence > report.last:
                self._find(report.last + 1, anchor.sequence, "cut off: a sink has the anchor of a later record")
        kept = [a.sequence for a in self._anchors if a.journal == report.journal and a.sequence <= report.last]
        told = [anchor.sequence for sequence, anchor in self._told if sequence <= self._taken]
        report.anchored = max(kept if self._anchors else told, default=0)
        return report

    def _judge_base(self, first: Path) -> None:
        """Whether what the oldest file continues was removed by the journal itself."""
        report, base = self.report, self._base
        if base.sequence == 0 or any((a.sequence, a.head) == (base.sequence, base.mac.hex()) for a in self._retired):
            return
        if re.search(r"-\d+-\d+$", first.stem):  # an archive, verified by itself
            report.notes.append(f"{first.name} continues record {base.sequence}, which is in an older file")
            return
        self._path = first
        self._find(1, base.sequence, "removed: no file has them, and none says that they were outdated")

    def _verify_file(self, database: sqlite3.Connection) -> None:
        base = self._sealed(database, "base")
        if self._before is None:
            self._base = self._before = base
        elif base != self._before:
            self._judge_gap(self._before, base)
            self._before = base
        index, altered, missing = _Index(), list[Row](), list[tuple[int, int]]()
        for row in rows(database, -1):
            self._verify_row(row, index, altered, missing)
        self._name(altered, missing)
        known = [(row.sequence, row.sequence) for row in altered] + missing
        known.append(self._judge_end(self._sealed(database, "head")))
        for first, last in index.hidden(database, known):
            self._find(first, last, "altered index: some of them are not found as they should be")
        self._taken = max([self._taken, *(row[0] for row in database.execute("SELECT sequence FROM cursor"))])

    def _sealed(self, database: sqlite3.Connection, name: str) -> Head:
        try:
            self.report.journal, head = checked_seal(database, self._chain, name)
        except ConfigurationError as error:
            at = self._before.sequence if self._before else 0
            self._find(at, at, str(error))
            return self._before or Head(0, b"")
        return head

    def _verify_row(self, row: Row, index: _Index, altered: list[Row], missing: list[tuple[int, int]]) -> None:
        report, before = self.report, self._before or Head(0, b"")
        report.records += 1
        report.first = report.first or row.sequence
        report.last = row.sequence
        follows = row.sequence == before.sequence + 1
        if not follows:
            missing.append((before.sequence + 1, row.sequence - 1))
        genuine = self._chain.mac(row.before, row.sequence, row.body) == row.mac
        if not genuine:
            altered.append(row)
        elif follows and self._genuine and row.before != before.mac:
            self._find(row.sequence, row.sequence, f"does not continue record {before.sequence}, which was replaced")
        anchor = self._expected.get(row.sequence)
        if anchor is not None and anchor.journal == report.journal and anchor.head != row.mac.hex():
            self._find(row.sequence, row.sequence, "is not the record that a sink has the anchor of")
        if genuine:
            self._learn(row, index)
        self._before, self._genuine = Head(row.sequence, row.mac), genuine

    def _learn(self, row: Row, index: _Index) -> None:
        """What a genuine record says of the journal."""
        record = Record.from_json(row.body)
        index.expect(row, record)
        if record.anchor is not None and record.kind is Kind.ANCHOR:
            self._told.append((row.sequence, record.anchor))
        elif record.anchor is not None and record.kind is Kind.RETIRED:
            self._retired.add(record.anchor)

    def _name(self, altered: list[Row], missing: list[tuple[int, int]]) -> None:
        """Report what is missing and what is not itself: altered, or another record in its place."""
        places = {row.sequence for row in altered} | {first for first, last in missing if first == last}
        for row in altered:
            is_moved = len(altered) <= MAX_MOVED
            origin = next(self._origins(row, places), 0) if is_moved else 0
            self._find(row.sequence, row.sequence, f"reordered: this is record {origin}" if origin else "altered")
        for first, last in missing:
            self._find(first, last, "removed")

    def _origins(self, row: Row, places: Iterable[int]) -> Iterator[int]:
        return (each for each in places if self._chain.mac(row.before, each, row.body) == row.mac)

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
        elif last.sequence > head.sequence:
            self._find(head.sequence + 1, last.sequence, "are beyond the head: it was set back, or they were added")
        return min(last, head)[0] + 1, max(last, head)[0]

    def _find(self, first: int, last: int, what: str) -> None:
        self.report.findings.append(Finding(self._path, first, last, what))


class _Index:
    """Whether the index has exactly what the records say: sums of hashes, for a group of records each."""

    def __init__(self) -> None:
        self._sums: Counter[int] = Counter()

    def expect(self, row: Row, record: Record) -> None:
        """Count what is to be found of a record."""
        time = microseconds(record.time)
        terms = [(*term, time, row.sequence) for term in terms_of(record)]
        # The record's own time stands in an index as well.
        self._sums[row.sequence // BUCKET] += sum(map(hash, terms)) + (0 if row.time == time else 1)

    def hidden(self, database: sqlite3.Connection, known: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Groups of records that the index finds otherwise, but for those `known` to be wrong themselves."""
        for term in database.execute("SELECT field, value, time, sequence FROM term"):
            self._sums[term[3] // BUCKET] -= hash(term)
        spoilt = {
            bucket for first, last in known if first <= last for bucket in range(first // BUCKET, last // BUCKET + 1)
        }
        for bucket in sorted(bucket for bucket, rest in self._sums.items() if rest and bucket not in spoilt):
            yield bucket * BUCKET, (bucket + 1) * BUCKET - 1
