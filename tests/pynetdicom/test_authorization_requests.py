"""What is not permitted is refused, and nothing else: the answers, the files, C-CANCEL, and what a handler may ask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import _config, build_context, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelGet,
    Verification,
)

from tests.lib.commands import (
    ECHO,
    IDENTIFIER,
    cancel_elements,
    message,
    p_data,
    request,
    request_elements,
    value,
)
from tests.lib.pdus import associate_rq, presentation_context
from tests.lib.rawpeer import HANG, Pdu, PduType, RawPeer
from tests.pynetdicom.support import Acceptor, until
from tests.pynetdicom.test_authorization_liars import ALICE, CT_CX, ECHO_CX, FIND, Server, permitting
from useridentity import Policy, Rule, Username, UsernameValidator
from useridentity.pynetdicom import AE, permission_of, reactor
from useridentity.pynetdicom.acceptor import AcceptorAssociation

Accept = Callable[..., Acceptor]

GET = PatientRootQueryRetrieveInformationModelGet


# What is not permitted


def test_a_refused_request_leaves_the_association_and_its_order_alone(accept: Accept) -> None:
    server = Server(accept, "echo", "store")
    echo, store = request("C-ECHO", Verification, ECHO_CX), request("C-STORE", CTImageStorage, CT_CX)
    forbidden = message(request_elements("N-CREATE", CTImageStorage), IDENTIFIER, CT_CX)
    assert server.answers(echo, forbidden, store, of=3) == [PduType.P_DATA_TF] * 3
    assert server.handled == ["C_ECHO", "C_STORE"]


@pytest.mark.threat("D1")
def test_an_association_that_would_be_accepted_with_nothing_is_rejected(accept: Accept) -> None:
    offered = (presentation_context(1, CTImageStorage),)
    for words, answered in ((["store"], PduType.ASSOCIATE_AC), (["echo"], PduType.ASSOCIATE_RJ)):
        acceptor = accept(permitting(*words))
        with RawPeer(acceptor.port) as peer:
            peer.send(associate_rq(ALICE, contexts=offered))
            answer = peer.read_pdu()
            assert isinstance(answer, Pdu)
            assert answer.type is answered
            assert answered is PduType.ASSOCIATE_AC or answer.answer == (1, 2, 1)


def test_what_the_acceptor_does_not_support_is_no_matter_of_permission(accept: Accept) -> None:
    """Stock accepts an association without any context; only the permission makes it a rejection."""
    acceptor = accept(permitting("store"), contexts=[build_context(Verification)])
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE, contexts=(presentation_context(1, CTImageStorage),)))
        answer = peer.read_pdu()
        assert isinstance(answer, Pdu)
        assert answer.type is PduType.ASSOCIATE_AC


def test_a_handler_may_ask_what_is_permitted(accept: Accept) -> None:
    seen: list[tuple[bool, bool]] = []

    def on_echo(event: evt.Event) -> int:
        permission = permission_of(event)
        seen.append((permission.allows("store"), permission_of(event.assoc).allows("find")))
        return 0

    def on_requested(event: evt.Event) -> None:
        with pytest.raises(LookupError):
            permission_of(event)

    acceptor = accept(
        permitting("echo", "store"), handlers=[(evt.EVT_C_ECHO, on_echo), (evt.EVT_REQUESTED, on_requested)]
    )
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE))
        assert isinstance(peer.read_pdu(), Pdu)
        peer.send(message(ECHO))
        assert isinstance(peer.read_pdu(), Pdu)
    assert seen == [(True, False)]


@pytest.fixture
def chunked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Data sets are written to files here as they come."""
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


STORE = request("C-STORE", CTImageStorage)


