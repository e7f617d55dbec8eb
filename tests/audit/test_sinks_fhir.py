"""What counts as delivered, by FHIR's and OTLP's specifications, by a server that answers what it is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.audit.samples import corpus
from useridentity.audit.message import MessageStyle
from useridentity.audit.sinks import NoForm, Sink, Undelivered
from useridentity.audit.sinks.endpoint import Endpoint
from useridentity.audit.sinks.fhir import BatchFhir, SingleFhir
from useridentity.audit.sinks.otlp import OtlpLogs
from useridentity.https import Answer

FORMS = ("single", "batch", "otlp")
RECORDS = [corpus()[name] for name in ("stored", "queried", "established")]


class Told(Endpoint):
    """Answers by a function of what was posted."""

    def __init__(self, answer: Callable[[int, Any], Answer]) -> None:
        super().__init__("http://fhir.example.org")
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


PAGE = b"<!DOCTYPE html><title>Sign in</title>"
RESOURCE = b'{"resourceType": "OperationOutcome", "issue": []}'
EVENT = b'{"resourceType": "AuditEvent"}'
ELSEWHERE = b'{"status": "ok"}'
PARTIAL = b'{"partialSuccess": {"rejectedLogRecords": "0", "errorMessage": "slow down"}}'


def made(form: str, answer: Answer) -> Sink:
    if form == "otlp":
        return OtlpLogs("o", Told(lambda *_: answer))
    return (SingleFhir if form == "single" else BatchFhir)("f", Told(lambda *_: answer), MessageStyle())


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("single", Answer(201, b"")),
        ("single", Answer(201, RESOURCE)),
        ("single", Answer(201, EVENT)),
        ("single", Answer(200, EVENT)),
        ("batch", entries("201 Created")),
        ("batch", entries("200")),
        ("otlp", Answer(200, b"{}")),
        ("otlp", Answer(200, b'{"partialSuccess": {}}')),
        ("otlp", Answer(200, b'{"partialSuccess": null}')),
        ("otlp", Answer(200, PARTIAL)),
        ("otlp", Answer(201, b"")),
        ("otlp", Answer(204, b"")),
    ],
)
def test_what_a_receiver_says_by_its_specification_counts_as_delivered(form: str, answer: Answer) -> None:
    assert made(form, answer).send(RECORDS[:1]) == 0


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        *((form, Answer(status, PAGE)) for form in FORMS for status in (200, 201, 202, 400, 409)),
        *((form, Answer(200, body)) for form in FORMS for body in (b"", b"[]", b"{", b"null", b"\xff", b"[" * 100000)),
        *(
            (form, Answer(status, b""))
            for form in FORMS
            for status in (202, 301, 302, 307, 400, 401, 403, 404, 407, 500)
        ),
        ("single", Answer(200, RESOURCE)),
        ("single", Answer(200, ELSEWHERE)),
        ("single", Answer(201, ELSEWHERE)),
        ("single", Answer(204, b"")),
        ("single", Answer(400, ELSEWHERE)),
        ("batch", Answer(200, RESOURCE)),
        ("batch", Answer(200, ELSEWHERE)),
        ("batch", Answer(201, b"")),
        ("batch", Answer(200, b'{"resourceType": "Bundle"}')),
        ("batch", entries()),
        ("batch", entries("201", "201")),
        ("batch", entries("202")),
        ("batch", entries("none")),
    ],
)
@pytest.mark.threat("F8")
def test_what_a_proxy_or_a_sign_in_page_says_does_not(form: str, answer: Answer) -> None:
    """Nor does it refuse a record for good: everything waits."""
    with pytest.raises(Undelivered) as raised:
        made(form, answer).send(RECORDS[:1])
    assert (raised.value.taken, raised.value.refused) == (0, 0)


def test_the_administrator_is_told_what_is_in_between() -> None:
    with pytest.raises(Undelivered, match="status 200, but not as such a receiver does"):
        made("single", Answer(200, PAGE)).send(RECORDS[:1])
    with pytest.raises(Undelivered, match="status 308, a redirect, which is not followed; configure where it leads"):
        made("otlp", Answer(308, b"")).send(RECORDS[:1])


@pytest.mark.parametrize(
    ("form", "way_out"),
    [("single", "in the entries of a batch"), ("batch", "with an OperationOutcome"), ("otlp", "a partialSuccess")],
)
def test_the_administrator_is_told_which_record_a_bare_400_answers_and_what_would_let_it_be_passed_over(
    form: str, way_out: str
) -> None:
    """A proxy would say it of every record, so nothing is."""
    with pytest.raises(Undelivered) as raised:
        made(form, Answer(400, b"")).send(RECORDS[:1])
    assert f"answered with status 400 to 1 from event {RECORDS[0].event_id} on, in words that a proxy" in str(
        raised.value
    )
    assert way_out in str(raised.value)


@pytest.mark.parametrize("form", FORMS)
def test_a_receiver_refuses_for_good_in_its_own_words(form: str) -> None:
    for answer in (Answer(400, RESOURCE), Answer(409, RESOURCE), Answer(413, PAGE), Answer(422, b"")):
        assert made(form, answer).send(RECORDS[:1]) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_server_that_is_busy_says_for_how_long(form: str) -> None:
    with pytest.raises(Undelivered, match="status 429") as raised:
        made(form, Answer(429, b"", 7.0)).send(RECORDS[:1])
    assert raised.value.wait == 7.0


@pytest.mark.parametrize("form", FORMS)
def test_a_record_that_has_no_form_is_named_before_anything_is_sent(form: str) -> None:
    bad = replace(RECORDS[0], time="noon")  # type: ignore[arg-type]
    position = 0 if form == "single" else 1
    with pytest.raises(NoForm, match="Error") as raised:
        made(form, Answer(500, b"")).send([RECORDS[0], bad][1 - position :])
    assert raised.value.position == position
