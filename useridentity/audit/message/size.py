"""A message that is too large for its way, with less in it: what audit needs least goes first."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from useridentity.audit.codes import STUDY_INSTANCE_UID, Code
from useridentity.audit.message.model import AuditMessage, Participant, ParticipantObject
from useridentity.audit.message.xml import escaped
from useridentity.audit.record import SopClass

MAX_STUDIES = 32
"""Studies in one message: a record of more has several messages, each "part x of y"."""

MAX_CODES = 8
"""Roles of a participant, and purposes of use, that a short message keeps; the journal has all of them."""

SHORT, SHORTEST = 256, 64
"""Octets of each text in the two short forms. With 64, the length of UIDs and patient IDs, 32 studies make a message
of less than 32,768 octets, which every receiver of PS3.15 A.6 takes, whatever a peer has sent."""

_KEPT = ("Alert Description", "TransferSyntax", "Truncated")
"""Details that the tables of A.5.3 demand, and what was done to a query: the only ones of the short forms."""


def smaller(message: AuditMessage) -> Iterator[AuditMessage]:
    """The message, then without SOP Instance UIDs ("under most circumstances ... not needed", Table A.5.2-1), then
    also without the query's identifier, which a detail "Truncated" then says, then with texts and lists cut short."""
    yield message
    message = replace(message, objects=tuple(map(_without_instances, message.objects)))
    yield message
    message = replace(message, objects=tuple(map(_without_query, message.objects)))
    yield message
    for octets in (SHORT, SHORTEST):
        yield _shortened(message, octets)


def in_parts(message: AuditMessage) -> list[AuditMessage]:
    """The message, or several with some of its studies each."""
    studies = [each for each in message.objects if each.id_type is STUDY_INSTANCE_UID]
    if len(studies) <= MAX_STUDIES:
        return [message]
    others = [each for each in message.objects if each.id_type is not STUDY_INSTANCE_UID]
    starts = range(0, len(studies), MAX_STUDIES)
    return [replace(message, objects=(*studies[at : at + MAX_STUDIES], *others)) for at in starts]


def _shortened(message: AuditMessage, octets: int) -> AuditMessage:
    return replace(
        message,
        participants=tuple(_short_participant(each, octets) for each in message.participants),
        objects=tuple(_short_object(each, octets) for each in message.objects),
        purposes=_short_codes(message.purposes, octets),
        description=_short(message.description, 4 * octets),
    )


def _short(text: str, octets: int) -> str:
    """The beginning of `text`, as much as takes so many octets in XML."""
    ends = list(accumulate(map(_length, text[: octets + 1])))
    if not ends or ends[-1] <= octets:
        return text
    return text[: bisect_right(ends, octets - _length("…"))] + "…"


def _length(text: str) -> int:
    return len(escaped(text).encode())


def _short_codes(codes: tuple[Code, ...], octets: int) -> tuple[Code, ...]:
    return tuple(Code(*(_short(word, octets) for word in code)) for code in codes[:MAX_CODES])


def _short_participant(each: Participant, octets: int) -> Participant:
    point = each.access_point
    return replace(
        each,
        user_id=_short(each.user_id, octets),
        alternative_user_id=_short(each.alternative_user_id, octets),
        user_name=_short(each.user_name, octets),
        roles=_short_codes(each.roles, octets),
        access_point=point._replace(id=_short(point.id, octets)) if point else None,
    )


def _short_object(each: ParticipantObject, octets: int) -> ParticipantObject:
    """One SOP class at most stays by its name: of several, the number of all their instances."""
    number = sum(sop_class.number for sop_class in each.sop_classes)
    uid = each.sop_classes[0].uid if len(each.sop_classes) == 1 else ""
    return replace(
        each,
        object_id=_short(each.object_id, octets),
        name=_short(each.name, octets),
        details=tuple((kind, value[:octets]) for kind, value in each.details if kind in _KEPT),
        accession_numbers=tuple(_short(value, octets) for value in each.accession_numbers[:1]),
        sop_classes=(SopClass(_short(uid, octets), number),) if each.sop_classes else (),
        procedure_steps=tuple(_short(value, octets) for value in each.procedure_steps[:1]),
    )


def _without_instances(each: ParticipantObject) -> ParticipantObject:
    return replace(each, sop_classes=tuple(replace(sop_class, instances=()) for sop_class in each.sop_classes))


def _without_query(each: ParticipantObject) -> ParticipantObject:
    if not each.query:
        return each
    kept = tuple(detail for detail in each.details if detail[0] != "Truncated")
    return replace(each, query=b"", details=(*kept, ("Truncated", b"true")))
