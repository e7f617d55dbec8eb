"""FHIR R4 over https: AuditEvents created one by one, or in batches (ITI-20, ATX: FHIR Feed)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from useridentity.audit.fhir import AuditEvent, audit_events, batch
from useridentity.audit.message import MessageStyle
from useridentity.audit.record import Record
from useridentity.audit.sinks.endpoint import REFUSALS, Answer, Endpoint
from useridentity.audit.sinks.posted import PostingSink
from useridentity.audit.sinks.sink import Undelivered

BATCH = 100
"""Records in a Bundle: some 300 KB, which every server's limit admits."""

_HEADERS = {"Content-Type": "application/fhir+json; charset=utf-8", "Accept": "application/fhir+json"}
_MINIMAL = {"Prefer": "return=minimal"}  # what was stored need not come back (FHIR R4 http.html#ops)


class SingleFhir(PostingSink):
    """Creates each AuditEvent with a request of its own; X-Request-Id is the event id, of a second part with "-2"."""

    def __init__(self, name: str, endpoint: Endpoint, style: MessageStyle) -> None:
        super().__init__(name, endpoint, batch=1)
        self._style = style

    def _post(self, records: Sequence[Record]) -> Answer:
        """A refusal of one part does not keep the others back; the record then counts as refused."""
        worst = Answer(200, b"")
        for part, event in enumerate(audit_events(records[0], self._style), 1):
            request = event.record if part == 1 else f"{event.record}-{part}"
            answer = self._endpoint.post(_encoded(event.resource), _HEADERS | _MINIMAL | {"X-Request-Id": request})
            if not answer.is_success:
                worst = answer
            if not answer.is_success and not answer.is_refusal:
                break
        return worst

    def _judge(self, records: Sequence[Record], answer: Answer) -> int:  # noqa: ARG002
        return 0


class BatchFhir(PostingSink):
    """Creates AuditEvents with batch Bundles, posted to the server's base address."""

    def __init__(self, name: str, endpoint: Endpoint, style: MessageStyle) -> None:
        super().__init__(name, endpoint, batch=BATCH)
        self._style = style
        self._owners: list[int] = []

    def _post(self, records: Sequence[Record]) -> Answer:
        events: list[AuditEvent] = []
        self._owners = []
        for position, record in enumerate(records):
            made = audit_events(record, self._style)
            events += made
            self._owners += [position] * len(made)
        return self._endpoint.post(_encoded(batch(events)), _HEADERS | _MINIMAL)

    def _judge(self, records: Sequence[Record], answer: Answer) -> int:
        """Every entry has a status of its own, in the order of the request (FHIR R4 bundle.html#batch)."""
        statuses = list(_statuses(answer.body))
        if len(statuses) != len(self._owners):
            raise Undelivered(f"{self.name}: answered {len(statuses)} of {len(self._owners)} entries")
        judged = zip(self._owners, statuses, strict=True)
        failed = next(((position, status) for position, status in judged if not _is_judged(status)), None)
        end, status = failed or (len(records), 0)
        refused = {at: each for at, each in zip(self._owners, statuses, strict=True) if at < end and each in REFUSALS}
        count = sum(self._refused(records[position], each) for position, each in refused.items())
        if failed:
            raise Undelivered(f"{self.name}: answered status {status} for an entry", end, count)
        return count


def _is_judged(status: int) -> bool:
    """Whether an entry was taken, or refused for good."""
    return 200 <= status < 300 or status in REFUSALS


def _encoded(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _statuses(body: bytes) -> Iterator[int]:
    """The status of each entry of a batch-response; 0 for one that has none."""
    try:
        entries = json.loads(body)["entry"]
        for entry in entries:
            yield int(str(entry["response"]["status"])[:3])
    except (ValueError, KeyError, TypeError, RecursionError):
        yield 0
