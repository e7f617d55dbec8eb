"""Syslog over TLS: RFC 5425, with the suites and versions of RFC 9662.

Syslog has no acknowledgement, so whether TCP took the octets says nothing about the receiver. What RFC 5425 does have
is an orderly end: a receiver answers close_notify with its own (4.4), and having read the one means having read
all that came before it. So now and then the connection is closed, and what was sent on it counts as delivered only
if it ended like that; otherwise it is sent again on the next one.

A close_notify may also be the receiver's own, when it refuses us after the handshake. So TCP is asked too: whoever
closes a socket without having read everything resets the connection, and whoever has closed it acknowledges nothing.

The end of a connection alone is no answer: whoever is in between can make it, having thrown away what was sent. Some
receivers never send close_notify (rsyslog with GnuTLS); only for those an administrator has to choose `close = "tcp"`.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from useridentity.audit.record import Record
from useridentity.audit.sinks.sink import Confirm, Undelivered, in_form
from useridentity.audit.sinks.syslog import SyslogFormat
from useridentity.audit.sinks.tls_stream import TlsStream
from useridentity.network import Deadline, connected, words
from useridentity.tls.client import Tls

LOGGER = logging.getLogger("useridentity.audit")

Close = Literal["notify", "tcp"]
"""How a receiver ends a connection: with close_notify, or, trusted without a proof, with the end of TCP alone."""

PORT = 6514  # syslog-tls, RFC 5425 4.1

SECONDS = 10.0
"""For connecting with its handshake, for a write, and for the receiver to read what is on its way before it answers
close_notify; each as a whole, however it drips."""

CONFIRM = Confirm(records=1000, seconds=5.0)
"""A connection carries so much before it is closed: a handshake more is nothing beside 1,000 messages, or in 5 s."""


CLOSING_SECONDS = 1.0
"""Waited for the receiver to close the connection once it has answered close_notify; it may leave that to us."""

_OPEN = (1, 8)  # TCP_ESTABLISHED and TCP_CLOSE_WAIT of tcp(7): not reset


class TlsSyslog:
    """Sends to a receiver at `host`; `tls` gives for each connection what verifies it, and may prove us to it."""

    batch = 200
    confirm_after = CONFIRM

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        tls: Tls,
        encoder: SyslogFormat,
        close: Close = "notify",
    ) -> None:
        self.name = name
        self._close = close
        self._address = (host, port)
        self._tls = tls
        self._encoder = encoder
        self._stream: TlsStream | None = None
        self._said = False

    def send(self, records: Sequence[Record]) -> int:
        encoded = [message for messages in in_form(records, self._encoder.encode) for message in messages]
        frames = b"".join(b"%d %s" % (len(message), message) for message in encoded)  # octet counting, RFC 5425 4.3
        try:
            if self._stream is None:
                self._stream = self._connected()
            _require_open(self._stream)
            self._stream.sendall(frames, Deadline(SECONDS))
        except (OSError, ValueError) as error:
            raise self._undelivered(error) from None
        return 0

    def confirm(self) -> None:
        if self._stream is None:
            return
        try:
            _require_open(self._stream)
            self._unwrap(self._stream)
            _require_all_read(self._stream.socket)
        except (OSError, ValueError) as error:
            raise self._undelivered(error) from None
        finally:
            self.close()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.socket.close()
            self._stream = None

    def _connected(self) -> TlsStream:
        deadline, context = Deadline(SECONDS), self._tls()
        plain = connected(*self._address, deadline)
        try:
            return TlsStream(plain, context, self._address[0], deadline)
        except BaseException:
            plain.close()
            raise

    def _unwrap(self, connection: TlsStream) -> None:
        """Have close_notify answered; or where it never is, and an administrator said so, by the end of TCP."""
        try:
            connection.end(Deadline(SECONDS))
        except ssl.SSLEOFError:
            if self._close == "notify":
                raise ConnectionError(0, _TRUNCATED) from None
            if not self._said:
                self._said = True
                LOGGER.warning('%s: %s; counted as delivered, as close = "tcp" has it', self.name, _NO_NOTIFY)

    def _undelivered(self, error: Exception) -> Undelivered:
        self.close()
        return Undelivered(f"{self.name}: {words(error)}")


_NO_NOTIFY = "ended the connection without close_notify (RFC 5425 4.4), as whoever cuts it off would"
_TRUNCATED = f'{_NO_NOTIFY}; a receiver that never sends one needs close = "tcp"'


def _require_open(connection: TlsStream) -> None:
    """Notice that the receiver has closed, before more is written to nobody."""
    if not connection.drain():
        raise ConnectionError(0, "closed the connection")


def _require_all_read(connection: socket.socket) -> None:
    """The receiver has closed the connection without a reset, and had acknowledged all of it."""
    connection.settimeout(CLOSING_SECONDS)
    with suppress(TimeoutError):
        connection.recv(1)  # below TLS, which has ended
    unacknowledged = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    if unacknowledged or state not in _OPEN:
        raise ConnectionError(0, "closed the connection before it had read everything")
