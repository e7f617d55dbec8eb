"""An application's handlers: they fire as pynetdicom's users know them, and none of them opens the door."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.acse import ACSE

from tests.lib.pdus import RELEASE_RQ, associate_rq, pdu, user_identity
from tests.lib.rawpeer import Ending, Pdu, PduType, RawPeer
from tests.lib.stock import stock_scp
from tests.pynetdicom.support import Acceptor, ask, c_echo_rq, establish, record, requestor, until
from useridentity import ConfigurationError, Username
from useridentity.pynetdicom import identity_of

Accept = Callable[..., Acceptor]
Handler = Callable[[evt.Event], Any]

ALICE = user_identity(1, b"alice")

EARLY = [
    evt.EVT_CONN_OPEN, evt.EVT_DATA_RECV, evt.EVT_PDU_RECV, evt.EVT_ACSE_RECV, evt.EVT_FSM_TRANSITION,
    evt.EVT_REQUESTED, evt.EVT_ACSE_SENT, evt.EVT_REJECTED,
]  # fmt: skip


def accept_by_hand(event: evt.Event) -> None:
    event.assoc.acse.send_accept()


def claim_to_be_established(event: evt.Event) -> None:
    event.assoc.is_established = True


def replace_the_acse(event: evt.Event) -> None:
    event.assoc.acse = ACSE(event.assoc)


def negotiate_with_ours(event: evt.Event) -> None:
    event.assoc.acse.negotiate_association()


def negotiate_with_stock(event: evt.Event) -> None:
    ACSE(event.assoc).negotiate_association()


def claim_to_be_rejected(event: evt.Event) -> None:
    event.assoc.is_rejected = True


def raising(error: BaseException) -> Handler:
    def handler(event: evt.Event) -> None:
        raise error

    handler.__name__ = f"raise_{type(error).__name__}"
    return handler


ATTEMPTS = [
    accept_by_hand, claim_to_be_established, replace_the_acse, negotiate_with_ours, negotiate_with_stock,
    raising(ValueError()), raising(NotImplementedError()), raising(SystemExit()),
]  # fmt: skip


def everything_said(peer: RawPeer) -> list[PduType]:
    """The types of all PDUs until the acceptor closes."""
    said = []
    while isinstance(answer := peer.read_pdu(), Pdu):
        said.append(answer.type)
    assert answer is Ending.CLOSED
    return said


@pytest.mark.parametrize("event", EARLY, ids=lambda event: event.name)
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.__name__)
@pytest.mark.threat("T10")
def test_no_handler_lets_anybody_in(accept: Accept, event: Any, attempt: Handler) -> None:
    acceptor = accept()
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    acceptor.server.bind(event, attempt)
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(user_identity(2, b"alice", b"wrong")))
        said = everything_said(peer)
    acceptor.settle()
    assert PduType.ASSOCIATE_AC not in said
    assert acceptor.served == []


@pytest.mark.parametrize("attempt", [*ATTEMPTS, claim_to_be_rejected], ids=lambda attempt: attempt.__name__)
@pytest.mark.threat("T10")
def test_no_handler_lets_a_dimse_message_in_early(accept: Accept, attempt: Handler) -> None:
    acceptor = accept(handlers=[(evt.EVT_REQUESTED, attempt)])
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq() + c_echo_rq())
        said = everything_said(peer)
    acceptor.settle()
    assert not {PduType.ASSOCIATE_AC, PduType.P_DATA_TF} & set(said)
    assert acceptor.served == []


@pytest.mark.parametrize("error", [ValueError(), NotImplementedError()], ids=repr)
@pytest.mark.parametrize("event", EARLY, ids=lambda event: event.name)
def test_a_handler_that_raises_keeps_nobody_out(accept: Accept, event: Any, error: Exception) -> None:
    acceptor = accept(handlers=[(event, raising(error))])
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        peer.send(c_echo_rq())
        assert peer.read_pdu().type is PduType.P_DATA_TF


@pytest.mark.parametrize("event", [evt.EVT_SOP_EXTENDED, evt.EVT_SOP_COMMON, evt.EVT_ACCEPTED, evt.EVT_ESTABLISHED])
def test_a_handler_that_ends_its_thread_ends_its_association_only(accept: Accept, event: Any) -> None:
    acceptor = accept()
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    acceptor.server.bind(event, raising(SystemExit()))
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        said = everything_said(peer)
    acceptor.settle()
    assert said[-1] is PduType.ABORT


def test_a_handler_bound_while_the_association_lives_is_called(accept: Accept) -> None:
    late: list[evt.Event] = []
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        acceptor.server.bind(evt.EVT_RELEASED, late.append)
        acceptor.server.active_associations[0].bind(evt.EVT_CONN_CLOSE, late.append)
        peer.send(RELEASE_RQ)
        assert peer.read_pdu().type is PduType.RELEASE_RP
    acceptor.settle()
    assert {event.event.name for event in late} == {"EVT_RELEASED", "EVT_CONN_CLOSE"}


# EVT_USER_ID


def always(event: evt.Event) -> tuple[bool, None]:
    return True, None


@pytest.mark.threat("T10")
def test_a_handler_that_would_judge_identities_is_refused_with_the_reason(accept: Accept) -> None:
    with pytest.raises(ConfigurationError, match="the policy decides"):
        accept(handlers=[(evt.EVT_USER_ID, always)])
    acceptor = accept()
    with pytest.raises(ConfigurationError, match="the policy decides"):
        acceptor.server.bind(evt.EVT_USER_ID, always)
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        with pytest.raises(ConfigurationError, match="the policy decides"):
            acceptor.server.active_associations[0].bind(evt.EVT_USER_ID, always)
    assert ask(acceptor).answer == (1, 2, 1)


# What a handler may do: refuse


def test_an_application_aborts_before_the_decision_and_the_peer_sees_it(accept: Accept) -> None:
    for event in (evt.EVT_CONN_OPEN, evt.EVT_REQUESTED):
        acceptor = accept(handlers=[(event, lambda event: event.assoc.abort())])
        with RawPeer(acceptor.port) as peer:
            peer.send(associate_rq(ALICE))
            assert everything_said(peer) == [PduType.ABORT]
        assert "EVT_ABORTED" in acceptor.life()
        assert "EVT_ACCEPTED" not in acceptor.events


def test_an_application_rejects_in_its_own_words_and_the_peer_sees_them(accept: Accept) -> None:
    acceptor = accept(handlers=[(evt.EVT_REQUESTED, lambda event: event.assoc.acse.send_reject(2, 1, 1))])
    assert ask(acceptor, ALICE).answer == (2, 1, 1)
    acceptor.settle()


@pytest.mark.parametrize("event", [evt.EVT_SOP_EXTENDED, evt.EVT_SOP_COMMON, evt.EVT_ACCEPTED, evt.EVT_ESTABLISHED])
def test_an_application_aborts_after_the_decision_and_nothing_is_served(accept: Accept, event: Any) -> None:
    acceptor = accept(handlers=[(event, lambda event: event.assoc.abort())])
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        said = everything_said(peer)
    assert said[-1] is PduType.ABORT
    assert acceptor.life().count("EVT_ABORTED") == 1
    assert ("EVT_ESTABLISHED" in acceptor.events) == (event is evt.EVT_ESTABLISHED)
    assert acceptor.served == []


def test_an_application_aborts_from_another_thread_while_the_policy_decides(accept: Accept) -> None:
    from tests.pynetdicom.test_validators import Gate

    gate = Gate()
    acceptor = accept(gate.policy())
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        gate.wait_for(1)
        acceptor.server.active_associations[0].abort()
        gate.open()
        assert everything_said(peer) == [PduType.ABORT]
    assert "EVT_ACCEPTED" not in acceptor.life()


# The events of an association's life, beside those of a stock server


def converse(peer: RawPeer) -> None:
    """Associate, and be sure that the acceptor's own thread knows of it too."""
    establish(peer, ALICE)
    peer.send(c_echo_rq())
    assert peer.read_pdu().type is PduType.P_DATA_TF


