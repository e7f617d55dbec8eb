"""What the installed base gets wrong in an A-ASSOCIATE PDU is accepted, and stock pynetdicom reads what it meant."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import NamedTuple

import pytest
from pynetdicom.pdu_primitives import A_ASSOCIATE

from tests.fuzz.oracle import stock_pdu, stock_primitive
from tests.lib.pdus import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS_UID,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MAXIMUM_LENGTH,
    VERIFICATION,
    associate_rq,
    item,
    pdu,
    user_identity,
)
from tests.lib.rawpeer import PduType, RawPeer
from tests.lib.stock import StockScp
from tests.wire.vectors import associate_ac, with_user_information
from useridentity.wire import ASSUMED_MAXIMUM_LENGTH, decode

UID = VERIFICATION.encode()
ABSTRACT = item(0x30, UID)
TRANSFER = item(0x40, IMPLICIT_VR_LITTLE_ENDIAN.encode())
CONTEXT = item(0x20, b"\1\0\0\0" + ABSTRACT + TRANSFER)
NAME = item(0x10, APPLICATION_CONTEXT.encode())
REQUEST = associate_rq()
FIXED, USER_INFORMATION = REQUEST[6:74], item(0x50, MAXIMUM_LENGTH + IMPLEMENTATION_CLASS_UID)
ASSUMED = item(0x51, pack(">I", ASSUMED_MAXIMUM_LENGTH))


class Quirk(NamedTuple):
    """What a peer sends, whether stock reads that as it is, and what the peer means."""

    sent: bytes
    stock_reads: bool
    meant: bytes


def fixed(changes: dict[int, bytes]) -> bytes:
    """The ordinary request with other bytes at these places."""
    changed = bytearray(REQUEST)
    for at, value in changes.items():
        changed[at : at + len(value)] = value
    return bytes(changed)


def items(*variable: bytes) -> bytes:
    """A request of these variable items."""
    return pdu(1, FIXED + b"".join(variable))


def context(content: bytes) -> bytes:
    """A request with these sub-items in its presentation context."""
    return associate_rq(contexts=(item(0x20, b"\1\0\0\0" + content),))


def user_data(*sub_items: bytes) -> bytes:
    """A request with these user sub-items and no others."""
    return with_user_information(item(0x50, b"".join(sub_items)))


def counted(uid: bytes) -> bytes:
    """A UID behind its length, as in 54H, 56H and 57H."""
    return pack(">H", len(uid)) + uid


ROLE, EXTENDED = item(0x54, counted(UID) + b"\0\1"), item(0x56, counted(UID) + b"\1\0")
COMMON = item(0x57, counted(UID) + counted(b"1.2") + b"\0\5" + counted(b"1.3"))

QUIRKS = {
    "reserved bytes": Quirk(fixed({1: b"\xff", 8: b"\xff\xff", 42: b"\xff" * 32, 75: b"\xff"}), True, REQUEST),
    "AE titles padded with NUL": Quirk(fixed({10: b"ANY-SCP".ljust(16, b"\0"), 29: b"\0" * 13}), False, REQUEST),
    "AE titles padded with white space": Quirk(fixed({10: b"\tANY-SCP\r\n", 26: b"   RAW"}), True, REQUEST),
    "no application context": Quirk(items(CONTEXT, USER_INFORMATION), True, items(CONTEXT, USER_INFORMATION)),
    "two application contexts": Quirk(items(NAME, NAME, CONTEXT, USER_INFORMATION), True, REQUEST),
    "application context padded": Quirk(
        items(item(0x10, APPLICATION_CONTEXT.encode() + b"\0"), CONTEXT, USER_INFORMATION), True, REQUEST
    ),
    "application context no UID": Quirk(
        items(item(0x10, b"\xff"), CONTEXT, USER_INFORMATION), False, items(CONTEXT, USER_INFORMATION)
    ),
    "nothing but the fixed fields": Quirk(items(), True, items(item(0x50, ASSUMED))),
    "no presentation context": Quirk(items(NAME, USER_INFORMATION), True, items(NAME, USER_INFORMATION)),
    "items in another order": Quirk(items(USER_INFORMATION, CONTEXT, NAME), True, REQUEST),
    "item of unknown type": Quirk(items(NAME, item(0x60, b"?"), CONTEXT, USER_INFORMATION), False, REQUEST),
    "items out of place": Quirk(items(NAME, CONTEXT, MAXIMUM_LENGTH, USER_INFORMATION, TRANSFER), True, REQUEST),
    "UIDs padded with NUL": Quirk(context(item(0x30, UID + b"\0") + item(0x40, TRANSFER[4:] + b"\0")), True, REQUEST),
    "UIDs padded with NULs": Quirk(context(item(0x30, UID + b"\0\0") + TRANSFER), True, REQUEST),
    "UIDs padded with spaces": Quirk(context(item(0x30, b" " + UID) + item(0x40, TRANSFER[4:] + b" ")), True, REQUEST),
    "UID as long as can be, and padded": Quirk(
        context(item(0x30, b"1" * 64 + b"\0") + TRANSFER), True, context(item(0x30, b"1" * 64) + TRANSFER)
    ),
    "UID that is none": Quirk(context(item(0x30, b"echo") + TRANSFER), True, context(item(0x30, b"echo") + TRANSFER)),
    "abstract syntax last": Quirk(context(TRANSFER + ABSTRACT), True, REQUEST),
    "abstract syntax empty": Quirk(context(item(0x30, b"") + TRANSFER), True, context(item(0x30, b"") + TRANSFER)),
    "two abstract syntaxes": Quirk(context(item(0x30, b"1.2") + ABSTRACT + TRANSFER), True, REQUEST),
    "an empty transfer syntax": Quirk(context(ABSTRACT + item(0x40, b"") + TRANSFER), True, REQUEST),
    "unknown sub-item in a context": Quirk(context(ABSTRACT + item(0x41, b"") + TRANSFER), False, REQUEST),
    "sub-item out of place in a context": Quirk(context(MAXIMUM_LENGTH + ABSTRACT + TRANSFER), True, REQUEST),
    "a context twice": Quirk(associate_rq(contexts=(CONTEXT,) * 2), True, associate_rq(contexts=(CONTEXT,) * 2)),
    "no user information": Quirk(with_user_information(), True, user_data(ASSUMED)),
    "user information empty": Quirk(user_data(), True, user_data(ASSUMED)),
    "no maximum length": Quirk(user_data(IMPLEMENTATION_CLASS_UID), True, user_data(ASSUMED, IMPLEMENTATION_CLASS_UID)),
    "maximum length too short": Quirk(user_data(item(0x51, b"\x40\0")), False, user_data(ASSUMED)),
    "maximum length too long": Quirk(user_data(item(0x51, b"\0\0\0\0\x40\0\0\0")), False, user_data(ASSUMED)),
    "two maximum lengths": Quirk(associate_rq(MAXIMUM_LENGTH), True, associate_rq(MAXIMUM_LENGTH)),
    "no implementation class UID": Quirk(user_data(MAXIMUM_LENGTH), True, user_data(MAXIMUM_LENGTH)),
    "implementation class UID padded": Quirk(
        user_data(MAXIMUM_LENGTH, item(0x52, IMPLEMENTATION_CLASS_UID[4:] + b"\0")), True, REQUEST
    ),
    "implementation class UID too long": Quirk(
        user_data(MAXIMUM_LENGTH, item(0x52, b"1" * 65)), False, user_data(MAXIMUM_LENGTH)
    ),
    "unknown user sub-item": Quirk(associate_rq(item(0x5A, b"?")), False, REQUEST),
    "no maximum length, and just room for one": Quirk(
        user_data(item(0x56, counted(UID) + bytes(65504))),
        True,
        user_data(ASSUMED, item(0x56, counted(UID) + bytes(65504))),
    ),
    "no maximum length, and no room for one": Quirk(
        user_data(item(0x56, counted(UID) + bytes(65505))), True, user_data(ASSUMED)
    ),
    "user sub-item out of place": Quirk(associate_rq(NAME), False, REQUEST),
    "operations window too long": Quirk(
        associate_rq(item(0x53, b"\0\2\0\1\0")), True, associate_rq(item(0x53, b"\0\2\0\1"))
    ),
    "operations window too short": Quirk(associate_rq(item(0x53, b"\0\2")), False, REQUEST),
    "role selection padded": Quirk(associate_rq(item(0x54, counted(UID + b"\0") + b"\0\1?")), True, associate_rq(ROLE)),
    "role selection without a role": Quirk(associate_rq(item(0x54, counted(UID) + b"\1")), False, REQUEST),
    "role selection of role 2": Quirk(associate_rq(item(0x54, counted(UID) + b"\1\2")), False, REQUEST),
    "version name padded with NUL": Quirk(
        associate_rq(item(0x55, b"OLD_1\0")), False, associate_rq(item(0x55, b"OLD_1"))
    ),
    "version name too long": Quirk(
        associate_rq(item(0x55, b"A_RATHER_LONG_NAME")), False, associate_rq(item(0x55, b"A_RATHER_LONG_NA"))
    ),
    "version name not ASCII": Quirk(associate_rq(item(0x55, b"\xd6LD_1")), False, REQUEST),
    "extended negotiation padded": Quirk(
        associate_rq(item(0x56, counted(UID + b" ") + b"\1\0")), True, associate_rq(EXTENDED)
    ),
    "extended negotiation cut short": Quirk(associate_rq(item(0x56, b"\0\x99" + UID)), True, REQUEST),
    "common extended negotiation padded": Quirk(
        associate_rq(item(0x57, counted(UID + b"\0") + counted(b"1.2\0") + b"\0\6" + counted(b"1.3\0"))),
        True,
        associate_rq(COMMON),
    ),
    "common extended negotiation miscounted": Quirk(
        associate_rq(COMMON.replace(b"\0\5", b"\0\x99")), True, associate_rq(COMMON)
    ),
    "common extended negotiation of nothing": Quirk(
        associate_rq(item(0x57, counted(UID + b" ") + counted(b"1.2") + b"\0\0")),
        True,
        associate_rq(item(0x57, counted(UID) + counted(b"1.2") + b"\0\0")),
    ),
    "common extended negotiation cut short": Quirk(associate_rq(item(0x57, COMMON[4:-1])), False, REQUEST),
}

RESULT = item(0x21, b"\3\0\3\0" + TRANSFER)  # for what follows an accepted context: rejected, abstract syntax


def answer(*variable: bytes) -> bytes:
    """An A-ASSOCIATE-AC of these items beside an application context and an accepted presentation context."""
    return pdu(2, FIXED + NAME + item(0x21, b"\1\0\0\0" + TRANSFER) + b"".join(variable))


ANSWER_QUIRKS = {
    "reserved AE titles": Quirk(associate_ac()[:10] + b"\xff\0\\" * 10 + associate_ac()[40:], True, associate_ac()),
    "no user information": Quirk(answer(), True, answer(item(0x50, ASSUMED))),
    "unknown items": Quirk(answer(item(0x60, b""), USER_INFORMATION), False, answer(USER_INFORMATION)),
    "transfer syntax padded": Quirk(
        pdu(2, FIXED + NAME + item(0x21, b"\1\0\0\0" + item(0x40, TRANSFER[4:] + b"\0")) + USER_INFORMATION),
        True,
        answer(USER_INFORMATION),
    ),
    "abstract syntax in the answer": Quirk(
        pdu(2, FIXED + NAME + item(0x21, b"\1\0\0\0" + ABSTRACT + TRANSFER) + USER_INFORMATION),
        False,
        answer(USER_INFORMATION),
    ),
    "rejected context without transfer syntax": Quirk(
        answer(item(0x21, RESULT[4:8]), USER_INFORMATION), True, answer(item(0x21, RESULT[4:8]), USER_INFORMATION)
    ),
    "rejected context with rubbish": Quirk(
        answer(item(0x21, RESULT[4:8] + item(0x40, b"\xff")), USER_INFORMATION),
        False,
        answer(item(0x21, RESULT[4:8]), USER_INFORMATION),
    ),
    "rejected context with a long name": Quirk(
        answer(item(0x21, RESULT[4:8] + item(0x40, b"1" * 65)), USER_INFORMATION),
        False,
        answer(item(0x21, RESULT[4:8]), USER_INFORMATION),
    ),
    "58H sent back": Quirk(associate_ac(user_identity(6, b"alice")), False, associate_ac()),
}


def read(sent: bytes) -> tuple[object, ...]:
    """All that stock's ACSE gets from a PDU; what of it is reserved in an acceptance is left out."""
    primitive: A_ASSOCIATE = stock_primitive(sent)
    return (
        sent[0] == 2 or (primitive.called_ae_title, primitive.calling_ae_title),
        primitive.application_context_name,
        primitive.presentation_context_definition_list,
        primitive.presentation_context_definition_results_list,
        primitive.user_information,
    )


