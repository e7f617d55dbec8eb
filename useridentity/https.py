"""https as a client: each exchange ends within a time and a size, whatever the other side does.

Proxies named in the environment are not used, and redirects not followed.
"""

from __future__ import annotations

import http.client
import io
import json
import select
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from useridentity.errors import ConfigurationError
from useridentity.network import Deadline, connected, located, shown, words
from useridentity.tls.client import Tls

_STALE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a connection fails that the other side has closed while nothing was sent on it."""


class NoAnswer(Exception):
    """There is no whole answer; says why, in words that hold nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `wait` are the seconds for which it asks to be left alone (Retry-After)."""

    status: int
    body: bytes = field(repr=False)
    wait: float = 0.0

    @property
    def is_redirect(self) -> bool:
        """Whether it says to ask elsewhere, which nobody does here."""
        return HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST

    @property
    def object(self) -> dict[str, Any] | None:
        """The JSON object that the body is, None where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True, slots=True)
class Limits:
    """Of an exchange: `seconds` from connecting to the last octet of the answer, `octets` of its body."""

    seconds: float
    octets: int


def check_url(url: str) -> str:
    """`url` itself; raises `ConfigurationError` unless it is an https URL that says all and no more than where."""
    parts = located(url)
    if parts is None or parts.scheme != "https":
        raise ConfigurationError(
            f"{shown(url)} is no https URL that can be asked, such as https://idp.example.org/jwks"
        )
    return url


class Connection:
    """Asks what `url` leads to, on a connection that is kept from one exchange to the next.

    `tls` gives the context for each exchange; a connection made by another one is not used any more. Without it `url`
    is one of plain http. Raises `ConfigurationError` for any other URL.
    """

    def __init__(self, url: str, tls: Tls | None) -> None:
        parts, scheme = located(url), "https" if tls else "http"
        if parts is None or parts.scheme != scheme:
            raise ConfigurationError(f"{shown(url)} is no {scheme} URL that can be asked")
        self.url = url
        self._parts = parts
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None

    def exchange(self, body: bytes | None, headers: Mapping[str, str], limits: Limits) -> Answer:
        """The answer to a POST, or without a `body` to a GET; raises `NoAnswer`, and what `tls` raises.

        Asked again at once, on a new connection, where one that was kept turns out to be closed: nobody has answered
        (RFC 9112 9.3.1).
        """
        deadline = Deadline(limits.seconds)
        try:
            context = self._tls() if self._tls else None
            if kept := self._kept(context):
                with suppress(*_STALE):
                    return self._exchanged(kept, body, headers, deadline, limits.octets)
            self.close()
            self._context, self._socket = context, self._connected(context, deadline)
            return self._exchanged(self._socket, body, headers, deadline, limits.octets)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NoAnswer(f"{self.url}: {words(error)}") from None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _kept(self, context: ssl.SSLContext | None) -> socket.socket | None:
        """The connection, if nothing came on it since the last answer, be it its end or a 408."""
        if self._socket is None or self._context is not context:
            return None
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        left = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        return None if left or poll.poll(0) else self._socket

    def _connected(self, context: ssl.SSLContext | None, deadline: Deadline) -> socket.socket:
        host = self._parts.hostname or ""
        port = self._parts.port or (http.client.HTTPS_PORT if context else http.client.HTTP_PORT)
        plain = connected(host, port, deadline)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a body waits until its header is acknowledged
        if context is None:
            return plain
        with plain:  # what remains of it where TLS fails
            plain.settimeout(deadline.left)
            return context.wrap_socket(plain, server_hostname=host)

    def _exchanged(
        self, to: socket.socket, body: bytes | None, headers: Mapping[str, str], deadline: Deadline, most: int
    ) -> Answer:
        target = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        connection = http.client.HTTPConnection(self._parts.hostname or "", http.client.HTTP_PORT)
        connection.sock = _Exchange(to, deadline)  # as much of a socket as it uses
        method = "GET" if body is None else "POST"
        connection.request(method, target, body, {"Host": self._parts.netloc, **headers})
        response = connection.getresponse()
        answer = Answer(response.status, _whole(response, most), _seconds(response.getheader("Retry-After", "")))
        if response.will_close:
            self.close()
        return answer


class _Exchange(io.RawIOBase):
    """A connected socket as `http.client` uses it, for one exchange, of which every wait ends at the `deadline`."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def sendall(self, octets: bytes) -> None:
        rest = memoryview(octets)
        while rest:
            self._socket.settimeout(self._deadline.left)
            rest = rest[self._socket.send(rest) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._deadline.left)
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        """The socket is the connection's."""


def _whole(response: http.client.HTTPResponse, most: int) -> bytes:
    """The body, which is cut off by nobody."""
    body = response.read(most)
    if response.read(1):
        raise OSError(0, f"answered with more than {most} octets")
    if response.length:
        raise OSError(0, "ended the connection within its answer")
    return body


def _seconds(retry_after: str) -> float:
    """Of a Retry-After that is a number (RFC 9110 10.2.3); one that is a date says nothing to a clock that is wrong."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
