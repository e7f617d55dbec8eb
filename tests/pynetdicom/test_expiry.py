"""An association ends with the proof of its user (DESIGN, errors and answers)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.pynetdicom.support import Acceptor, until
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
from useridentity.pynetdicom import AE, reactor

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


def end_the_proof(acceptor: Acceptor) -> None:
    """As if its time had come; nothing wakes the association for it."""
    (assoc,) = acceptor.server.active_associations
    assoc._ends = 0.0


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
