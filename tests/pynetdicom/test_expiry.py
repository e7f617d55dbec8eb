"""An association ends with the proof of its user (DESIGN, errors and answers)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from traceback import walk_stack
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StorageCommitmentPushModel,
    Verification,
)

from tests.lib.commands import request
from tests.lib.pdus import associate_rq, presentation_context, user_identity
from tests.lib.rawpeer import HANG, Pdu, PduType, RawPeer
from tests.pynetdicom.support import Acceptor, status_of, until
from useridentity import (
    Assurance,
    CheckContext,
    Credential,
    Facts,
    FunctionValidator,
    Identity,
    Limits,
    Policy,
    Rule,
    Username,
    Verified,
)
from useridentity.pynetdicom import AE, reactor, service
from useridentity.pynetdicom.service import ServingAssociation

Accept = Callable[..., Acceptor]


def policy(lasting: float | None, **limits: Any) -> Policy:
    """Everybody who sends a username, for so many seconds."""

    def verify(_presented: Credential | None, facts: Facts, _context: CheckContext) -> Verified:
        identity = Identity("test:alice", "alice", "test", Assurance.AUTHENTICATED, 1)
        return Verified(identity, expires_at=None if lasting is None else facts.now + timedelta(seconds=lasting))

    return Policy([Rule([FunctionValidator("test", 1, verify, cpu_short=True)])], limits=Limits(**limits))


def associated(acceptor: Acceptor) -> Any:
    ae = AE("WORKSTATION")
    ae.add_requested_context(Verification)
    ae.add_requested_context(CTImageStorage)
    assoc = ae.associate("127.0.0.1", acceptor.port, identity=Username("alice"))
    assert assoc.is_established
    return assoc


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what comes wakes an association: its own look around must not be faster than the test."""
    monkeypatch.setattr(reactor, "HEARTBEAT", 60.0)


def only(acceptor: Acceptor) -> ServingAssociation:
    (assoc,) = acceptor.server.active_associations
    assert isinstance(assoc, ServingAssociation)
    return assoc


def is_looking_around(assoc: ServingAssociation) -> bool:
    """Its thread is, also once it has answered; `_is_paused` is true meanwhile, as the service class is asked."""
    assert assoc.ident is not None
    stack = walk_stack(sys._current_frames().get(assoc.ident))
    return any(frame.f_code.co_name == "_serve_what_came" for frame, _line in stack)


def until_idle(acceptor: Acceptor) -> None:
    """Its thread may be about to look around after its last answer, and would find the end then."""
    assoc = only(acceptor)
    awake = assoc._activity.is_set  # looked at first: it is cleared only after `_is_paused`
    until(lambda: not awake() and assoc._is_paused and not is_looking_around(assoc) and not awake())


def end_the_proof(acceptor: Acceptor) -> None:
    """As if its time had come; nothing wakes the association for it."""
    only(acceptor)._ends = 0.0


@pytest.mark.parametrize(
    ("lasting", "limits"), [(0.3, {}), (None, {"max_association": 0.3}), (3600.0, {"max_association": 0.3})]
)
@pytest.mark.threat("T14")
def test_an_idle_association_is_aborted_when_its_proof_or_its_time_ends(
    accept: Accept, lasting: float | None, limits: dict[str, float]
) -> None:
    lasting_one = associated(accept(policy(3600.0)))
    assoc = associated(accept(policy(lasting, **limits)))
    until(lambda: assoc.is_aborted)
    assert lasting_one.is_established
    lasting_one.release()


@pytest.mark.usefixtures("asleep")
@pytest.mark.threat("T14")
def test_a_request_after_the_end_is_refused_and_then_the_association_is_aborted(
    accept: Accept, ct_dataset: Dataset
) -> None:
    acceptor = accept(policy(3600.0))
    assoc = associated(acceptor)
    assert assoc.send_c_store(ct_dataset).Status == 0x0000
    served = len(acceptor.served)
    until_idle(acceptor)
    end_the_proof(acceptor)
    status = assoc.send_c_store(ct_dataset)
    assert (status.Status, len(status.ErrorComment) <= 64) == (0x0124, True)
    until(lambda: assoc.is_aborted)
    assert len(acceptor.served) == served


@pytest.mark.usefixtures("asleep")
def test_an_echo_after_the_end_has_no_answer_but_the_abort(accept: Accept) -> None:
    """C-ECHO knows no status for it (PS3.7 9.1.5.1.4)."""
    acceptor = accept(policy(3600.0))
    assoc = associated(acceptor)
    assert assoc.send_c_echo().Status == 0x0000
    served = len(acceptor.served)
    until_idle(acceptor)
    end_the_proof(acceptor)
    assert "Status" not in assoc.send_c_echo()
    until(lambda: assoc.is_aborted)
    assert len(acceptor.served) == served


def test_what_is_being_done_at_the_end_is_finished(accept: Accept, ct_dataset: Dataset) -> None:
    started, finish = threading.Event(), threading.Event()

    def on_store(_event: evt.Event) -> int:
        started.set()
        finish.wait(10)
        return 0x0000

    acceptor = accept(policy(3600.0), handlers=[(evt.EVT_C_STORE, on_store)])
    assoc = associated(acceptor)

    def end_meanwhile() -> None:
        started.wait(10)
        end_the_proof(acceptor)
        finish.set()

    meanwhile = threading.Thread(target=end_meanwhile)
    meanwhile.start()
    assert assoc.send_c_store(ct_dataset).Status == 0x0000
    meanwhile.join()
    until(lambda: assoc.is_aborted)


