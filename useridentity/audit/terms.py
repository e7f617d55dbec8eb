"""What a record is found by: short pairs of a field and a value, as `Filter` asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from useridentity.audit.record import Record

EMERGENCY = "emergency"
"""The only value of its field: what is asked is whether a user broke the glass, not with which words."""

MAX_TERMS = 64
"""Of one field of one record: a query or retrieve may name very many studies, and each costs room and time."""


class Field(IntEnum):
    """Numbers are those in the journal's index; they are never given to another field."""

    USER = 1
    AE = 2
    PEER = 3
    PATIENT = 4
    STUDY = 5
    OUTCOME = 6
    KIND = 7
    ASSOCIATION = 8
    EMERGENCY = 9


def terms_of(record: Record) -> set[tuple[int, str]]:
    """The pairs that find this record."""
    return set(_terms(record))


def folded(value: str) -> str:
    """Values as they are compared: people do not type cases and spaces exactly, and SQLite takes no surrogates."""
    return value.strip().casefold().encode("utf-8", "backslashreplace").decode("utf-8")


def _terms(record: Record) -> Iterator[tuple[int, str]]:
    for field, values in _values(record):
        for value in values[:MAX_TERMS]:
            if value:
                yield int(field), folded(value)


def _values(record: Record) -> Iterator[tuple[Field, tuple[str, ...]]]:
    user, operation = record.user, record.operation
    yield Field.USER, (user.subject, user.user_id, user.display_name, user.presented, user.actor)
    destination = operation.destination if operation else ""
    yield Field.AE, (record.requestor.ae_title, record.acceptor.ae_title, destination)
    yield Field.PEER, (record.requestor.address,)
    yield Field.PATIENT, tuple(value for study in record.studies for value in (study.patient_id, study.patient_name))
    yield Field.STUDY, tuple(v for s in record.studies for v in (s.study_instance_uid, *s.accession_numbers))
    yield Field.OUTCOME, (record.outcome.value,)
    yield Field.KIND, (record.kind.value,)
    yield Field.ASSOCIATION, (record.association,)
    yield Field.EMERGENCY, (EMERGENCY if user.emergency else "",)
