"""The command set: what is read, what is refused, each refusal beside its accepted twin."""

from __future__ import annotations

import struct

import pytest

from tests.lib.commands import (
    COMMAND,
    DATA_SET,
    ECHO,
    IDENTIFIER,
    LAST,
    NO_DATA_SET,
    STORE,
    WITH_DATA_SET,
    Elements,
    ae,
    cancel_elements,
    command_set,
    element,
    message,
    p_data,
    request,
    request_elements,
    response_elements,
    ui,
    us,
    value,
)
from tests.lib.pdus import CT_IMAGE_STORAGE, VERIFICATION
from useridentity.dimse import KINDS, MAX_COMMAND_SET, Assembly, Command, Message, parse
from useridentity.errors import WireError

MOVE_MODEL = "1.2.840.10008.5.1.4.1.2.2.2"
REQUESTS = [kind for kind in KINDS.values() if kind != "C-CANCEL"]


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_is_read(kind: str) -> None:
    command = parse(command_set(request_elements(kind, CT_IMAGE_STORAGE, message_id=7, destination="WS_1")))
    assert (command.kind, command.is_request, command.message_id) == (kind, True, 7)
    assert command.sop_class == CT_IMAGE_STORAGE
    assert command.has_data_set is (kind in WITH_DATA_SET)
    assert command.destination == ("WS_1" if kind == "C-MOVE" else "")
    assert command.status is None


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_response_is_read(kind: str) -> None:
    command = parse(command_set(response_elements(kind, CT_IMAGE_STORAGE, message_id=7, status=0xFF00)))
    assert command == Command(kind, False, 7, CT_IMAGE_STORAGE, "", False, status=0xFF00)


def test_a_cancellation_is_read() -> None:
    assert parse(command_set(cancel_elements(7))) == Command("C-CANCEL", True, 7, "", "", False)


TOLERATED: dict[str, Elements] = {
    "a UID padded with spaces": ECHO | {0x0002: VERIFICATION.encode() + b"   "},
    "a UID padded with NULs": ECHO | {0x0002: VERIFICATION.encode() + b"\0\0\0"},
    "a UID that is not padded": ECHO | {0x0002: VERIFICATION.encode()},
    "an element that nobody knows": ECHO | {0x0001: b"1234", 0x5110: b"x" * 20},
    "an instance with zeros in front": STORE | {0x1000: ui("1.02.003")},
    "an empty instance": request_elements("N-CREATE", CT_IMAGE_STORAGE) | {0x1000: b""},
    "the same class twice": request_elements("N-GET", VERIFICATION) | {0x0002: ui(VERIFICATION)},
    "another value for a data set": STORE | {0x0800: us(0x0102)},
}


@pytest.mark.parametrize("elements", TOLERATED.values(), ids=TOLERATED)
def test_what_is_only_unusual_is_read(elements: Elements) -> None:
    assert parse(command_set(elements)).sop_class in (VERIFICATION, CT_IMAGE_STORAGE)


def without(elements: Elements, number: int) -> Elements:
    return {each: elements[each] for each in elements if each != number}


MOVE = request_elements("C-MOVE", MOVE_MODEL)
N_GET = request_elements("N-GET", VERIFICATION)
RESPONSE = response_elements("C-STORE", CT_IMAGE_STORAGE)

