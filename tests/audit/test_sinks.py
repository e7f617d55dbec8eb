"""Sinks as administrators write them, and those that need no network."""

from __future__ import annotations

import fcntl
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.audit.samples import ACCEPTOR, corpus, record
from tests.lib.certificates import Certificates
from useridentity.audit.record import Kind, Record
from useridentity.audit.sinks import Undelivered, open_sink, open_sinks
from useridentity.errors import ConfigurationError

RECORDS = list(corpus().values())


def problems(setting: Any, folder: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        open_sink(setting, folder)
    return raised.value.problems


def test_a_url_alone_or_a_table_opens_a_sink_and_nothing_else(tmp_path: Path, certificates: Certificates) -> None:
    """Neither a connection nor a file: receivers may be down when a policy is loaded."""
    ca = str(certificates.ca)
    for setting in (
        "syslog+udp://arr.example.org",
        {"url": "syslog+tls://arr.example.org:6514", "ca": ca, "message_id": "IHE+RFC-3881", "max_size": "16KiB"},
        "https://fhir.example.org/AuditEvent",
        {"url": "https://fhir.example.org/AuditEvent", "mode": "batch", "ca": ca},
        "otlp+https://collector.example.org:4318",
        "otlp+http://127.0.0.1:4318",
        "jsonl:audit.jsonl",
        "logging:hospital.audit",
    ):
        url = setting if isinstance(setting, str) else setting["url"]
        assert open_sink(setting, tmp_path).name == url
    assert list(tmp_path.iterdir()) == []


def test_a_sink_keeps_its_place_under_the_name_it_is_given(tmp_path: Path) -> None:
    assert open_sink({"url": "jsonl:audit.jsonl", "name": "archive"}, tmp_path).name == "archive"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({}, 'needs a url, such as url = "syslog+tls://arr.example.org:6514"'),
        ("syslog+tsl://arr", 'url: "syslog+tsl" is no kind of sink; did you mean "syslog+tls"? (known: '),
        ("http://fhir.example.org/AuditEvent", 'url: "http" is no kind of sink'),
        ("syslog+tls://arr.example.org", "ca is missing"),
        ("syslog+udp://", "url: 'syslog+udp://' names no host that can be sent to"),
        ("syslog+udp://user:secret@arr", "names no host that can be sent to"),
        ({"url": "https://arr/AuditEvent?a=1", "mode": "batch"}, "a batch is posted to the server's base address"),
        ("syslog+udp://arr..example.org", "names no host that can be sent to"),
        ("syslog+udp://arr:0", "names no host that can be sent to"),
        ("syslog+udp://arr:70000", "names no host that can be sent to"),
        ("syslog+udp://arr/path", "url: 'syslog+udp://arr/path' has more than a host and a port"),
        ({"url": "syslog+udp://arr", "message_id": "IHE"}, "message_id: 'IHE' is not allowed"),
        ({"url": "syslog+udp://arr", "max_size": "1KiB"}, "max_size: 1024 should be 2048 to 65507 octets"),
        ({"url": "syslog+udp://arr", "max_size": "1MiB"}, "max_size: 1048576 should be 2048 to 65507 octets"),
        ({"url": "syslog+udp://arr", "bom": True}, "bom: True is not allowed"),
        ({"url": "syslog+udp://arr", "port": 514}, "port: unknown key"),
        ({"url": "https://fhir/AuditEvent", "token": "missing"}, "token: names no file"),
        ("otlp+http://collector:4318", "url: records hold patients' names and would travel in clear; use otlp+https"),
        (
            {"url": "otlp+http://127.0.0.1", "crl": "crl.pem"},
            "url: ca, cert, key and crl are files of TLS; use otlp+https",
        ),
        ("jsonl:", "url: 'jsonl:' does not name a file, such as jsonl:audit.jsonl"),
        ("jsonl:missing/audit.jsonl", "is no folder"),
        ("logging:", "url: 'logging:' does not name a logger"),
    ],
)
def test_what_is_wrong_with_a_sink_is_said(setting: Any, problem: str, tmp_path: Path) -> None:
    (found,) = problems(setting, tmp_path)
    assert problem in found


@pytest.mark.parametrize("url", ["https://u:hush-4711@arr/AuditEvent", "https://arr/AuditEvent#hush-4711"])
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str, tmp_path: Path) -> None:
    (found,) = problems(url, tmp_path)
    assert "names no host that can be sent to" in found
    assert "hush-4711" not in found


def test_a_batch_goes_to_the_base_address_with_or_without_a_slash(tmp_path: Path) -> None:
    for end in ("", "/AuditEvent", "/AuditEvent/"):
        to: Any = open_sink({"url": f"https://arr/fhir{end}", "mode": "batch"}, tmp_path)
        assert to._endpoint.url == "https://arr/fhir"


def test_everything_wrong_with_a_sink_is_said_at_once(tmp_path: Path) -> None:
    assert problems({"url": "syslog+tls://arr", "bom": "yes", "keys": 1}, tmp_path)[1:] == (
        "ca is missing",
        "bom: 'yes' is not allowed (known: omit, send)",
    )


def test_everything_wrong_with_all_sinks_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_sinks(["jsonl:", 7, "jsonl:a.jsonl", {"url": "logging:b", "name": "jsonl:a.jsonl"}], tmp_path)
    assert raised.value.problems == (
        "forward[0]: url: 'jsonl:' does not name a file, such as jsonl:audit.jsonl",
        "forward[1]: should be a URL, or a table with a url",
        "forward: two sinks are named 'jsonl:a.jsonl'; give one of them another name",
    )


