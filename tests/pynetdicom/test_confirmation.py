"""What an acceptor's answer means to a requestor that wanted its identity confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.association import Association

from tests.lib.pdus import user_identity
from tests.lib.rawpeer import PduType
from tests.pynetdicom.fake_acceptor import FakeAcceptor, associate_ac, rejection, server_response
from tests.pynetdicom.support import LIFE, Acceptor, requestor, until
from useridentity import Confirmation, Credential, NotConfirmed, Policy, Username, wire
from useridentity.credential import ConfirmationWord
from useridentity.pynetdicom import Outcome, OutcomeKind, outcome_of

Accept = Callable[..., Acceptor]

ACCEPTED, CONFIRMED, NOT_CONFIRMED = OutcomeKind.ACCEPTED, OutcomeKind.CONFIRMED, OutcomeKind.NOT_CONFIRMED
ALICE = Username("alice")
EMPTY, WRONG = server_response(), server_response(b"surprise")
ECHO = user_identity(1, b"alice", positive_response_requested=True)

#                  answered with               required       wanted         none
MATRIX = {
    "nothing": ((), (NOT_CONFIRMED, ACCEPTED, ACCEPTED)),
    "an empty response": ((EMPTY,), (CONFIRMED, CONFIRMED, ACCEPTED)),
    "the 58H echoed": ((ECHO,), (NOT_CONFIRMED, ACCEPTED, ACCEPTED)),
    "the 58H echoed beside a response": ((ECHO, EMPTY), (CONFIRMED, CONFIRMED, ACCEPTED)),
    "a response that has no business here": ((WRONG,), (NOT_CONFIRMED, NOT_CONFIRMED, ACCEPTED)),
    "two responses": ((EMPTY, EMPTY), (NOT_CONFIRMED, NOT_CONFIRMED, NOT_CONFIRMED)),
    "a response that falls short": ((bytes.fromhex("5900 0003 0000 00"),), (NOT_CONFIRMED,) * 3),
    "a response that overruns": ((bytes.fromhex("5900 0002 0005"),), (NOT_CONFIRMED,) * 3),
}
CASES = [
    pytest.param(items, word, kind, id=f"{name}, {word}")
    for name, (items, kinds) in MATRIX.items()
    for word, kind in zip(("required", "wanted", "none"), kinds, strict=True)
]


def associate(port: int, events: list[str] | None = None, identity: Any = ALICE, **arguments: Any) -> Association:
    noted = [] if events is None else events
    names = (evt.EVT_ACCEPTED, evt.EVT_ESTABLISHED, evt.EVT_REJECTED, evt.EVT_ABORTED)
    handlers: list[evt.EventHandlerType] = [(name, lambda event: noted.append(event.event.name)) for name in names]
    return requestor(acse_timeout=0.5).associate(
        "127.0.0.1", port, identity=identity, evt_handlers=handlers, **arguments
    )


@pytest.mark.parametrize(("items", "word", "kind"), CASES)
@pytest.mark.threat("T19")
def test_what_counts_as_a_confirmation(items: tuple[bytes, ...], word: ConfirmationWord, kind: OutcomeKind) -> None:
    events: list[str] = []
    with FakeAcceptor(associate_ac(*items)) as acceptor:
        assoc = associate(acceptor.port, events, confirmation=word)
        assert outcome_of(assoc).kind is kind
        assert assoc.is_established == (kind is not NOT_CONFIRMED)
        if assoc.is_established:
            assoc.abort()
        until(lambda: acceptor.received)
    assert acceptor.received == [PduType.ABORT]
    asked = wire.decode(acceptor.requests[0]).credential
    assert asked is not None
    assert asked.positive_response_requested == (word != "none")
    if kind is NOT_CONFIRMED:
        assert events == ["EVT_ABORTED"]
        assert outcome_of(assoc).detail


class Fixed:
    """A provider of one credential, of whatever type."""

    def __init__(self, credential: Credential, judge: Callable[[bytes | None], Any]) -> None:
        self.credential, self.confirm = credential, judge

    def offer(self, peer: object) -> Any:
        return nullcontext(self)


def judge(server_response: bytes | None) -> Confirmation:
    if server_response is None:
        raise NotConfirmed("nothing")
    return Confirmation("them", mutual=True)


@pytest.mark.parametrize("identity_type", [1, 2, 3, 4, 5, 6])
@pytest.mark.threat("T19")
def test_a_confirmation_is_required_for_every_type(identity_type: int) -> None:
    provider = Fixed(Credential(identity_type, b"token"), judge)
    with FakeAcceptor(associate_ac()) as acceptor:
        assert outcome_of(associate(acceptor.port, identity=provider)).kind is NOT_CONFIRMED
    with FakeAcceptor(associate_ac(server_response(b"proof"))) as acceptor:
        assoc = associate(acceptor.port, identity=provider)
        assert outcome_of(assoc) == Outcome(CONFIRMED, confirmation=Confirmation("them", mutual=True))
        assert assoc.acceptor.user_identity is None
        assoc.abort()


@pytest.mark.parametrize("answer", [None, True, b"", "yes"], ids=repr)
def test_a_provider_that_answers_anything_else_has_not_confirmed(answer: Any) -> None:
    with FakeAcceptor(associate_ac(EMPTY)) as acceptor:
        assoc = associate(acceptor.port, identity=Fixed(Credential(1, b"alice"), lambda response: answer))
        assert outcome_of(assoc).kind is NOT_CONFIRMED


def test_a_provider_that_crashes_has_not_confirmed() -> None:
    def crash(response: bytes | None) -> Confirmation:
        raise KeyError("secret-token")

    with FakeAcceptor(associate_ac(EMPTY)) as acceptor:
        outcome = outcome_of(associate(acceptor.port, identity=Fixed(Credential(1, b"alice"), crash)))
    assert outcome.kind is NOT_CONFIRMED
    assert "KeyError" in outcome.detail
    assert "secret-token" not in str(outcome)


def test_our_own_acceptor_confirms(accept: Accept) -> None:
    assoc = associate(accept().port)
    assert str(outcome_of(assoc)) == "accepted, identity confirmed"
    assoc.release()


def test_an_unguarded_acceptor_confirms_nothing(accept: Accept) -> None:
    acceptor = accept(Policy.unguarded())
    assert outcome_of(associate(acceptor.port)).kind is NOT_CONFIRMED
    assoc = associate(acceptor.port, confirmation="wanted")
    assert outcome_of(assoc).kind is ACCEPTED
    assoc.release()


# How it may end otherwise


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((1, 2, 1), "permanent, by the ACSE, no reason given (1,2,1)"),
        ((2, 2, 1), "transient, by the ACSE, no reason given (2,2,1)"),
        ((2, 3, 2), "transient, by the presentation layer, local limit exceeded (2,3,2)"),
        ((1, 1, 3), "permanent, by the service user, calling AE title not recognized (1,1,3)"),
        ((1, 1, 7), "permanent, by the service user, called AE title not recognized (1,1,7)"),
        ((1, 1, 2), "permanent, by the service user, application context name not supported (1,1,2)"),
        ((1, 2, 2), "permanent, by the ACSE, protocol version not supported (1,2,2)"),
    ],
)
def test_a_rejection_is_told_in_words(answer: tuple[int, int, int], words: str) -> None:
    events: list[str] = []
    with FakeAcceptor(rejection(*answer)) as acceptor:
        assoc = associate(acceptor.port, events)
    outcome = outcome_of(assoc)
    assert (outcome.kind, outcome.answer, outcome.detail) == (OutcomeKind.REJECTED, answer, words)
    assert assoc.is_rejected
    assert events == ["EVT_REJECTED"]


@contextmanager
def answering(answer: bytes, *, close: bool = False) -> Iterator[int]:
    with FakeAcceptor(answer, close=close) as acceptor:
        yield acceptor.port


ABORTED = {
    "an A-ABORT": answering(bytes.fromhex("0700 00000004 00000000")),
    "silence": answering(b""),
    "the end": answering(b"", close=True),
    "three octets": answering(b"\x02\x00\x00"),
    "half an acceptance": answering(associate_ac(EMPTY)[:-4]),
    "half an acceptance and the end": answering(associate_ac(EMPTY)[:-4], close=True),
    "4 GB announced": answering(b"\x02\x00\xff\xff\xff\xff" + bytes(100)),
    "something else": answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a P-DATA-TF": answering(bytes.fromhex("0400 00000006 000000020103")),
    "a request": answering(bytes.fromhex("0100 00000004 00010000")),
    "no context accepted": answering(associate_ac(EMPTY, result=3)),
}


@pytest.mark.parametrize("name", ABORTED)
def test_whatever_else_an_acceptor_does_never_raises(name: str) -> None:
    with ABORTED[name] as port:
        assoc = associate(port)
    assert outcome_of(assoc).kind in (OutcomeKind.ABORTED, NOT_CONFIRMED)
    assert assoc.is_aborted
    assert not assoc.is_established
    if name == "no context accepted":
        assert "none of the presentation contexts" in outcome_of(assoc).detail


def test_an_association_that_its_own_handler_aborts_is_not_established(accept: Accept) -> None:
    acceptor = accept()
    assoc = requestor().associate(
        "127.0.0.1", acceptor.port, identity=Username("alice"),
        evt_handlers=[(evt.EVT_ACCEPTED, lambda event: event.assoc.abort())],
    )  # fmt: skip
    assert not assoc.is_established
    assert outcome_of(assoc).kind is OutcomeKind.ABORTED


def test_only_our_own_associations_have_an_outcome(accept: Accept) -> None:
    with pytest.raises(TypeError, match="requested through"):
        outcome_of(Association(requestor(), "requestor"))


@pytest.mark.parametrize("end", [Association.release, Association.abort])
def test_the_events_of_a_requestor_are_those_of_a_stock_one(accept: Accept, end: Callable[[Any], None]) -> None:
    acceptor = accept(Policy.unguarded())
    stock = AE("SCU")
    stock.requested_contexts = requestor().requested_contexts
    ours, theirs = (requested_events(ae, acceptor.port, end) for ae in (requestor(), stock))
    assert sorted(ours) == sorted(theirs)
    assert ours[:4] == theirs[:4]


def requested_events(ae: AE, port: int, end: Callable[[Any], None]) -> list[str]:
    events: list[str] = []
    handlers: list[evt.EventHandlerType] = [(event, lambda event: events.append(event.event.name)) for event in LIFE]
    assoc = ae.associate("127.0.0.1", port, evt_handlers=handlers)
    assert assoc.send_c_echo().Status == 0
    end(assoc)
    until(lambda: "EVT_CONN_CLOSE" in events and not assoc.is_alive() and not assoc.dul.is_alive())
    return events