BROKEN: dict[str, tuple[Elements, Elements]] = {
    "no Command Field": (ECHO, without(ECHO, 0x0100)),
    "an unknown Command Field": (ECHO, ECHO | {0x0100: us(0x0031)}),
    "the response to a cancellation": (cancel_elements(), cancel_elements() | {0x0100: us(0x8FFF)}),
    "a Command Field of four bytes": (ECHO, ECHO | {0x0100: us(0x0030) + us(0)}),
    "an empty Command Field": (ECHO, ECHO | {0x0100: b""}),
    "two Message IDs": (ECHO, ECHO | {0x0110: us(1) + us(2)}),
    "no Message ID": (ECHO, without(ECHO, 0x0110)),
    "no Command Data Set Type": (ECHO, without(ECHO, 0x0800)),
    "no SOP class": (ECHO, without(ECHO, 0x0002)),
    "an empty SOP class": (ECHO, ECHO | {0x0002: b""}),
    "two SOP classes in one element": (ECHO, ECHO | {0x0002: f"{VERIFICATION}\\{CT_IMAGE_STORAGE}".encode()}),
    "two SOP classes": (N_GET, N_GET | {0x0002: ui(CT_IMAGE_STORAGE)}),
    "the wrong one of two SOP classes": (N_GET, without(N_GET, 0x0003) | {0x0002: ui(VERIFICATION)}),
    "two SOP instances": (N_GET, N_GET | {0x1000: ui("1.2.3.5")}),
    "a UID with letters": (ECHO, ECHO | {0x0002: b"1.2.x4"}),
    "a UID with a space in front": (ECHO, ECHO | {0x0002: b" " + VERIFICATION.encode()}),
    "a UID with a NUL inside": (ECHO, ECHO | {0x0002: VERIFICATION.encode() + b"\0.1"}),
    "a UID that is not ASCII": (ECHO, ECHO | {0x0002: "1.2.٣".encode()}),
    "a UID of 65 characters": (STORE | {0x1000: b"1." * 31 + b"11"}, STORE | {0x1000: b"1." * 32 + b"1"}),
    "an echo with a data set": (ECHO, ECHO | {0x0800: us(DATA_SET)}),
    "a store without a data set": (STORE, STORE | {0x0800: us(NO_DATA_SET)}),
    "a cancellation with a data set": (cancel_elements(), cancel_elements() | {0x0800: us(DATA_SET)}),
    "a cancellation of nothing": (cancel_elements(), without(cancel_elements(), 0x0120)),
    "a move to nowhere": (MOVE, without(MOVE, 0x0600)),
    "a move to blanks": (MOVE, MOVE | {0x0600: b"    "}),
    "a move to two places": (MOVE, MOVE | {0x0600: b"WS_1\\WS_2"}),
    "a move to 17 characters": (MOVE | {0x0600: b"W" * 16 + b" "}, MOVE | {0x0600: b"W" * 17}),
    "a move to a control character": (MOVE, MOVE | {0x0600: b"WS_1\0"}),
    "a move to what is not ASCII": (MOVE, MOVE | {0x0600: b"WS_\xe4"}),
    "a destination without a move": (ECHO | {0x0600: b""}, ECHO | {0x0600: ae("WS_1")}),
    "a request that responds": (ECHO, ECHO | {0x0120: us(1)}),
    "a request with a status": (ECHO, ECHO | {0x0900: us(0)}),
    "a response to nothing": (RESPONSE, without(RESPONSE, 0x0120)),
    "a response without a status": (RESPONSE, without(RESPONSE, 0x0900)),
}


@pytest.mark.parametrize(("twin", "broken"), BROKEN.values(), ids=BROKEN)
@pytest.mark.threat("D2")
def test_a_command_that_says_too_little_or_two_things_is_refused(twin: Elements, broken: Elements) -> None:
    assert parse(command_set(twin))
    with pytest.raises(WireError):
        parse(command_set(broken))


SOUND = command_set(ECHO)
PARTS = [element(number, ECHO[number]) for number in sorted(ECHO)]


def grouped(body: bytes, difference: int = 0) -> bytes:
    return element(0, struct.pack("<I", len(body) + difference)) + body


BROKEN_BYTES = {
    "nothing": b"",
    "short": SOUND[:-1],
    "a header without a value": SOUND + b"\0\0\1\x10",
    "beyond the end": grouped(b"".join(PARTS[:-1]) + element(0x0800, us(1))[:-2]),
    "no group length": b"".join(PARTS),
    "group length too small": grouped(b"".join(PARTS), -1),
    "group length too large": grouped(b"".join(PARTS), 1),
    "group length of two bytes": element(0, us(len(b"".join(PARTS)))) + b"".join(PARTS),
    "group length twice": grouped(b"".join([element(0, bytes(4)), *PARTS])),
    "unordered": grouped(b"".join(reversed(PARTS))),
    "duplicated": grouped(b"".join([PARTS[0], *PARTS])),
    "another group": grouped(b"".join(PARTS) + element(0x0010, b"X", group=0x0010)),
    "another group in front": element(0x0010, b"X", group=0x0010) + SOUND,
    "undefined length": grouped(b"".join(PARTS[:-1]) + struct.pack("<HHI", 0, 0x0800, 0xFFFFFFFF) + us(1)),
    "huge": grouped(b"".join(PARTS) + element(0x5110, bytes(MAX_COMMAND_SET))),
    "explicit VR": b"\0\0\0\0UL\4\0" + struct.pack("<I", 10) + b"\0\0\0\1US\2\0" + us(0x30),
    "big endian": struct.pack(">HHII", 0, 0, 4, 10) + struct.pack(">HHIH", 0, 0x0100, 2, 0x30),
}


@pytest.mark.parametrize("broken", BROKEN_BYTES.values(), ids=BROKEN_BYTES)
@pytest.mark.threat("D2")
def test_a_command_set_out_of_shape_is_refused(broken: bytes) -> None:
    assert parse(SOUND) == parse(grouped(b"".join(PARTS)))
    with pytest.raises(WireError):
        parse(broken)


def test_a_command_set_may_be_as_long_as_the_limit() -> None:
    filling = MAX_COMMAND_SET - len(SOUND) - 8
    assert parse(grouped(b"".join(PARTS) + element(0x5110, bytes(filling)))) == parse(SOUND)
    with pytest.raises(WireError, match="more than"):
        parse(grouped(b"".join(PARTS) + element(0x5110, bytes(filling + 1))))