@pytest.mark.threat("F7")
def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    file.chmod(0o644)
    (problem,) = problems({"url": "https://fhir/AuditEvent", "token": "token"}, tmp_path)
    assert "chmod 600" in problem
    file.chmod(0o600)
    assert "secret" not in repr(open_sink({"url": "https://fhir/AuditEvent", "token": "token"}, tmp_path))


@pytest.mark.threat("F7")
def test_a_token_that_no_header_can_hold_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"url": "https://fhir/AuditEvent", "token": "env:FHIR_TOKEN"}
    monkeypatch.setenv("FHIR_TOKEN", " hush-4711\n")
    assert open_sink(table, tmp_path)
    for token in ("hush\n4711", "hush 4711", "h\u00fcsh", " "):
        monkeypatch.setenv("FHIR_TOKEN", token)
        assert problems(table, tmp_path) == ("token: should be one word of printable ASCII (RFC 6750 2.1)",)


@pytest.mark.threat("F7")
def test_a_token_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"url": "https://fhir/AuditEvent", "token": "env:FHIR_TOKEN"}
    monkeypatch.setenv("FHIR_TOKEN", "hush-4711")
    assert "hush-4711" not in repr(open_sink(table, tmp_path))
    monkeypatch.delenv("FHIR_TOKEN")
    assert problems(table, tmp_path) == ("token: the environment variable FHIR_TOKEN is not set",)


def lines(folder: Path) -> list[Record]:
    return [Record.from_json(line) for line in (folder / "audit.jsonl").read_text("ascii").splitlines()]


def test_json_lines_are_the_records_themselves(tmp_path: Path) -> None:
    sink = open_sink("jsonl:audit.jsonl", tmp_path)
    assert sink.send(RECORDS[:5]) == 0
    assert sink.send(RECORDS[5:]) == 0
    assert lines(tmp_path) == RECORDS
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o007 == 0


def test_a_line_that_a_crash_left_unfinished_is_written_anew(tmp_path: Path) -> None:
    """It was never confirmed, so it comes again."""
    sink = open_sink("jsonl:audit.jsonl", tmp_path)
    sink.send(RECORDS[:2])
    whole = (tmp_path / "audit.jsonl").read_bytes()
    for end in (len(whole) - 1, len(whole) // 2, 10):
        (tmp_path / "audit.jsonl").write_bytes(whole[:end])
        complete = len(lines(tmp_path)) if whole[:end].endswith(b"\n") else whole[:end].count(b"\n")
        sink.send(RECORDS[complete:2])
        assert lines(tmp_path) == RECORDS[:2]


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    sink = open_sink("jsonl:audit.jsonl", tmp_path)
    sink.send(RECORDS[:1])
    (tmp_path / "audit.jsonl").rename(tmp_path / "yesterday.jsonl")
    sink.send(RECORDS[1:2])
    assert lines(tmp_path) == RECORDS[1:2]


def test_two_that_write_one_file_do_not_cut_off_each_others_lines(tmp_path: Path) -> None:
    sink = open_sink("jsonl:audit.jsonl", tmp_path)
    sink.send(RECORDS[:1])
    with (tmp_path / "audit.jsonl").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"half a li")
        other.flush()
        with pytest.raises(Undelivered, match="another process is writing it"):
            sink.send(RECORDS[1:2])
        assert (tmp_path / "audit.jsonl").read_bytes().endswith(b"\nhalf a li")
    sink.send(RECORDS[1:2])
    assert lines(tmp_path) == RECORDS[:2]


def test_a_folder_that_is_gone_is_not_delivered_to(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = open_sink("jsonl:logs/audit.jsonl", tmp_path)
    folder.rmdir()
    with pytest.raises(Undelivered, match="No such file or directory"):
        sink.send(RECORDS[:1])


HOSTILE = "\x1b[2J\x7f\r\n{}\u2028\u202e\ud83d"


@pytest.mark.threat("F1")
def test_a_peers_words_stay_within_their_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hostile = record(Kind.REJECTED, 1, detail=HOSTILE)
    open_sink("jsonl:audit.jsonl", tmp_path).send([hostile])
    with caplog.at_level(logging.INFO, "hospital.audit"):
        open_sink("logging:hospital.audit", tmp_path).send([hostile])
    for text in ((tmp_path / "audit.jsonl").read_text("ascii").removesuffix("\n"), caplog.messages[0]):
        assert text.isascii()
        assert text.isprintable()
    assert lines(tmp_path)[0].detail == HOSTILE


def test_a_logger_gets_the_record_and_its_fields(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hospital.audit"):
        open_sink("logging:hospital.audit", tmp_path).send(RECORDS)
    assert [Record.from_json(message) for message in caplog.messages] == RECORDS
    for made, logged in zip(RECORDS, caplog.records, strict=True):
        assert logged.levelno == (logging.INFO if made.outcome.value == "success" else logging.WARNING)
        assert logged.event_id == made.event_id  # type: ignore[attr-defined]
        assert logged.audit["acceptor"]["host"] == ACCEPTOR.host  # type: ignore[attr-defined]
        assert json.loads(logged.getMessage()) == logged.audit  # type: ignore[attr-defined]
