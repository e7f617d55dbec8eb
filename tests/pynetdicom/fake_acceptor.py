"""An acceptor made of bytes: it answers a request as it is told, and notes what comes after."""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Self

from tests.lib.pdus import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS_UID,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MAXIMUM_LENGTH,
    item,
    pdu,
)
from tests.lib.rawpeer import HANG, PDU_HEADER, PduType


def associate_ac(*user_items: bytes, result: int = 0, contexts: int = 1) -> bytes:
    """An A-ASSOCIATE-AC that gives so many presentation contexts this result (PS3.8 Tables 9-17 and 9-18)."""
    fixed = struct.pack(">Hxx16s16s32x", 1, b"ANY-SCP".ljust(16), b"SCU".ljust(16))
    syntax = item(0x40, IMPLICIT_VR_LITTLE_ENDIAN.encode())
    accepted = b"".join(item(0x21, bytes([2 * n + 1, 0, result, 0]) + syntax) for n in range(contexts))
    user_information = item(0x50, MAXIMUM_LENGTH + IMPLEMENTATION_CLASS_UID + b"".join(user_items))
    return pdu(2, fixed + item(0x10, APPLICATION_CONTEXT.encode()) + accepted + user_information)


def server_response(content: bytes = b"") -> bytes:
    """A 59H sub-item (PS3.7 Table D.3-15)."""
    return item(0x59, struct.pack(">H", len(content)) + content)


def rejection(result: int, source: int, diagnostic: int) -> bytes:
    return pdu(3, bytes([0, result, source, diagnostic]))


class FakeAcceptor:
    """Listens until the block ends; every connection is sent `answer` once its request is complete.

    Fields:
        requests: the requests, as they came.
        received: the types of the PDUs that followed them.
    """

    def __init__(self, answer: bytes, *, close: bool = False) -> None:
        self._answer, self._close = answer, close
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._connections: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.requests: list[bytes] = []
        self.received: list[PduType] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(HANG)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the block has ended
                return
            connection.settimeout(HANG)
            self._connections.append(connection)
            self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        self.requests.append(_next_pdu(stream))
        connection.sendall(self._answer)
        if self._close:
            connection.shutdown(socket.SHUT_RDWR)
        try:
            while received := _next_pdu(stream):
                self.received.append(PduType(received[0]))
        except OSError:  # a reset is a way of closing
            return


def _next_pdu(stream: object) -> bytes:
    header: bytes = stream.read(PDU_HEADER.size)  # type: ignore[attr-defined]
    if len(header) < PDU_HEADER.size:
        return b""
    body: bytes = stream.read(PDU_HEADER.unpack(header)[1])  # type: ignore[attr-defined]
    return header + body
