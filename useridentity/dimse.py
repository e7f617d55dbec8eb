"""DIMSE messages as far as authorization and audit need them: fragments, and the command set (PS3.7 6.3.1, Annex E).

Strict, because what is judged here is read again by whoever serves it, and a peer must not be able to make
the two readings differ. What is only unusual, such as padding or elements that nobody uses any more, is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from useridentity.ae_title import MAX_AE_TITLE, may_be_in_title
from useridentity.errors import WireError

MAX_COMMAND_SET = 16 * 1024
"""Bytes of a command set. All UIDs and titles take less than one; an N-GET may list attributes, four bytes each."""

P_DATA_TF = 0x04
"""PDU-type of what carries messages (PS3.8 9.3.5)."""

KINDS: Mapping[int, str] = MappingProxyType(
    {
        0x0001: "C-STORE",
        0x0010: "C-GET",
        0x0020: "C-FIND",
        0x0021: "C-MOVE",
        0x0030: "C-ECHO",
        0x0100: "N-EVENT-REPORT",
        0x0110: "N-GET",
        0x0120: "N-SET",
        0x0130: "N-ACTION",
        0x0140: "N-CREATE",
        0x0150: "N-DELETE",
        0x0FFF: "C-CANCEL",
    }
)
"""The service of a request's Command Field (PS3.7 Table E.1-1)."""

_RESPONSE = 0x8000  # the bit of a Command Field that tells a response
_NO_DATA_SET = 0x0101
_HEADER = 6  # bytes of a PDU before its content
_OVERHEAD = 8  # bytes of an element before its value
_COMMAND, _LAST = 1, 2  # bits of the message control header (PS3.8 E.2)
_MAX_UID = 64
_UID = re.compile(r"[0-9.]+")  # the installed base has zeros in front of components

_GROUP_LENGTH, _COMMAND_FIELD, _DATA_SET_TYPE = 0x0000, 0x0100, 0x0800
_AFFECTED_CLASS, _REQUESTED_CLASS = 0x0002, 0x0003
_AFFECTED_INSTANCE, _REQUESTED_INSTANCE = 0x1000, 0x1001
_MESSAGE_ID, _RESPONDED_TO = 0x0110, 0x0120
_DESTINATION, _STATUS = 0x0600, 0x0900

_UIDS = (_AFFECTED_CLASS, _REQUESTED_CLASS, _AFFECTED_INSTANCE, _REQUESTED_INSTANCE)
_TITLES = (_DESTINATION, 0x1030)
_COUNTS = (0x1020, 0x1021, 0x1022, 0x1023)  # of sub-operations
_NUMBERS = frozenset(
    {
        _COMMAND_FIELD,
        _MESSAGE_ID,
        _RESPONDED_TO,
        0x0700,
        _DATA_SET_TYPE,
        _STATUS,
        0x0903,
        0x1002,
        0x1008,
        *_COUNTS,
        0x1031,
    }
)

_OF_REQUESTED = frozenset(
    ("N-GET", "N-SET", "N-ACTION", "N-DELETE")
)  # name a Requested SOP Class, all others an Affected
_WITH_DATA_SET = frozenset(("C-STORE", "C-FIND", "C-GET", "C-MOVE", "N-SET"))
_WITHOUT_DATA_SET = frozenset(("C-ECHO", "C-CANCEL", "N-GET", "N-DELETE"))


@dataclass(frozen=True, slots=True)
class Command:
    """What one command set says.

    Fields:
        kind: the service, "C-STORE" to "N-DELETE", or "C-CANCEL".
        is_request: whether it asks; a C-CANCEL does, about a request.
        message_id: of the request: its own, or the one it responds to or cancels.
        sop_class, sop_instance: as Affected or Requested UID, without padding; empty where neither is there.
        has_data_set: whether a data set follows.
        destination: C-MOVE's Move Destination, without padding.
        status: of a response, else None.
    """

    kind: str
    is_request: bool
    message_id: int
    sop_class: str
    sop_instance: str
    has_data_set: bool
    destination: str = ""
    status: int | None = None


class Message(NamedTuple):
    """A command, and the presentation context it came on."""

    context_id: int
    command: Command


