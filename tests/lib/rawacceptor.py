"""A DICOM acceptor made of bytes, which answers as no toolkit would; written against PS3.7 and PS3.8 alone."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.lib.pdus import IMPLEMENTATION_CLASS_UID, item, pdu

HANG = 60.0  # seconds; a requestor that is not stuck has gone long before

P_DATA, RELEASE_RQ, ABORT = 4, pdu(5, bytes(4)), pdu(7, bytes(4))
RELEASE_RP = pdu(6, bytes(4))
NO_DATA_SET = 0x0101
RESPONSES = {0x0001: 0x8001, 0x0010: 0x8010, 0x0020: 0x8020, 0x0021: 0x8021, 0x0030: 0x8030}
"""The command field of the response to each request (PS3.7 E.1-1)."""


@dataclass(frozen=True)
class Proposed:
    """A presentation context as proposed."""

    context_id: int
    abstract_syntax: bytes
    transfer_syntax: bytes


@dataclass(frozen=True)
class Request:
    """A DIMSE request as far as its response needs it."""

    context_id: int
    sop_class: bytes
    command: int
    message_id: int

    def response(self, status: int, *, data_set: int = NO_DATA_SET, **wrong: int) -> bytes:
        """A command set that answers it, with how many sub-operations are `completed` if that is given.

        `command`, `message_id` and `length` of its group may be wrong.
        """
        body = (
            element(0x0002, self.sop_class)
            + element(0x0100, _us(wrong.get("command", RESPONSES[self.command])))
            + element(0x0120, _us(wrong.get("message_id", self.message_id)))
            + element(0x0800, _us(data_set))
            + element(0x0900, _us(status))
            + (element(0x1021, _us(wrong["completed"])) if "completed" in wrong else b"")
        )
        return element(0x0000, struct.pack("<I", wrong.get("length", len(body)))) + body


class Peer:
    """The requestor, as the acceptor sees it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(HANG)
        self._connection = connection
        self._received = b""
        self.proposed: list[Proposed] = []

    def send(self, *octets: bytes) -> None:
        self._connection.sendall(b"".join(octets))

    def read(self) -> tuple[int, bytes]:
        """The type and body of the next PDU; raises `EOFError` at the end."""
        kind, length = struct.unpack(">BxI", self._octets(6))
        return kind, self._octets(length)

    def _octets(self, count: int) -> bytes:
        while len(self._received) < count:
            more = self._connection.recv(65536)
            if not more:
                raise EOFError
            self._received += more
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def requested(self) -> None:
        """Read the A-ASSOCIATE-RQ."""
        _, body = self.read()
        for kind, content in _items(body[68:]):
            if kind == 0x20:
                (_, abstract), (_, transfer), *_ = _items(content[4:])
                self.proposed.append(Proposed(content[0], abstract, transfer))

    def accept(self) -> None:
        """Accept everything that is asked for."""
        self.requested()
        self.send(self.ac())

    def ac(self, *contexts: bytes, maximum_length: int = 16384, roles: bytes | None = b"\1\1") -> bytes:
        """An A-ASSOCIATE-AC with these contexts; without any it accepts all."""
        every = [context(each.context_id, each.transfer_syntax) for each in self.proposed]
        selections = (
            item(0x54, struct.pack(">H", len(each.abstract_syntax)) + each.abstract_syntax + roles)
            for each in self.proposed[1:]
            if roles
        )
        user = item(0x51, struct.pack(">I", maximum_length)) + IMPLEMENTATION_CLASS_UID + b"".join(selections)
        titles = struct.pack(">Hxx16s16s32x", 1, b"ANY-SCP", b"USERIDENTITY")
        application = item(0x10, b"1.2.840.10008.3.1.1.1")
        return pdu(2, titles + application + b"".join(contexts or every) + item(0x50, user))

    def asked(self) -> Request:
        """Accept, and read the first request with its data set."""
        self.accept()
        received = b""
        while True:
            for context_id, header, fragment in self._values():
                if header & 1:
                    received += fragment
                if header & 2 and (not header & 1 or _value(received, 0x0800) == _us(NO_DATA_SET)):
                    field, message_id = (struct.unpack("<H", _value(received, tag))[0] for tag in (0x0100, 0x0110))
                    return Request(context_id, _value(received, 0x0002), field, message_id)

    def _values(self) -> Iterator[tuple[int, int, bytes]]:
        """The presentation data values of the next P-DATA-TF."""
        kind, body = self.read()
        if kind != P_DATA:
            raise EOFError
        while body:
            length, context_id, header = struct.unpack_from(">IBB", body)
            yield context_id, header, body[6 : 4 + length]
            body = body[4 + length :]

    def answer(self, request: Request, status: int = 0, **wrong: int) -> None:
        """Answer, and go on in the ordinary way."""
        self.send(command_set(request.context_id, request.response(status, **wrong)))
        self.finish()

    def finish(self) -> None:
        """Read until the requestor releases or ends the connection."""
        while self.read()[0] != RELEASE_RQ[0]:
            pass
        self.send(RELEASE_RP)
        self.hold()

    def hold(self) -> None:
        """Read whatever comes, and say nothing, until the requestor ends the connection."""
        while not self.is_gone(HANG):
            pass

    def is_gone(self, within: float) -> bool:
        """Whether the requestor ends the connection in so many seconds; what it says instead is dropped."""
        self._connection.settimeout(within)
        try:
            return not self._connection.recv(65536)
        except TimeoutError:
            return False


Behaviour = Callable[[Peer], object]


@contextmanager
def raw_acceptor(behave: Behaviour) -> Iterator[int]:
    """The port of an acceptor that does this with whoever comes, until the block ends."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError, EOFError):
                behave(Peer(connection))

        def accept() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                    threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(HANG)


def context(context_id: int, transfer_syntax: bytes, result: int = 0) -> bytes:
    """A presentation context item of an A-ASSOCIATE-AC, 21H (PS3.8 Table 9-18)."""
    return item(0x21, bytes([context_id, 0, result, 0]) + item(0x40, transfer_syntax))


def element(number: int, value: bytes) -> bytes:
    """An element of group 0000H in Implicit VR Little Endian."""
    padded = value + bytes(len(value) % 2)
    return struct.pack("<HHI", 0, number, len(padded)) + padded


def command_set(context_id: int, octets: bytes) -> bytes:
    """A P-DATA-TF with the last fragment of a command set."""
    return _p_data(context_id, 3, octets)


def data_set(context_id: int, octets: bytes, *, last: bool = True) -> bytes:
    """A P-DATA-TF with a fragment of a data set."""
    return _p_data(context_id, 2 if last else 0, octets)


def _p_data(context_id: int, header: int, octets: bytes) -> bytes:
    return pdu(P_DATA, struct.pack(">IBB", len(octets) + 2, context_id, header) + octets)


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _value(elements: bytes, number: int) -> bytes:
    """The value of an element."""
    while True:
        tag, length = struct.unpack_from("<2xHI", elements)
        if tag == number:
            return elements[8 : 8 + length]
        elements = elements[8 + length :]


def _items(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while octets:
        kind, length = struct.unpack_from(">BxH", octets)
        yield kind, octets[4 : 4 + length]
        octets = octets[4 + length :]
