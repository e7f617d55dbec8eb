"""The tables of PS3.15 A.5.3 (2024c) whose messages are sent, row by row, and what a message lacks of its own.

What has no row may not be there: the schema says which fields there are at all, a table which of them a message has.
ParticipantObjectName and ParticipantObjectQuery are "U" in each table of 2024c; that there is one of the two, which
the tables say from 2024e on, is the schema's affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from lxml import etree

Element: TypeAlias = etree._Element
MANY = 10**6


class Row(NamedTuple):
    """Whether a field is mandatory, and its values where a table names them; a code is "(value, scheme, meaning)"."""

    is_mandatory: bool
    values: frozenset[str] = frozenset()


Rows = Mapping[str, Row]
M, U = Row(True), Row(False)


def shall_be(*values: str) -> Row:
    """Mandatory, and one of these."""
    return Row(True, frozenset(values))


def dcm(value: int, meaning: str) -> str:
    return f"({value}, DCM, {meaning})"


@dataclass(frozen=True)
class Entity:
    """An active participant or participating object, how many of them there may be, and its rows.

    Participants are known by `role`, their RoleIDCode, objects by their ParticipantObjectIDTypeCode; where that is
    None, whatever comes is one until there are enough.
    """

    name: str
    least: int
    most: int
    rows: Rows
    role: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Table:
    """One message: its rows for the event, its participants and its objects."""

    number: str
    event: Rows
    participants: tuple[Entity, ...]
    objects: tuple[Entity, ...] = ()
    asks: bool = True
    """Whether one participant is always known to be the requestor."""


SOURCE_ROLE, DESTINATION_ROLE = dcm(110153, "Source Role ID"), dcm(110152, "Destination Role ID")
STUDY_UID, SOP_CLASS_UID = dcm(110180, "Study Instance UID"), dcm(110181, "SOP Class UID")
NODE, URI = dcm(110182, "Node ID"), "(12, RFC-3881, URI)"
PATIENT_NUMBER = "(2, RFC-3881, Patient Number)"

EVENT: Rows = {
    "EventID": M,
    "EventActionCode": M,
    "EventDateTime": M,
    "EventOutcomeIndicator": shall_be("0", "4", "8", "12"),
    "EventTypeCode": U,
    "EventOutcomeDescription": U,  # of the schema; Table A.5.2-1 does not name it
}
PARTICIPANT: Rows = {
    "UserID": M,
    "AlternativeUserID": U,
    "UserName": U,
    "UserIsRequestor": shall_be("true", "false"),
    "RoleIDCode": U,
    "NetworkAccessPointTypeCode": Row(False, frozenset("12345")),
    "NetworkAccessPointID": U,
}
AUDIT_SOURCE: Rows = {"AuditEnterpriseSiteID": U, "AuditSourceID": M, "AuditSourceTypeCode": U}
OBJECT: Rows = {
    "ParticipantObjectTypeCode": M,
    "ParticipantObjectTypeCodeRole": M,
    "ParticipantObjectDataLifeCycle": U,
    "ParticipantObjectIDTypeCode": M,
    "ParticipantObjectSensitivity": U,
    "ParticipantObjectID": M,
    "ParticipantObjectName": U,
    "ParticipantObjectQuery": U,
    "ParticipantObjectDetail": U,
    "ParticipantObjectDescription": U,
}
DESCRIBED: Rows = dict.fromkeys(("SOPClass", "Accession", "MPPS", "Instance", "Encrypted", "Anonymized"), U)


def entity(name: str, least: int, most: int, role: str = "", **rows: Row) -> Entity:
    """A participant; with a role, the table demands it."""
    demanded = {"RoleIDCode": shall_be(role)} if role else {}
    return Entity(name, least, most, {**PARTICIPANT, **demanded, **rows}, frozenset({role} if role else ()))


def about(name: str, least: int, most: int, types: tuple[str, ...], code: str, role: Row, **rows: Row) -> Entity:
    """A participating object."""
    fixed = {"ParticipantObjectTypeCode": shall_be(code), "ParticipantObjectTypeCodeRole": role}
    fixed["ParticipantObjectIDTypeCode"] = shall_be(*types)
    return Entity(name, least, most, {**OBJECT, **fixed, **rows}, frozenset(types))


def event(code: int, meaning: str, *actions: str, types: tuple[str, ...] = ()) -> Rows:
    """The rows of an event; EventTypeCode is U in those that name no values."""
    fixed = {"EventID": shall_be(dcm(code, meaning)), "EventActionCode": shall_be(*actions)}
    typed = {"EventTypeCode": shall_be(*types)} if types else {}
    return {**EVENT, **fixed, **typed}


STUDIES = about("studies", 1, MANY, (STUDY_UID,), "2", shall_be("3"), **DESCRIBED)
THE_PATIENT = about("patient", 1, 1, (PATIENT_NUMBER,), "1", shall_be("1"))
OTHERS = entity("other participants", 0, MANY)
MANIPULATING = entity("person and or process manipulating the data", 1, 2)

CID_403 = (
    dcm(110126, "Node Authentication"),
    dcm(110127, "Emergency Override Started"),
    dcm(110128, "Network Configuration"),
    dcm(110129, "Security Configuration"),
    dcm(110130, "Hardware Configuration"),
    dcm(110131, "Software Configuration"),
    dcm(110132, "Use of Restricted Function"),
    dcm(110133, "Audit Recording Stopped"),
    dcm(110134, "Audit Recording Started"),
    dcm(110135, "Object Security Attributes Changed"),
    dcm(110136, "Security Roles Changed"),
    dcm(110137, "User Security Attributes Changed"),
    dcm(110138, "Emergency Override Stopped"),
    dcm(110139, "Remote Service Operation Started"),
    dcm(110140, "Remote Service Operation Stopped"),
    dcm(110141, "Local Service Operation Started"),
    dcm(110142, "Local Service Operation Stopped"),
    dcm(110143, "Authentication Decision"),
    dcm(110144, "Authorization Decision"),
    dcm(110145, "Session start"),
    dcm(110146, "Session stop"),
    dcm(110147, "Access Control Decision"),
)
OWN_ALERTS = (  # the context group is extensible
    "(journal-anchor, 99USERIDENTITY, Head of the chain of the audit journal)",
    "(journal-retired, 99USERIDENTITY, Old part of the audit journal removed)",
)

TABLES = {
    "110100": Table(
        "A.5.3.1-1 Application Activity",
        event(
            110100,
            "Application Activity",
            "E",
            types=(dcm(110120, "Application Start"), dcm(110121, "Application Stop")),
        ),
        (
            # AlternativeUserID is MC: the AE titles, where the process supports DICOM. Ours does.
            entity("application started", 1, 1, dcm(110150, "Application"), AlternativeUserID=M),
            entity("who started it", 0, MANY, dcm(110151, "Application Launcher")),
        ),
        asks=False,
    ),
    "110102": Table(
        "A.5.3.3-1 Begin Transferring DICOM Instances",
        event(110102, "Begin Transferring DICOM Instances", "E"),
        (entity("process sending", 1, 1, SOURCE_ROLE), entity("process receiving", 1, 1, DESTINATION_ROLE), OTHERS),
        (STUDIES, THE_PATIENT),
    ),
    "110103": Table(
        "A.5.3.6-1 DICOM Instances Accessed",
        event(110103, "DICOM Instances Accessed", "C", "R", "U", "D"),
        (MANIPULATING,),
        (STUDIES, THE_PATIENT),
    ),
    "110104": Table(
        "A.5.3.7-1 DICOM Instances Transferred",
        event(110104, "DICOM Instances Transferred", "C", "R", "U"),
        (entity("process that sent", 1, 1, SOURCE_ROLE), entity("that received", 1, 1, DESTINATION_ROLE), OTHERS),
        (STUDIES, THE_PATIENT),
    ),
    "110111": Table(
        "A.5.3.15-1 Procedure Record",
        event(110111, "Procedure Record", "C", "R", "U", "D"),
        (MANIPULATING,),
        (about("studies", 0, MANY, (STUDY_UID,), "2", shall_be("3"), **DESCRIBED), THE_PATIENT),
    ),
    "110112": Table(
        "A.5.3.10-1 Query",
        event(110112, "Query", "E"),
        (entity("process issuing", 1, 1, SOURCE_ROLE), entity("that responds", 1, 1, DESTINATION_ROLE), OTHERS),
        (
            about(
                "SOP queried and the query",
                1,
                1,
                (SOP_CLASS_UID,),
                "2",
                shall_be("3"),
                ParticipantObjectQuery=M,
                **{"ParticipantObjectDetail:TransferSyntax": M},  # MC: for a SOP class UID
            ),
        ),
    ),
    "110113": Table(
        "A.5.3.11-1 Security Alert",
        event(110113, "Security Alert", "E", types=CID_403 + OWN_ALERTS),
        # Reporting are one or two; here it is one, who comes first.
        (entity("reporting", 1, 1), entity("performing", 0, MANY, UserIsRequestor=shall_be("false"))),
        (
            about(
                "alert subject",
                0,
                MANY,
                (URI, NODE, STUDY_UID),
                "2",
                Row(False, frozenset({"5", "13"})),
                **{"ParticipantObjectDetail:Alert Description": M},
            ),
        ),
        asks=False,  # who performed what is alerted shall not be one
    ),
    "110114": Table(
        "A.5.3.12-1 User Authentication",
        event(110114, "User Authentication", "E", types=(dcm(110122, "Login"), dcm(110123, "Logout"))),
        # The person (1) comes first, and then the node that authenticates (0..1).
        (
            entity("person", 1, 1, NetworkAccessPointTypeCode=shall_be("1", "2"), NetworkAccessPointID=M),
            entity("node", 0, 1),
        ),
    ),
}
"""By the value of EventID."""


@dataclass
class Found:
    """An entity of a table, and how many there are of it in a message."""

    entity: Entity
    number: int = field(default=0)

    def takes(self, codes: set[str]) -> bool:
        is_one = not self.entity.role or bool(self.entity.role & codes)
        return is_one and self.number < self.entity.most


def values_of(element: Element, name: str) -> list[str]:
    """The values of a field, wherever the schema has it: an attribute, codes, a detail or an element's text."""
    name, _, kind = name.partition(":")
    if kind:
        return [each.get("value") for each in element.findall(name) if each.get("type") == kind]
    children = element.findall(name) or element.findall(f"ParticipantObjectDescription/{name}")
    if not children:
        return [element.get(name)] if name in element.attrib else []
    return [code_of(each) if "csd-code" in each.attrib else each.text or each.tag for each in children]


