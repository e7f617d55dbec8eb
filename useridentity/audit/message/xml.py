"""An audit message as XML 1.0, by the schema of PS3.15 A.5.1.1: no namespace, its order of elements, one line."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from useridentity.audit.codes import Code
from useridentity.audit.message.model import AuditMessage, Participant, ParticipantObject, Source
from useridentity.audit.message.text import time_text, visible

_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def to_xml(message: AuditMessage) -> bytes:
    """The message in UTF-8, without an XML declaration, which syslog has no use for."""
    return "".join(_message(message)).encode("utf-8")


def escaped(text: str) -> str:
    """`text` as the value of an attribute or the content of an element."""
    return visible(text).translate(_MARKUP)


def _message(message: AuditMessage) -> Iterator[str]:
    yield "<AuditMessage>"
    yield from _event(message)
    for participant in message.participants:
        yield from _participant(participant)
    yield _source(message.source)
    for each in message.objects:
        yield from _object(each)
    yield "</AuditMessage>"


def _event(message: AuditMessage) -> Iterator[str]:
    yield (
        f'<EventIdentification EventActionCode="{message.action}" EventDateTime="{time_text(message.time)}"'
        f' EventOutcomeIndicator="{message.outcome:d}">'
    )
    yield _code("EventID", message.event)
    for each in message.types:
        yield _code("EventTypeCode", each)
    yield f"<EventOutcomeDescription>{escaped(message.outcome_description)}</EventOutcomeDescription>"
    for each in message.purposes:
        yield _code("PurposeOfUse", each)
    yield "</EventIdentification>"


def _participant(participant: Participant) -> Iterator[str]:
    yield f'<ActiveParticipant UserID="{escaped(participant.user_id)}"'
    yield _attribute("AlternativeUserID", participant.alternative_user_id)
    yield _attribute("UserName", participant.user_name)
    yield f' UserIsRequestor="{"true" if participant.is_requestor else "false"}"'
    if point := participant.access_point:
        yield f' NetworkAccessPointID="{escaped(point.id)}" NetworkAccessPointTypeCode="{point.type:d}"'
    yield ">"
    for role in participant.roles:
        yield _code("RoleIDCode", role)
    yield "</ActiveParticipant>"


def _source(source: Source) -> str:
    site = _attribute("AuditEnterpriseSiteID", source.site)
    return (
        f'<AuditSourceIdentification{site} AuditSourceID="{escaped(source.source_id)}">'
        f'<AuditSourceTypeCode csd-code="{source.type_code}"/></AuditSourceIdentification>'
    )


def _object(each: ParticipantObject) -> Iterator[str]:
    yield (
        f'<ParticipantObjectIdentification ParticipantObjectID="{escaped(each.object_id)}"'
        f' ParticipantObjectTypeCode="{each.type:d}" ParticipantObjectTypeCodeRole="{each.role:d}">'
    )
    yield _code("ParticipantObjectIDTypeCode", each.id_type)
    if each.query is None:
        yield f"<ParticipantObjectName>{escaped(each.name)}</ParticipantObjectName>"
    else:
        yield f"<ParticipantObjectQuery>{_base64(each.query)}</ParticipantObjectQuery>"
    for name, value in each.details:
        yield f'<ParticipantObjectDetail type="{escaped(name)}" value="{_base64(value)}"/>'
    if each.sop_classes:
        yield from _description(each)
    yield "</ParticipantObjectIdentification>"


def _description(each: ParticipantObject) -> Iterator[str]:
    yield "<ParticipantObjectDescription>"
    for uid in each.procedure_steps:
        yield f'<MPPS UID="{escaped(uid)}"/>'
    for number in each.accession_numbers:
        yield f'<Accession Number="{escaped(number)}"/>'
    for sop_class in each.sop_classes:
        yield f'<SOPClass{_attribute("UID", sop_class.uid)} NumberOfInstances="{sop_class.number}">'
        for uid in sop_class.instances:
            yield f'<Instance UID="{escaped(uid)}"/>'
        yield "</SOPClass>"
    yield "</ParticipantObjectDescription>"


def _code(element: str, code: Code) -> str:
    return (
        f'<{element} csd-code="{escaped(code.value)}" codeSystemName="{escaped(code.scheme)}"'
        f' originalText="{escaped(code.meaning)}"/>'
    )


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escaped(value)}"' if value else ""


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")