def release(peer: RawPeer) -> None:
    converse(peer)
    peer.send(RELEASE_RQ)
    assert peer.read_pdu().type is PduType.RELEASE_RP


def abort(peer: RawPeer) -> None:
    converse(peer)
    peer.send(pdu(7, bytes(4)))


def vanish(peer: RawPeer) -> None:
    converse(peer)
    peer.reset()


def close(peer: RawPeer) -> None:
    converse(peer)


def ask_in_vain(peer: RawPeer) -> None:
    peer.send(associate_rq(ALICE, called="OTHER"))
    assert peer.read_pdu().answer == (1, 1, 7)


def say_nothing(peer: RawPeer) -> None:
    peer.half_close()


def abort_at_once(peer: RawPeer) -> None:
    peer.send(pdu(7, bytes(4)))


LIVES = [release, abort, vanish, close, ask_in_vain, say_nothing, abort_at_once]


@pytest.mark.parametrize("live", LIVES, ids=lambda live: live.__name__)
def test_events_fire_as_on_a_stock_server(accept: Accept, live: Callable[[RawPeer], None]) -> None:
    ours = accept(require_called_aet=live is ask_in_vain)
    with RawPeer(ours.port) as peer:
        live(peer)
    expected = stock_events(live)
    assert in_the_end_as_one(ours.life()) == in_the_end_as_one(expected)
    assert expected[0] == "EVT_CONN_OPEN"


