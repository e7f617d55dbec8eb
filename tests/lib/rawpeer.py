"""A DICOM peer made of bytes, for what no toolkit would ever send."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Self

# Ten times what the slowest answer takes on two busy cores: it bounds a hang and measures nothing.
HANG = 10.0

PDU_HEADER = struct.Struct(">BxI")  # PS3.8 9.3.1: type, reserved, length of what follows


class PduType(Enum):
    """PDU-type of the first octet (PS3.8 9.3)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Pdu(NamedTuple):
    """One PDU as received; `body` is what follows the length."""

    type: PduType
    body: bytes

    @property
    def answer(self) -> tuple[int, int, int]:
        """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""
        assert self.type is PduType.ASSOCIATE_RJ, self
        return self.body[1], self.body[2], self.body[3]


class Ending(Enum):
    """What came in place of a PDU."""

    CLOSED = "closed"
    TIMEOUT = "timeout"


class RawPeer:
    """A TCP or TLS client without any DICOM of its own; a context manager.

    `source` is the loopback address it calls from, any of 127.0.0.0/8, so that one machine can be
    many peers. `tls` makes it TLS, naming `server_hostname`; without it the peer stays silent TCP.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        source: str | None = None,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        bind_to = (source, 0) if source else None
        connection = socket.create_connection((host, port), timeout=HANG, source_address=bind_to)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(connection, server_hostname=server_hostname or host) if tls else connection
        self._received = b""

    def send(self, data: bytes) -> None:
        """Send all of `data` at once; raises `OSError` where the peer is gone."""
        self.socket.settimeout(HANG)
        self.socket.sendall(data)

    def dribble(self, data: bytes, interval: float) -> int:
        """Send an octet every `interval` seconds until the peer speaks or closes; how many were sent."""
        for sent, octet in enumerate(data):
            try:
                self.send(bytes([octet]))
            except OSError:
                return sent
            if self._receive(interval) is not Ending.TIMEOUT:
                return sent + 1
        return len(data)

    def half_close(self) -> None:
        """Send no more, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish: close with RST, as a peer whose process was killed with data unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def read_pdu(self, within: float = HANG) -> Pdu | Ending:
        """The next whole PDU, or how it failed to come within so many seconds."""
        deadline = time.monotonic() + within
        while len(self._received) < (size := self._next_size()):
            if ending := self._receive(deadline - time.monotonic()):
                return ending
        pdu, self._received = self._received[:size], self._received[size:]
        return Pdu(PduType(pdu[0]), pdu[PDU_HEADER.size :])

    def _next_size(self) -> int:
        """Octets of the next PDU, as far as its header is here to tell."""
        if len(self._received) < PDU_HEADER.size:
            return PDU_HEADER.size
        return PDU_HEADER.size + int(PDU_HEADER.unpack_from(self._received)[1])

    def _receive(self, within: float) -> Ending | None:
        """Wait for some octets; None once there are any."""
        self.socket.settimeout(max(0.001, within))
        try:
            received = self.socket.recv(65536)
        except TimeoutError:
            return Ending.TIMEOUT
        except OSError:  # a reset is a way of closing
            return Ending.CLOSED
        self._received += received
        return None if received else Ending.CLOSED

    def close(self) -> None:
        """Close in the ordinary way."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
