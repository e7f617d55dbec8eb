"""The socket of an association: bounded in what it reads, and the only place where identities pass."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pynetdicom import evt
from pynetdicom.transport import AddressInformation, AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.transport import T_CONNECT

    from useridentity.pynetdicom.reactor import PromptAssociation

LOGGER = logging.getLogger("useridentity.pynetdicom")

READ_AHEAD = 64 * 1024
"""Bytes asked for at once, whatever a PDU's header announces: several PDUs of usual length in one system call."""

MIN_PDU_LIMIT = 256 * 1024
"""Bytes of a PDU that are read in any case: no more than before the association was accepted."""

MAX_DISCARDED = 64 * READ_AHEAD
"""Bytes read and dropped once an association is over: what a peer may have sent before it could know."""


class IdentitySocket(AssociationSocket):
    """An `AssociationSocket` that never shows an identity to the rest of pynetdicom.

    What pynetdicom sends passes `assoc.outgoing`, which may add the user identity sub-item; its events
    and logs see the bytes without it. Until `ease` is called every read ends at one absolute deadline.
    """

    assoc: PromptAssociation

    def __init__(
        self,
        assoc: PromptAssociation,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
    ) -> None:
        super().__init__(assoc, client_socket=client_socket, address=address)
        self.reached = client_socket is not None
        self.failure = ""
        self._received = bytearray()
        self._deadline: float | None = None
        self._max_read: int | None = None

    def limit(self, max_read: int, deadline: float | None = None) -> None:
        """Fail reads of more than `max_read` bytes at once, and reads after `deadline` (monotonic seconds)."""
        self._max_read = max_read
        self._deadline = deadline

    def ease(self, maximum_length: int, stall: float | None) -> None:
        """The limits of an association that is accepted.

        Reads and writes fail when nothing moves for `stall` seconds. A PDU may be somewhat longer than the
        `maximum_length` this side has stated (PS3.8 D.1), for peers that miscount; 0 is no maximum.
        """
        self._max_read = max(maximum_length, MIN_PDU_LIMIT) if maximum_length else None
        self._deadline = None
        with suppress(OSError):  # the peer may have gone, and the socket with it
            if self.socket is not None:
                self.socket.settimeout(stall)

    def push_back(self, data: bytes) -> None:
        """Let `data` be what is read next."""
        self._received[:0] = data

    def discard_input(self) -> None:
        """Drop what has come already: left unread, it would turn the end of the connection into a reset."""
        self._received.clear()
        with suppress(OSError):  # nothing more is there
            if self.socket is not None:
                self.socket.setblocking(False)
                for _ in range(MAX_DISCARDED // READ_AHEAD):
                    if not self.socket.recv(READ_AHEAD):
                        return

    def connect(self, primitive: T_CONNECT) -> None:
        """As in pynetdicom, which only logs why there is no connection; here `failure` tells."""
        try:
            self._connect(primitive.address_info.as_tuple)
            primitive.result = "Evt2"
        except (OSError, ValueError) as error:  # ValueError: a server name that can be none
            self.failure = _in_words(error)
            LOGGER.info("no connection to %s: %s", primitive.address_info.address, self.failure)
            self._shutdown_socket()
            self.socket = None
            primitive.result = "Evt17"
        finally:
            self.provider_queue.put(primitive)
            self._ready.set()

    def _connect(self, address: tuple[str, int] | tuple[str, int, int, int]) -> None:
        assert self.socket is not None  # noqa: S101  made with this object
        if self.tls_args:
            context, server_name = self.tls_args
            self.socket = context.wrap_socket(self.socket, server_hostname=server_name)
        self.socket.settimeout(self.assoc.connection_timeout)
        self.socket.connect(address)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.assoc.requestor.address_info = AddressInformation.from_tuple(self.socket.getsockname())
        self._is_connected = self.reached = True
        evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": address})

    @property
    def ready(self) -> bool:
        """True where there is something to read: bytes, or the end of the connection."""
        if self.socket is None or not self._is_connected:
            return False
        if self._received:
            return True
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        return bool(readable([self.socket], 0))

    def recv(self, nr_bytes: int) -> bytearray:
        """`nr_bytes` bytes, or what came before the connection ended; raises `OSError`."""
        if self._max_read is not None and nr_bytes > max(self._max_read, len(self._received)):
            raise ConnectionError(f"{nr_bytes} bytes announced where {self._max_read} are the limit")
        while len(self._received) < nr_bytes and (more := self._receive()):
            self._received += more
        taken = self._received[:nr_bytes]
        del self._received[:nr_bytes]
        return taken

    def _receive(self) -> bytes:
        """What has come, waiting for it; empty where the connection has ended."""
        sock, deadline = self.socket, self._deadline  # which another thread may be setting to None
        if sock is None:
            return b""
        if deadline is None:
            return sock.recv(READ_AHEAD)
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        received = sock.recv(READ_AHEAD)
        if time.monotonic() > deadline:
            raise TimeoutError("the deadline has passed")
        return received

    def _shutdown_socket(self) -> None:
        """Close the socket, also where it was never connected, which pynetdicom leaves to the garbage collector."""
        sock = self.socket  # which another thread may be setting to None
        if sock is not None:
            cut(sock)
            sock.close()

    def close(self) -> None:
        super().close()
        # pynetdicom asks this after a request to learn whether the peer was reached; the answer, and the end of
        # the connection with it, may have come before it asks.
        self._is_connected = self.reached

    def send(self, bytestream: bytes) -> None:
        """Send a PDU; on failure the connection counts as closed (Evt17)."""
        try:
            rest = memoryview(self.assoc.outgoing(bytestream))
            while rest and self.socket is not None:
                rest = rest[self.socket.send(rest) :]
        except Exception:  # noqa: BLE001  as in pynetdicom: whatever went wrong, the transport is gone
            self.event_queue.put("Evt17")
        else:
            evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})


def _in_words(error: Exception) -> str:
    """What the system or TLS said, without the number."""
    is_tls = isinstance(error, ssl.SSLError)
    return (not is_tls and getattr(error, "strerror", None)) or str(error)


def readable(sockets: Sequence[socket.socket], timeout: float) -> bool:
    """Whether one of `sockets` can be read within `timeout` seconds; one that was closed can: its end."""
    try:
        if not hasattr(select, "poll"):
            return bool(select.select(sockets, [], [], timeout)[0])
        poll = select.poll()
        for sock in sockets:
            poll.register(sock, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    except (OSError, ValueError):
        return True


def cut(sock: socket.socket) -> None:
    """End a connection that another thread may be reading: that thread wakes up and finds the end.

    `SSLSocket.shutdown` would leave the reader a socket without TLS.
    """
    with suppress(OSError):  # the peer was faster
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