def in_the_end_as_one(events: list[str]) -> list[object]:
    """The last two events come from two threads: which of them is first is not certain, with stock neither."""
    return [*events[:-2], frozenset(events[-2:])]


def stock_events(live: Callable[[RawPeer], None]) -> list[str]:
    events: list[str] = []
    with stock_scp() as scp:
        server = stock_server(scp.port)
        server.ae.acse_timeout = 0.3  # or a peer that leaves without asking holds its place for so long
        server.ae.require_called_aet = live is ask_in_vain
        record(server, events)
        with RawPeer(scp.port) as peer:
            live(peer)
        until(lambda: "EVT_CONN_CLOSE" in events and not server.active_associations)
    return events


def stock_server(port: int) -> Any:
    """The server object behind a stock SCP, which its fixture keeps to itself."""
    import gc

    from pynetdicom.transport import ThreadedAssociationServer

    servers = [each for each in gc.get_objects() if type(each) is ThreadedAssociationServer]
    return next(each for each in servers if each.server_address[1] == port and each.socket.fileno() >= 0)


def test_our_rejections_fire_what_stock_rejections_fire(accept: Accept) -> None:
    acceptor = accept()
    assert ask(acceptor).answer == (1, 2, 1)
    assert in_the_end_as_one(acceptor.life()) == in_the_end_as_one(stock_events(ask_in_vain))


# Who it is


def test_the_identity_is_known_in_every_handler_from_the_decision_on(accept: Accept) -> None:
    seen = {}

    def on_requested(event: evt.Event) -> None:
        with pytest.raises(LookupError):
            identity_of(event)
        seen["requested"] = "nobody"

    def on_echo(event: evt.Event) -> int:
        seen["echo"] = identity_of(event).subject
        seen["association"] = identity_of(event.assoc).subject
        return 0

    def on_accepted(event: evt.Event) -> None:
        seen["accepted"] = identity_of(event).subject

    acceptor = accept(
        handlers=[(evt.EVT_REQUESTED, on_requested), (evt.EVT_C_ECHO, on_echo), (evt.EVT_ACCEPTED, on_accepted)]
    )
    assoc = requestor().associate("127.0.0.1", acceptor.port, identity=Username("alice"))
    assert assoc.send_c_echo().Status == 0
    with pytest.raises(LookupError):
        identity_of(assoc)
    assoc.release()
    assert seen == {
        "requested": "nobody",
        "accepted": "username:alice",
        "echo": "username:alice",
        "association": "username:alice",
    }


def test_a_slow_handler_of_the_acceptance_does_not_run_into_the_deadline_of_the_request(accept: Accept) -> None:
    from tests.pynetdicom.support import usual_policy

    entered, go_on = threading.Event(), threading.Event()

    def on_accepted(event: evt.Event) -> None:
        entered.set()
        go_on.wait(10)

    acceptor = accept(usual_policy(associate_deadline=0.3), handlers=[(evt.EVT_ACCEPTED, on_accepted)])
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        assert entered.wait(10)
        threading.Timer(0.5, go_on.set).start()
        assert peer.read_pdu(0.4) is Ending.TIMEOUT
        peer.send(c_echo_rq())
        assert peer.read_pdu().type is PduType.P_DATA_TF
