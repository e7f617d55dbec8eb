"""How associations and servers end: time-outs, releases, aborts and shutting down, as with pynetdicom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.lib.pdus import RELEASE_RQ, associate_rq, pdu, user_identity
from tests.lib.rawpeer import HANG, Ending, PduType, RawPeer
from tests.pynetdicom.support import Acceptor, ask, c_echo_rq, establish, requestor, until, usual_policy
from tests.pynetdicom.test_validators import Gate
from useridentity import Username
from useridentity.pynetdicom import AE, OutcomeKind, outcome_of

Accept = Callable[..., Acceptor]

ALICE = user_identity(1, b"alice")
LOCAL = ("127.0.0.1", 0)


def established(acceptor: Acceptor) -> Association:
    """The acceptor's own side of the one association it has, once that knows of the acceptance."""
    (association,) = acceptor.server.active_associations
    until(lambda: association.is_established)
    return association


# Time-outs


def test_silence_is_aborted_after_the_network_timeout(accept: Accept) -> None:
    acceptor = accept(network_timeout=0.2)
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        assert peer.read_pdu().type is PduType.ABORT
    assert "EVT_ABORTED" in acceptor.life()


def test_silence_is_released_after_the_network_timeout_where_that_is_wanted(accept: Accept) -> None:
    def prefer_release(event: evt.Event) -> None:
        event.assoc.network_timeout_response = "A-RELEASE"

    acceptor = accept(network_timeout=0.2, handlers=[(evt.EVT_REQUESTED, prefer_release)])
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        assert peer.read_pdu().type is PduType.RELEASE_RQ
        peer.send(pdu(6, bytes(4)))
        assert peer.read_pdu() is Ending.CLOSED
    assert "EVT_RELEASED" in acceptor.life()


def test_traffic_keeps_an_association_beyond_the_network_timeout(accept: Accept) -> None:
    acceptor = accept(network_timeout=0.5)
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        for _ in range(10):
            assert peer.read_pdu(0.1) is Ending.TIMEOUT
            peer.send(c_echo_rq())
            assert peer.read_pdu().type is PduType.P_DATA_TF


def test_a_timeout_changed_on_the_way_counts(accept: Accept) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        acceptor.ae.network_timeout = 0.2
        assert peer.read_pdu().type is PduType.ABORT


def test_a_request_without_response_is_aborted_after_the_dimse_timeout(accept: Accept) -> None:
    go_on = threading.Event()
    acceptor = accept(handlers=[(evt.EVT_C_ECHO, lambda event: go_on.wait(HANG) and 0)])
    assoc = requestor(dimse_timeout=0.2).associate("127.0.0.1", acceptor.port, identity=Username("alice"))
    assert "Status" not in assoc.send_c_echo()
    assert assoc.is_aborted
    go_on.set()


def test_a_release_without_response_is_aborted_after_the_acse_timeout(accept: Accept) -> None:
    acceptor = accept(acse_timeout=0.2)
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        assoc = established(acceptor)
        assoc.release()
        assert peer.read_pdu().type is PduType.RELEASE_RQ
        assert peer.read_pdu().type is PduType.ABORT
    assert assoc.is_aborted


# Ends


def test_an_acceptor_may_release(accept: Accept) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        assoc = established(acceptor)
        thread = threading.Thread(target=assoc.release)
        thread.start()
        assert peer.read_pdu().type is PduType.RELEASE_RQ
        peer.send(pdu(6, bytes(4)))
        thread.join(HANG)
        assert assoc.is_released
    assert acceptor.life().count("EVT_RELEASED") == 1


def test_both_sides_may_release_at_once(accept: Accept) -> None:
    """PS3.8 7.2.2.7: the acceptor answers after it has been answered."""
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        assoc = established(acceptor)
        thread = threading.Thread(target=assoc.release)
        thread.start()
        assert peer.read_pdu().type is PduType.RELEASE_RQ
        peer.send(RELEASE_RQ)
        peer.send(pdu(6, bytes(4)))
        assert peer.read_pdu().type is PduType.RELEASE_RP
        thread.join(HANG)
        assert assoc.is_released


def test_our_own_abort_is_told_once_though_all_is_over_before_the_one_who_aborts_goes_on(accept: Accept) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        assoc = established(acceptor)
        sending = assoc.dul.send_pdu

        def send_and_end(primitive: Any) -> None:
            sending(primitive)
            assert peer.read_pdu().type is PduType.ABORT
            peer.close()
            until(lambda: not assoc.is_alive())

        assoc.dul.send_pdu = send_and_end  # type: ignore[method-assign]
        assoc.abort()
    assert acceptor.life().count("EVT_ABORTED") == 1


