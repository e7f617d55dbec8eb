"""Associations that an acceptor opens: each has the identity it is given, and fails with the right status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
)

from tests.lib.rawpeer import HANG
from tests.pynetdicom.support import PASSCODE, Acceptor, requestor
from useridentity import CredentialUnavailable, Policy, Username, UsernamePasscode
from useridentity.pynetdicom import AE, Outcome, identity_of, outcome_of

Accept = Callable[..., Acceptor]

MOVE_DESTINATION_UNKNOWN = 0xA801
SUCCESS = 0x0000


def archive(accept: Accept, destination: int, dataset: Dataset, host: str = "127.0.0.1", **arguments: Any) -> Acceptor:
    """An acceptor that answers a C-MOVE by storing one object at that host and port, with these arguments."""

    def on_move(event: evt.Event) -> Iterator[Any]:
        contexts = [build_context(CTImageStorage, dataset.file_meta.TransferSyntaxUID)]
        yield host, destination, {"contexts": contexts, **arguments}
        yield 1
        yield 0xFF00, dataset

    return accept(
        contexts=[build_context(PatientRootQueryRetrieveInformationModelMove)], handlers=[(evt.EVT_C_MOVE, on_move)]
    )


def move(acceptor: Acceptor) -> int:
    """The final status of a C-MOVE."""
    assoc = requestor(PatientRootQueryRetrieveInformationModelMove).associate(
        "127.0.0.1", acceptor.port, identity=Username("alice")
    )
    query = Dataset()
    query.QueryRetrieveLevel, query.PatientID = "PATIENT", "1CT1"
    responses = assoc.send_c_move(query, "STORE", PatientRootQueryRetrieveInformationModelMove)
    *_, (status, _) = responses
    assert assoc.is_established
    assoc.release()
    return int(status.Status)


def destination(accept: Accept, *arguments: Any) -> tuple[Acceptor, list[str]]:
    stored_by: list[str] = []

    def on_store(event: evt.Event) -> int:
        stored_by.append(identity_of(event).subject)
        return SUCCESS

    return accept(*arguments, handlers=[(evt.EVT_C_STORE, on_store)]), stored_by


def test_a_move_stores_with_the_identity_its_handler_yields(accept: Accept, ct_dataset: Dataset) -> None:
    store, stored_by = destination(accept)
    for identity, subject in (
        (Username("archive"), "username:archive"),
        (UsernamePasscode("alice", PASSCODE, plaintext="allow"), "passcode:alice"),
    ):
        assert move(archive(accept, store.port, ct_dataset, identity=identity)) == SUCCESS
        assert stored_by.pop() == subject


IN_VAIN = {
    "rejected for want of an identity": {},
    "rejected for a wrong one": {"identity": UsernamePasscode("alice", b"wrong", plaintext="allow")},
    "unavailable": {"identity": UsernamePasscode("alice", PASSCODE)},
    "no name": {"identity": Username("")},
}


@pytest.mark.parametrize("arguments", IN_VAIN.values(), ids=IN_VAIN)
def test_a_move_whose_store_is_refused_fails_with_the_status_for_that(
    accept: Accept, ct_dataset: Dataset, arguments: dict[str, Any]
) -> None:
    store, stored_by = destination(accept)
    assert move(archive(accept, store.port, ct_dataset, **arguments)) == MOVE_DESTINATION_UNKNOWN
    assert stored_by == []


def test_a_move_to_a_name_that_does_not_resolve_fails_with_that_status_too(accept: Accept, ct_dataset: Dataset) -> None:
    store, _ = destination(accept)
    arguments = {"identity": Username("archive")}
    assert move(archive(accept, store.port, ct_dataset, **arguments)) == SUCCESS
    assert move(archive(accept, store.port, ct_dataset, "nowhere.invalid", **arguments)) == MOVE_DESTINATION_UNKNOWN


def test_a_move_to_a_destination_that_confirms_nothing_fails_unless_that_is_wanted(
    accept: Accept, ct_dataset: Dataset
) -> None:
    store, stored_by = destination(accept, Policy.unguarded())
    identity = Username("archive")
    assert move(archive(accept, store.port, ct_dataset, identity=identity)) == MOVE_DESTINATION_UNKNOWN
    assert stored_by == []
    assert move(archive(accept, store.port, ct_dataset, identity=identity, confirmation="wanted")) == SUCCESS
    assert len(stored_by) == 1


def test_outside_a_move_the_same_credential_raises(accept: Accept) -> None:
    store, _ = destination(accept)
    with pytest.raises(CredentialUnavailable):
        requestor(CTImageStorage).associate("127.0.0.1", store.port, identity=UsernamePasscode("alice", PASSCODE))


def test_a_storage_commitment_is_reported_over_an_association_with_an_identity_of_its_own(accept: Accept) -> None:
    reported_by: list[str] = []
    reported = threading.Event()
    transaction = Dataset()
    transaction.TransactionUID = "1.2.3"
    outcomes: list[Outcome] = []

    def on_event_report(event: evt.Event) -> tuple[int, None]:
        reported_by.append(identity_of(event).subject)
        reported.set()
        return SUCCESS, None

    contexts = [build_context(StorageCommitmentPushModel)]
    modality = accept(contexts=contexts, handlers=[(evt.EVT_N_EVENT_REPORT, on_event_report)])

    def report() -> None:
        ae = AE("ARCHIVE")
        ae.requested_contexts = contexts
        assoc = ae.associate("127.0.0.1", modality.port, identity=Username("archive"))
        outcomes.append(outcome_of(assoc))
        assoc.send_n_event_report(transaction, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
        assoc.release()

    reporter = threading.Thread(target=report)

    def on_action(event: evt.Event) -> tuple[int, None]:
        reporter.start()
        return SUCCESS, None

    acceptor = accept(contexts=contexts, handlers=[(evt.EVT_N_ACTION, on_action)])
    assoc = requestor(StorageCommitmentPushModel).associate("127.0.0.1", acceptor.port, identity=Username("ct1"))
    status, _ = assoc.send_n_action(transaction, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    assert status.Status == SUCCESS
    assert reported.wait(HANG)
    reporter.join(HANG)
    assoc.release()
    assert reported_by == ["username:archive"]
    assert [str(outcome) for outcome in outcomes] == ["accepted, identity confirmed"]
