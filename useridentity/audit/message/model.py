"""The audit message of PS3.15 A.5 as data: what its schema (A.5.1.1) has a place for, by the schema's names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from useridentity.audit.codes import Code
from useridentity.audit.record import SopClass

NOT_KNOWN = "<none>"
"""In place of an identifier that is mandatory and was not given; dcm4chee writes the same. No AE title, UID or
login has these brackets."""


def known(value: str) -> str:
    """`value`, or what stands in place of one that is missing or blank."""
    return value if value.strip() else NOT_KNOWN


class EventOutcome(IntEnum):
    """EventOutcomeIndicator (Table A.5.2-1)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class AccessPointType(IntEnum):
    """NetworkAccessPointTypeCode (A.5.1.1); telephones, mail and directories do not send DICOM."""

    MACHINE_NAME = 1
    IP_ADDRESS = 2


class ObjectType(IntEnum):
    """ParticipantObjectTypeCode (Table A.5.2-1)."""

    PERSON = 1
    SYSTEM = 2


class ObjectRole(IntEnum):
    """ParticipantObjectTypeCodeRole (A.5.1.2.2), those that the tables of A.5.3 ask for here."""

    PATIENT = 1
    REPORT = 3
    SECURITY_RESOURCE = 13


class AccessPoint(NamedTuple):
    """NetworkAccessPointTypeCode and NetworkAccessPointID (A.5.2.4)."""

    type: AccessPointType
    id: str


@dataclass(frozen=True, slots=True)
class Participant:
    """ActiveParticipant; `is_user` tells the user from the processes, which XML leaves to the roles."""

    user_id: str
    alternative_user_id: str = ""
    user_name: str = ""
    is_requestor: bool = False
    roles: tuple[Code, ...] = ()
    access_point: AccessPoint | None = None
    is_user: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """AuditSourceIdentification."""

    source_id: str
    site: str = ""
    type_code: int = 4


@dataclass(frozen=True, slots=True)
class ParticipantObject:
    """ParticipantObjectIdentification; a `query` takes the place of the name. `procedure_steps` are UIDs of MPPS."""

    id_type: Code
    object_id: str
    type: ObjectType
    role: ObjectRole
    name: str = ""
    query: bytes | None = None
    details: tuple[tuple[str, bytes], ...] = ()
    accession_numbers: tuple[str, ...] = ()
    sop_classes: tuple[SopClass, ...] = ()
    procedure_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditMessage:
    """One message.

    Fields:
        record: the event id of the record that it says something of.
        association: the correlation id of the association, empty where there is none.
        part, parts: which of how many messages of that record it is; there is one per patient (ITI-20 3.20.7.1).
        event, action, time, outcome, types, description: EventIdentification, with EventOutcomeDescription.
        purposes: IHE's PurposeOfUse (ITI-20 3.20.7.1.2), which the schema of the standard does not have.
        source, participants, objects: as the schema calls them.
    """

    record: str
    event: Code
    action: str
    time: datetime
    outcome: EventOutcome
    source: Source
    participants: tuple[Participant, ...]
    types: tuple[Code, ...] = ()
    description: str = ""
    purposes: tuple[Code, ...] = ()
    objects: tuple[ParticipantObject, ...] = ()
    association: str = ""
    part: int = 1
    parts: int = 1

    @property
    def outcome_description(self) -> str:
        """EventOutcomeDescription: what is to be said, and the event id, by which duplicates are known."""
        told = f"{self.description}; event {self.record}"
        if self.association:
            told += f", association {self.association}"
        return f"{told}, part {self.part} of {self.parts}" if self.parts > 1 else told