@contextmanager
def storing(accept: Accept, on_store: Callable[[evt.Event], int]) -> Iterator[tuple[Acceptor, RawPeer]]:
    """An acceptor that stores, and a peer that it has accepted."""
    contexts = [build_context(CTImageStorage)]
    acceptor = accept(permitting("store"), contexts=contexts, handlers=[(evt.EVT_C_STORE, on_store)])
    with RawPeer(acceptor.port) as peer:
        peer.send(associate_rq(ALICE, contexts=(presentation_context(1, CTImageStorage),)))
        assert isinstance(peer.read_pdu(), Pdu)
        yield acceptor, peer


def test_the_file_of_a_refused_store_is_deleted(accept: Accept, chunked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor, "HEARTBEAT", 60.0)  # the association finds its end when the request wakes it
    there: list[int] = []

    def on_store(event: evt.Event) -> int:
        there.append(len(list(chunked.iterdir())))
        return 0

    with storing(accept, on_store) as (acceptor, peer):
        peer.send(STORE)
        assert isinstance(peer.read_pdu(), Pdu)
        (assoc,) = acceptor.server.active_associations
        assert isinstance(assoc, AcceptorAssociation)
        assoc._ends = 0.0
        peer.send(STORE)
        assert isinstance(peer.read_pdu(), Pdu)
    acceptor.settle()
    assert there == [1]
    assert list(chunked.iterdir()) == []


HALF_A_STORE = message(request_elements("C-STORE", CTImageStorage)) + p_data(value(1, 0, b"x" * 1000))


def goes(peer: RawPeer) -> None:
    peer.send(HALF_A_STORE)


def goes_while_others_wait(peer: RawPeer) -> None:
    peer.send(STORE * 3)


def resets(peer: RawPeer) -> None:
    peer.send(HALF_A_STORE)
    peer.reset()


def breaks_off(peer: RawPeer) -> None:
    peer.send(HALF_A_STORE + message(ECHO))


