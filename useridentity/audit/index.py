"""Whether the index of a journal finds what the records say, and nothing else."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator

from useridentity.audit.record import Record
from useridentity.audit.segment import Row, microseconds
from useridentity.audit.terms import terms_of

BUCKET = 256
"""Records that are looked at together for whether the index finds them: few to look through, many to count."""


class Index:
    """Sums of hashes of what records are found by, for a group of records each.

    What is hashed is the `repr`, whose hash differs between types and is keyed anew by Python for each process: that
    of a number is the number, and that of bytes is that of the text.
    """

    def __init__(self) -> None:
        self._sums: Counter[int] = Counter()
        self._ignored: set[int] = set()

    def expect(self, row: Row, record: Record) -> None:
        """Count what is to be found of a record."""
        time = microseconds(record.time)
        terms = [(*term, time, row.sequence) for term in terms_of(record)]
        # The record's own time stands in an index as well.
        self._sums[row.sequence // BUCKET] += sum(hash(repr(term)) for term in terms) + (0 if row.time == time else 1)

    def ignore(self, row: Row) -> None:
        """What is to be found of this record is not known."""
        self._ignored.add(row.sequence // BUCKET)

    def hidden(self, database: sqlite3.Connection, known: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Groups of records that the index finds otherwise, but for those `known` to be wrong themselves."""
        for term in database.execute("SELECT field, value, time, sequence FROM term"):
            number = term[3] if isinstance(term[3], int) else 0
            self._sums[max(number, 0) // BUCKET] -= hash(repr(term))
        spoilt = {(first // BUCKET, last // BUCKET) for first, last in known if first <= last}
        for bucket in sorted(bucket for bucket, rest in self._sums.items() if rest and bucket not in self._ignored):
            if not any(first <= bucket <= last for first, last in spoilt):
                yield bucket * BUCKET, (bucket + 1) * BUCKET - 1
