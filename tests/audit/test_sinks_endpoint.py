"""An https address that drips, stalls, closes, asks to wait or answers too much; most of it over plain http."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.audit.builders import opened, record
from tests.audit.forwarding import append, forwarding, until
from tests.audit.receivers import SOON, Act, drinks, drips, in_turn, over_tls, says, serving, waits
from tests.lib.certificates import LOOPBACK, Certificates, Pair
from useridentity.audit.sinks import Undelivered, endpoint, open_sink
from useridentity.audit.sinks.endpoint import MAX_ANSWER, Endpoint
from useridentity.audit.sinks.otlp import OtlpLogs
from useridentity.errors import ConfigurationError
from useridentity.tls import client_context

NOW = datetime.now(UTC)
HEAD = b"HTTP/1.1 200 OK\r\n"
GOOD = HEAD + b"Content-Length: 2\r\n\r\n{}"
LARGE = bytes(32 * 1024 * 1024)  # more than sockets hold


class Taking:
    """Takes a whole request, and keeps its head."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def __call__(self, accepted: socket.socket) -> None:
        taken = b""
        while b"\r\n\r\n" not in taken:
            taken += _some(accepted)
        head, _, body = taken.partition(b"\r\n\r\n")
        self.heads.append(head)
        length, begun = int(head.partition(b"Content-Length: ")[2].split()[0]), len(body)
        while begun < length:
            begun += len(_some(accepted))


takes = Taking()


def _some(accepted: socket.socket) -> bytes:
    octets = accepted.recv(1024 * 1024)
    if not octets:
        raise ConnectionError
    return octets


@contextmanager
def posting(*connections: list[Act], host: str = "127.0.0.1") -> Iterator[Endpoint]:
    """To a server that does this on one connection after the other."""
    shown = f"[{host}]" if ":" in host else host
    with (
        serving(in_turn(*connections), host) as port,
        closing(Endpoint(f"http://{shown}:{port}/v1/logs")) as to,
    ):
        yield to


@pytest.mark.parametrize(
    "bad",
    [
        [takes, drips(b"H")],
        [takes, says(HEAD), drips(b"X")],
        [takes, says(HEAD + b"Content-Length: 100000\r\n\r\n"), drips(b" ")],
        [takes, says(HEAD + b"\r\n"), drips(b" ")],
        [takes, drips(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)],
        [takes, waits],
        [drinks],
        [waits],
    ],
    ids=["status", "headers", "body", "endless body", "interim", "no answer", "drips what it reads", "does not read"],
)
@pytest.mark.threat("F5")
def test_a_server_that_drips_or_stalls_is_given_up(bad: list[Act], monkeypatch: pytest.MonkeyPatch) -> None:
    with posting([takes, says(GOOD)], bad) as to:
        assert to.post(LARGE, {}).body == b"{}"
        to.close()
        monkeypatch.setattr(endpoint, "SECONDS", SOON)
        with pytest.raises(Undelivered, match="timed out"):
            to.post(LARGE, {})


