"""Who may wait, and for how long; whose place is free again, and when; and what happens when something runs out."""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO

import pytest
from pydicom import Dataset
from pynetdicom import build_context, evt
from pynetdicom.dimse_messages import C_FIND_RQ
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dul import DULServiceProvider
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from tests.lib.certificates import Certificates
from tests.lib.pdus import RELEASE_RQ, associate_rq, pdu, presentation_context, user_identity
from tests.lib.rawpeer import Ending, PduType, RawPeer
from tests.pynetdicom.strangers import ALICE, MEGABYTE, ended, strangers
from tests.pynetdicom.support import Acceptor, ask, c_echo_rq, dimse, establish, until, upper_layers, usual_policy
from tests.pynetdicom.test_validators import Gate
from useridentity.pynetdicom.acceptor import AcceptorAssociation
from useridentity.pynetdicom.server import _host
from useridentity.tls import client_context, server_context

Accept = Callable[..., Acceptor]
Crowd = Callable[[Acceptor, str], RawPeer]


# Who may wait


@pytest.mark.threat("T15")
def test_where_too_many_wait_the_one_that_has_waited_longest_goes(
    accept: Accept, crowd: Callable[..., RawPeer]
) -> None:
    acceptor = accept(usual_policy(max_pending=4))
    peers = []
    for source in strangers(5):
        peers.append(crowd(acceptor, source))
        until(lambda: len(acceptor.server.lobby._waiting) == min(len(peers), 4))
    assert peers[0].read_pdu() is Ending.CLOSED
    for peer in peers[1:]:
        establish(peer, ALICE)


def test_who_waits_behind_tls_is_turned_out_like_others(
    accept: Accept, crowd: Callable[..., RawPeer], certificates: Certificates
) -> None:
    acceptor = accept(usual_policy(max_pending=1), tls=server_context(*certificates.server))
    with RawPeer(acceptor.port, tls=client_context(certificates.ca)) as first:
        until(lambda: acceptor.events == ["EVT_CONN_OPEN"])
        crowd(acceptor, "127.1.0.1")
        assert first.read_pdu() is Ending.CLOSED


def test_ipv6_peers_are_counted_by_site_and_ipv4_peers_by_address() -> None:
    assert _host("2001:db8::1") == _host("2001:db8::ffff:1") != _host("2001:db8:0:1::1")
    assert _host("::ffff:192.0.2.1") == _host("192.0.2.1") != _host("192.0.2.2")
    assert _host("fe80::1%eth0") == _host("fe80::2")


@pytest.mark.threat("T15")
def test_one_address_has_so_many_waiting_and_no_more(accept: Accept, crowd: Callable[..., RawPeer]) -> None:
    acceptor = accept(usual_policy(max_pending_per_peer=2))
    peers = [crowd(acceptor, "127.1.0.1") for _ in range(2)]
    until(lambda: len(acceptor.server.lobby._waiting) == 2)
    with RawPeer(acceptor.port, source="127.1.0.1") as third:
        assert third.read_pdu() is Ending.CLOSED
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC  # from another address
    peers[0].close()
    until(lambda: len(acceptor.server.lobby._waiting) == 1)
    establish(crowd(acceptor, "127.1.0.1"), ALICE)


def test_who_was_rejected_and_does_not_go_counts_as_waiting(accept: Accept, crowd: Crowd) -> None:
    """Half a PDU after the request keeps the upper layer reading, and the rejection from being sent."""
    acceptor = accept(usual_policy(max_pending_per_peer=1), maximum_associations=1)
    stubborn = crowd(acceptor, "127.1.0.1")
    stubborn.send(associate_rq(user_identity(1, b"")) + c_echo_rq()[:-5])
    until(lambda: "EVT_REJECTED" in acceptor.events)
    assert crowd(acceptor, "127.1.0.1").read_pdu() is Ending.CLOSED
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    assert ended(stubborn)
    acceptor.settle()
    with RawPeer(acceptor.port, source="127.1.0.1") as again:
        establish(again, ALICE)


# Who goes


@pytest.mark.threat("T17")
def test_a_place_is_free_at_once_when_its_peer_goes(accept: Accept) -> None:
    acceptor = accept(usual_policy(), maximum_associations=1)
    for go in (
        RawPeer.reset,
        RawPeer.close,
        lambda peer: peer.send(pdu(7, bytes(4))),
        lambda peer: peer.send(RELEASE_RQ),
    ):
        with RawPeer(acceptor.port) as peer:
            establish(peer, ALICE)
            go(peer)
            until(lambda: not acceptor.ae._places)
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC


def test_a_place_is_free_at_once_when_its_peer_goes_while_the_policy_decides(accept: Accept) -> None:
    gate = Gate()
    acceptor = accept(gate.policy(), maximum_associations=1)
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        gate.wait_for(1)
        assert ask(acceptor, ALICE).answer == (2, 3, 2)
    until(lambda: not acceptor.ae._places)
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        gate.wait_for(2)
        gate.open()
        assert peer.read_pdu().type is PduType.ASSOCIATE_AC


@pytest.mark.parametrize(
    "go", [RawPeer.reset, RawPeer.close, RawPeer.half_close, lambda peer: peer.send(pdu(7, bytes(4)))]
)
@pytest.mark.threat("T18")
def test_a_peer_gone_when_the_decision_falls_is_not_accepted(
    accept: Accept, go: Callable[[RawPeer], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "useridentity")
    gate = Gate()
    acceptor = accept(gate.policy())
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        gate.wait_for(1)
        go(peer)
        until(lambda: not acceptor.ae._places)
        gate.open()
        until(lambda: "EVT_ABORTED" in acceptor.events)
    assert not {"EVT_ACCEPTED", "EVT_ESTABLISHED"} & set(acceptor.life())
    lines = [line.message for line in caplog.records if line.name == "useridentity"]
    assert [line.split()[1] for line in lines] == ['outcome="abandoned"']


def test_a_peer_that_dies_in_the_middle_of_a_pdu_ends_its_association(accept: Accept) -> None:
    acceptor = accept()
    for die in (RawPeer.reset, RawPeer.close):
        with RawPeer(acceptor.port) as peer:
            establish(peer, ALICE)
            peer.send(c_echo_rq()[:-5])
            die(peer)
        acceptor.settle()
    assert acceptor.life(associations=2).count("EVT_ABORTED") == 2
    assert acceptor.served == []


def test_a_stalled_pdu_is_cut_off_after_the_network_timeout(accept: Accept) -> None:
    acceptor = accept(network_timeout=0.3)
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        peer.send(c_echo_rq()[:-5])
        assert ended(peer)
    assert "EVT_ABORTED" in acceptor.life()


def test_a_peer_that_stops_reading_is_cut_off_after_the_network_timeout(accept: Accept) -> None:
    """Each response is 1 MB: kernel buffers hold a few of them, and after that nothing moves."""
    identifier = Dataset()
    identifier.TextValue = "x" * len(MEGABYTE)

    def on_find(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for _ in range(100):
            yield 0xFF00, identifier

    contexts, handlers = [build_context(ModalityWorklistInformationFind)], [(evt.EVT_C_FIND, on_find)]
    acceptor = accept(contexts=contexts, handlers=handlers, network_timeout=0.3)
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE, contexts=(presentation_context(1, ModalityWorklistInformationFind),))
        peer.send(c_find_rq())
        until(lambda: "EVT_ABORTED" in acceptor.events)
        acceptor.settle()


def c_find_rq() -> bytes:
    request = C_FIND()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = 1, ModalityWorklistInformationFind, 2
    request.Identifier = BytesIO(bytes.fromhex("1000100000000000"))  # Patient's Name, whatever it is
    return dimse(C_FIND_RQ(), request)


# What runs out


def test_when_descriptors_run_out_those_who_wait_make_room(accept: Accept, crowd: Callable[..., RawPeer]) -> None:
    acceptor = accept()
    for source in strangers(20):
        crowd(acceptor, source)
    until(lambda: len(acceptor.server.lobby._waiting) == 20)
    with descriptors_exhausted(), RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)


@contextmanager
def descriptors_exhausted() -> Iterator[None]:
    """No file descriptor is left, but for the one that a client in this process needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_thread_to_be_had_the_connection_is_closed(accept: Accept, monkeypatch: pytest.MonkeyPatch) -> None:
    acceptor = accept()

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    for kind in (AcceptorAssociation, DULServiceProvider):
        with monkeypatch.context() as patched:
            patched.setattr(kind, "start", start)
            with RawPeer(acceptor.port) as peer:
                peer.send(associate_rq(ALICE))
                assert ended(peer)
    acceptor.settle()
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC


def test_setting_the_clock_ends_no_association(accept: Accept, monkeypatch: pytest.MonkeyPatch) -> None:
    acceptor = accept()
    now = time.time
    with RawPeer(acceptor.port) as peer:
        establish(peer, ALICE)
        for jump in (86400, -86400):
            monkeypatch.setattr(time, "time", lambda jump=jump: now() + jump)
            peer.send(c_echo_rq())
            assert peer.read_pdu().type is PduType.P_DATA_TF
            assert peer.read_pdu(0.1) is Ending.TIMEOUT
        assert upper_layers(acceptor.ae)