def stock_reads(sent: bytes) -> bool:
    """Whether stock reads these bytes without raising."""
    try:
        read(sent)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("quirk", [*QUIRKS.values(), *ANSWER_QUIRKS.values()], ids=[*QUIRKS, *ANSWER_QUIRKS])
def test_stock_reads_in_the_normalised_pdu_what_the_peer_meant(quirk: Quirk) -> None:
    """Also where it reads something else, or nothing, in the PDU as sent."""
    assert stock_reads(quirk.sent) is quirk.stock_reads
    found = decode(quirk.sent)
    assert found.encode() == quirk.sent
    assert read(found.normalised()) == read(quirk.meant)
    assert decode(found.normalised()).normalised() == found.normalised()


def test_further_protocol_versions_are_left_out() -> None:
    """Only bit 0 is to be tested (PS3.8 Table 9-11); stock rejects a peer that knows a later version too."""
    newer = decode(fixed({6: b"\x80\x03"}))
    assert newer.protocol_version == 0x8003
    assert stock_pdu(newer.normalised()).protocol_version == 1


@pytest.mark.parametrize("version", [0, 2])
def test_a_peer_that_lacks_version_1_is_read_all_the_same(version: int) -> None:
    """The acceptor answers it with (1,2,2); stock's upper layer would do so before anybody can log it."""
    found = decode(fixed({6: pack(">H", version)}))
    assert found.protocol_version == version
    assert stock_pdu(found.normalised()).protocol_version == 1


