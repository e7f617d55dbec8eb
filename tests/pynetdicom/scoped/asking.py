"""Archives with and without a scope, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from tests.pynetdicom.support import Acceptor, requestor, serving
from useridentity import Assurance, FunctionValidator, Grant, Identity, Policy, Rule, Scope, Username, Verified

PATIENT_ROOT = {
    "FIND": PatientRootQueryRetrieveInformationModelFind,
    "GET": PatientRootQueryRetrieveInformationModelGet,
    "MOVE": PatientRootQueryRetrieveInformationModelMove,
}
STUDY_ROOT = {
    "FIND": StudyRootQueryRetrieveInformationModelFind,
    "GET": StudyRootQueryRetrieveInformationModelGet,
    "MOVE": StudyRootQueryRetrieveInformationModelMove,
}
WORKLIST = ModalityWorklistInformationFind
MODELS = (*PATIENT_ROOT.values(), *STUDY_ROOT.values(), WORKLIST)

PERMIT_IN_SCOPE = ("echo", "find", "get", "move", "worklist", "store", "mpps", "commit")
PERMIT = (
    *PERMIT_IN_SCOPE,
    "print",
    "ups",
    "GeneralRelevantPatientInformationQuery",
    "HangingProtocolInformationModelFind",
    "InstanceAvailabilityNotification",
    "RepositoryQuery",
)


def policy(scope: object = None, *, permit: tuple[str, ...] | None = None, **claims: object) -> Policy:
    """Lets anybody in as AUTHENTICATED with these claims, under `scope` or under none."""
    identity = Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED, 1, claims=claims)
    anybody = FunctionValidator("anybody", 1, lambda *_: Verified(identity), cpu_short=True)
    permit = permit or (PERMIT if scope is None else PERMIT_IN_SCOPE)
    grant = Grant(permit, destinations=["*"], scope=Scope.of(scope) if scope is not None else None)
    return Policy([Rule([anybody])], [grant])


@contextmanager
def archive(
    handlers: list[Any], scope: object = None, *, claims: Mapping[str, Any] | None = None, **settings: Any
) -> Iterator[Acceptor]:
    """An acceptor of queries and retrievals that answers by `handlers`."""
    contexts = [build_context(uid) for uid in (Verification, *MODELS)]
    contexts.append(build_context(CTImageStorage))
    contexts[-1].scu_role = contexts[-1].scp_role = True
    rules = settings.pop("policy", None) or policy(scope, **(claims or {}))
    settings.setdefault("requested_contexts", [build_context(CTImageStorage)])  # for C-MOVE
    with serving(rules, handlers=handlers, contexts=settings.pop("contexts", contexts), **settings) as acceptor:
        yield acceptor


@contextmanager
def association(acceptor: Acceptor, received: list[Dataset] | None = None, **request: Any) -> Iterator[Association]:
    """An association as alice; `received` gets what a C-GET brings."""

    def on_store(event: evt.Event) -> int:
        assert received is not None
        received.append(event.dataset)
        return 0x0000

    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CTImageStorage, True, True
    request.setdefault("identity", Username("alice"))
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_STORE, on_store)] if received is not None else []
    extended = [role, *request.pop("ext_neg", [])]
    contexts = request.pop("propose", (Verification, *MODELS, CTImageStorage))
    scu = requestor(*contexts)
    assoc = scu.associate("127.0.0.1", acceptor.port, ext_neg=extended, evt_handlers=handlers, **request)
    assert assoc.is_established, assoc
    try:
        yield assoc
    finally:
        assoc.release()


def identifier(level: str = "", **keys: Any) -> Dataset:
    """An identifier in UTF-8; a key of None asks for the attribute."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    if level:
        dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def find(assoc: Association, wanted: Dataset, model: str = STUDY_ROOT["FIND"]) -> tuple[int, list[Dataset]]:
    """The final status and the rows of a C-FIND."""
    rows: list[Dataset] = []
    for status, row in assoc.send_c_find(wanted, model):
        if status.Status not in (0xFF00, 0xFF01):
            return status.Status, rows
        assert row is not None
        rows.append(row)
    raise AssertionError("no final response")


def retrieve(answers: Iterator[tuple[Dataset, Dataset | None]]) -> tuple[Dataset, list[str]]:
    """The final response of a C-GET or C-MOVE, and the UIDs it lists as failed."""
    *_, (status, dataset) = answers
    failed = dataset.get("FailedSOPInstanceUIDList") if dataset else None
    return status, [failed] if failed and isinstance(failed, str) else list(failed or [])
