"""Forwarding to real receivers: whatever is killed, pulled out or full, everything arrives in the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.audit.builders import opened, record
from tests.audit.forwarding import HANG, append, event_ids, forwarding, received_events, takes_datagrams, until
from tests.lib.certificates import Certificates
from tests.lib.processes import in_namespaces, suspend
from tests.lib.repository import repository
from tests.lib.rsyslog import Rsyslog, rsyslog
from tests.parts import require
from useridentity.audit.sinks import Confirm, Sink, open_sink, syslog_udp

ROOT = Path(__file__).parents[2]


def tls_table(receiver: Rsyslog, certificates: Certificates) -> dict[str, Any]:
    client = certificates.client
    return {
        "url": receiver.tls_url,
        "ca": str(certificates.ca),
        "cert": str(client.cert),
        "key": str(client.key),
        "close": "tcp" if receiver.driver == "gtls" else "notify",
    }


def impatient(table: dict[str, Any], folder: Path) -> Sink:
    """A sink over TLS that asks for confirmation sooner than it would."""
    sink: Any = open_sink(table, folder)
    sink.confirm_after = Confirm(500, 0.1)
    made: Sink = sink
    return made


@pytest.mark.parametrize("driver", ["ossl", "gtls"])
@pytest.mark.threat("F2")
def test_a_syslog_receiver_that_is_killed_gets_everything_in_the_end(
    tmp_path: Path, certificates: Certificates, driver: Any
) -> None:
    """kill -9 in the middle of a stream, three times."""
    with rsyslog(tmp_path / "rsyslog", certificates, driver) as receiver, opened(tmp_path) as journal:
        sink = impatient(tls_table(receiver, certificates), tmp_path)
        with forwarding(journal, sink) as forwarder:
            for round_ in range(3):
                before = len(receiver.received)
                append(journal, 1000)
                until(lambda before=before: len(receiver.received) > before + 100)  # type: ignore[misc]
                receiver.kill()
                append(journal, 100)
                until(lambda round_=round_: forwarder.counters.failed > round_)  # type: ignore[misc]
                receiver.start()
            append(journal, 10)
        _await_everything(journal, lambda: received_events(receiver.received), sink)


def _await_everything(journal: Any, received: Any, sink: Any) -> None:
    """A last forwarder has nothing left to do, and every record was received."""
    with forwarding(journal, sink) as forwarder:
        until(lambda: forwarder.counters.queued == 0)
    assert set(event_ids(journal)) == set(received())


@pytest.mark.parametrize("mode", ["single", "batch"])
def test_a_fhir_server_that_is_killed_gets_everything_in_the_end(
    tmp_path: Path, certificates: Certificates, mode: str
) -> None:
    with repository(tmp_path / "repository", certificates) as server, opened(tmp_path) as journal:
        sink = open_sink({"url": server.url, "mode": mode, "ca": str(certificates.ca)}, tmp_path)
        with forwarding(journal, sink) as forwarder:
            append(journal, 300)
            until(lambda: len(server.received) > 100)
            server.kill()
            append(journal, 10)
            until(lambda: forwarder.counters.problem)
            server.start()
        _await_everything(journal, lambda: server.received, sink)
        assert len(server.received) < 310 + 2 * sink.batch, "all but what was under way came once"


@contextmanager
def sender(folder: Path, table: dict[str, Any], count: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that appends records and forwards; killed when the block ends."""
    command = [sys.executable, "-m", "tests.audit.forwarding", "send", str(folder), json.dumps(table), str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.threat("F2")
def test_a_sender_that_is_killed_sends_everything_in_the_end(tmp_path: Path, certificates: Certificates) -> None:
    """kill -9 in the middle of a stream, twice; what had reached its disk reaches the receiver."""
    with rsyslog(tmp_path / "rsyslog", certificates) as receiver:
        table = tls_table(receiver, certificates)
        for _ in range(2):
            before = len(receiver.received)
            with sender(tmp_path, table, 2000):
                until(lambda before=before: len(receiver.received) > before + 200)  # type: ignore[misc]
        with opened(tmp_path) as journal:
            _await_everything(journal, lambda: received_events(receiver.received), impatient(table, tmp_path))


def test_datagrams_are_not_sent_to_nobody(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that is killed on this machine is noticed; what was sent in that moment may be lost (RFC 5426)."""
    monkeypatch.setattr(syslog_udp, "REFUSAL_SECONDS", 0.3)  # for the kernel of a busy machine
    with rsyslog(tmp_path / "rsyslog", certificates) as receiver, opened(tmp_path) as journal:
        sink = open_sink(receiver.udp_url, tmp_path)
        with forwarding(journal, sink) as forwarder:
            append(journal, sink.batch)
            until(lambda: set(event_ids(journal)) == set(received_events(receiver.received)))
            receiver.kill()

            def failed() -> bool:
                append(journal, 1)
                return bool(forwarder.counters.failed)

            until(failed)
            waiting = set(event_ids(journal)[journal.cursor(sink.name) :])
            assert waiting
            receiver.start()
            until(lambda: waiting <= set(received_events(receiver.received)))


def test_a_receiver_that_does_not_read_for_a_while_gets_what_was_sent_at_once(
    tmp_path: Path, certificates: Certificates
) -> None:
    """A batch of datagrams fits the buffer that Linux gives a socket; 50 of these would not."""
    with rsyslog(tmp_path / "rsyslog", certificates) as receiver:
        until(lambda: takes_datagrams(receiver.udp_port))
        sink = open_sink(receiver.udp_url, tmp_path)
        assert receiver.process
        suspend(receiver.process)
        sink.send([record(number) for number in range(sink.batch)])
        receiver.process.send_signal(signal.SIGCONT)
        until(lambda: len(receiver.received) == sink.batch)
        sink.close()


def run_in_namespaces(flags: str, prepare: str, what: str, folder: Path, table: dict[str, Any]) -> dict[str, Any]:
    """What `tests.audit.forwarding` printed, run as root of its own in namespaces of its own."""
    command = [sys.executable, "-m", "tests.audit.forwarding", what, str(folder), json.dumps(table)]
    done = in_namespaces(flags, prepare, folder, *command, within=10 * HANG)
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@pytest.mark.threat("F2")
def test_a_cable_that_is_pulled_out_costs_no_record_and_no_time(tmp_path: Path) -> None:
    require("ip")
    require("rsyslogd")
    outcome = run_in_namespaces("-rn", "ip link set lo up", "cable", tmp_path, {})
    assert set(outcome["journal"]) == set(outcome["received"])
    assert outcome["queued"] >= 300
    assert outcome["journalled"] < 3.0, "300 records were on disk while nothing could be sent; it takes 0.1 s"
    assert outcome["problem"]


@pytest.mark.parametrize(
    ("folder", "setting", "problem"),
    [
        ("", "jsonl:out.jsonl", "audit.db: is full, or its disk is"),
        ("/small", "jsonl:small/out.jsonl", "out.jsonl: No space left on device"),
    ],
    ids=["of the journal", "of the sink"],
)
@pytest.mark.threat("F2")
def test_a_full_disk_costs_no_record_that_was_journalled(
    tmp_path: Path, folder: str, setting: str, problem: str
) -> None:
    (tmp_path / "small").mkdir() if folder else None
    mount = f'mount -t tmpfs -o size=400k none "$0{folder}"'
    outcome = run_in_namespaces("-rm", mount, "full", tmp_path, {"url": setting})
    assert problem in outcome["problem"]
    assert len(outcome["journal"]) >= 40
    assert set(outcome["journal"]) == set(outcome["received"])
