"""Syslog over UDP (RFC 5426).

No receiver confirms anything. What can be known is that a machine is there and nothing listens on its port, since it
says so by ICMP; everything else that goes missing is lost unseen, as RFC 5426 4.2 warns.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from useridentity.audit.record import Record
from useridentity.audit.sinks.sink import AT_ONCE, Undelivered, in_form
from useridentity.audit.sinks.syslog import SyslogFormat
from useridentity.network import words

PORT = 514  # RFC 5426 3.3; PS3.15 A.7

MAX_DATAGRAM = 65507
"""Octets that a datagram of IPv4 can carry, and more than one of IPv6 should."""

BATCH = 20
"""Records sent before the receiver gets time to read: Linux' default socket buffer holds 48 messages of 2 KB, or 25 of
up to 8 KB, and drops the rest of a burst unseen."""

REFUSAL_SECONDS = 0.02
"""Waited after a batch for an ICMP refusal: ten times a round trip within a building."""


class UdpSyslog:
    """Sends one datagram a message to `host`."""

    batch = BATCH
    confirm_after = AT_ONCE

    def __init__(self, name: str, host: str, port: int, encoder: SyslogFormat) -> None:
        self.name = name
        self._address = (host, port)
        self._encoder = encoder
        self._socket: socket.socket | None = None

    def send(self, records: Sequence[Record]) -> int:
        encoded = in_form(records, self._encoder.encode)
        try:
            if self._socket is None:
                self._socket = _connected(self._address)
            for messages in encoded:
                for message in messages:
                    self._socket.send(message)
        except OSError as error:
            raise self._undelivered(error) from None
        return 0

    def confirm(self) -> None:
        """Nobody has refused."""
        try:
            if self._socket is not None:
                self._socket.recv(1)
        except TimeoutError:
            return
        except OSError as error:
            raise self._undelivered(error) from None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _undelivered(self, error: OSError) -> Undelivered:
        self.close()
        return Undelivered(f"{self.name}: {words(error)}")


def _connected(address: tuple[str, int]) -> socket.socket:
    """Connected, so that a refusal is told, and to one address of a name that has several."""
    family, kind, protocol, _, where = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    made = socket.socket(family, kind, protocol)
    made.settimeout(REFUSAL_SECONDS)
    made.connect(where)
    return made
