"""The tables of PS3.15 A.5.3 (2024c), as far as they say more of a field than that it may be there.

A field is "M", or a set of the values that it shall have. Fields with U are left out: they may have any value or
none. The schema says which fields there are at all, and that an object has a name or a query, on which the tables
agree with it from 2024e on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

M = "M"
Values = frozenset[str]
Rows = Mapping[str, str | Values]
MANY = 10**6


def of(*values: str) -> Values:
    """One of these."""
    return frozenset(values)


@dataclass(frozen=True)
class Entity:
    """An active participant or participating object, how many of them there may be, and its rows.

    Participants are known by `role`, their RoleIDCode, or stand for all others where that is None; objects are
    known by `role` too, their ParticipantObjectIDTypeCode.
    """

    name: str
    least: int
    most: int
    rows: Rows = field(default_factory=dict)
    role: Values | None = None


@dataclass(frozen=True)
class Table:
    """One message: its rows for the event, its participants and its objects."""

    number: str
    event: Rows
    participants: tuple[Entity, ...]
    objects: tuple[Entity, ...] = ()


PARTICIPANT: Rows = {"UserID": M, "UserIsRequestor": M}
STUDY: Rows = {
    "ParticipantObjectTypeCode": of("2"),
    "ParticipantObjectTypeCodeRole": of("3"),
    "ParticipantObjectIDTypeCode": of("110180"),
    "ParticipantObjectID": M,
}
PATIENT: Rows = {
    "ParticipantObjectTypeCode": of("1"),
    "ParticipantObjectTypeCodeRole": of("1"),
    "ParticipantObjectIDTypeCode": of("2"),
    "ParticipantObjectID": M,
}
STUDIES = Entity("studies", 1, MANY, STUDY, of("110180"))
THE_PATIENT = Entity("patient", 1, 1, PATIENT, of("2"))
OTHERS = Entity("other participants", 0, MANY, PARTICIPANT)

CID_403 = of(*(str(code) for code in (*range(110126, 110139), *range(110139, 110148))))
OWN_ALERTS = of("journal-anchor", "journal-retired")  # the context group is extensible


def event(code: str, action: Values, types: Values | None = None) -> Rows:
    """The rows of an event; EventTypeCode is U in those that name no values."""
    rows: dict[str, str | Values] = {
        "EventID": of(code),
        "EventActionCode": action,
        "EventDateTime": M,
        "EventOutcomeIndicator": of("0", "4", "8", "12"),
    }
    return rows if types is None else rows | {"EventTypeCode": types}


def sender(name: str = "process sending") -> Entity:
    return Entity(name, 1, 1, PARTICIPANT, of("110153"))


def receiver(name: str = "process receiving") -> Entity:
    return Entity(name, 1, 1, PARTICIPANT, of("110152"))


TABLES = {
    "110100": Table(
        "A.5.3.1-1 Application Activity",
        event("110100", of("E"), of("110120", "110121")),
        (
            # AlternativeUserID is MC: the AE titles, where the process supports DICOM. Ours does.
            Entity("application started", 1, 1, PARTICIPANT | {"AlternativeUserID": M}, of("110150")),
            Entity("who started it", 0, MANY, PARTICIPANT, of("110151")),
        ),
    ),
    "110102": Table(
        "A.5.3.3-1 Begin Transferring DICOM Instances",
        event("110102", of("E")),
        (sender(), receiver(), OTHERS),
        (STUDIES, THE_PATIENT),
    ),
    "110103": Table(
        "A.5.3.6-1 DICOM Instances Accessed",
        event("110103", of("C", "R", "U", "D")),
        (Entity("person and or process manipulating the data", 1, 2, PARTICIPANT),),
        (STUDIES, THE_PATIENT),
    ),
    "110104": Table(
        "A.5.3.7-1 DICOM Instances Transferred",
        event("110104", of("C", "R", "U")),
        (sender(), receiver(), OTHERS),
        (STUDIES, THE_PATIENT),
    ),
    "110112": Table(
        "A.5.3.10-1 Query",
        event("110112", of("E")),
        (sender("process issuing the query"), receiver("process that will respond"), OTHERS),
        (
            Entity(
                "SOP queried and the query",
                1,
                1,
                {
                    "ParticipantObjectTypeCode": of("2"),
                    "ParticipantObjectTypeCodeRole": of("3"),
                    "ParticipantObjectIDTypeCode": of("110181"),
                    "ParticipantObjectID": M,
                    "ParticipantObjectQuery": M,
                    "ParticipantObjectDetail:TransferSyntax": M,
                },
                of("110181"),
            ),
        ),
    ),
    "110113": Table(
        "A.5.3.11-1 Security Alert",
        event("110113", of("E"), CID_403 | OWN_ALERTS),
        # Reporting (1..2) and performing (0..N) participants have no roles to know them by; the first one reports.
        (Entity("reporting and performing", 1, MANY, PARTICIPANT),),
        (
            Entity(
                "alert subject",
                0,
                MANY,
                {
                    "ParticipantObjectTypeCode": of("2"),
                    "ParticipantObjectIDTypeCode": of("12", "110182", "110180"),
                    "ParticipantObjectID": M,
                    "ParticipantObjectDetail:Alert Description": M,
                },
                of("12", "110182", "110180"),
            ),
        ),
    ),
    "110114": Table(
        "A.5.3.12-1 User Authentication",
        event("110114", of("E"), of("110122", "110123")),
        # The person (1), whose access point is mandatory, and the node that authenticates (0..1): in this order.
        (Entity("person, node", 1, 2, PARTICIPANT),),
    ),
}
"""By EventID."""