@pytest.mark.parametrize("ends", [goes, goes_while_others_wait, resets, breaks_off])
@pytest.mark.parametrize("misread", [False, True])
def test_no_file_is_left_of_what_no_handler_was_given(
    accept: Accept, chunked: Path, ends: Callable[..., None], misread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the peer goes amid a data set or before it is served, breaks the protocol, or is read in two ways."""
    reached, go_on = threading.Event(), threading.Event()

    def on_store(_event: evt.Event) -> int:
        reached.set()
        go_on.wait(HANG)
        return 0

    with storing(accept, on_store) as (acceptor, peer):
        peer.send(STORE)
        assert reached.wait(HANG)
        assert len(list(chunked.iterdir())) == 1
        if misread:
            monkeypatch.setattr("useridentity.pynetdicom.messages.says", lambda *_: False)
            peer.send(STORE)
        else:
            ends(peer)
        until(lambda: len(list(chunked.iterdir())) == (4 if ends is goes_while_others_wait and not misread else 2))
    go_on.set()
    acceptor.settle()
    assert list(chunked.iterdir()) == []


# C-CANCEL is judged by the request that it belongs to


class Query:
    """A C-FIND that goes on until it is cancelled, or told to end."""

    def __init__(self, accept: Accept) -> None:
        self.started, self.end = threading.Event(), threading.Event()
        self.cancelled: list[bool] = []
        self.received = 0
        handlers = [(evt.EVT_C_FIND, self._on_find), (evt.EVT_DIMSE_RECV, self._count)]
        self.port = accept(
            permitting("find", "echo"), contexts=[build_context(FIND), build_context(Verification)], handlers=handlers
        ).port

    def _count(self, _event: evt.Event) -> None:
        self.received += 1

    def _on_find(self, event: evt.Event) -> Iterator[tuple[int, None]]:
        self.started.set()
        cancelled = False
        for _ in range(int(HANG * 100)):
            cancelled = event.is_cancelled
            if cancelled or self.end.wait(0.01):
                break
        self.cancelled.append(cancelled)
        yield (0xFE00 if cancelled else 0x0000), None

    def cancelled_by(self, cancellation: bytes, *, at_once: bool = False) -> bool:
        with RawPeer(self.port) as peer:
            peer.send(
                associate_rq(ALICE, contexts=(presentation_context(1, FIND), presentation_context(3, Verification)))
            )
            assert isinstance(peer.read_pdu(), Pdu)
            query = request("C-FIND", FIND, 1, message_id=5)
            if at_once:
                peer.send(query + cancellation)
            else:
                peer.send(query)
                assert self.started.wait(HANG)
                peer.send(cancellation)
            if cancellation != CANCEL:
                until(lambda: self.received == 2)
                self.end.set()
            assert isinstance(peer.read_pdu(), Pdu)
        return self.cancelled.pop()


CANCEL = message(cancel_elements(5), None, 1)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_cancellation_of_the_request_that_is_served_cancels_it(accept: Accept, at_once: bool) -> None:
    """Also where it comes together with the request, before that is served."""
    assert Query(accept).cancelled_by(CANCEL, at_once=at_once)


@pytest.mark.parametrize(
    "cancellation",
    [message(cancel_elements(6), None, 1), message(cancel_elements(5), None, 3)],
    ids=["of another request", "on another context"],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_another_cancellation_cancels_nothing(accept: Accept, cancellation: bytes, at_once: bool) -> None:
    assert not Query(accept).cancelled_by(cancellation, at_once=at_once)


def test_a_cancellation_that_was_not_asked_for_any_more_does_not_cancel_the_next_request(accept: Accept) -> None:
    started, ended = threading.Semaphore(0), threading.Semaphore(0)
    seen: list[bool] = []

    def on_find(event: evt.Event) -> Iterator[tuple[int, None]]:
        started.release()
        assert ended.acquire(timeout=HANG)
        seen.append(event.is_cancelled)
        yield 0x0000, None

    port = accept(permitting("find"), contexts=[build_context(FIND)], handlers=[(evt.EVT_C_FIND, on_find)]).port
    find = request("C-FIND", FIND, 1, message_id=5)
    with RawPeer(port) as peer:
        peer.send(associate_rq(ALICE, contexts=(presentation_context(1, FIND),)))
        assert isinstance(peer.read_pdu(), Pdu)
        for sent in (find + CANCEL, find):
            peer.send(sent)
            assert started.acquire(timeout=HANG)
            ended.release()
            assert isinstance(peer.read_pdu(), Pdu)
    assert seen[1] is False


# What the acceptor asks is its own


def test_what_the_acceptor_asks_on_the_association_is_no_request_of_the_peer(
    accept: Accept, ct_dataset: Dataset
) -> None:
    """Objects that the acceptor fetches from the requestor reach the acceptor's handler, and so do the responses."""
    stored: list[str] = []
    query = Dataset()
    query.QueryRetrieveLevel, query.PatientID = "PATIENT", "1CT1"

    def on_store(event: evt.Event) -> int:
        stored.append(event.dataset.SOPInstanceUID)
        return 0

    def serve(event: evt.Event) -> Iterator[Any]:
        yield 1
        yield 0xFF00, ct_dataset

    syntax = ct_dataset.file_meta.TransferSyntaxUID
    contexts = [build_context(GET), build_context(CTImageStorage, syntax)]
    for context in contexts:
        context.scu_role = context.scp_role = True
    policy = Policy([Rule([UsernameValidator()])])
    acceptor = accept(policy, contexts=contexts, handlers=[(evt.EVT_C_STORE, on_store)])
    ae = AE("WORKSTATION")
    ae.requested_contexts = contexts
    assoc = ae.associate(
        "127.0.0.1",
        acceptor.port,
        ext_neg=[build_role(uid, scu_role=True, scp_role=True) for uid in (GET, CTImageStorage)],
        evt_handlers=[(evt.EVT_C_GET, serve)],
        identity=Username("alice"),
    )
    until(lambda: acceptor.server.active_associations)
    *_, (status, _) = acceptor.server.active_associations[0].send_c_get(query, GET)
    assert status.Status == 0x0000
    assert stored == [ct_dataset.SOPInstanceUID]
    assoc.release()
