"""A message that is too large for its way, with less in it: what audit needs least goes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from useridentity.audit.message.model import AuditMessage, ParticipantObject


def smaller(message: AuditMessage) -> Iterator[AuditMessage]:
    """The message, then without SOP Instance UIDs ("under most circumstances ... not needed", Table A.5.2-1), then
    also without the query's identifier, which a detail "Truncated" then says."""
    yield message
    message = replace(message, objects=tuple(map(_without_instances, message.objects)))
    yield message
    yield replace(message, objects=tuple(map(_without_query, message.objects)))


def _without_instances(each: ParticipantObject) -> ParticipantObject:
    return replace(each, sop_classes=tuple(replace(sop_class, instances=()) for sop_class in each.sop_classes))


def _without_query(each: ParticipantObject) -> ParticipantObject:
    if not each.query:
        return each
    kept = tuple(detail for detail in each.details if detail[0] != "Truncated")
    return replace(each, query=b"", details=(*kept, ("Truncated", b"true")))
