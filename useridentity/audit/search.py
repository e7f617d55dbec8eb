"""Finding records: by whom, from where, about which patient or study, how it ended, and when."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from useridentity.audit.archive import Opening, at_once, files, in_order
from useridentity.audit.reader import Unreadable, record_in
from useridentity.audit.record import Record
from useridentity.audit.segment import microseconds, problem, reading, rows
from useridentity.audit.terms import EMERGENCY, Field, folded, terms_of
from useridentity.errors import ConfigurationError
from useridentity.facts import peer_address

Found = tuple[int, Record]
"""A record and its number."""

PassOver = Callable[[Unreadable], None]
"""Told of each record that is looked for and cannot be read, before the search goes on."""

FEW = 20_000
"""Records, each of which is looked up under the other conditions faster than all records of these are gone through."""

EVER = (-(2**62), 2**62)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; every condition must hold, and empty ones do. Values are compared without case.

    Fields:
        user: a subject, user id, display name or presented name.
        ae_title: of the requestor, the acceptor or a move destination.
        peer: the requestor's address, in any way to write it (RFC 4291 2.2).
        patient: a Patient ID, or the Patient's Name as it was sent.
        study: a Study Instance UID or Accession Number.
        outcome, kind: values of `Outcome` and `Kind`.
        association: a correlation id.
        emergency: only of users who broke the glass.
        since, until: aware times, both included.
    """

    user: str = ""
    ae_title: str = ""
    peer: str = ""
    patient: str = ""
    study: str = ""
    outcome: str = ""
    kind: str = ""
    association: str = ""
    emergency: bool = False
    since: datetime | None = None
    until: datetime | None = None

    @property
    def terms(self) -> list[tuple[int, str]]:
        asked = {
            Field.USER: self.user,
            Field.AE: self.ae_title,
            Field.PEER: _address(self.peer),
            Field.PATIENT: self.patient,
            Field.STUDY: self.study,
            Field.OUTCOME: self.outcome,
            Field.KIND: self.kind,
            Field.ASSOCIATION: self.association,
            Field.EMERGENCY: EMERGENCY if self.emergency else "",
        }
        return [(int(field), folded(value)) for field, value in asked.items() if value]

    @property
    def window(self) -> tuple[int, int]:
        """Microseconds from when to when."""
        since = microseconds(self.since) if self.since else EVER[0]
        return since, microseconds(self.until) if self.until else EVER[1]

    def matches(self, record: Record) -> bool:
        """Whether a record that was just read is looked for."""
        since, until = self.window
        return since <= microseconds(record.time) <= until and terms_of(record).issuperset(self.terms)


def _address(value: str) -> str:
    """An address as records have it: in its one recommended form (RFC 5952)."""
    try:
        return str(peer_address(value.strip()))
    except ValueError:
        return value


def _not_passed_over(unreadable: Unreadable) -> None:
    raise unreadable


def newest(journal: Path, wanted: Filter, limit: int, pass_over: PassOver = _not_passed_over) -> list[Found]:
    """The newest records that match, oldest of them first; raises `ConfigurationError` where there is no journal."""
    bodies: list[tuple[int, str]] = []
    with _files(journal) as everything:
        for path, opening in reversed(everything):
            with _searching(path, opening) as database:
                bodies += _search(database, wanted, "DESC", limit - len(bodies))
            if len(bodies) >= limit:
                break
    return list(_read(reversed(bodies), pass_over))


def every(journal: Path, wanted: Filter, pass_over: PassOver = _not_passed_over) -> Iterator[Found]:
    """All records that match, oldest first, of files that are put away meanwhile, too."""
    _check_is_there(journal)
    for path, opening in in_order(journal):
        with _searching(path, opening) as database:
            yield from _read(_search(database, wanted, "ASC", -1), pass_over)


def by_number(journal: Path, sequence: int, pass_over: PassOver = _not_passed_over) -> Found | None:
    """The record with this number."""
    with _files(journal, sequence - 1) as everything:
        for path, opening in everything:
            with _searching(path, opening) as database:
                for row in rows(database, max(sequence - 1, _base(database)), 1):
                    if row.sequence == sequence:
                        return next(_read([(sequence, row.body)], pass_over), None)
    return None


