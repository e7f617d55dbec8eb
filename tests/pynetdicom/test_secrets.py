"""A passcode is seen by the policy and by nobody else: no log, no event, no object keeps it."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom._handlers import debug_data
from pynetdicom.association import Association

from tests.lib.pdus import associate_rq, user_identity
from tests.lib.rawpeer import PduType, RawPeer
from tests.pynetdicom.fake_acceptor import FakeAcceptor, associate_ac, server_response
from tests.pynetdicom.support import PASSCODE, Acceptor, establish, requestor, until
from useridentity import Credential, NotConfirmed, Policy, Rule, UsernamePasscode, passcode_check
from useridentity.pynetdicom import outcome_of

Accept = Callable[..., Acceptor]

ALICE = UsernamePasscode("alice", PASSCODE, plaintext="allow")
MALLORY = UsernamePasscode("alice", PASSCODE + b"-and-more", plaintext="allow")
NOTED = [
    evt.EVT_DATA_RECV, evt.EVT_DATA_SENT, evt.EVT_PDU_RECV, evt.EVT_PDU_SENT, evt.EVT_ACSE_RECV, evt.EVT_ACSE_SENT,
    evt.EVT_REQUESTED, evt.EVT_ACCEPTED, evt.EVT_REJECTED,
]  # fmt: skip


class Overheard:
    """All that any handler and any logger was told."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._told: list[Any] = []
        self.handlers: list[Any] = [(event, self._note) for event in NOTED]
        self.handlers += [(evt.EVT_DATA_RECV, debug_data), (evt.EVT_DATA_SENT, debug_data)]

    def _note(self, event: evt.Event) -> None:
        self._told.append(vars(event))

    def everything(self) -> bytes:
        written = "".join(self._caplog.handler.format(record) for record in self._caplog.records)
        octets = b"".join(each for told in self._told for each in octets_in(told))
        return written.encode() + octets + repr(self._told).encode()


def octets_in(told: dict[str, Any]) -> Iterator[bytes]:
    for value in told.values():
        if isinstance(value, bytes | bytearray):
            yield bytes(value)
        elif hasattr(value, "encode") and not isinstance(value, str):
            yield value.encode()


@pytest.fixture
def overheard(caplog: pytest.LogCaptureFixture) -> Overheard:
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("pynetdicom", "useridentity")):
            caplog.set_level(logging.DEBUG, name)
    return Overheard(caplog)


def forms_of(secret: bytes) -> list[bytes]:
    """As text, and as the hexadecimal dumps that pynetdicom writes."""
    return [secret, secret.hex().encode(), secret.hex(" ").encode(), secret.hex(" ").upper().encode()]


@pytest.mark.parametrize("identity", [ALICE, MALLORY], ids=["accepted", "rejected"])
@pytest.mark.threat("T21")
def test_nothing_that_is_logged_or_told_holds_the_passcode(
    accept: Accept, overheard: Overheard, identity: UsernamePasscode
) -> None:
    acceptor = accept(handlers=overheard.handlers)
    assoc = requestor().associate("127.0.0.1", acceptor.port, identity=identity, evt_handlers=overheard.handlers)
    assert assoc.is_established == (identity is ALICE)
    if assoc.is_established:
        assoc.send_c_echo()
        assoc.release()
    acceptor.settle()
    everything = overheard.everything()
    assert b"A-ASSOCIATE-RQ" in everything
    assert b"1.2.840.10008.1.1" in everything
    for form in forms_of(PASSCODE):
        assert form not in everything


@pytest.mark.parametrize("spoilt", [lambda rq: rq, lambda rq: rq[:-1] + b"\xff", lambda rq: rq[:-3]])
def test_nothing_that_is_logged_about_a_malformed_request_holds_the_passcode(
    accept: Accept, overheard: Overheard, spoilt: Callable[[bytes], bytes]
) -> None:
    acceptor = accept(handlers=overheard.handlers)
    request = spoilt(associate_rq(user_identity(2, b"alice", PASSCODE), user_identity(2, b"alice", PASSCODE)))
    with RawPeer(acceptor.port) as peer:
        peer.send(request)
        peer.half_close()
        peer.read_pdu()
    acceptor.settle()
    for form in forms_of(PASSCODE):
        assert form not in overheard.everything()