def code_of(element: Element) -> str:
    return f"({element.get('csd-code')}, {element.get('codeSystemName')}, {element.get('originalText')})"


def fields_of(element: Element) -> set[str]:
    """The names of the fields that are there."""
    return {*element.attrib, *(each.tag for each in element.iter() if each is not element)}


def row_problems(element: Element, rows: Rows, where: str) -> Iterator[str]:
    """What an element lacks of its rows, or has beside them."""
    for name, row in rows.items():
        values = [each for each in values_of(element, name) if each and each.strip()]
        if row.is_mandatory and not values:
            yield f"{where}: {name} is M and missing"
        elif row.values and values and row.values.isdisjoint(values):
            yield f"{where}: {name} is {values}, should be one of {sorted(row.values)}"
    for name in fields_of(element) - rows.keys():
        yield f"{where}: {name} has no row"


def entity_problems(elements: list[Element], entities: tuple[Entity, ...], code: str) -> Iterator[str]:
    """Each element belongs to the first entity that takes it; each entity has as many as it may have."""
    found = [Found(each) for each in entities]
    for element in elements:
        codes = set(values_of(element, code))
        own = next((each for each in found if each.takes(codes)), None)
        if own is None:
            yield f"{etree.tostring(element)!r} has no place in the table"
        else:
            own.number += 1
            yield from row_problems(element, own.entity.rows, own.entity.name)
    for each in found:
        if each.number < each.entity.least:
            yield f"{each.number} of {each.entity.name}, should be {each.entity.least} at least"


