"""One real TLS connection over loopback, and what both ends then know."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from useridentity.tls.reload import ServerTls

HANG = 10.0  # seconds; ten times a handshake on a busy machine


class Agreed(NamedTuple):
    """What both ends know once they have exchanged an octet each way over TLS."""

    version: str | None
    cipher: str
    client_name: str
    resumed: bool | None
    session: ssl.SSLSession | None


def handshake(
    server: ssl.SSLContext | ServerTls,
    client: ssl.SSLContext,
    name: str = "127.0.0.1",
    session: ssl.SSLSession | None = None,
) -> Agreed:
    """One connection over loopback; raises what the client sees where it fails.

    TLS 1.3 refuses a client's certificate only after the client's handshake, hence the octets.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(HANG)
        accepted = pool.submit(_serve_one, listener, server)
        connection = socket.create_connection(listener.getsockname(), timeout=HANG)
        with client.wrap_socket(connection, server_hostname=name, session=session) as tls:
            tls.sendall(b"?")
            if tls.recv(1) != b"!":
                raise ConnectionError("the server closed")
            cipher = tls.cipher()
            assert cipher
            return Agreed(tls.version(), cipher[0], accepted.result(), tls.session_reused, tls.session)


def _serve_one(listener: socket.socket, context: ssl.SSLContext | ServerTls) -> str:
    """Answer one client's octet; the common name of its certificate, empty where it showed none."""
    connection = listener.accept()[0]
    connection.settimeout(HANG)
    with context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)
        tls.sendall(b"!")
        subject: Any = (tls.getpeercert() or {}).get("subject", ())
        return next((value for ((kind, value),) in subject if kind == "commonName"), "")