def parse(data: bytes) -> Command:
    """Read a command set, Implicit VR Little Endian; raises `WireError` and nothing else."""
    elements = _elements(data)
    field = _number(elements, _COMMAND_FIELD)
    kind = KINDS.get(field & ~_RESPONSE)
    is_request = not field & _RESPONSE
    if kind is None or (kind == "C-CANCEL" and not is_request):
        raise WireError("PS3.7 Table E.1-1", f"Command Field {field:04X}H is unknown")
    command = Command(
        kind=kind,
        is_request=is_request,
        message_id=_number(elements, _MESSAGE_ID if is_request and kind != "C-CANCEL" else _RESPONDED_TO),
        sop_class=_same(elements, _AFFECTED_CLASS, _REQUESTED_CLASS),
        sop_instance=_same(elements, _AFFECTED_INSTANCE, _REQUESTED_INSTANCE),
        has_data_set=_number(elements, _DATA_SET_TYPE) != _NO_DATA_SET,
        destination=_title(elements.get(_DESTINATION, b"")),
        status=None if is_request else _number(elements, _STATUS),
    )
    if is_request and kind != "C-CANCEL":
        _check_request(command, elements)
    elif kind == "C-CANCEL" and command.has_data_set:
        raise WireError("PS3.7 9.3.2.3", "a C-CANCEL with a data set")
    return command


def _check_request(command: Command, elements: Mapping[int, bytes]) -> None:
    """What every request of its kind has, and none of any kind (PS3.7 9.3, 10.3)."""
    kind = command.kind
    if (_REQUESTED_CLASS if kind in _OF_REQUESTED else _AFFECTED_CLASS) not in elements or not command.sop_class:
        raise WireError("PS3.7 9.3, 10.3", f"a {kind} request without the SOP class it is about")
    if (kind in _WITH_DATA_SET and not command.has_data_set) or (kind in _WITHOUT_DATA_SET and command.has_data_set):
        raise WireError(
            "PS3.7 9.3, 10.3", f"a {kind} request {'with' if command.has_data_set else 'without'} a data set"
        )
    if (kind == "C-MOVE") != bool(command.destination):
        raise WireError("PS3.7 9.3.4.1", f"a {kind} request and the Move Destination {command.destination!r}")
    if _RESPONDED_TO in elements or _STATUS in elements:
        raise WireError("PS3.7 9.3, 10.3", f"a {kind} request that is a response as well")


def _elements(data: bytes) -> dict[int, bytes]:
    """The values of all elements by element number."""
    if len(data) > MAX_COMMAND_SET:
        raise WireError("PS3.7 6.3.1", f"a command set of more than {MAX_COMMAND_SET} bytes")
    elements: dict[int, bytes] = {}
    at, last = 0, -1
    while at < len(data):
        start = at + _OVERHEAD
        group, number = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        end = start + int.from_bytes(data[at + 4 : start], "little")
        if start > len(data) or end > len(data):
            raise WireError("PS3.7 6.3.1", f"element ({group:04X},{number:04X}) goes on beyond the command set")
        if group or number <= last:
            raise WireError("PS3.7 6.3.1", f"element ({group:04X},{number:04X}) after (0000,{max(last, 0):04X})")
        elements[number] = _checked(number, data[start:end])
        at, last = end, number
    length = elements.get(_GROUP_LENGTH, b"")
    if len(length) != 4 or int.from_bytes(length, "little") != len(data) - _OVERHEAD - 4:
        raise WireError("PS3.7 E.1", f"the Command Group Length is not {len(data) - _OVERHEAD - 4}")
    return elements


def _checked(number: int, value: bytes) -> bytes:
    """`value`, which is one that the element may have; names lose their padding."""
    if number in _NUMBERS and len(value) != 2:
        raise WireError("PS3.7 E.1", f"element (0000,{number:04X}) has {len(value)} bytes instead of two")
    if number in _UIDS:
        return _uid(number, value)
    if number in _TITLES:
        _title(value)
    return value


def _uid(number: int, value: bytes) -> bytes:
    uid = value.rstrip(b"\0 ")
    if len(uid) > _MAX_UID or not uid.isascii() or not (_UID.fullmatch(uid.decode("ascii")) or not uid):
        raise WireError("PS3.5 9.1", f"element (0000,{number:04X}) is no UID")
    return uid


