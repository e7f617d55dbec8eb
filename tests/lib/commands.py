"""DIMSE command sets and P-DATA-TF PDUs built octet by octet, independently of every parser under test."""

from __future__ import annotations

import struct

from tests.lib.pdus import CT_IMAGE_STORAGE, VERIFICATION, pdu

NO_DATA_SET, DATA_SET = 0x0101, 0x0001
COMMAND, LAST = 1, 2  # bits of the message control header (PS3.8 E.2)

FIELDS = {
    "C-STORE": 0x0001, "C-GET": 0x0010, "C-FIND": 0x0020, "C-MOVE": 0x0021, "C-ECHO": 0x0030, "C-CANCEL": 0x0FFF,
    "N-EVENT-REPORT": 0x0100, "N-GET": 0x0110, "N-SET": 0x0120, "N-ACTION": 0x0130, "N-CREATE": 0x0140,
    "N-DELETE": 0x0150,
}  # fmt: skip
REQUESTED = ("N-GET", "N-SET", "N-ACTION", "N-DELETE")
WITH_DATA_SET = ("C-STORE", "C-FIND", "C-GET", "C-MOVE", "N-EVENT-REPORT", "N-SET", "N-ACTION", "N-CREATE")
WITH_PRIORITY = ("C-STORE", "C-FIND", "C-GET", "C-MOVE")

IDENTIFIER = bytes.fromhex("08005200060000005354554459 20")  # Query/Retrieve Level STUDY, Implicit VR

Elements = dict[int, bytes]


def us(value: int) -> bytes:
    return struct.pack("<H", value)


def ui(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def ae(title: str) -> bytes:
    return title.encode() + b" " * (len(title) % 2)


def element(number: int, value: bytes, group: int = 0) -> bytes:
    """One element in Implicit VR Little Endian."""
    return struct.pack("<HHI", group, number, len(value)) + value


def command_set(elements: Elements) -> bytes:
    """A command set with these elements in ascending order, its group length right."""
    body = b"".join(element(number, elements[number]) for number in sorted(elements))
    return element(0, struct.pack("<I", len(body))) + body


def request_elements(
    kind: str,
    sop_class: str,
    *,
    message_id: int = 1,
    instance: str = "1.2.3.4",
    destination: str = "",
    data_set: bool | None = None,
) -> Elements:
    """The elements of an ordinary request of this kind (PS3.7 9.3, 10.3)."""
    requested = kind in REQUESTED
    has_data_set = kind in WITH_DATA_SET if data_set is None else data_set
    elements = {
        0x0100: us(FIELDS[kind]),
        0x0110: us(message_id),
        0x0800: us(DATA_SET if has_data_set else NO_DATA_SET),
        0x0003 if requested else 0x0002: ui(sop_class),
    }
    if kind.startswith("N-") or kind == "C-STORE":
        elements[0x1001 if requested else 0x1000] = ui(instance)
    if kind in WITH_PRIORITY:
        elements[0x0700] = us(0)
    if kind == "C-MOVE":
        elements[0x0600] = ae(destination or "STORE")
    if kind == "N-ACTION":
        elements[0x1008] = us(1)
    if kind == "N-EVENT-REPORT":
        elements[0x1002] = us(1)
    return elements


def cancel_elements(message_id: int = 1) -> Elements:
    return {0x0100: us(0x0FFF), 0x0120: us(message_id), 0x0800: us(NO_DATA_SET)}


def response_elements(kind: str, sop_class: str, *, message_id: int = 1, status: int = 0) -> Elements:
    return {
        0x0002: ui(sop_class),
        0x0100: us(FIELDS[kind] | 0x8000),
        0x0120: us(message_id),
        0x0800: us(NO_DATA_SET),
        0x0900: us(status),
    }


ECHO = request_elements("C-ECHO", VERIFICATION)
STORE = request_elements("C-STORE", CT_IMAGE_STORAGE)


def value(context_id: int, control: int, data: bytes) -> bytes:
    """A presentation data value item (PS3.8 Table 9-23)."""
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def p_data(*values: bytes) -> bytes:
    """A P-DATA-TF PDU."""
    return pdu(4, b"".join(values))


def message(elements: Elements | bytes, data_set: bytes | None = None, context_id: int = 1) -> bytes:
    """A whole message: the command in one PDU and the data set, if any, in another."""
    command = elements if isinstance(elements, bytes) else command_set(elements)
    sent = p_data(value(context_id, COMMAND | LAST, command))
    return sent if data_set is None else sent + p_data(value(context_id, LAST, data_set))


def request(kind: str, sop_class: str, context_id: int = 1, **fields: object) -> bytes:
    """A whole request as P-DATA-TF PDUs; `fields` as of `request_elements`."""
    elements = request_elements(kind, sop_class, **fields)  # type: ignore[arg-type]
    has_data_set = elements[0x0800] == us(DATA_SET)
    return message(elements, IDENTIFIER if has_data_set else None, context_id)
