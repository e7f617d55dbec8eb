"""What is served under a scope and what is not, and how an application has its say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmSession,
    CompositeInstanceRetrieveWithoutBulkDataGet,
    GeneralRelevantPatientInformationQuery,
    HangingProtocolInformationModelFind,
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    PatientStudyOnlyQueryRetrieveInformationModelFind,
    RepositoryQuery,
    StorageCommitmentPushModel,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    Verification,
)

from tests.pynetdicom.scoped.asking import (
    PERMIT,
    archive,
    association,
    find,
    identifier,
    policy,
    retrieve,
)
from tests.pynetdicom.scoped.index import Index
from tests.pynetdicom.scoped.rows import ALL
from tests.pynetdicom.support import echo
from useridentity import Policy

SCOPE = {"PatientID": "P1"}


RELOADED = """
version = 1

[validator.users]
type = "username"

[[authenticate]]
accept = ["users"]

[[authorize]]
who = { assurance = ["asserted"] }
permit = ["find"]
scope = { PatientID = "P1" }
"""


def test_a_policy_that_is_reloaded_has_another_scope_for_associations_that_stay(index: Index, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(RELOADED)
    with archive(index.handlers, policy=Policy.load(file)) as acceptor, association(acceptor) as assoc:
        assert [row.PatientID for row in find(assoc, ALL)[1]] == ["P1", "P1"]
        file.write_text(RELOADED.replace("P1", "P2"))
        acceptor.server.reload(drop=True)
        assert [row.PatientID for row in find(assoc, ALL)[1]] == ["P2"]


def other_requests() -> dict[str, Any]:
    keys = identifier(PatientID="P1")
    return {
        "find in Patient/Study Only": lambda a: find(a, ALL, PatientStudyOnlyQueryRetrieveInformationModelFind)[0],
        "get without bulk data": lambda a: (
            retrieve(a.send_c_get(ALL, CompositeInstanceRetrieveWithoutBulkDataGet))[0].Status
        ),
        "find of hanging protocols": lambda a: find(a, keys, HangingProtocolInformationModelFind)[0],
        "relevant patient information": lambda a: find(a, keys, GeneralRelevantPatientInformationQuery)[0],
        "query of a repository": lambda a: find(a, keys, RepositoryQuery)[0],
        "N-CREATE of availability": lambda a: a.send_n_create(keys, InstanceAvailabilityNotification, "1.2")[0].Status,
        "query of UPS": lambda a: find(a, keys, UnifiedProcedureStepPull)[0],
        "N-GET of UPS": lambda a: a.send_n_get([0x00100020], UnifiedProcedureStepPush, "1.2")[0].Status,
        "N-CREATE of UPS": lambda a: a.send_n_create(keys, UnifiedProcedureStepPush, "1.2")[0].Status,
        "N-GET of MPPS": lambda a: a.send_n_get([0x00100020], ModalityPerformedProcedureStepRetrieve, "1.2")[0].Status,
        "N-CREATE of a film session": lambda a: a.send_n_create(keys, BasicFilmSession, "1.2")[0].Status,
        "N-DELETE of a film session": lambda a: a.send_n_delete(BasicFilmSession, "1.2").Status,
    }


SERVED: dict[str, Any] = {
    "echo": echo,
    "N-CREATE of MPPS": lambda a: (
        a.send_n_create(identifier(PatientID="P2"), ModalityPerformedProcedureStep, "1.2")[0].Status
    ),
    "N-SET of MPPS": lambda a: (
        a.send_n_set(identifier(PatientID="P2"), ModalityPerformedProcedureStep, "1.2")[0].Status
    ),
    "N-ACTION of commitment": lambda a: (
        a.send_n_action(identifier(PatientID="P2"), 1, StorageCommitmentPushModel, "1.2")[0].Status
    ),
}

OTHERS = (
    PatientStudyOnlyQueryRetrieveInformationModelFind, CompositeInstanceRetrieveWithoutBulkDataGet,
    UnifiedProcedureStepPull, UnifiedProcedureStepPush, ModalityPerformedProcedureStepRetrieve,
    ModalityPerformedProcedureStep, StorageCommitmentPushModel, BasicFilmSession, Verification,
    GeneralRelevantPatientInformationQuery, HangingProtocolInformationModelFind, InstanceAvailabilityNotification,
    RepositoryQuery,
)  # fmt: skip


@pytest.fixture
def served() -> list[str]:
    """The events of which a handler has run."""
    return []


@pytest.fixture
def handlers(served: list[str]) -> list[Any]:
    """Of everything there is; each succeeds."""

    def handler(answer: Any) -> Any:
        def run(event: evt.Event) -> Any:
            served.append(event.event.name)
            return answer

        return run

    names = {"EVT_C_FIND": [], "EVT_C_GET": iter([0]), "EVT_N_DELETE": 0x0000, "EVT_C_ECHO": 0x0000}
    names |= {f"EVT_N_{service}": (0x0000, Dataset()) for service in ("GET", "SET", "CREATE", "ACTION")}
    return [(getattr(evt, name), handler(answer)) for name, answer in names.items()]


EVERYTHING_PERMITTED: dict[str, Any] = {"contexts": [build_context(uid) for uid in OTHERS]}


@pytest.mark.parametrize("request_", other_requests())
@pytest.mark.threat("Q6")
def test_what_a_scope_cannot_decide_is_refused(
    handlers: list[Any], served: list[str], request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = other_requests()[request_]
    with archive(handlers, **EVERYTHING_PERMITTED) as acceptor, association(acceptor, propose=OTHERS) as assoc:
        assert ask(assoc) == 0x0000
    assert len(served) == 1
    serves = "useridentity.policy.grant_problems._serves_a_scope"
    monkeypatch.setattr(serves, lambda _: True)  # else no policy permits it
    settings = {"policy": policy(SCOPE, permit=PERMIT), **EVERYTHING_PERMITTED}
    with archive(handlers, **settings) as acceptor, association(acceptor, propose=OTHERS) as assoc:
        assert ask(assoc) == 0x0124
    assert len(served) == 1


@pytest.mark.parametrize("request_", SERVED)
def test_what_only_brings_something_in_is_served(handlers: list[Any], served: list[str], request_: str) -> None:
    with archive(handlers, SCOPE, **EVERYTHING_PERMITTED) as acceptor, association(acceptor, propose=OTHERS) as assoc:
        assert SERVED[request_](assoc) == 0x0000
    assert len(served) == 1


REPLIES: dict[str, Any] = {
    "EVT_N_CREATE": lambda a, keys: a.send_n_create(keys, ModalityPerformedProcedureStep, "1.2"),
    "EVT_N_SET": lambda a, keys: a.send_n_set(keys, ModalityPerformedProcedureStep, "1.2"),
    "EVT_N_ACTION": lambda a, keys: a.send_n_action(keys, 1, StorageCommitmentPushModel, "1.2"),
}


@pytest.mark.parametrize("code", [0x0000, 0x0110])
@pytest.mark.parametrize("service", REPLIES)
@pytest.mark.threat("Q7")
def test_what_brings_something_in_is_answered_with_a_number_and_nothing_else(service: str, code: int) -> None:
    """What is held may be another patient's."""

    def on_request(event: evt.Event) -> tuple[Dataset, Dataset]:
        status = Dataset()
        status.Status, status.ErrorComment = code, "belongs to Roe^Richard"
        return status, identifier(PatientID="P2", PatientName="Roe^Richard")

    def answered(scope: object) -> tuple[Dataset, Dataset | None]:
        handlers = [(getattr(evt, service), on_request)]
        with (
            archive(handlers, scope, **EVERYTHING_PERMITTED) as acceptor,
            association(acceptor, propose=OTHERS) as assoc,
        ):
            answer: tuple[Dataset, Dataset | None] = REPLIES[service](assoc, identifier(PatientID="P1"))
            return answer

    assert "Roe^Richard" in str(answered(None))
    status, dataset = answered(SCOPE)
    assert (status.Status, "ErrorComment" in status, dataset or None) == (code, False, None)


@pytest.mark.parametrize("scope", [None, SCOPE])
def test_an_instance_that_is_created_without_a_uid_is_told_its_own(scope: object) -> None:
    def on_create(event: evt.Event) -> tuple[int, Dataset]:
        return 0x0000, identifier(PatientID="P2", AffectedSOPInstanceUID="1.2.7")

    with (
        archive([(evt.EVT_N_CREATE, on_create)], scope, **EVERYTHING_PERMITTED) as acceptor,
        association(acceptor, propose=OTHERS) as assoc,
    ):
        status, dataset = assoc.send_n_create(identifier(PatientID="P1"), ModalityPerformedProcedureStep)
    assert status.Status == 0x0000, "pynetdicom fails where the handler names no UID"
    assert ("PatientID" in (dataset or ())) == (scope is None)
