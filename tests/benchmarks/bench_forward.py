"""Records a second from a journal to real receivers, on the same machine; and what was sent twice on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.audit.forwarding import forwarding, until
from tests.audit.samples import JWT, STUDY, record
from tests.benchmarks.figure import EFFORT, Figure, spread
from tests.lib.certificates import make_certificates
from tests.lib.repository import repository
from tests.lib.rsyslog import rsyslog
from useridentity.audit.journal import Journal
from useridentity.audit.message import MessageStyle, messages, to_xml
from useridentity.audit.record import Kind
from useridentity.audit.sinks import open_sink

COUNT = 1000
MANY = 100_000


def measure() -> list[Figure]:
    """One journal for all; each sink begins at its start."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        certificates = make_certificates(folder)
        pair = certificates.client
        tls = {"ca": str(certificates.ca), "cert": str(pair.cert), "key": str(pair.key)}
        journal = _filled(folder, EFFORT.get().times(COUNT))
        figures = [_messages(), _figure("JSON lines", journal, folder, {"url": "jsonl:out.jsonl"})]
        with rsyslog(folder / "rsyslog", certificates) as receiver:
            figures.append(_figure("rsyslog over TLS", journal, folder, {"url": receiver.tls_url, **tls}))
            figures.append(_figure("rsyslog over UDP", journal, folder, {"url": receiver.udp_url}))
            figures.append(_all_arrive(folder, {"url": receiver.tls_url, **tls}, lambda: receiver.received))
        with repository(folder / "repository", certificates) as server:
            table = {"ca": str(certificates.ca)}
            for mode in ("single", "batch"):
                figures.append(_figure(f"FHIR, {mode}", journal, folder, {"url": server.url, "mode": mode, **table}))
            figures.append(_figure("OpenTelemetry", journal, folder, {"url": server.logs_url, **table}))
        journal.close()
        return figures


def _filled(folder: Path, count: int, name: str = "audit") -> Journal:
    journal = Journal(folder / f"{name}.db", folder / f"{name}.key")
    for number in range(count):
        journal.append(record(Kind.STORED, number, JWT, studies=(STUDY,)), wait=number % 1000 == 999)
    journal.append(record(Kind.STORED, count, JWT, studies=(STUDY,)), wait=True)
    return journal


def _figure(name: str, journal: Journal, folder: Path, table: dict[str, Any]) -> Figure:
    rates = [_rate(journal, folder, {**table, "name": f"{name} {turn}"}) for turn in range(EFFORT.get().rounds)]
    return Figure(f"forwarded: {name}", median(rates), None, "1/s", spread=spread(rates))


def _rate(journal: Journal, folder: Path, table: dict[str, Any]) -> float:
    """Until the receiver has confirmed the last record."""
    sink = open_sink(table, folder)
    began = time.perf_counter()
    with forwarding(journal, sink) as forwarder:
        until(lambda: journal.cursor(sink.name) or forwarder.counters.failed)
        while forwarder.counters.queued and sink.confirm_after.records <= forwarder.counters.queued:
            time.sleep(0.001)
    taken = time.perf_counter() - began
    assert journal.cursor(sink.name) == journal.last
    return journal.last / taken


def _all_arrive(folder: Path, table: dict[str, Any], received: Callable[[], list[str]]) -> Figure:
    """Copies of each of 100,000 records that a receiver has in the end, by their event ids: 1.0 and none is missing."""
    count = EFFORT.get().times(MANY)
    before = len(received())
    journal = _filled(folder, count, "many")
    _rate(journal, folder, {**table, "name": "many"})
    arrived = [message.partition("; event ")[2][:36] for message in received()[before:]]
    journal.close()
    assert {f"00000000-0000-4000-8000-{number:012d}" for number in range(count + 1)} <= set(arrived)
    return Figure(f"copies of each of {count} records at rsyslog over TLS", len(arrived) / journal.last, None, "")


def _messages() -> Figure:
    """What making the XML takes of it."""
    made, style = record(Kind.STORED, 1, JWT, studies=(STUDY,)), MessageStyle()
    times, rates = EFFORT.get().times(COUNT), []
    for _ in range(EFFORT.get().rounds):
        began = time.perf_counter()
        for _ in range(times):
            for message in messages(made, style):
                to_xml(message)
        rates.append(times / (time.perf_counter() - began))
    return Figure("audit messages made, PS3.15 XML", median(rates), None, "1/s", spread=spread(rates))