@pytest.mark.threat("T21")
def test_nothing_of_a_second_request_on_a_connection_is_logged_or_told(accept: Accept, overheard: Overheard) -> None:
    acceptor = accept(handlers=overheard.handlers)
    with RawPeer(acceptor.port) as peer:
        establish(peer, user_identity(1, b"alice"))
        peer.send(associate_rq(user_identity(2, b"alice", PASSCODE)))
        assert peer.read_pdu().type is PduType.ABORT
    acceptor.settle()
    for form in forms_of(PASSCODE):
        assert form not in overheard.everything()


def test_what_an_acceptor_answers_is_not_logged_either(overheard: Overheard) -> None:
    """A ticket or an assertion in a server response is nobody else's business."""
    with FakeAcceptor(associate_ac(server_response(PASSCODE))) as acceptor:
        assoc = requestor().associate("127.0.0.1", acceptor.port, identity=ALICE, evt_handlers=overheard.handlers)
    assert isinstance(outcome_of(assoc).detail, str)
    for form in forms_of(PASSCODE):
        assert form not in overheard.everything()


def test_a_provider_that_raises_the_secret_does_not_have_it_logged(overheard: Overheard) -> None:
    class Careless:
        credential = Credential(2, b"alice", PASSCODE)

        def confirm(self, response: bytes | None) -> Any:
            raise NotConfirmed("no") from ValueError(PASSCODE)

        def offer(self, peer: object) -> Any:
            return nullcontext(self)

    with FakeAcceptor(associate_ac(server_response())) as acceptor:
        requestor().associate("127.0.0.1", acceptor.port, identity=Careless(), evt_handlers=overheard.handlers)
    for form in forms_of(PASSCODE):
        assert form not in overheard.everything()


# What stays in memory


def reachable(root: object) -> Iterator[object]:
    """Every object that can be reached from `root` without going through code, modules, types or other threads."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, ModuleType | type | FrameType | FunctionType):
            continue
        seen.add(id(each))
        yield each
        waiting += gc.get_referents(each)


def holds(root: object, secret: bytes) -> bool:
    return any(isinstance(each, bytes | bytearray) and secret in each for each in reachable(root))


def test_the_search_for_a_secret_finds_one(accept: Accept) -> None:
    assoc = Association(requestor(), "requestor")
    assert not holds(assoc, PASSCODE)
    assoc.dul._recv_pdu.put(bytearray(b"..." + PASSCODE))  # type: ignore[arg-type]
    assert holds(assoc, PASSCODE)


@pytest.mark.threat("T21")
def test_neither_association_holds_the_passcode_after_the_decision(accept: Accept) -> None:
    fresh = b"fresh-" + PASSCODE[:-4]  # none that this module or the policy holds
    check = passcode_check(lambda name, passcode: passcode.startswith(b"fresh-"), plaintext="allow")
    acceptor = accept(Policy([Rule([check])]))
    assoc = requestor().associate(
        "127.0.0.1", acceptor.port, identity=UsernamePasscode("alice", lambda: bytes(fresh), plaintext="allow")
    )
    assert assoc.is_established
    (accepted,) = acceptor.server.active_associations
    until(lambda: not stack_holds(accepted.ident, fresh))  # the peer knows before the calls have returned
    for held_by in (assoc, accepted):
        assert not holds(held_by, fresh)
    assert not stack_holds(accepted.dul.ident, fresh)
    assert not stack_holds(assoc.dul.ident, fresh)
    assoc.release()
    until(lambda: not accepted.is_alive())


def stack_holds(thread: int | None, secret: bytes) -> bool:
    """Whether a local variable of a running thread leads to the secret."""
    assert thread is not None
    frame: FrameType | None = sys._current_frames()[thread]
    while frame is not None:
        if any(holds(value, secret) for value in frame.f_locals.values()):
            return True
        frame = frame.f_back
    return False