def last_number(journal: Path) -> int:
    """The number of the newest record, 0 where there is none yet."""
    with _files(journal) as everything, _searching(*everything[-1]) as database:
        return int(database.execute("SELECT sequence FROM seal WHERE name = 'head'").fetchone()[0])


def since_number(journal: Path, after: int, pass_over: PassOver = _not_passed_over) -> list[Found]:
    """The records above a number, in order."""
    found: list[Found] = []
    with _files(journal, after) as everything:
        for path, opening in everything:
            with _searching(path, opening) as database:
                found += _read(((row.sequence, row.body) for row in rows(database, after)), pass_over)
    return found


def _read(bodies: Iterable[tuple[int, str]], pass_over: PassOver) -> Iterator[Found]:
    for sequence, body in bodies:
        try:
            record = record_in(sequence, body)
        except Unreadable as unreadable:
            pass_over(unreadable)
        else:
            yield sequence, record


@contextmanager
def _searching(path: Path, opening: Opening) -> Iterator[sqlite3.Connection]:
    """A connection for reading; what is wrong with the file is told as a `ConfigurationError`."""
    try:
        with opening as database:
            yield database
    except (sqlite3.Error, OSError, ConfigurationError) as error:
        raise ConfigurationError(f"{path}: {problem(error)}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"{path}: has what no journal has ({error}); see audit verify") from None


@contextmanager
def _files(journal: Path, after: int = 0) -> Iterator[list[tuple[Path, Opening]]]:
    """The files with records above a number as they are at one moment, oldest first."""
    _check_is_there(journal)
    with at_once(journal) as (full, newest):
        found: list[tuple[Path, Opening]] = [(each.path, reading(each.path)) for each in full if each.last > after]
        yield [*found, (journal, newest)] if journal.exists() else found


def _check_is_there(journal: Path) -> None:
    if not files(journal):
        raise ConfigurationError(f"{journal}: there is no journal here; name its file")


def _search(database: sqlite3.Connection, wanted: Filter, order: str, limit: int) -> Iterator[tuple[int, str]]:
    keys, values = _keys(database, wanted)
    for _, sequence in database.execute(f"{keys} ORDER BY time {order}, sequence {order} LIMIT ?", (*values, limit)):
        for (body,) in database.execute("SELECT body FROM record WHERE sequence = ?", (sequence,)):
            yield sequence, body


def _keys(database: sqlite3.Connection, wanted: Filter) -> tuple[str, list[object]]:
    """What selects the times and numbers of the records that match, in one pass over what is sorted by them."""
    always, terms = (*wanted.window, _base(database)), wanted.terms
    if not terms:
        return _ALL, [*always]
    numbers = {term: _number(database, term, wanted) for term in terms} if len(terms) > 1 else {}
    terms.sort(key=lambda term: numbers.get(term, 0))
    if numbers and numbers[terms[0]] == FEW:
        return " INTERSECT ".join(_OF_TERM for _ in terms), [each for term in terms for each in (*term, *always)]
    statement = " AND ".join([_OF_TERM, *(_ALSO for _ in terms[1:])])
    return statement, [*terms[0], *always, *(each for term in terms[1:] for each in term)]


def _base(database: sqlite3.Connection) -> int:
    """What the file continues: records up to there are none of its own, whoever put them in."""
    return int(database.execute("SELECT sequence FROM seal WHERE name = 'base'").fetchone()[0])


_ALL = "SELECT time, sequence FROM record t WHERE t.time BETWEEN ? AND ? AND +t.sequence > ?"  # not searched by number

_OF_TERM = """SELECT time, sequence FROM term t
    WHERE t.field = ? AND t.value = ? AND t.time BETWEEN ? AND ? AND +t.sequence > ?"""

_ALSO = (
    "EXISTS (SELECT 1 FROM term u WHERE u.field = ? AND u.value = ? AND u.time = t.time AND u.sequence = t.sequence)"
)

_COUNT = """SELECT count(*)
    FROM (SELECT 1 FROM term WHERE field = ? AND value = ? AND time BETWEEN ? AND ? LIMIT ?)"""


def _number(database: sqlite3.Connection, term: tuple[int, str], wanted: Filter) -> int:
    """How many records a condition holds for, few or at least `FEW`."""
    return int(database.execute(_COUNT, (*term, *wanted.window, FEW)).fetchone()[0])