C_ECHO_RQ = pack("<HHII", 0, 0, 4, 56) + b"".join(
    (
        pack("<HHI", 0, 0x0002, 18) + UID + b"\0",
        *(pack("<HHIH", 0, tag, 2, value) for tag, value in ((0x0100, 0x30), (0x0110, 1), (0x0800, 0x101))),
    )
)


def ask_echo(peer: RawPeer) -> PduType:
    """What comes back for a C-ECHO on presentation context 1."""
    value = b"\1\3" + C_ECHO_RQ
    peer.send(pdu(4, pack(">I", len(value)) + value))
    return peer.read_pdu().type


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # pydicom's, in stock's threads
def test_a_peer_with_any_quirk_associates_with_stock_and_is_answered(stock_scp: Callable[..., StockScp]) -> None:
    """The normalised bytes, over a socket: an acceptance, and a C-ECHO where the peer proposed Verification."""
    scp = stock_scp()
    echoed = 0
    for name, quirk in QUIRKS.items():
        with RawPeer(scp.port) as peer:
            peer.send(decode(quirk.sent).normalised())
            assert peer.read_pdu().type is PduType.ASSOCIATE_AC, name
            if CONTEXT[8:] in quirk.meant:
                assert ask_echo(peer) is PduType.P_DATA_TF, name
                echoed += 1
    assert scp.requests == ["C_ECHO"] * echoed
    assert echoed > len(QUIRKS) - 6


def test_stock_answers_no_peer_that_states_no_maximum_length(stock_scp: Callable[..., StockScp]) -> None:
    """It associates, and aborts over the first response: the reason why one is assumed."""
    with RawPeer(stock_scp().port) as peer:
        peer.send(QUIRKS["no maximum length"].sent)
        assert peer.read_pdu().type is PduType.ASSOCIATE_AC
        assert ask_echo(peer) is PduType.ABORT
