"""OpenTelemetry log records: OTLP/HTTP in JSON, as a collector takes it on port 4318.

`log.record.uid` is the event id: records "with the same id will be considered duplicates" (semantic conventions).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from useridentity.audit.record import Outcome, Record
from useridentity.audit.segment import microseconds
from useridentity.audit.sinks.endpoint import Endpoint
from useridentity.audit.sinks.posted import PostingSink
from useridentity.audit.sinks.sink import in_form
from useridentity.https import Answer

BATCH = 200

_OK = 200
_EMPTY = (201, 204)
"""Said for success by receivers that leave the specification's 200 and its object out (Fluent Bit; Loki)."""

_INFO, _WARN = (9, "INFO"), (13, "WARN")


class OtlpLogs(PostingSink):
    """Exports records to a collector's /v1/logs."""

    own_words = "a collector that refuses a record says so with a Status in JSON, or a partialSuccess"

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        super().__init__(name, endpoint, batch=BATCH)

    def _is_own(self, content: Mapping[str, Any]) -> bool:  # noqa: ARG002
        return True  # a google.rpc.Status may have no field

    def _post(self, records: Sequence[Record]) -> Answer:
        scope = {"scope": {"name": "useridentity.audit"}, "logRecords": in_form(records, _log_record)}
        resource = _attributes({"service.name": "useridentity", "host.name": records[0].acceptor.host})
        body = {"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [scope]}]}
        return self._endpoint.post(json.dumps(body).encode("ascii"), {"Content-Type": "application/json"})

    def _judge(self, records: Sequence[Record], answer: Answer) -> int:
        """A partial success says how many records were rejected, and not which."""
        if answer.status in _EMPTY and not answer.body:
            return 0
        content = answer.object
        if answer.status != _OK or content is None:
            raise self._undelivered(records, answer)
        if not _rejected(content):
            return 0
        return self._refused(records[0], "rejected") if len(records) == 1 else self._send_halves(records)


def _rejected(response: Mapping[str, Any]) -> bool:
    """Of an ExportLogsServiceResponse in JSON; what is left out or null is nothing (ProtoJSON)."""
    partial = response.get("partialSuccess")
    return isinstance(partial, dict) and str(partial.get("rejectedLogRecords") or 0) != "0"


def _log_record(record: Record) -> dict[str, Any]:
    number, text = _INFO if record.outcome is Outcome.SUCCESS else _WARN
    operation = record.operation
    return {
        "timeUnixNano": str(microseconds(record.time) * 1000),
        "severityNumber": number,
        "severityText": text,
        "eventName": f"useridentity.audit.{record.kind.value}",
        "body": {"stringValue": record.to_json()},
        "attributes": _attributes(
            {
                "log.record.uid": record.event_id,
                "useridentity.association": record.association,
                "useridentity.outcome": record.outcome.value,
                "useridentity.reason": record.reason,
                "useridentity.operation": operation.request if operation else "",
                "useridentity.calling_ae_title": record.requestor.ae_title,
                "user.id": record.user.subject,
                "user.full_name": record.user.display_name,
                "client.address": record.requestor.address,
            }
        ),
    }


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items() if value]
