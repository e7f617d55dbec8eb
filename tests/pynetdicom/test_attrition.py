"""Strangers who would keep the acceptor from serving others, and a neighbour who is served all the while."""

from __future__ import annotations

import gc
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest
from pynetdicom.dul import DULServiceProvider

from tests.lib.certificates import Certificates
from tests.lib.pdus import CT_IMAGE_STORAGE, associate_rq, pdu, presentation_context
from tests.lib.rawpeer import HANG, Ending, PduType, RawPeer
from tests.pynetdicom.strangers import ALICE, SPENT, Neighbour, ended, flood, resident, strangers
from tests.pynetdicom.support import Acceptor, status_of, until, usual_policy
from tests.pynetdicom.test_expiry import REPORT, Busy, stores
from tests.pynetdicom.test_validators import Gate
from useridentity.pynetdicom.acceptor import AcceptorAssociation
from useridentity.pynetdicom.messages import MAX_WAITING
from useridentity.tls import client_context, server_context

Accept = Callable[..., Acceptor]
GivenBack = Callable[[Acceptor], AbstractContextManager[None]]
Crowd = Callable[[Acceptor, str], RawPeer]

QUICK = {"associate_deadline": 0.5, "tls_handshake": 0.5}


@pytest.fixture
def given_back() -> GivenBack:
    """Threads, objects and memory are after the block what they were before."""

    @contextmanager
    def check(acceptor: Acceptor) -> Iterator[None]:
        gc.collect()
        earlier = remains()  # what a test that failed holds, say
        threads, memory = threading.active_count(), resident()
        yield
        with RawPeer(acceptor.port) as last:  # connections are accepted in turn, and hundreds may still wait for theirs
            last.half_close()
            assert last.read_pdu(within=10 * HANG) is Ending.CLOSED
        acceptor.settle()
        until(lambda: threading.active_count() <= threads)
        acceptor.served.clear()
        until(lambda: not remains_after_collection(earlier))
        assert resident() - memory < SPENT

    return check


def remains_after_collection(but: Sequence[object]) -> list[object]:
    for handler in logging.getLogger().handlers:  # pytest's hold tracebacks, and by them associations
        getattr(handler, "records", []).clear()
    gc.collect()
    return remains(but)


def remains(but: Sequence[object] = ()) -> list[object]:
    known = set(map(id, but))
    found = [each for each in gc.get_objects() if isinstance(each, AcceptorAssociation | DULServiceProvider)]
    return [each for each in found if id(each) not in known]


# Those who are slow


def dribble(peer: RawPeer) -> None:
    peer.dribble(associate_rq(ALICE), interval=0.02)


def stall_in_the_header(peer: RawPeer) -> None:
    peer.send(b"\x01\x00\x00")


def stall_in_the_request(peer: RawPeer) -> None:
    peer.send(associate_rq(ALICE)[:-1])


def stay_silent(peer: RawPeer) -> None:
    """A connection and nothing else."""


