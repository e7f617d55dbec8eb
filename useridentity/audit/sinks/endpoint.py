"""One https address that takes records: a connection that is kept, and answers that are read to their end."""

from __future__ import annotations

import http.client
import io
import json
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from useridentity.audit.sinks.network import Deadline, words
from useridentity.audit.sinks.sink import Undelivered

SECONDS = 30.0
"""From connecting to the last octet of the answer: a slow repository stores a batch in a few."""

MAX_ANSWER = 4 * 1024 * 1024
"""Octets of an answer: a FHIR server may send back what it stored, some hundred events of some KB."""

_STALE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a connection fails that the receiver has closed while nothing was sent on it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; `wait` are the seconds for which it asks to be left alone (Retry-After)."""

    status: int
    body: bytes = field(repr=False)
    wait: float = 0.0

    @property
    def object(self) -> dict[str, Any] | None:
        """The JSON object that the body is, None where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


class Endpoint:
    """Posts to `url`. `context` is None for plain http, which `sinks.opening` admits on this machine only.

    `authorization` is asked for the header of that name before each connection, so that a token can be renewed.
    Proxies named in the environment are not used, and redirects not followed.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None, authorization: Callable[[], str] = lambda: "") -> None:
        self.url = url
        self._parts = urlsplit(url)
        self._context = context
        self._authorization = authorization
        self._header: dict[str, str] = {}
        self._socket: socket.socket | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status; raises `Undelivered` where there is none within `SECONDS`.

        Posted again at once, on a new connection, where one that was kept turns out to be closed: nobody has answered,
        and who got it twice knows it by the event id (RFC 9112 9.3.1).
        """
        deadline = Deadline(SECONDS)
        try:
            if kept := self._kept():
                with suppress(*_STALE):
                    return self._exchanged(kept, body, headers, deadline)
            self.close()
            self._socket = self._connected(deadline)
            return self._exchanged(self._socket, body, headers, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Undelivered(f"{self.url}: {words(error)}") from None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _kept(self) -> socket.socket | None:
        """The connection, if nothing came on it since the last answer, be it its end or a 408."""
        if self._socket is None:
            return None
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        left = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        return None if left or poll.poll(0) else self._socket

    def _connected(self, deadline: Deadline) -> socket.socket:
        authorization = self._authorization()
        self._header = {"Authorization": authorization} if authorization else {}
        host = self._parts.hostname or ""
        port = self._parts.port or (http.client.HTTPS_PORT if self._context else http.client.HTTP_PORT)
        plain = socket.create_connection((host, port), deadline.left)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or a body waits until its header is acknowledged
        if self._context is None:
            return plain
        plain.settimeout(deadline.left)
        return self._context.wrap_socket(plain, server_hostname=host)

    def _exchanged(
        self, connected: socket.socket, body: bytes, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        target = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        connection = http.client.HTTPConnection(self._parts.hostname or "", http.client.HTTP_PORT)
        connection.sock = _Exchange(connected, deadline)  # as much of a socket as it uses
        connection.request("POST", target, body, {"Host": self._parts.netloc, **headers, **self._header})
        response = connection.getresponse()
        answer = Answer(response.status, _whole(response), _seconds(response.getheader("Retry-After", "")))
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
        """The socket is the endpoint's."""


def _whole(response: http.client.HTTPResponse) -> bytes:
    """The body, which is cut off by nobody."""
    body = response.read(MAX_ANSWER)
    if response.read(1):
        raise OSError(0, f"answered with more than {MAX_ANSWER} octets")
    if response.length:
        raise OSError(0, "ended the connection within its answer")
    return body


def _seconds(retry_after: str) -> float:
    """Of a Retry-After that is a number (RFC 9110 10.2.3); one that is a date says nothing to a clock that is wrong."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