def test_every_prefix_is_refused() -> None:
    for end in range(len(SOUND)):
        with pytest.raises(WireError):
            parse(SOUND[:end])


# Assembly


def assembled(*pdus: bytes) -> list[Message]:
    assembly = Assembly(lambda message: None)
    return [completed for pdu in pdus if (completed := assembly.add(pdu))]


def test_a_message_is_the_same_however_it_is_cut() -> None:
    data = command_set(STORE)
    (whole,) = assembled(p_data(value(1, COMMAND | LAST, data), value(1, LAST, IDENTIFIER)))
    assert whole == Message(1, parse(data))
    for cut in range(len(data) + 1):
        head, tail = value(1, COMMAND, data[:cut]), value(1, COMMAND | LAST, data[cut:])
        rest = value(1, 0, IDENTIFIER[:3]), value(1, LAST, IDENTIFIER[3:])
        assert assembled(p_data(head, tail, *rest)) == [whole]
        assert assembled(p_data(head), p_data(tail), p_data(rest[0]), p_data(rest[1])) == [whole]
    bytewise = [p_data(value(1, COMMAND, data[at : at + 1])) for at in range(len(data) - 1)]
    assert assembled(*bytewise, p_data(value(1, COMMAND | LAST, data[-1:])), p_data(value(1, LAST, b""))) == [whole]


def test_messages_follow_each_other_on_different_contexts() -> None:
    echo, store = request("C-ECHO", VERIFICATION, 1), message(STORE, None, 3)
    sent = [echo, store, p_data(value(3, LAST, IDENTIFIER)), echo]
    assert [each.context_id for each in assembled(*sent)] == [1, 3, 1]


def test_bits_of_the_control_header_that_mean_nothing_are_ignored() -> None:
    """They are "never checked by the receiver" (PS3.8 E.2)."""
    assert len(assembled(p_data(value(1, 0xFC | COMMAND | LAST, SOUND)))) == 1


HALF = value(1, COMMAND, SOUND[:20])
REST = value(1, COMMAND | LAST, SOUND[20:])
BEGUN = value(3, COMMAND | LAST, command_set(STORE))

CONFUSED: dict[str, list[bytes]] = {
    "no value": [p_data()],
    "a value that is too long": [p_data(HALF, REST)[:-1]],
    "a value that is too short": [p_data(struct.pack(">IB", 1, 1))],
    "an empty value": [p_data(struct.pack(">I", 0))],
    "half a header": [p_data(value(1, COMMAND, b"")[:3])],
    "a data set first": [p_data(value(1, LAST, IDENTIFIER))],
    "a data set amid the command": [p_data(HALF), p_data(value(1, LAST, IDENTIFIER))],
    "another context amid the command": [p_data(HALF), p_data(value(3, COMMAND | LAST, SOUND))],
    "another context for the rest of the command": [p_data(HALF, value(3, COMMAND | LAST, SOUND[20:]))],
    "another context for the data set": [p_data(BEGUN), p_data(value(1, LAST, IDENTIFIER))],
    "another message amid the data set": [p_data(BEGUN), p_data(value(1, COMMAND | LAST, SOUND))],
    "another command amid the data set": [p_data(BEGUN), p_data(value(3, 0, b"")), p_data(BEGUN)],
    "two messages in a PDU": [p_data(HALF, REST, HALF, REST)],
    "more data than the last": [p_data(BEGUN, value(3, LAST, b""), value(3, LAST, b""))],
    "a command without an end": [p_data(value(1, COMMAND, bytes(8000)))] * 3,
}


@pytest.mark.parametrize("pdus", CONFUSED.values(), ids=CONFUSED)
@pytest.mark.threat("D3")
def test_fragments_that_make_no_one_message_are_refused(pdus: list[bytes]) -> None:
    assert len(assembled(p_data(HALF, REST), p_data(BEGUN), p_data(value(3, LAST, b"")))) == 2
    with pytest.raises(WireError):
        assembled(*pdus)


def test_a_message_is_checked_before_its_data_set_is_taken() -> None:
    checked: list[Message] = []
    assembly = Assembly(checked.append)
    assert assembly.add(p_data(BEGUN)) is None
    assert [each.context_id for each in checked] == [3]

    def refuse(message: Message) -> None:
        raise WireError("here", message.command.kind)

    with pytest.raises(WireError, match="C-STORE"):
        Assembly(refuse).add(p_data(BEGUN))


def test_a_data_set_is_as_long_as_the_check_says_and_no_longer() -> None:
    assembly = Assembly(lambda message: 5)
    half, rest = p_data(value(3, 0, b"123")), p_data(value(3, LAST, b"45"))
    for pdu in 2 * [p_data(BEGUN), half, rest]:
        last = assembly.add(pdu)
    assert last is not None
    assembly.add(p_data(BEGUN, value(3, 0, b"123")))
    with pytest.raises(WireError, match="C-STORE"):
        assembly.add(p_data(value(3, 0, b"456")))