# Requests that come while another is served, with the heartbeat that servers have

OFFERED = (CTImageStorage, StorageCommitmentPushModel, Verification)
CT_CX, COMMIT_CX, ECHO_CX = 1, 3, 5
REPORT = request("N-EVENT-REPORT", StorageCommitmentPushModel, COMMIT_CX)
ECHO = request("C-ECHO", Verification, ECHO_CX, message_id=9)
SUCCESS, REFUSED = 0x0000, 0x0124


def stores(number: int) -> bytes:
    return b"".join(request("C-STORE", CTImageStorage, CT_CX, message_id=2 + i) for i in range(number))


class Busy:
    """An acceptor whose first request is held up, and a peer that sends others meanwhile."""

    def __init__(self, accept: Accept) -> None:
        self.started, self.finish = threading.Event(), threading.Event()
        self.received: list[str] = []
        self.served: list[str] = []
        handlers = [
            (evt.EVT_DIMSE_RECV, lambda event: self.received.append(type(event.message).__name__)),
            (evt.EVT_C_STORE, self._serve),
            (evt.EVT_C_ECHO, self._serve),
            (evt.EVT_N_EVENT_REPORT, lambda event: (self._serve(event), None)),
        ]
        self._acceptor = accept(policy(3600.0), contexts=[build_context(uid) for uid in OFFERED], handlers=handlers)

    @property
    def associations(self) -> list[Any]:
        return self._acceptor.server.active_associations

    def _serve(self, event: evt.Event) -> int:
        self.served.append(event.event.name)
        self.started.set()
        assert self.finish.wait(HANG)
        return SUCCESS

    @contextmanager
    def peer(self) -> Iterator[RawPeer]:
        contexts = tuple(presentation_context(2 * i + 1, uid) for i, uid in enumerate(OFFERED))
        with RawPeer(self._acceptor.port) as peer:
            peer.send(associate_rq(user_identity(1, b"alice"), contexts=contexts))
            assert isinstance(peer.read_pdu(), Pdu)
            yield peer

    def answers(self, first: bytes, *, before: bytes = b"", after: bytes = b"", coming: int, ends: bool) -> list[Any]:
        """The answers where the proof ends, or does not, between what comes before and after while `first` is served.

        `coming` requests come meanwhile, and are there before the first is finished.
        """
        with self.peer() as peer:
            peer.send(first)
            assert self.started.wait(HANG)
            peer.send(before)
            if ends:
                end_the_proof(self._acceptor)
            peer.send(after)
            until(lambda: len(self.received) == 1 + coming)
            self.finish.set()
            found = [status_of(peer.read_pdu())]
            while len(found) < 1 + coming and PduType.ABORT not in found:
                found.append(status_of(peer.read_pdu()))
            if ends and PduType.ABORT not in found:
                found.append(status_of(peer.read_pdu()))
            return found


FIRST = {"C-STORE": request("C-STORE", CTImageStorage, CT_CX), "N-EVENT-REPORT": REPORT}


@pytest.mark.threat("T14")
def test_pipelined_requests_are_refused_one_by_one_after_the_end(accept: Accept) -> None:
    first = FIRST["C-STORE"]
    assert Busy(accept).answers(first, before=stores(5), coming=5, ends=False) == [SUCCESS] * 6
    busy = Busy(accept)
    answers = busy.answers(first, before=stores(2), after=stores(3), coming=5, ends=True)
    assert answers == [SUCCESS, *[REFUSED] * 5, PduType.ABORT]
    assert busy.served == ["EVT_C_STORE"]


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
@pytest.mark.parametrize("others", [b"", ECHO, REPORT], ids=["nothing", "C-ECHO", "N-EVENT-REPORT"])
def test_what_is_running_is_finished_whatever_comes_meanwhile(accept: Accept, first: bytes, others: bytes) -> None:
    """A report of an event is served in a thread of its own; and what has no status is only not answered."""
    assert Busy(accept).answers(first, coming=0, ends=False) == [SUCCESS]
    busy = Busy(accept)
    found = busy.answers(first, after=others, coming=1 if others else 0, ends=True)
    assert found == [SUCCESS, PduType.ABORT]
    assert len(busy.served) == 1


@pytest.mark.parametrize(("ends", "status"), [(False, SUCCESS), (True, REFUSED)])
def test_an_event_that_is_still_served_keeps_others_from_nothing_but_the_abort(
    accept: Accept, ends: bool, status: int
) -> None:
    busy = Busy(accept)
    with busy.peer() as peer:
        peer.send(REPORT)
        assert busy.started.wait(HANG)
        if ends:
            end_the_proof(busy._acceptor)
        peer.send(stores(1))
        if not ends:
            until(lambda: len(busy.served) == 2)
            busy.finish.set()
        answers = [status_of(peer.read_pdu())]
        busy.finish.set()
        answers.append(status_of(peer.read_pdu()))
        assert answers == [status, SUCCESS]
        assert not ends or status_of(peer.read_pdu()) is PduType.ABORT


@pytest.mark.threat("T14")
def test_who_goes_on_asking_after_the_end_does_not_stay(accept: Accept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_LATE", 3)
    first = FIRST["C-STORE"]
    few = Busy(accept).answers(first, after=stores(3), coming=3, ends=True)
    assert few == [SUCCESS, *[REFUSED] * 3, PduType.ABORT]
    many = Busy(accept).answers(first, after=stores(6), coming=6, ends=True)
    assert many == few
