"""FHIR R4 over https: AuditEvents created one by one, or in batches (ITI-20, ATX: FHIR Feed)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from useridentity.audit.fhir import AuditEvent, audit_events, batch
from useridentity.audit.message import MessageStyle
from useridentity.audit.record import Record
from useridentity.audit.sinks.endpoint import Endpoint
from useridentity.audit.sinks.posted import REFUSALS, PostingSink
from useridentity.audit.sinks.sink import Undelivered, in_form
from useridentity.https import Answer

BATCH = 100
"""Records in a Bundle: some 300 KB, which every server's limit admits."""

_HEADERS = {"Content-Type": "application/fhir+json; charset=utf-8", "Accept": "application/fhir+json"}
_MINIMAL = {"Prefer": "return=minimal"}  # what was stored need not come back (FHIR R4 http.html#ops)
_OK, _CREATED = 200, 201


class FhirSink(PostingSink):
    """Posts to a FHIR server."""

    own_words = "a server that refuses a record says so with an OperationOutcome, or in the entries of a batch"

    def __init__(self, name: str, endpoint: Endpoint, style: MessageStyle, batch: int) -> None:
        super().__init__(name, endpoint, batch)
        self._style = style

    def _is_own(self, content: Mapping[str, Any]) -> bool:
        return isinstance(content.get("resourceType"), str)

    def _events(self, records: Sequence[Record]) -> list[list[AuditEvent]]:
        """What each record makes."""
        return in_form(records, lambda record: audit_events(record, self._style))


class SingleFhir(FhirSink):
    """Creates each AuditEvent with a request of its own; X-Request-Id is the event id, of a second part with "-2"."""

    def __init__(self, name: str, endpoint: Endpoint, style: MessageStyle) -> None:
        super().__init__(name, endpoint, style, 1)

    def _post(self, records: Sequence[Record]) -> Answer:
        """A refusal of one part does not keep the others back; the record then counts as refused."""
        (events,) = self._events(records)
        worst = Answer(_CREATED, b"")
        for part, event in enumerate(events, 1):
            request = event.record if part == 1 else f"{event.record}-{part}"
            answer = self._endpoint.post(_encoded(event.resource), _HEADERS | _MINIMAL | {"X-Request-Id": request})
            if self._is_refusal(answer):
                worst = answer
            elif not self._is_created(answer):
                raise self._undelivered(records, answer)
        return worst

    def _judge(self, records: Sequence[Record], answer: Answer) -> int:  # noqa: ARG002
        return 0

    def _is_created(self, answer: Answer) -> bool:
        """201, with nothing or a resource (FHIR R4 http.html#create, #ops), or 200 with the AuditEvent."""
        content = answer.object or {}
        if answer.status == _CREATED:
            return not answer.body or self._is_own(content)
        return answer.status == _OK and content.get("resourceType") == "AuditEvent"


class BatchFhir(FhirSink):
    """Creates AuditEvents with batch Bundles, posted to the server's base address."""

    def __init__(self, name: str, endpoint: Endpoint, style: MessageStyle) -> None:
        super().__init__(name, endpoint, style, BATCH)
        self._owners: list[int] = []

    def _post(self, records: Sequence[Record]) -> Answer:
        events = self._events(records)
        self._owners = [position for position, made in enumerate(events) for _ in made]
        return self._endpoint.post(_encoded(batch([each for made in events for each in made])), _HEADERS | _MINIMAL)

    def _judge(self, records: Sequence[Record], answer: Answer) -> int:
        """Every entry has a status of its own, in the order of the request (FHIR R4 bundle.html#batch)."""
        content = answer.object or {}
        if answer.status != _OK or content.get("resourceType") != "Bundle":
            raise self._undelivered(records, answer)
        statuses = list(_statuses(content))
        if len(statuses) != len(self._owners):
            raise Undelivered(f"{self.name}: answered {len(statuses)} of {len(self._owners)} entries")
        judged = zip(self._owners, statuses, strict=True)
        failed = next(((position, status) for position, status in judged if not _is_judged(status)), None)
        end, status = failed or (len(records), 0)
        refused = {at: each for at, each in zip(self._owners, statuses, strict=True) if at < end and each in REFUSALS}
        count = sum(self._refused(records[position], each) for position, each in refused.items())
        if failed:
            raise Undelivered(f"{self.name}: answered status {status} for an entry", end, count, answer.wait)
        return count


def _is_judged(status: int) -> bool:
    """Whether an entry was taken, or refused for good."""
    return status in (_OK, _CREATED) or status in REFUSALS


def _encoded(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource, separators=(",", ":")).encode("ascii")


def _statuses(bundle: Mapping[str, Any]) -> Iterator[int]:
    """The status of each entry of a batch-response; 0 for one that has none."""
    try:
        for entry in bundle["entry"]:
            yield int(str(entry["response"]["status"])[:3])
    except (ValueError, KeyError, TypeError):
        yield 0
