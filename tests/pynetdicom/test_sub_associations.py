"""Associations that an acceptor opens: each has the identity it is given, and fails with the right status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
)

from tests.lib.rawpeer import HANG
from tests.pynetdicom.support import PASSCODE, Acceptor, requestor
from useridentity import (
    Assurance,
    CredentialUnavailable,
    Grant,
    Policy,
    Rule,
    Username,
    UsernamePasscode,
    UsernameValidator,
    Who,
)
from useridentity.permission import Destination
from useridentity.pynetdicom import AE, Outcome, identity_of, outcome_of

Accept = Callable[..., Acceptor]

MOVE_DESTINATION_UNKNOWN = 0xA801
NOT_AUTHORIZED = 0x0124
SUCCESS = 0x0000


def archive(
    accept: Accept,
    destination: int,
    dataset: Dataset,
    host: str = "127.0.0.1",
    policy: Policy | None = None,
    **arguments: Any,
) -> Acceptor:
    """An acceptor that answers a C-MOVE by storing one object at that host and port, with these arguments."""

    def on_move(event: evt.Event) -> Iterator[Any]:
        contexts = [build_context(CTImageStorage, dataset.file_meta.TransferSyntaxUID)]
        yield host, destination, {"contexts": contexts, **arguments}
        yield 1
        yield 0xFF00, dataset

    contexts = [build_context(PatientRootQueryRetrieveInformationModelMove)]
    return accept(policy, contexts=contexts, handlers=[(evt.EVT_C_MOVE, on_move)])


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
    arguments: dict[str, Any] = {"identity": Username("archive")}
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


# A permission's destinations


def moving(*destinations: Destination | str) -> Policy:
    """Everybody may move, to these destinations only."""
    grant = Grant(["move"], who=Who(assurance=(Assurance.ASSERTED,)), destinations=destinations)
    return Policy([Rule([UsernameValidator()])], authorize=[grant])


REACHED = {
    "the AE title": (["STORE"], SUCCESS),
    "a pattern": (["ST*"], SUCCESS),
    "another AE title": (["WS_1"], NOT_AUTHORIZED),
    "the AE title at its address": ([Destination("STORE", ip_network("127.0.0.1"))], SUCCESS),
    "the AE title at another address": ([Destination("STORE", ip_network("127.0.0.2"))], MOVE_DESTINATION_UNKNOWN),
}


@pytest.mark.parametrize(("destinations", "status"), REACHED.values(), ids=REACHED)
@pytest.mark.threat("D5")
def test_a_move_reaches_what_is_permitted(
    accept: Accept, ct_dataset: Dataset, destinations: list[Destination | str], status: int
) -> None:
    """The address is known only once the handler has yielded it: too late for 0124H, and A801H says it as well."""
    store, stored_by = destination(accept)
    identity = Username("archive")
    assert move(archive(accept, store.port, ct_dataset, policy=moving(*destinations), identity=identity)) == status
    assert len(stored_by) == (1 if status == SUCCESS else 0)


@pytest.mark.parametrize("ae_title", ["STORE", "ELSE"])
@pytest.mark.parametrize(("network", "status"), [("127.0.0.1", SUCCESS), ("127.0.0.2", MOVE_DESTINATION_UNKNOWN)])
@pytest.mark.threat("D5")
def test_the_destination_that_a_handler_calls_by_another_name_is_the_destination(
    accept: Accept, ct_dataset: Dataset, ae_title: str, network: str, status: int
) -> None:
    store, stored_by = destination(accept)
    policy = moving(Destination("STORE", ip_network(network)))
    arguments: dict[str, Any] = {"identity": Username("archive"), "ae_title": ae_title}
    assert move(archive(accept, store.port, ct_dataset, policy=policy, **arguments)) == status
    assert len(stored_by) == (1 if status == SUCCESS else 0)


@pytest.mark.parametrize(("yielded", "status"), [(("127.0.0.1", None), 0xA801), (5, 0xC515), (None, 0xC515)])
def test_a_handler_that_yields_no_destination_is_answered_as_in_pynetdicom(
    accept: Accept, yielded: Any, status: int
) -> None:
    contexts = [build_context(PatientRootQueryRetrieveInformationModelMove)]
    handlers = [(evt.EVT_C_MOVE, lambda _event: iter([yielded, 1]))]
    assert move(accept(moving("STORE"), contexts=contexts, handlers=handlers)) == status


def test_what_else_a_move_handler_connects_to_is_its_own_affair(accept: Accept, ct_dataset: Dataset) -> None:
    store, stored_by = destination(accept)
    behind, _ = destination(accept)
    fetched: list[bool] = []

    def on_move(event: evt.Event) -> Iterator[Any]:
        upstream = requestor(CTImageStorage).associate(
            "127.0.0.1", behind.port, ae_title="BEHIND", identity=Username("archive")
        )
        fetched.append(upstream.is_established)
        upstream.release()
        contexts = [build_context(CTImageStorage, ct_dataset.file_meta.TransferSyntaxUID)]
        yield "127.0.0.1", store.port, {"contexts": contexts, "identity": Username("archive")}
        yield 1
        yield 0xFF00, ct_dataset

    policy = moving(Destination("STORE", ip_network("127.0.0.1")))
    contexts = [build_context(PatientRootQueryRetrieveInformationModelMove)]
    assert move(accept(policy, contexts=contexts, handlers=[(evt.EVT_C_MOVE, on_move)])) == SUCCESS
    assert fetched == [True]
    assert len(stored_by) == 1


def test_sub_operations_of_a_retrieval_are_no_requests_of_the_peer(accept: Accept, ct_dataset: Dataset) -> None:
    """Who may get and not store is sent objects, and answers; the answers are judged by nothing."""
    model = PatientRootQueryRetrieveInformationModelGet
    received: list[Dataset] = []

    def on_get(event: evt.Event) -> Iterator[Any]:
        yield 1
        yield 0xFF00, ct_dataset

    def on_store(event: evt.Event) -> int:
        received.append(event.dataset)
        return SUCCESS

    syntax = ct_dataset.file_meta.TransferSyntaxUID
    contexts = [build_context(model), build_context(CTImageStorage, syntax)]
    for context in contexts:
        context.scu_role = context.scp_role = True
    grant = Grant(["get"], who=Who(assurance=(Assurance.ASSERTED,)))
    policy = Policy([Rule([UsernameValidator()])], authorize=[grant])
    acceptor = accept(policy, contexts=contexts, handlers=[(evt.EVT_C_GET, on_get)])
    ae = AE("WORKSTATION")
    ae.add_requested_context(model)
    ae.add_requested_context(CTImageStorage, syntax)
    assoc = ae.associate(
        "127.0.0.1",
        acceptor.port,
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, on_store)],
        identity=Username("alice"),
    )
    query = Dataset()
    query.QueryRetrieveLevel, query.PatientID = "PATIENT", "1CT1"
    *_, (status, _) = assoc.send_c_get(query, model)
    assert (status.Status, status.NumberOfCompletedSuboperations) == (SUCCESS, 1)
    assert [each.SOPInstanceUID for each in received] == [ct_dataset.SOPInstanceUID]
    assoc.release()
