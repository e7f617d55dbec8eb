"""A record as FHIR R4 AuditEvents: the messages of PS3.15 by R4's own mapping to DICOM, one of them per message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from useridentity.audit.codes import PATIENT_NUMBER, SOP_CLASS_UID, STUDY_INSTANCE_UID, USER_AUTHENTICATION, Code
from useridentity.audit.fhir.agents import process_agent, profile, user_agents
from useridentity.audit.fhir.terms import (
    BALP,
    TERMINOLOGY,
    UID,
    Json,
    coding,
    detail,
    details,
    identifier,
    uri,
    without_empty,
)
from useridentity.audit.message import AuditMessage, MessageStyle, messages
from useridentity.audit.message.model import NOT_KNOWN, Participant, ParticipantObject, Source
from useridentity.audit.message.participants import requestor_process
from useridentity.audit.message.text import time_text, visible
from useridentity.audit.record import Record

QUERY_ROLE = "24"
"""object-role "Query", which BALP asks for where PS3.15's table says "Report"."""

_REQUEST_ID = {"system": f"{BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One resource, with the event id of its record."""

    record: str
    resource: Json = field(repr=False)


def audit_events(record: Record, style: MessageStyle) -> list[AuditEvent]:
    """The AuditEvents to be sent for `record`, one at least."""
    return [AuditEvent(record.event_id, _resource(record, message, style)) for message in messages(record, style)]


def batch(events: Sequence[AuditEvent]) -> Json:
    """A Bundle that creates them, each on its own (FHIR R4 http.html#transaction)."""
    request = {"method": "POST", "url": "AuditEvent"}
    entries = [{"resource": event.resource, "request": request} for event in events]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


def _resource(record: Record, message: AuditMessage, style: MessageStyle) -> Json:
    claimed = profile(record.user, style) if any(each.is_user for each in message.participants) else ""
    return without_empty(
        {
            "resourceType": "AuditEvent",
            "meta": {"profile": [claimed]} if claimed else None,
            "type": coding(message.event),
            "subtype": [coding(each) for each in message.types],
            "action": message.action,
            "recorded": time_text(message.time),
            "outcome": f"{message.outcome:d}",
            "outcomeDesc": visible(message.description),
            "agent": list(_agents(record, message, style)),
            "source": _source(message.source),
            "entity": [_transaction(message), *map(_entity, message.objects), *_consent(record, claimed)],
        }
    )


def _agents(record: Record, message: AuditMessage, style: MessageStyle) -> Iterator[Json]:
    """A user has no network address here; where only the user's is known, the machine becomes an agent of its own."""
    has_user = any(each.is_user for each in message.participants)
    for each in message.participants:
        if each.is_user:
            yield from user_agents(each, record, style)
        else:
            yield process_agent(each, requestor=each.is_requestor and not has_user)
    if message.event is USER_AUTHENTICATION and _is_known(machine := requestor_process(record.requestor)):
        yield process_agent(machine, requestor=False)


def _is_known(participant: Participant) -> bool:
    return participant.user_id != NOT_KNOWN


def _source(source: Source) -> Json:
    """Who reports; FHIR wants a reference, and a logical one is enough."""
    kind = {"system": f"{TERMINOLOGY}/security-source-type", "code": str(source.type_code)}
    observer = {"identifier": identifier(source.source_id), "display": visible(source.source_id)}
    return without_empty({"site": visible(source.site), "observer": observer, "type": [kind]})


def _transaction(message: AuditMessage) -> Json:
    """The event id, where BALP has the id of a request: a duplicate has the same, and X-Request-Id too."""
    part = f"{message.part} of {message.parts}" if message.parts > 1 else ""
    return without_empty(
        {
            "what": {"identifier": identifier(message.record)},
            "type": _REQUEST_ID,
            "detail": details((("association", message.association), ("part", part))),
        }
    )


def _entity(each: ParticipantObject) -> Json:
    """One of name and query (FHIR's sev-1)."""
    role = f"{each.role:d}" if each.query is None else QUERY_ROLE
    binary = [{"type": name, "valueBase64Binary": _base64(value)} for name, value in each.details if value]
    return without_empty(
        {
            "what": {"identifier": _object_identifier(each.id_type, each.object_id)},
            "type": {"system": f"{TERMINOLOGY}/audit-entity-type", "code": f"{each.type:d}"},
            "role": {"system": f"{TERMINOLOGY}/object-role", "code": role},
            "name": visible(each.name),
            "query": _base64(each.query) if each.query is not None else "",
            "detail": binary + details(_contents(each)),
        }
    )


def _contents(each: ParticipantObject) -> Iterator[tuple[str, str]]:
    """What a study consists of; UIDs of instances only where nothing else names it."""
    yield from (("MPPS", uid) for uid in each.procedure_steps)
    yield from (("Accession", number) for number in each.accession_numbers)
    for sop_class in each.sop_classes:
        yield "SOPClass", f"{sop_class.uid} {sop_class.number}"
        if each.object_id == NOT_KNOWN:
            yield from (("Instance", uid) for uid in sop_class.instances)


def _object_identifier(kind: Code, value: str) -> Json:
    if value == NOT_KNOWN or kind is PATIENT_NUMBER:
        return identifier(value)
    if kind in (STUDY_INSTANCE_UID, SOP_CLASS_UID):
        return identifier(f"urn:oid:{value}", UID)
    return identifier(value, kind={"coding": [coding(kind)]}) if not uri(value) else identifier(value)


def _consent(record: Record, claimed: str) -> list[Json]:
    """The consent that an assertion names (BALP's entity[consent], comprehensive only)."""
    attributes = record.user.attributes
    documents = attributes.get("consent_document_id", ()) if claimed.endswith("Comprehensive") else ()
    about = [detail("urn:ihe:iti:xua:2012:acp", each) for each in attributes.get("consent_policy", ())[:1]]
    name = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
    about += [detail(name, each) for each in attributes.get("patient_id", ())[:1]]
    kind = {"system": "http://hl7.org/fhir/resource-types", "code": "Consent"}
    return [
        without_empty({"what": {"identifier": identifier(each)}, "type": kind, "detail": about}) for each in documents
    ]


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")
