"""What a peer is told: every row of the design's table of answers, on the wire."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.lib.pdus import (
    APPLICATION_CONTEXT,
    CT_IMAGE_STORAGE,
    MAXIMUM_LENGTH,
    VERIFICATION,
    associate_rq,
    item,
    pdu,
    presentation_context,
    user_identity,
)
from tests.lib.rawpeer import HANG, Ending, Pdu, PduType, RawPeer
from tests.pynetdicom.support import PASSCODE, Acceptor, ask, usual_policy
from useridentity import CheckContext, Credential, Facts, FunctionValidator, Policy, Rule, Verified

Accept = Callable[..., Acceptor]

ALICE = user_identity(1, b"alice")
PROVED_ALICE = user_identity(2, b"alice", PASSCODE)
REFUSED = (1, 2, 1)


def sub_item(content: str, kind: int = 0x58) -> bytes:
    return item(kind, bytes.fromhex(content))


def with_two_user_informations() -> bytes:
    """Two 50H items, the identity in the second, where stock would find it."""
    rq = associate_rq()
    second = item(0x50, MAXIMUM_LENGTH + ALICE)
    return pdu(1, rq[6:] + second)


def with_identity_outside() -> bytes:
    """A 58H beside the user information item, not in it."""
    return pdu(1, associate_rq()[6:] + ALICE)


MALFORMED = {
    "two of them": ALICE + ALICE,
    "a 59H in a request": ALICE + sub_item("0000", 0x59),
    "empty": sub_item(""),
    "too short for its fields": sub_item("01 00 0000"),
    "primary field overruns": sub_item("01 00 0006 616c696365 0000"),
    "primary field falls short": sub_item("01 00 0004 616c696365 0000"),
    "secondary field overruns": sub_item("02 00 0005 616c696365 0003 7077"),
    "secondary field falls short": sub_item("02 00 0005 616c696365 0001 7077"),
    "no secondary length": sub_item("01 00 0005 616c696365"),
    "secondary field with type 1": user_identity(1, b"alice", b"pw"),
    "secondary field with type 5": user_identity(5, b"a.b.c", b"pw"),
    "overruns the item that holds it": bytes.fromhex("5800 0040 01 00 0005 616c696365 0000"),
}


@pytest.mark.parametrize("items", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.threat("T3")
def test_a_malformed_identity_is_rejected_at_once(accept: Accept, items: bytes) -> None:
    acceptor = accept()
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    acceptor.life().clear()
    assert ask(acceptor, items).answer == REFUSED
    assert acceptor.life() == ["EVT_CONN_OPEN", "EVT_REJECTED", "EVT_CONN_CLOSE"]


@pytest.mark.parametrize("build", [with_two_user_informations, with_identity_outside])
@pytest.mark.threat("T3")
def test_a_misplaced_identity_is_rejected_at_once(accept: Accept, build: Callable[[], bytes]) -> None:
    acceptor = accept()
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    with RawPeer(acceptor.port) as peer:
        peer.send(build())
        assert peer.read_pdu().answer == REFUSED
        assert peer.read_pdu() is Ending.CLOSED
    acceptor.settle()


@pytest.mark.parametrize("identity_type", [0, 3, 4, 5, 6, 255])
@pytest.mark.threat("T2")
def test_a_type_no_validator_claims_is_rejected(accept: Accept, identity_type: int) -> None:
    acceptor = accept()
    assert ask(acceptor, user_identity(identity_type, b"alice")).answer == REFUSED
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC


@pytest.mark.threat("T1")
def test_no_identity_is_rejected(accept: Accept) -> None:
    acceptor = accept()
    assert ask(acceptor, PROVED_ALICE).type is PduType.ASSOCIATE_AC
    assert ask(acceptor).answer == REFUSED


@pytest.mark.parametrize("wrong", [(b"alice", b"wrong"), (b"mallory", PASSCODE), (b"", PASSCODE), (b"\xff", PASSCODE)])
@pytest.mark.threat("T8")
def test_whatever_is_wrong_with_a_credential_the_answer_is_the_same(accept: Accept, wrong: Any) -> None:
    acceptor = accept()
    assert ask(acceptor, PROVED_ALICE).type is PduType.ASSOCIATE_AC
    assert ask(acceptor, user_identity(2, *wrong)) == Pdu(PduType.ASSOCIATE_RJ, bytes([0, *REFUSED]))


# What is settled before any credential is looked at


def sub(rq: bytes, at: int, new: bytes) -> bytes:
    return rq[:at] + new + rq[at + len(new) :]


OTHER_APPLICATION_CONTEXT = associate_rq(PROVED_ALICE).replace(APPLICATION_CONTEXT.encode(), b"1.2.840.10008.3.1.1.9")
BEFORE_CREDENTIALS: dict[str, tuple[bytes, dict[str, Any], tuple[int, int, int]]] = {
    "called AE title": (associate_rq(PROVED_ALICE, called="OTHER"), {"require_called_aet": True}, (1, 1, 7)),
    "calling AE title": (associate_rq(PROVED_ALICE), {"require_calling_aet": ["CT_1"]}, (1, 1, 3)),
    "application context": (OTHER_APPLICATION_CONTEXT, {}, (1, 1, 2)),
    "protocol version": (sub(associate_rq(PROVED_ALICE), 6, b"\0\2"), {}, (1, 2, 2)),
}


def watched() -> tuple[Policy, list[Credential | None]]:
    """A policy that accepts whoever presents type 2, and a list of what it was asked about."""
    asked: list[Credential | None] = []
    usual = usual_policy().rules[0].accept[1]

    def validate(presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        asked.append(presented)
        return usual.validate(presented, facts, context)

    return Policy([Rule([FunctionValidator("watched", 2, validate)])]), asked


@pytest.mark.parametrize(("request_pdu", "settings", "answer"), BEFORE_CREDENTIALS.values(), ids=BEFORE_CREDENTIALS)
@pytest.mark.threat("T9")
def test_what_is_wrong_before_credentials_is_answered_without_them(
    accept: Accept,
    request_pdu: bytes,
    settings: dict[str, Any],
    answer: tuple[int, int, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy, asked = watched()
    acceptor = accept(policy, **settings)
    with RawPeer(acceptor.port) as peer:
        peer.send(request_pdu)
        assert peer.read_pdu().answer == answer
    assert asked == []
    assert "EVT_REJECTED" in acceptor.life()
    assert 'outcome="rejected"' in caplog.text
    assert ask(acceptor, PROVED_ALICE, called="ARCHIVE", calling="CT_1").type is PduType.ASSOCIATE_AC
    assert len(asked) == 1


@pytest.mark.threat("T9")
def test_capacity_is_answered_before_credentials(accept: Accept) -> None:
    policy, asked = watched()
    acceptor = accept(policy, maximum_associations=1)
    with RawPeer(acceptor.port) as first:
        first.send(associate_rq(PROVED_ALICE))
        assert first.read_pdu().type is PduType.ASSOCIATE_AC
        assert ask(acceptor, PROVED_ALICE).answer == (2, 3, 2)
        assert len(asked) == 1
    acceptor.settle()
    assert ask(acceptor, PROVED_ALICE).type is PduType.ASSOCIATE_AC


def test_further_protocol_versions_and_a_missing_application_context_are_accepted(accept: Accept) -> None:
    acceptor = accept()
    without = pdu(1, associate_rq(ALICE)[6:].replace(item(0x10, APPLICATION_CONTEXT.encode()), b""))
    for request_pdu in (sub(associate_rq(ALICE), 6, b"\x80\x03"), without):
        with RawPeer(acceptor.port) as peer:
            peer.send(request_pdu)
            assert peer.read_pdu().type is PduType.ASSOCIATE_AC


# Malformed PDUs

TRUNCATED_ITEM = pdu(1, associate_rq(ALICE)[6:] + b"\x10\x00\x00\x20rest")
NOT_ASSOCIATE = {
    "P-DATA-TF": pdu(4, struct.pack(">IBB", 2, 1, 3)),
    "A-ASSOCIATE-AC": pdu(2, associate_rq()[6:]),
    "A-RELEASE-RQ": pdu(5, bytes(4)),
    "an unknown type": pdu(0x42, bytes(4)),
    "HTTP": b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303"),
    "no fixed fields": pdu(1, b"\0\1"),
    "an item that overruns": TRUNCATED_ITEM,
    "300 MB announced": struct.pack(">BxI", 1, 300_000_000) + bytes(68),
    "4 GB announced": struct.pack(">BxI", 1, 0xFFFFFFFF),
    "a context without transfer syntax": associate_rq(ALICE, contexts=(presentation_context(1, CT_IMAGE_STORAGE, ()),)),
    "an even context identifier": associate_rq(ALICE, contexts=(presentation_context(2, VERIFICATION),)),
    "a blank AE title": associate_rq(ALICE, called=""),
}


@pytest.mark.parametrize("sent", NOT_ASSOCIATE.values(), ids=NOT_ASSOCIATE)
@pytest.mark.threat("T5")
def test_a_malformed_pdu_is_aborted_and_the_connection_closed(accept: Accept, sent: bytes) -> None:
    acceptor = accept()
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    acceptor.life().clear()
    with RawPeer(acceptor.port) as peer:
        peer.send(sent)
        answer = peer.read_pdu()
        assert isinstance(answer, Pdu)
        assert answer.type is PduType.ABORT
        assert answer.body[2] == 2  # by the UL service-provider
        assert peer.read_pdu() is Ending.CLOSED
    assert acceptor.life() == ["EVT_CONN_OPEN", "EVT_CONN_CLOSE"]


def test_a_peer_that_aborts_before_asking_is_let_go(accept: Accept) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        peer.send(pdu(7, bytes(4)))
        assert peer.read_pdu() is Ending.CLOSED
    assert acceptor.life() == ["EVT_CONN_OPEN", "EVT_CONN_CLOSE"]


# The server response


def server_response(answer: Pdu) -> bytes | None:
    """The content of the 59H in an A-ASSOCIATE-AC, found by its own walk over the items."""
    assert answer.type is PduType.ASSOCIATE_AC
    at = 68
    while answer.body[at] != 0x50:
        at += 4 + int.from_bytes(answer.body[at + 2 : at + 4])
    end, at = at + 4 + int.from_bytes(answer.body[at + 2 : at + 4]), at + 4
    while at < end:
        length = int.from_bytes(answer.body[at + 2 : at + 4])
        if answer.body[at] == 0x59:
            return answer.body[at + 4 : at + 4 + length]
        at += 4 + length
    return None


@pytest.mark.parametrize("identity", [(1, b"alice", b""), (2, b"alice", PASSCODE)], ids=["type 1", "type 2"])
def test_a_positive_response_is_given_where_it_was_asked_for(accept: Accept, identity: Any) -> None:
    acceptor = accept()
    asked, unasked = (user_identity(*identity, positive_response_requested=ask) for ask in (True, False))
    assert server_response(ask(acceptor, asked)) == b"\0\0"
    assert server_response(ask(acceptor, unasked)) is None


@pytest.mark.parametrize("items", [(), (user_identity(2, b"x", b"y", positive_response_requested=True),)])
def test_an_unguarded_server_confirms_nothing(accept: Accept, items: tuple[bytes, ...]) -> None:
    assert server_response(ask(accept(Policy.unguarded()), *items)) is None


def test_an_unguarded_server_refuses_a_malformed_identity_all_the_same(accept: Accept) -> None:
    assert ask(accept(Policy.unguarded()), MALFORMED["two of them"]).answer == REFUSED


def test_unknown_user_sub_items_are_ignored(accept: Accept) -> None:
    """PS3.7 D.2."""
    assert ask(accept(), sub_item("00ff", 0x5A), ALICE).type is PduType.ASSOCIATE_AC


def test_a_request_in_single_octets_is_read_as_one(accept: Accept) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        for octet in associate_rq(ALICE):
            peer.send(bytes([octet]))
        assert peer.read_pdu(HANG).type is PduType.ASSOCIATE_AC