@pytest.mark.parametrize("attack", [dribble, stall_in_the_header, stall_in_the_request, stay_silent])
@pytest.mark.threat("T15")
def test_slow_strangers_are_cut_off_at_the_deadline(
    accept: Accept, given_back: GivenBack, crowd: Callable[..., RawPeer], attack: Callable[[RawPeer], None]
) -> None:
    acceptor = accept(usual_policy(**QUICK))
    with given_back(acceptor), Neighbour(acceptor):
        peers = [crowd(acceptor, source) for source in strangers(20)]
        threads = [threading.Thread(target=attack, args=(peer,)) for peer in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(ended(peer) for peer in peers)


@pytest.mark.threat("T17")
def test_a_thousand_who_connect_and_leave_take_nobodys_place(accept: Accept, given_back: GivenBack) -> None:
    acceptor = accept(usual_policy(), maximum_associations=2)
    with given_back(acceptor), Neighbour(acceptor):
        for source in strangers(250) * 4:
            RawPeer(acceptor.port, source=source).close()


# Those who send much


def announce(peer: RawPeer) -> None:
    peer.send(struct.pack(">BxI", 1, 300_000_000))


def send_in_the_request(peer: RawPeer) -> None:
    announce(peer)
    flood(peer)


def send_after_the_request(peer: RawPeer) -> None:
    peer.send(associate_rq(ALICE) + struct.pack(">BxI", 4, 300_000_000))
    flood(peer)


def send_after_the_rejection(peer: RawPeer) -> None:
    peer.send(associate_rq())
    assert peer.read_pdu().answer == (1, 2, 1)
    flood(peer)


def send_small_pdus_after_the_request(peer: RawPeer) -> None:
    peer.send(associate_rq(ALICE))
    small = pdu(5, bytes(4)) * 100_000
    with suppress(OSError):
        for _ in range(300):
            peer.send(small)


FLOODS = [
    announce, send_in_the_request, send_after_the_request, send_after_the_rejection, send_small_pdus_after_the_request,
]  # fmt: skip


@pytest.mark.parametrize("attack", FLOODS)
@pytest.mark.threat("T16")
def test_strangers_who_send_much_are_cut_off_and_cost_no_memory(
    accept: Accept, given_back: GivenBack, crowd: Callable[..., RawPeer], attack: Callable[[RawPeer], None]
) -> None:
    acceptor = accept(usual_policy())
    with given_back(acceptor), Neighbour(acceptor):
        for source in strangers(5):
            peer = crowd(acceptor, source)
            attack(peer)
            assert ended(peer)


@pytest.mark.threat("T16")
def test_what_comes_while_the_policy_decides_is_not_kept(accept: Accept) -> None:
    gate = Gate()
    acceptor = accept(gate.policy())
    memory = resident()
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        gate.wait_for(1)
        peer.send(struct.pack(">BxI", 4, 300_000_000))
        flood(peer)
        assert ended(peer)
    assert resident() - memory < SPENT
    gate.open()
    acceptor.settle()
    assert "EVT_ACCEPTED" not in acceptor.events


@pytest.mark.threat("T5")
def test_contexts_without_transfer_syntax_hold_nothing(
    accept: Accept, given_back: GivenBack, crowd: Callable[..., RawPeer]
) -> None:
    acceptor = accept(usual_policy(), maximum_associations=5)
    with given_back(acceptor), Neighbour(acceptor):
        for source in strangers(200):
            peer = crowd(acceptor, source)
            peer.send(associate_rq(ALICE, contexts=(presentation_context(1, CT_IMAGE_STORAGE, ()),)))
            assert peer.read_pdu().type is PduType.ABORT


# Those who were accepted

MANY = 40


@pytest.mark.parametrize(
    ("sent", "unserved"), [(stores(1), 1 + MAX_WAITING), (REPORT, MAX_WAITING)], ids=["C-STORE", "N-EVENT-REPORT"]
)
def test_who_does_not_wait_for_answers_is_read_no_faster_than_served(
    accept: Accept, sent: bytes, unserved: int
) -> None:
    """Otherwise data sets behind a slow handler, or threads of its events, would be as many as the peer likes."""
    busy = Busy(accept)
    with busy.peer() as peer:
        peer.send(sent * MANY)
        (assoc,) = busy.associations
        until(lambda: len(busy.received) >= unserved and assoc.dul._holds_back and assoc.dul._waker._asleep)
        assert len(busy.received) == unserved
        busy.finish.set()
        assert [status_of(peer.read_pdu()) for _ in range(MANY)] == [0x0000] * MANY


# TLS


@pytest.mark.threat("T15")
def test_silent_tcp_clients_do_not_keep_a_tls_port_busy(
    accept: Accept, given_back: GivenBack, crowd: Callable[..., RawPeer], certificates: Certificates
) -> None:
    acceptor = accept(usual_policy(**QUICK), tls=server_context(*certificates.server))
    with given_back(acceptor), Neighbour(acceptor, client_context(certificates.ca)):
        peers = [crowd(acceptor, source) for source in strangers(200)]
        assert all(ended(peer) for peer in peers)


def test_garbage_on_a_tls_port_is_dropped(accept: Accept, given_back: GivenBack, certificates: Certificates) -> None:
    acceptor = accept(tls=server_context(*certificates.server))
    with given_back(acceptor), Neighbour(acceptor, client_context(certificates.ca)):
        for garbage in (associate_rq(ALICE), os.urandom(500), bytes.fromhex("16030100c8010000c40303") + bytes(300)):
            with RawPeer(acceptor.port) as peer:
                peer.send(garbage)
                with suppress(OSError):  # it may have been cut off already
                    peer.half_close()
                until(lambda: peer._receive(HANG) is Ending.CLOSED)
    assert acceptor.events.count("EVT_CONN_OPEN") == acceptor.events.count("EVT_ACCEPTED")
