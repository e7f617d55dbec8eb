"""TLS of sinks whose files are replaced while they run: certificates, authorities and what these have revoked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.audit.builders import record
from tests.audit.receivers import serving
from tests.lib.certificates import Pair
from tests.lib.pki import DAY, NOW, Ca, Leaf
from useridentity.audit.sinks import Sink, Undelivered, open_sink
from useridentity.errors import ConfigurationError, UserIdentityError
from useridentity.tls import server_context

URLS = ("otlp+https://127.0.0.1:{}", "https://127.0.0.1:{}/AuditEvent", "syslog+tls://127.0.0.1:{}")


@dataclass
class Receiver:
    """Reads an octet of each connection, and keeps the serial number of the certificate that it was shown."""

    port: int = 0
    shown: list[int] = field(default_factory=list)

    def read(self, accepted: socket.socket, server: Pair, client_ca: Path) -> None:
        context = server_context(*server, client_ca=client_ca)
        with context.wrap_socket(accepted, server_side=True) as connection:
            if connection.recv(1):
                certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
                self.shown.append(certificate.serial_number)


@dataclass
class Files:
    """An authority, and the files of a sink that trusts it; a receiver's certificate and ours."""

    folder: Path
    authority: Ca
    server: Leaf
    client: Leaf

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file at once, as administrators' tools do."""
        beside = self.folder / f"{name}.new"
        beside.write_bytes(content)
        beside.replace(self.folder / name)

    def show(self, client: Leaf) -> None:
        """Replaces our own certificate and key."""
        pair = client.write(self.folder, "next")
        for path in pair:
            path.replace(self.folder / f"client{path.suffix}")

    def sink(self, url: str, **changes: str | None) -> Sink:
        table = {"url": url, "ca": "ca.pem", "cert": "client.pem", "key": "client.key", "crl": "crl.pem", **changes}
        given: dict[str, Any] = {name: value for name, value in table.items() if value is not None}
        return open_sink(given, self.folder)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    authority = Ca.root()
    made = Files(tmp_path, authority, authority.issue(server=True), authority.issue())
    made.write("ca.pem", authority.pem)
    made.write("crl.pem", authority.revoke())
    made.show(made.client)
    return made


@contextmanager
def receiving(files: Files) -> Iterator[Receiver]:
    server = files.server.write(files.folder, "server")
    (files.folder / "clients.pem").write_bytes(files.authority.pem)
    receiver = Receiver()
    with serving(lambda accepted: receiver.read(accepted, server, files.folder / "clients.pem")) as receiver.port:
        yield receiver


def send(to: Sink) -> None:
    """A record on a connection of its own, until the receiver ends it; that it answers nothing is another matter."""
    try:
        to.send([record()])
        to.confirm()
    except Undelivered as error:
        if "trusted" in str(error):
            raise
    finally:
        to.close()


@pytest.mark.parametrize("url", URLS)
@pytest.mark.threat("F3")
def test_a_receiver_whose_certificate_is_revoked_gets_nothing_from_then_on(url: str, files: Files) -> None:
    """RFC 5425 5.2 by way of RFC 5280 6."""
    with receiving(files) as receiver:
        to = files.sink(url.format(receiver.port))
        send(to)
        files.write("crl.pem", files.authority.revoke(files.client))  # not the receiver's
        send(to)
        assert len(receiver.shown) == 2
        files.write("crl.pem", files.authority.revoke(files.server))
        with pytest.raises(Undelivered, match="its certificate is not trusted: certificate revoked"):
            send(to)
        files.write("crl.pem", files.authority.revoke())
        send(to)
        assert len(receiver.shown) == 3


@pytest.mark.parametrize("url", URLS)
@pytest.mark.threat("F3")
def test_revocation_lists_that_have_ended_let_nobody_be_trusted(url: str, files: Files) -> None:
    with receiving(files) as receiver:
        to = files.sink(url.format(receiver.port))
        send(to)
        files.write("crl.pem", files.authority.revoke(start=NOW - 2 * DAY, ends=NOW - DAY))
        with pytest.raises(Undelivered, match="its certificate is not trusted: CRL has expired"):
            send(to)
        assert len(receiver.shown) == 1


@pytest.mark.parametrize("url", URLS)
def test_a_certificate_that_is_renewed_is_shown_on_the_next_connection(url: str, files: Files) -> None:
    """The old one ends while the forwarder runs."""
    renewed = files.authority.issue()
    with receiving(files) as receiver:
        to = files.sink(url.format(receiver.port))
        send(to)
        files.show(renewed)
        send(to)
        assert receiver.shown == [each.certificate.serial_number for each in (files.client, renewed)]


@pytest.mark.parametrize("url", URLS)
def test_an_authority_that_is_replaced_is_trusted_on_the_next_connection_and_the_old_one_no_more(
    url: str, files: Files
) -> None:
    with receiving(files) as receiver:
        to = files.sink(url.format(receiver.port), crl=None)
        send(to)
        files.write("ca.pem", Ca.root("Another").pem)
        with pytest.raises(Undelivered, match="its certificate is not trusted"):
            send(to)
        files.write("ca.pem", files.authority.pem)
        send(to)
        assert len(receiver.shown) == 2


@pytest.mark.parametrize("url", URLS)
def test_a_file_that_cannot_be_used_any_more_is_an_outage_until_it_can(url: str, files: Files) -> None:
    """Nothing goes on by what somebody has taken out of use."""
    with receiving(files) as receiver:
        to = files.sink(url.format(receiver.port))
        send(to)
        (files.folder / "client.key").unlink()
        for _ in range(2):
            with pytest.raises(UserIdentityError, match=r"key .*client\.key: No such file"):
                send(to)
        files.show(files.client)
        send(to)
        assert len(receiver.shown) == 2


def test_a_connection_that_was_kept_ends_with_the_files_that_it_was_made_by(files: Files) -> None:
    """Or a receiver whose certificate was revoked would get records for as long as it keeps the connection."""
    server = files.server.write(files.folder, "server")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    connections: list[int] = []

    def answers(accepted: socket.socket) -> None:
        connections.append(0)
        with server_context(*server).wrap_socket(accepted, server_side=True) as connection, suppress(OSError):
            while octets := connection.recv(65536):
                if octets.endswith(b"}"):  # a body does
                    connections[-1] += 1
                    connection.sendall(answer)

    with serving(answers) as port, closing(files.sink(f"otlp+https://127.0.0.1:{port}")) as to:
        for _ in range(2):
            to.send([record()])
        files.write("crl.pem", files.authority.revoke(files.client))
        to.send([record()])
        files.write("crl.pem", files.authority.revoke(files.server))
        with pytest.raises(Undelivered, match="certificate revoked"):
            to.send([record()])
    assert connections[:2] == [2, 1]


@pytest.mark.parametrize("url", URLS)
def test_revocation_lists_that_cannot_be_used_are_told_when_the_policy_is_read(url: str, files: Files) -> None:
    files.sink(url.format(1))
    files.write("crl.pem", Ca.root("Another").revoke())
    with pytest.raises(ConfigurationError, match="so all its certificates would be refused"):
        files.sink(url.format(1))


@pytest.mark.parametrize("url", URLS[:2])
def test_revocation_lists_need_their_authorities(url: str, files: Files) -> None:
    with pytest.raises(ConfigurationError, match="ca: missing"):
        files.sink(url.format(1), ca=None, cert=None, key=None)
