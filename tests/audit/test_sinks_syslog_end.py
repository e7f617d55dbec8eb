"""How a connection of syslog over TLS ends: what counts as delivered, and receivers that talk."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.audit.forwarding import HANG
from tests.audit.receivers import SOON, Act, drinks, drips, in_turn, over_tls, serving, waits
from tests.audit.samples import corpus
from tests.lib.certificates import Certificates
from useridentity.audit.record import Record
from useridentity.audit.sinks import Sink, Undelivered, open_sink, syslog_tls
from useridentity.audit.sinks.tls_stream import MAX_SAID
from useridentity.tls import server_context

RECORD = corpus()["stored"]
APPLICATION_DATA = 23  # ContentType of a TLS record (RFC 8446 5.1)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine nothing else ends what should not."""
    monkeypatch.setattr(syslog_tls, "SECONDS", HANG)


class Receiver:
    """Reads what comes and ends connections as RFC 5425 4.4 has it; `says` is told it at three times."""

    def __init__(self, certificates: Certificates, first: bytes = b"", each: bytes = b"", last: bytes = b"") -> None:
        self._context = server_context(certificates.server.cert, certificates.server.key)
        self._says = first, each, last
        self.received = bytearray()

    def __call__(self, accepted: socket.socket) -> None:
        first, each, last = self._says
        with self._context.wrap_socket(accepted, server_side=True) as connection:
            connection.sendall(first)
            while octets := connection.recv(65536):
                self.received += octets
                connection.sendall(each)
            connection.sendall(last)
            connection.unwrap()


def sink(port: int, certificates: Certificates, **changes: Any) -> Sink:
    return open_sink({"url": f"syslog+tls://127.0.0.1:{port}", "ca": str(certificates.ca), **changes}, Path())


def relay(to: int, passes: int) -> Act:
    """A machine in between: it passes so many records of application data on, then none, and closes in good order."""

    def serve(accepted: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", to), HANG) as onward:
            back = threading.Thread(target=_copy, args=(onward, accepted))
            back.start()
            found = 0
            for record in _tls_records(accepted):
                found += record[0] == APPLICATION_DATA
                if found <= passes:
                    onward.sendall(record)
                if found == passes + THROWN_AWAY:
                    break
            accepted.shutdown(socket.SHUT_WR)
            onward.shutdown(socket.SHUT_RDWR)
            back.join(HANG)

    return serve


ALL = 10**6
THROWN_AWAY = 2  # records: the message, and close_notify


def _tls_records(source: socket.socket) -> Iterator[bytes]:
    with source.makefile("rb") as stream:
        while header := stream.read(5):
            yield header + stream.read(int.from_bytes(header[3:], "big"))


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while octets := source.recv(65536):
            to.sendall(octets)


@contextmanager
def truncated(certificates: Certificates, passes: int, **changes: Any) -> Iterator[tuple[Receiver, Sink]]:
    receiver = Receiver(certificates)
    with (
        serving(receiver) as behind,
        serving(relay(behind, passes)) as port,
        closing(sink(port, certificates, **changes)) as to,
    ):
        yield receiver, to


@pytest.mark.threat("F4")
def test_a_stream_that_somebody_cut_off_is_not_delivered(certificates: Certificates) -> None:
    """The first record of application data is the client's Finished (RFC 8446 5.1); what follows is thrown away."""
    with truncated(certificates, ALL) as (receiver, to):
        to.send([RECORD])
        to.confirm()
        assert RECORD.event_id.encode() in receiver.received
    with truncated(certificates, 1) as (receiver, to):
        to.send([RECORD])
        with pytest.raises(Undelivered, match=r'without close_notify .* needs close = "tcp"'):
            to.confirm()
        assert receiver.received == b""


def test_the_end_of_a_connection_counts_only_where_the_administrator_says_so(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """And is said each time that a process begins to trust it."""
    with truncated(certificates, 1, close="tcp") as (_, to), caplog.at_level(logging.WARNING, "useridentity.audit"):
        to.send([RECORD])
        to.confirm()
    (said,) = caplog.records
    assert 'counted as delivered, as close = "tcp" has it' in said.getMessage()


@pytest.mark.parametrize(
    "says",
    [{}, {"first": b"welcome " * 100}, {"each": b"ok\n"}, {"last": b"goodbye " * 100}, {"each": b"x" * 20000}],
    ids=["nothing", "a banner", "an answer", "a last word", "much"],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_receiver_may_talk(certificates: Certificates, says: dict[str, bytes], version: ssl.TLSVersion) -> None:
    receiver = Receiver(certificates, **says)
    receiver._context.maximum_version = version
    with serving(receiver) as port, closing(sink(port, certificates)) as to:
        for _ in range(2):
            to.send([RECORD])
            to.send([RECORD])
            to.confirm()
    assert receiver.received.count(RECORD.event_id.encode()) == 4


def test_a_receiver_may_have_an_address_of_ipv6(certificates: Certificates) -> None:
    receiver = Receiver(certificates)
    with serving(receiver, "::1") as port, closing(sink(port, certificates, url=f"syslog+tls://[::1]:{port}")) as to:
        to.send([RECORD])
        to.confirm()
    assert RECORD.event_id.encode() in receiver.received
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listening:
        listening.bind(("::1", 0))
        with closing(open_sink(f"syslog+udp://[::1]:{listening.getsockname()[1]}", Path())) as to:
            to.send([RECORD])
            assert RECORD.event_id.encode() in listening.recv(65536)


@pytest.mark.threat("F5")
def test_a_receiver_that_does_not_stop_talking_is_given_up(certificates: Certificates) -> None:
    with serving(Receiver(certificates, last=bytes(2 * MAX_SAID))) as port, closing(sink(port, certificates)) as to:
        to.send([RECORD])
        with pytest.raises(Undelivered, match="says more than a receiver of syslog has to say"):
            to.confirm()


@pytest.mark.parametrize(
    ("before", "within"),
    [
        ([drips(b"\x16\x03\x03\x40\x00\x00")], []),
        ([waits], []),
        ([], [drips(b"x")]),
        ([], [drinks]),
        ([], [waits]),
    ],
    ids=["drips its handshake", "does not answer", "drips words", "drips what it reads", "does not read"],
)
@pytest.mark.threat("F5")
def test_a_receiver_that_drips_or_stalls_is_given_up(
    certificates: Certificates, before: list[Act], within: list[Act], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than sockets hold is sent, and read or answered an octet at a time it would take longer than a test may."""
    records = 200 * [replace(RECORD, detail="x" * 20000)]
    receiver = Receiver(certificates)
    bad = before or [over_tls(certificates.server, *within)]
    with serving(in_turn([receiver], bad)) as port, closing(sink(port, certificates)) as to:
        delivered(to, records)
        assert receiver.received.count(RECORD.event_id.encode()) == 800
        monkeypatch.setattr(syslog_tls, "SECONDS", SOON)
        with pytest.raises(Undelivered, match="timed out"):
            delivered(to, records)


def delivered(to: Sink, records: list[Record]) -> None:
    for _ in range(4):
        to.send(records)
    to.confirm()