def _title(value: bytes) -> str:
    title = value.strip(b" ").decode("latin-1")
    if len(title) > MAX_AE_TITLE or not may_be_in_title(title):
        raise WireError("PS3.5 Table 6.2-1", "an AE title that is too long or not printable ASCII")
    return title


def _number(elements: Mapping[int, bytes], number: int) -> int:
    if number not in elements:
        raise WireError("PS3.7 E.1", f"element (0000,{number:04X}) is missing")
    return int.from_bytes(elements[number], "little")


def _same(elements: Mapping[int, bytes], affected: int, requested: int) -> str:
    """The UID under either element; whoever serves the message may read the one or the other."""
    named = {elements[number] for number in (affected, requested) if number in elements}
    if len(named) > 1:
        raise WireError("PS3.7 9.3, 10.3", "an Affected and a Requested UID that differ")
    return named.pop().decode("ascii") if named else ""


class Assembly:
    """Puts messages together from P-DATA-TF PDUs (PS3.8 Annex E), keeping the command set only.

    `check` is called once the command set of a message is complete, before any of its data set is taken, and says how
    many bytes that may have, None for any number; the `WireError` it may raise is passed on.
    """

    def __init__(self, check: Callable[[Message], int | None]) -> None:
        self._check = check
        self._context_id: int | None = None
        self._data = bytearray()
        self._message: Message | None = None  # one whose data set is due
        self._room: int | None = None  # for the rest of it

    def add(self, pdu: bytes | bytearray) -> Message | None:
        """Take a PDU; the message that it completes, if any.

        A PDU that goes on with another message after completing one is refused: nobody sends it, and
        pynetdicom would drop the other.
        Raises `WireError`, after which the association is to be aborted.
        """
        completed: Message | None = None
        for context_id, control, start, end in _values(pdu):
            if completed is not None:
                raise WireError("PS3.8 Annex E", "a PDU with fragments of two messages")
            if context_id != self._context_id and self._context_id is not None:
                raise WireError("PS3.8 Annex E", "a fragment of a message between those of another")
            self._context_id = context_id
            is_command = bool(control & _COMMAND)
            if is_command is (self._message is not None):
                raise WireError("PS3.8 E.1", "a command after its data set began, or a data set before its command")
            if is_command:
                self._take(pdu[start:end])
            else:
                self._pass_over(end - start)
            if control & _LAST:
                completed = self._complete(is_command)
        return completed

    def _take(self, fragment: bytes | bytearray) -> None:
        self._data += fragment
        if len(self._data) > MAX_COMMAND_SET:
            raise WireError("PS3.7 6.3.1", f"a command set of more than {MAX_COMMAND_SET} bytes")

    def _pass_over(self, length: int) -> None:
        """So many bytes of a data set, which others keep."""
        if self._room is not None:
            self._room -= length
            if self._room < 0:
                raise WireError("a limit of this acceptor", f"the data set of {self._message} is too long")

    def _complete(self, is_command: bool) -> Message | None:
        """The message, once its last fragment has come."""
        if is_command:
            assert self._context_id is not None  # noqa: S101  set with the first fragment
            self._message = Message(self._context_id, parse(bytes(self._data)))
            self._data.clear()
            self._room = self._check(self._message)
            if self._message.command.has_data_set:
                return None
        completed, self._message, self._context_id = self._message, None, None
        return completed


def _values(pdu: bytes | bytearray) -> Iterator[tuple[int, int, int, int]]:
    """Context, control header, start and end of every presentation data value (PS3.8 Table 9-23)."""
    at = _HEADER
    if at >= len(pdu):
        raise WireError("PS3.8 9.3.5", "a P-DATA-TF without a presentation data value")
    while at < len(pdu):
        end = at + 4 + int.from_bytes(pdu[at : at + 4], "big")
        if end < at + 6 or end > len(pdu):
            raise WireError("PS3.8 9.3.5.1", f"a presentation data value from byte {at} to {end} of {len(pdu)}")
        yield pdu[at + 4], pdu[at + 5], at + 6, end
        at = end
