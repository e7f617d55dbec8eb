"""FHIR and OpenTelemetry over https, with a real server that judges what it gets by the formats' own models."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.audit.samples import JWT, STUDY, corpus, record
from tests.lib.certificates import Certificates
from tests.lib.repository import TOKEN, RunningRepository, repository
from useridentity.audit.record import Kind, Record
from useridentity.audit.sinks import Sink, Undelivered, open_sink

FORMS = ("single", "batch", "otlp")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[RunningRepository]:
    """A server that wants a client certificate; each test finds it empty."""
    with repository(tmp_path_factory.mktemp("https") / "repository", certificates, mutual=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(running: RunningRepository) -> None:
    for name in ("received", "busy", "token"):
        (running.folder / name).unlink(missing_ok=True)


def sink(running: RunningRepository, form: str, **changes: Any) -> Sink:
    pair = running.certificates.client
    table: dict[str, Any] = {"ca": str(running.certificates.ca), "cert": str(pair.cert), "key": str(pair.key)}
    table |= {"url": running.logs_url} if form == "otlp" else {"url": running.url, "mode": form}
    table |= changes
    return open_sink({key: value for key, value in table.items() if value is not None}, running.folder)


def numbered(count: int) -> list[Record]:
    return [record(Kind.STORED, number, JWT, studies=(STUDY,)) for number in range(count)]


def send(to: Sink, records: list[Record]) -> int:
    """As a forwarder does it, a batch at a time."""
    return sum(to.send(records[start : start + to.batch]) for start in range(0, len(records), to.batch))


@pytest.mark.parametrize("form", FORMS)
def test_every_record_arrives_in_order(running: RunningRepository, form: str) -> None:
    records, to = numbered(150), sink(running, form)
    assert send(to, records) == 0
    to.confirm()
    to.close()
    assert running.received == [made.event_id for made in records]
    assert running.paths == {{"single": "/fhir/AuditEvent", "batch": "/fhir", "otlp": "/v1/logs"}[form]}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_record_is_taken(running: RunningRepository, form: str) -> None:
    to = sink(running, form)
    assert send(to, list(corpus(JWT).values())) == 0
    to.close()
    assert set(running.received) == {made.event_id for made in corpus(JWT).values()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.threat("F6")
def test_a_record_that_is_refused_for_good_is_passed_over_and_said(
    running: RunningRepository, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = numbered(50)
    bad = records[17] = replace(records[17], detail="poison")
    to = sink(running, form)
    with caplog.at_level(logging.ERROR, "useridentity.audit"):
        assert send(to, records) == 1
    to.close()
    assert {made.event_id for made in records} - set(running.received) == {bad.event_id}
    assert [bad.event_id in each.getMessage() for each in caplog.records] == [True]


def test_a_bundle_that_is_too_large_is_sent_in_halves(running: RunningRepository) -> None:
    """The server takes 100 entries; each of these records makes two."""
    records = [replace(corpus()["moved"], event_id=f"event-{number}") for number in range(100)]
    to = sink(running, "batch")
    assert to.send(records) == 0
    to.close()
    assert set(running.received) == {made.event_id for made in records}


@pytest.mark.parametrize("form", FORMS)
def test_a_server_that_is_busy_gets_everything_later(running: RunningRepository, form: str) -> None:
    to = sink(running, form)
    (running.folder / "busy").touch()
    with pytest.raises(Undelivered, match="503"):
        to.send(numbered(1))
    (running.folder / "busy").unlink()
    assert to.send(numbered(1)) == 0
    to.close()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.threat("F3")
def test_nothing_is_sent_without_trust_on_both_sides(running: RunningRepository, form: str) -> None:
    foreign = running.certificates.foreign_client
    for changes in (
        {"ca": str(running.certificates.foreign_ca)},
        {"cert": None, "key": None},
        {"cert": str(foreign.cert), "key": str(foreign.key)},
    ):
        with pytest.raises(Undelivered):
            sink(running, form, **changes).send(numbered(1))
    assert running.received == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.threat("F7")
def test_a_bearer_token_comes_from_a_file_and_is_read_anew(running: RunningRepository, form: str) -> None:
    (running.folder / "token").touch()
    file = running.folder / "bearer"
    file.write_text("expired")
    file.chmod(0o600)
    to = sink(running, form, token=str(file))
    with pytest.raises(Undelivered, match="401") as raised:
        to.send(numbered(1))
    assert "expired" not in str(raised.value)
    to.close()  # as the forwarder does
    file.write_text(TOKEN.removeprefix("Bearer ") + "\n")
    assert to.send(numbered(1)) == 0
    to.close()


def test_a_server_that_answers_nonsense_has_taken_nothing(running: RunningRepository) -> None:
    to = sink(running, "batch", url=f"https://127.0.0.1:{running.port}/v1/logs")
    with pytest.raises(Undelivered):
        to.send(numbered(1))
    to.close()