def general_problems(document: Element, table: Table) -> Iterator[str]:
    """Table A.5.2-1 and A.5.2.5: what holds for all messages."""
    asking = [each for each in document.findall("ActiveParticipant") if each.get("UserIsRequestor") == "true"]
    if len(asking) > 1 or (table.asks and not asking):
        yield f"{len(asking)} participants are the requestor"
    for described in document.iter("ParticipantObjectDescription"):
        if described.find("SOPClass") is None:
            yield "SOPClass is MC beside optional fields, and missing"
    if datetime.fromisoformat(document[0].get("EventDateTime", "")).utcoffset() != timedelta(0):
        yield "EventDateTime shall include the time zone; ours is UTC"
    yield from row_problems(document.find("AuditSourceIdentification"), AUDIT_SOURCE, "audit source")


def problems(document: Element) -> list[str]:
    """What an audit message lacks of its table."""
    table = TABLES[document[0].find("EventID").get("csd-code")]
    return [
        *row_problems(document[0], table.event, "event"),
        *entity_problems(document.findall("ActiveParticipant"), table.participants, "RoleIDCode"),
        *entity_problems(
            document.findall("ParticipantObjectIdentification"), table.objects, "ParticipantObjectIDTypeCode"
        ),
        *general_problems(document, table),
    ]
