"""A TLS client whose end can be told: close_notify of both sides, with whatever the other says in between read.

`ssl.SSLSocket.unwrap` fails for good where application data comes between the two (SSL_shutdown(3)), which nobody who
reads from the network itself can rule out. Here what the library reads is ours to give.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from useridentity.network import Deadline

MAX_SAID = 64 * 1024
"""Octets that a receiver may say at a time, TLS and all; they mean nothing, as syslog has no answers (RFC 5425 4)."""

_READ = 16 * 1024  # octets of a TLS record (RFC 8446 5.1)
_Result = TypeVar("_Result")


class TlsStream:
    """TLS on a connected socket; what waits has a deadline for all of it. Raises `OSError`."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> None:
        self.socket = plain
        self._heard = 0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        try:
            self._waiting(self._tls.do_handshake, deadline)
        finally:
            with suppress(OSError):
                self._flush(deadline)  # the alert that says what is wrong

    def sendall(self, octets: bytes, deadline: Deadline) -> None:
        self._tls.write(octets)
        self._flush(deadline)

    def drain(self) -> bool:
        """Read what was said so far, without waiting; whether the other side is still there."""
        try:
            return self._said_less(None)
        except BlockingIOError:
            return True

    def end(self, deadline: Deadline) -> None:
        """Send close_notify and await the other's; raises `ssl.SSLEOFError` where the end comes without one."""
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush(deadline)
        with suppress(ssl.SSLZeroReturnError):
            self._said_less(deadline)

    def _said_less(self, deadline: Deadline | None) -> bool:
        """Read until nothing more comes, which is False; or `BlockingIOError`. Raises where it does not stop."""
        self._heard = 0
        while self._waiting(lambda: self._tls.read(_READ), deadline):
            pass
        return False

    def _waiting(self, action: Callable[[], _Result], deadline: Deadline | None) -> _Result:
        """The result of what may need more from the network; without a deadline it is there already."""
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                if deadline is not None:
                    self._flush(deadline)
            self.socket.settimeout(deadline.left if deadline is not None else 0)
            if octets := self.socket.recv(_READ):
                self._incoming.write(octets)
            else:
                self._incoming.write_eof()
            self._heard += len(octets)
            if self._heard > MAX_SAID:
                raise ConnectionError(0, "says more than a receiver of syslog has to say")

    def _flush(self, deadline: Deadline) -> None:
        if octets := self._outgoing.read():
            self.socket.settimeout(deadline.left)
            self.socket.sendall(octets)  # the time-out is for all of it
