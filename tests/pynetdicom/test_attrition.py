"""Strangers who would keep the acceptor from serving others, and a neighbour who is served all the while."""

from __future__ import annotations

import gc
import logging
import os
import resource
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from pydicom import Dataset
from pynetdicom import build_context, evt
from pynetdicom.dimse_messages import C_FIND_RQ
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dul import DULServiceProvider
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from tests.lib.certificates import Certificates
from tests.lib.pdus import CT_IMAGE_STORAGE, RELEASE_RQ, associate_rq, pdu, presentation_context, user_identity
from tests.lib.rawpeer import HANG, Ending, Pdu, PduType, RawPeer
from tests.pynetdicom.support import Acceptor, ask, c_echo_rq, dimse, establish, until, upper_layers, usual_policy
from tests.pynetdicom.test_validators import Gate
from useridentity.pynetdicom.acceptor import AcceptorAssociation
from useridentity.pynetdicom.server import _host
from useridentity.tls import client_context, server_context

Accept = Callable[..., Acceptor]
GivenBack = Callable[[Acceptor], AbstractContextManager[None]]

ALICE = user_identity(1, b"alice")
MEGABYTE = bytes(1024 * 1024)
SPENT = 100 * 1024 * 1024  # bytes of memory that an attack with 300 MB may not even begin to cost

QUICK = {"associate_deadline": 0.5, "tls_handshake": 0.5}


class Neighbour:
    """A client from 127.0.0.1 that associates, echoes and releases again and again while the block lasts."""

    def __init__(self, acceptor: Acceptor, tls: ssl.SSLContext | None = None) -> None:
        self._acceptor, self._tls = acceptor, tls
        self._leaving = threading.Event()
        self._served, self._slowest = 0, 0.0
        self._memory, self._most_memory = resident(), 0
        self._trouble: list[object] = []
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()
        if error is None:
            assert not self._trouble, self._trouble
            assert self._served
            assert self._slowest < HANG
            assert self._most_memory - self._memory < SPENT
            print(f"{self._served} associations, slowest {self._slowest * 1000:.0f} ms")

    def _call(self) -> None:
        while not (self._leaving.wait(0.005) and self._served):
            started = time.monotonic()
            try:
                self._call_once()
            except Exception as trouble:
                self._trouble.append(trouble)
                return
            self._served += 1
            self._slowest = max(self._slowest, time.monotonic() - started)
            self._most_memory = max(self._most_memory, resident())

    def _call_once(self) -> None:
        with RawPeer(self._acceptor.port, tls=self._tls) as peer:
            establish(peer, ALICE)
            peer.send(c_echo_rq())
            assert peer.read_pdu().type is PduType.P_DATA_TF
            peer.send(RELEASE_RQ)
            assert peer.read_pdu().type is PduType.RELEASE_RP


def strangers(number: int) -> list[str]:
    """So many loopback addresses that are not the neighbour's."""
    return [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(number)]


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.fixture
def given_back() -> GivenBack:
    """Threads, objects and memory are after the block what they were before."""

    @contextmanager
    def check(acceptor: Acceptor) -> Iterator[None]:
        gc.collect()
        threads, memory = threading.active_count(), resident()
        yield
        acceptor.settle()
        until(lambda: threading.active_count() <= threads)
        acceptor.served.clear()
        for handler in logging.getLogger().handlers:  # pytest's hold tracebacks, and by them associations
            getattr(handler, "records", []).clear()
        until(lambda: gc.collect() is not None and not remains())
        assert resident() - memory < SPENT

    return check


def remains() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, AcceptorAssociation | DULServiceProvider)]


@pytest.fixture
def crowd() -> Iterator[Callable[[Acceptor, str], RawPeer]]:
    """Connects peers that stay until the test ends."""
    with ExitStack() as connected:
        yield lambda acceptor, source: connected.enter_context(RawPeer(acceptor.port, source=source))


def ended(peer: RawPeer) -> bool:
    """Whether the acceptor has closed, whatever it said before."""
    while isinstance(answer := peer.read_pdu(), Pdu):
        pass
    return answer is Ending.CLOSED


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


def flood(peer: RawPeer) -> None:
    """300 MB, or as many as the acceptor takes."""
    with suppress(OSError):
        for _ in range(300):
            peer.send(MEGABYTE)


FLOODS = [
    announce, send_in_the_request, send_after_the_request, send_after_the_rejection, send_small_pdus_after_the_request,
]  # fmt: skip


@pytest.mark.parametrize("attack", FLOODS)
def test_strangers_who_send_much_are_cut_off_and_cost_no_memory(
    accept: Accept, given_back: GivenBack, crowd: Callable[..., RawPeer], attack: Callable[[RawPeer], None]
) -> None:
    acceptor = accept(usual_policy())
    with given_back(acceptor), Neighbour(acceptor):
        for source in strangers(5):
            peer = crowd(acceptor, source)
            attack(peer)
            assert ended(peer)


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


def test_contexts_without_transfer_syntax_hold_nothing(
    accept: Accept, given_back: GivenBack, crowd: Callable[..., RawPeer]
) -> None:
    acceptor = accept(usual_policy(), maximum_associations=5)
    with given_back(acceptor), Neighbour(acceptor):
        for source in strangers(200):
            peer = crowd(acceptor, source)
            peer.send(associate_rq(ALICE, contexts=(presentation_context(1, CT_IMAGE_STORAGE, ()),)))
            assert peer.read_pdu().type is PduType.ABORT


# TLS


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


# Who may wait


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


def test_who_was_rejected_and_does_not_go_counts_as_waiting(accept: Accept, crowd: Callable[..., RawPeer]) -> None:
    acceptor = accept(usual_policy(max_pending_per_peer=1), maximum_associations=1)
    stubborn = crowd(acceptor, "127.1.0.1")
    stubborn.send(associate_rq(user_identity(1, b"")))
    assert stubborn.read_pdu().answer == (1, 2, 1)
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    assert ended(stubborn)


# Who goes


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