@pytest.mark.parametrize(
    "sent", [associate_rq(ALICE), pdu(2, bytes(68)), pdu(3, bytes(4)), pdu(6, bytes(4)), pdu(9, b"")]
)
def test_a_pdu_that_does_not_belong_there_aborts_an_established_association(accept: Accept, sent: bytes) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        peer.send(sent)
        assert peer.read_pdu().type is PduType.ABORT
        assert peer.read_pdu() is Ending.CLOSED
    assert acceptor.life().count("EVT_ABORTED") == 1


@pytest.mark.parametrize("sent", [RELEASE_RQ, pdu(6, bytes(4)), pdu(3, bytes(4)), associate_rq(ALICE), c_echo_rq()])
def test_a_pdu_that_does_not_belong_there_ends_a_request_while_it_is_decided(accept: Accept, sent: bytes) -> None:
    gate = Gate()
    acceptor = accept(gate.policy())
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        gate.wait_for(1)
        peer.send(sent)
        assert peer.read_pdu().type is PduType.ABORT
        until(lambda: not acceptor.ae._places)
        gate.open()
    assert "EVT_ACCEPTED" not in acceptor.life()
    assert acceptor.served == []


def test_what_begins_before_the_acceptance_is_aborted_though_it_ends_behind_it(
    accept: Accept, caplog: pytest.LogCaptureFixture
) -> None:
    """Another thread lifts the deadline under which it is being read."""
    gate, echo = Gate(), c_echo_rq()
    acceptor = accept(gate.policy())
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        gate.wait_for(1)
        peer.send(echo[:3])
        (association,) = acceptor.server.active_associations
        until(lambda: bytes(association.dul.socket._received) == echo[:3])
        gate.open()
        until(lambda: association.dul.socket._deadline is None)
        peer.send(echo[3:])
        assert peer.read_pdu().type is PduType.ABORT
    acceptor.settle()
    assert acceptor.served == []
    assert "Traceback" not in caplog.text


def test_a_peer_that_says_much_at_once_is_answered_in_order(accept: Accept) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        peer.send(c_echo_rq() * 50 + RELEASE_RQ)
        answers = [peer.read_pdu().type for _ in range(51)]
    assert answers == [PduType.P_DATA_TF] * 50 + [PduType.RELEASE_RP]
    assert acceptor.life()[-2:] != ["EVT_ABORTED"]


# Shutting down


def test_shutting_down_the_server_closes_those_at_the_door_and_leaves_those_inside(accept: Accept) -> None:
    acceptor = accept()
    with RawPeer(acceptor.port) as inside, RawPeer(acceptor.port) as outside:
        establish(inside, ALICE)
        until(lambda: len(acceptor.server.lobby._waiting) == 1)
        acceptor.server.shutdown()
        assert outside.read_pdu() is Ending.CLOSED
        inside.send(c_echo_rq())
        assert inside.read_pdu().type is PduType.P_DATA_TF
        inside.send(RELEASE_RQ)
        assert inside.read_pdu().type is PduType.RELEASE_RP


def test_shutting_down_the_ae_ends_everything_in_every_state(ae: AE) -> None:
    gate = Gate()
    server = ae.start_server(LOCAL, block=False, policy=gate.policy())
    assert server is not None
    port = server.server_address[1]
    with RawPeer(port) as silent, RawPeer(port) as halfway, RawPeer(port) as pending:
        halfway.send(associate_rq(ALICE)[:50])
        pending.send(associate_rq(ALICE))
        gate.wait_for(1)
        until(lambda: len(server.lobby._waiting) == 2)
        ae.shutdown()
        gate.open()
        for peer in (silent, halfway):
            assert peer.read_pdu() is Ending.CLOSED
        assert pending.read_pdu().type is PduType.ABORT
    until(lambda: not ae.active_associations)


@pytest.mark.parametrize("_time", range(5))
def test_shutting_down_again_and_again_while_peers_come_leaves_nothing_behind(_time: int) -> None:
    ae = AE("ARCHIVE")
    ae.add_supported_context(Verification)
    server = ae.make_server(LOCAL, policy=usual_policy())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    stop = threading.Event()

    def come() -> None:
        while not stop.is_set():
            try:
                with RawPeer(server.server_address[1]) as peer:
                    peer.send(associate_rq(ALICE))
                    peer.read_pdu()
            except OSError:  # nobody listens any more
                return

    peers = [threading.Thread(target=come) for _ in range(4)]
    for peer in peers:
        peer.start()
    until(lambda: ae.active_associations)
    server.shutdown()
    stop.set()
    for each in (thread, *peers):
        each.join(HANG)
    ae.shutdown()
    until(lambda: not ae.active_associations)
    assert not ae._places


def test_a_requestor_survives_the_end_of_its_acceptor(accept: Accept) -> None:
    acceptor = accept()
    assoc = requestor().associate("127.0.0.1", acceptor.port, identity=Username("alice"))
    assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
    established(acceptor).abort()
    until(lambda: not assoc.is_alive())
    assert assoc.is_aborted
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
