"""Syslog over TLS: RFC 5425, with the suites and versions of RFC 9662.

Syslog has no acknowledgement, so whether TCP took the octets says nothing about the receiver. What RFC 5425 does have
is an orderly end: a receiver answers close_notify with its own (4.4), and having read the one means having read
all that came before it. So now and then the connection is closed, and what was sent on it counts as delivered only
if it ended like that; otherwise it is sent again on the next one.

A close_notify may also be the receiver's own, when it refuses us after the handshake, and some receivers send none
(rsyslog with GnuTLS). So TCP is asked too: whoever closes a socket without having read everything resets the
connection, and whoever has closed it acknowledges nothing any more.
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

from useridentity.audit.record import Record
from useridentity.audit.sinks.sink import Confirm, Undelivered
from useridentity.audit.sinks.syslog import SyslogFormat

LOGGER = logging.getLogger("useridentity.audit")

PORT = 6514  # syslog-tls, RFC 5425 4.1

SECONDS = 10.0
"""For connecting, for a write, and for the receiver to read what is on its way before it answers close_notify."""

CONFIRM = Confirm(records=1000, seconds=5.0)
"""A connection carries so much before it is closed: a handshake more is nothing beside 1,000 messages, or in 5 s."""


CLOSING_SECONDS = 1.0
"""Waited for the receiver to close the connection once it has answered close_notify; it may leave that to us."""

_OPEN = (1, 8)  # TCP_ESTABLISHED and TCP_CLOSE_WAIT of tcp(7): not reset


class TlsSyslog:
    """Sends to a receiver at `host`, which `context` verifies and which may verify us."""

    batch = 200
    confirm_after = CONFIRM

    def __init__(self, name: str, host: str, port: int, context: ssl.SSLContext, encoder: SyslogFormat) -> None:
        self.name = name
        self._address = (host, port)
        self._context = context
        self._encoder = encoder
        self._socket: ssl.SSLSocket | None = None
        self._said = False

    def send(self, records: Sequence[Record]) -> int:
        encoded = [message for record in records for message in self._encoder.encode(record)]
        frames = b"".join(b"%d %s" % (len(message), message) for message in encoded)  # octet counting, RFC 5425 4.3
        try:
            if self._socket is None:
                self._socket = self._connected()
            _require_open(self._socket)
            self._socket.sendall(frames)
        except OSError as error:
            raise self._undelivered(error) from None
        return 0

    def confirm(self) -> None:
        if self._socket is None:
            return
        try:
            self._unwrap(self._socket)
            _require_all_read(self._socket)
        except (OSError, ValueError) as error:
            raise self._undelivered(error) from None
        finally:
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> ssl.SSLSocket:
        plain = socket.create_connection(self._address, SECONDS)
        try:
            return self._context.wrap_socket(plain, server_hostname=self._address[0])
        except BaseException:
            plain.close()
            raise

    def _unwrap(self, connection: ssl.SSLSocket) -> None:
        """Exchange close_notify, or have it answered by the end of the connection alone."""
        connection.settimeout(SECONDS)
        try:
            connection.unwrap()
        except ssl.SSLEOFError:
            if not self._said:
                self._said = True
                LOGGER.info("%s: ends connections without close_notify, which RFC 5425 4.4 demands", self.name)

    def _undelivered(self, error: Exception) -> Undelivered:
        self.close()
        return Undelivered(f"{self.name}: {_words(error)}")


def _require_open(connection: ssl.SSLSocket) -> None:
    """Notice that the receiver has closed, before more is written to nobody."""
    connection.settimeout(0)
    try:
        if connection.recv(1):
            return  # a receiver has nothing to say, and may say it
    except (ssl.SSLWantReadError, BlockingIOError):
        return
    finally:
        connection.settimeout(SECONDS)
    raise ConnectionError(0, "closed the connection")


def _require_all_read(connection: ssl.SSLSocket) -> None:
    """The receiver has closed the connection without a reset, and had acknowledged all of it."""
    connection.settimeout(CLOSING_SECONDS)
    with suppress(TimeoutError):
        socket.socket.recv(connection, 1)  # below TLS, which has ended
    unacknowledged = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    if unacknowledged or state not in _OPEN:
        raise ConnectionError(0, "closed the connection before it had read everything")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
