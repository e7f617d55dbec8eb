"""FHIR sinks: what a server answers for one of several, by a server that answers what it is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.audit.samples import corpus
from useridentity.audit.message import MessageStyle
from useridentity.audit.sinks import Undelivered
from useridentity.audit.sinks.endpoint import Answer, Endpoint
from useridentity.audit.sinks.fhir import BatchFhir, SingleFhir

RECORDS = [corpus()[name] for name in ("stored", "queried", "established")]


class Told(Endpoint):
    """Answers by a function of what was posted."""

    def __init__(self, answer: Callable[[int, Any], Answer]) -> None:
        super().__init__("https://fhir.example.org", None)
        self._answer = answer
        self.requests: list[str] = []

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.requests.append(headers.get("X-Request-Id", ""))
        return self._answer(len(self.requests), json.loads(body))


def entries(*statuses: str) -> Answer:
    responses = [{"response": {"status": each}} for each in statuses]
    return Answer(200, json.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": responses}).encode())


@pytest.mark.threat("F6")
def test_a_refusal_is_said_and_counted_though_a_later_entry_has_to_wait(caplog: pytest.LogCaptureFixture) -> None:
    assert BatchFhir("b", Told(lambda *_: entries("422", "201", "201")), MessageStyle()).send(RECORDS) == 1
    caplog.clear()
    with pytest.raises(Undelivered, match="503") as raised:
        BatchFhir("b", Told(lambda *_: entries("422", "503", "201")), MessageStyle()).send(RECORDS)
    assert (raised.value.taken, raised.value.refused) == (1, 1)
    assert [RECORDS[0].event_id in each.getMessage() for each in caplog.records if each.levelno == logging.ERROR] == [
        True
    ]


def test_what_the_first_half_refused_is_counted_though_the_second_has_to_wait() -> None:
    """The bundle is refused as a whole, then its first record, then the server is busy."""
    to = Told(lambda number, _: Answer({1: 413, 2: 422}.get(number, 503), b""))
    with pytest.raises(Undelivered) as raised:
        BatchFhir("b", to, MessageStyle()).send(RECORDS)
    assert (raised.value.taken, raised.value.refused) == (1, 1)


def test_a_refused_part_does_not_keep_the_others_of_its_record_back() -> None:
    moved = corpus()["moved"]
    for statuses, refused in (((201, 201), 0), ((422, 201), 1), ((201, 422), 1)):
        to = Told(lambda number, _, statuses=statuses: Answer(statuses[number - 1], b""))  # type: ignore[misc]
        assert SingleFhir("s", to, MessageStyle()).send([moved]) == refused
        assert to.requests == [moved.event_id, f"{moved.event_id}-2"]