@pytest.mark.parametrize("bad", [waits, drips(b"\x16\x03\x03\x40\x00\x00")], ids=["silent", "dripping"])
@pytest.mark.threat("F5")
def test_a_handshake_has_the_same_deadline(
    bad: Act, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, context = over_tls(certificates.server, takes, says(GOOD)), client_context(certificates.ca)
    with (
        serving(in_turn([good], [bad])) as port,
        closing(Endpoint(f"https://127.0.0.1:{port}/", lambda: context)) as to,
    ):
        assert to.post(b"{}", {}).status == 200
        to.close()
        monkeypatch.setattr(endpoint, "SECONDS", SOON)
        with pytest.raises(Undelivered, match="timed out"):
            to.post(b"{}", {})


@pytest.mark.parametrize(
    "url", ["otlp+https://127.0.0.1:{}", "https://127.0.0.1:{}/AuditEvent", "syslog+tls://127.0.0.1:{}"]
)
@pytest.mark.parametrize(
    ("names", "days", "problem"),
    [(LOOPBACK, -1, "certificate has expired"), (("other.example.org", "127.0.0.2"), 1, "IP address mismatch")],
    ids=["expired", "another's"],
)
@pytest.mark.threat("F3")
def test_a_receiver_with_a_certificate_that_is_not_good_gets_nothing(
    url: str, names: tuple[str, ...], days: int, problem: str, certificates: Certificates, tmp_path: Path
) -> None:
    issued = {"not_before": NOW - timedelta(days=2), "not_after": NOW + timedelta(days=days)}
    good, bad = certificates.authority.issue("good", *LOOPBACK), certificates.authority.issue("bad", *names, **issued)
    got: list[bytes] = []

    def reads(accepted: socket.socket) -> None:
        got.append(accepted.recv(1))

    def send(server: Pair) -> None:
        with serving(over_tls(server, reads)) as port:
            to = open_sink({"url": url.format(port), "ca": str(certificates.ca)}, tmp_path)
            try:
                to.send([record()])
            finally:
                to.close()

    with suppress(Undelivered):  # nobody answers
        send(good)
    assert len(got) == 1
    with pytest.raises(Undelivered, match=f"its certificate is not trusted: .*{problem}"):
        send(bad)
    assert len(got) == 1


CLOSED = (
    [takes, says(GOOD)],
    [takes, says(GOOD), takes],
    [takes, says(GOOD + b"HTTP/1.1 408 Request Timeout\r\n\r\n")],
)
"""A server that ends a connection which it kept: idle, with the next request on its way, and with a word."""


@pytest.mark.parametrize("closed", CLOSED, ids=["idle", "in that moment", "with a word"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_that_the_server_has_closed_is_made_anew_at_once(
    closed: list[Act], certificates: Certificates, tls: bool
) -> None:
    taking = Taking()
    first: list[Act] = [taking if act is takes else act for act in closed]
    second: list[Act] = [taking, says(GOOD)]
    acts = [[over_tls(certificates.server, *each)] if tls else each for each in (first, second)]
    context = client_context(certificates.ca)
    with (
        serving(in_turn(*acts)) as port,
        closing(Endpoint(f"http{'s' * tls}://127.0.0.1:{port}/", (lambda: context) if tls else None)) as to,
    ):
        for _ in range(2):
            assert to.post(b"{}", {}).body == b"{}"
        assert len(taking.heads) == 2 + (takes in closed[1:])


def test_a_new_connection_that_is_closed_is_an_outage() -> None:
    """It is tried anew once, and only for one that was kept."""
    taking = Taking()
    with posting([taking, says(GOOD), taking], [taking]) as to:
        assert to.post(b"{}", {}).body == b"{}"
        with pytest.raises(Undelivered, match="RemoteDisconnected"):
            to.post(b"{}", {})
        assert len(taking.heads) == 3


def test_a_server_that_ends_every_connection_costs_no_pause(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        posting([takes, says(GOOD), takes]) as to,
        opened(tmp_path_factory.mktemp("journal")) as journal,
        forwarding(journal, OtlpLogs("otlp", to)) as forwarder,
    ):
        for number in range(1, 6):
            append(journal, 1)
            until(lambda number=number: journal.cursor("otlp") == number)  # type: ignore[misc]
        assert forwarder.counters.failed == 0


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (HEAD + b"Content-Length: 3\r\n\r\n{}", "ended the connection within its answer"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "IncompleteRead"),
        (HEAD + b"\r\n" + b" " * (MAX_ANSWER + 1), "more than 4194304 octets"),
        (HEAD + b"Content-Length: %d\r\n\r\n" % 10**18 + b" " * (MAX_ANSWER + 1), "more than 4194304 octets"),
        (HEAD + b"X: 1\r\n" * 1000 + b"\r\n", "HTTPException"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "BadStatusLine"),
        (b"\r\n" * 10, "BadStatusLine"),
    ],
    ids=["cut off", "cut off in chunks", "too much", "too much said before", "headers", "no HTTP", "nothing"],
)
def test_an_answer_that_is_not_whole_is_none(answer: bytes, problem: str) -> None:
    for good in (GOOD, HEAD + b"\r\n{}", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"):
        with posting([takes, says(good)], [takes, says(answer)]) as to:
            assert to.post(b"{}", {}).body == b"{}"
            to.close()
            with pytest.raises(Undelivered, match=problem):
                to.post(b"{}", {})


@pytest.mark.parametrize(("said", "wait"), [(b"7", 7.0), (b"Wed, 21 Oct 2015 07:28:00 GMT", 0.0), (b"-1", 0.0)])
@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Service Unavailable"])
def test_a_server_may_ask_to_be_left_alone_for_some_seconds(status: bytes, said: bytes, wait: float) -> None:
    busy = b"HTTP/1.1 " + status + b"\r\nRetry-After: " + said + b"\r\nContent-Length: 0\r\n\r\n"
    with posting([takes, says(busy)]) as to:
        answer = to.post(b"{}", {})
        assert (answer.status, answer.wait) == (int(status[:3]), wait)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_addresses_are_of_either_family_and_no_proxy_is_used(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    taking = Taking()
    with posting([taking, says(GOOD)], host=host) as to:
        assert to.post(b"{}", {"X-Test": "1"}).body == b"{}"
        netloc = to.url.removeprefix("http://").removesuffix("/v1/logs")
        assert f"\r\nHost: {netloc}\r\n".encode() in taking.heads[0] + b"\r\n"
        assert taking.heads[0].startswith(b"POST /v1/logs HTTP/1.1\r\n")
        assert taking.heads[0].count(b"Host:") == 1


def test_an_https_url_is_never_asked_in_clear(certificates: Certificates) -> None:
    context = client_context(certificates.ca)
    Endpoint("https://arr.example.org/", lambda: context)
    with pytest.raises(ConfigurationError, match="is no http URL that can be asked"):
        Endpoint("https://arr.example.org/")
    with pytest.raises(ConfigurationError, match="is no https URL that can be asked"):
        Endpoint("http://arr.example.org/", lambda: context)
