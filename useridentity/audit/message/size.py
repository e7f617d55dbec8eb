"""A message that is too large for its way, with less in it: what audit needs least goes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from useridentity.audit.codes import STUDY_INSTANCE_UID
from useridentity.audit.message.model import AuditMessage, Participant, ParticipantObject

MAX_STUDIES = 50
"""Studies in one message: 10 KB at most; a record of more has several messages, each "part x of y"."""

MAX_ROLES, MAX_TEXT = 8, 256
"""Roles of a participant and characters of a name that the smallest message keeps; the journal has all of them."""


def smaller(message: AuditMessage) -> Iterator[AuditMessage]:
    """The message, then without SOP Instance UIDs ("under most circumstances ... not needed", Table A.5.2-1), then
    also without the query's identifier, which a detail "Truncated" then says, then with names and roles cut short."""
    yield message
    message = replace(message, objects=tuple(map(_without_instances, message.objects)))
    yield message
    message = replace(message, objects=tuple(map(_without_query, message.objects)))
    yield message
    participants = tuple(map(_short_participant, message.participants))
    objects = tuple(map(_short_object, message.objects))
    yield replace(message, participants=participants, objects=objects, description=_short(message.description))


def in_parts(message: AuditMessage) -> list[AuditMessage]:
    """The message, or several with some of its studies each."""
    studies = [each for each in message.objects if each.id_type is STUDY_INSTANCE_UID]
    if len(studies) <= MAX_STUDIES:
        return [message]
    others = [each for each in message.objects if each.id_type is not STUDY_INSTANCE_UID]
    starts = range(0, len(studies), MAX_STUDIES)
    return [replace(message, objects=(*studies[at : at + MAX_STUDIES], *others)) for at in starts]


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _short_participant(each: Participant) -> Participant:
    roles = tuple(role._replace(value=_short(role.value), meaning=_short(role.meaning)) for role in each.roles)
    names = (_short(each.user_id), _short(each.alternative_user_id), _short(each.user_name))
    return replace(each, user_id=names[0], alternative_user_id=names[1], user_name=names[2], roles=roles[:MAX_ROLES])


def _short_object(each: ParticipantObject) -> ParticipantObject:
    details = tuple((kind, _short(value.decode("utf-8", "replace")).encode()) for kind, value in each.details)
    return replace(each, object_id=_short(each.object_id), name=_short(each.name), details=details)


def _without_instances(each: ParticipantObject) -> ParticipantObject:
    return replace(each, sop_classes=tuple(replace(sop_class, instances=()) for sop_class in each.sop_classes))


def _without_query(each: ParticipantObject) -> ParticipantObject:
    if not each.query:
        return each
    kept = tuple(detail for detail in each.details if detail[0] != "Truncated")
    return replace(each, query=b"", details=(*kept, ("Truncated", b"true")))
