"""What is served under a scope and what is not, and how an application has its say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmSession,
    CompositeInstanceRetrieveWithoutBulkDataGet,
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    PatientStudyOnlyQueryRetrieveInformationModelFind,
    StorageCommitmentPushModel,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    Verification,
)

from tests.pynetdicom.scoped.asking import (
    MODELS,
    PATIENT_ROOT,
    PERMIT,
    STUDY_ROOT,
    archive,
    association,
    find,
    identifier,
    policy,
    retrieve,
)
from tests.pynetdicom.scoped.index import Index, Series, Study, instance
from tests.pynetdicom.support import echo
from useridentity import Policy

SCOPE = {"PatientID": "P1"}
WORKLIST_SCOPE = {"ScheduledProcedureStepSequence.ScheduledStationAETitle": "CT_1"}


def study(number: int, patient_id: str) -> Study:
    uid = f"1.2.{number}"
    series = [Series({"SeriesInstanceUID": f"{uid}.1", "Modality": "CT"}, 1)]
    return Study({"PatientID": patient_id}, {"StudyInstanceUID": uid}, series)


@pytest.fixture
def index() -> Index:
    return Index([study(1, "P1"), study(2, "P2"), study(3, "P1")])


ALL = identifier("STUDY", StudyInstanceUID=None, PatientID=None)


# Identifiers


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (STUDY_ROOT, identifier("SERIES", SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("SERIES", StudyInstanceUID=None, SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("SERIES", StudyInstanceUID=["1.2.1", "1.2.3"], SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("IMAGE", StudyInstanceUID="1.2.1", SOPInstanceUID=None)),
        (STUDY_ROOT, identifier("IMAGE", SeriesInstanceUID="1.2.1.1", SOPInstanceUID=None)),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=None)),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=None, PatientID="P*")),
        (PATIENT_ROOT, identifier("STUDY", StudyInstanceUID=None, PatientID=["P1", "P2"])),
        (PATIENT_ROOT, identifier("SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID=None)),
        (STUDY_ROOT, identifier("PATIENT", PatientID=None)),
        (STUDY_ROOT, identifier("", StudyInstanceUID=None)),
        (STUDY_ROOT, identifier("STUDY", PatientID=None)),
        (PATIENT_ROOT, identifier("PATIENT", PatientName=None)),
        (PATIENT_ROOT, identifier("PATIENT", PatientID=None, NumberOfPatientRelatedStudies="2")),
        (STUDY_ROOT, identifier("STUDY", StudyInstanceUID=None, NumberOfPatientRelatedStudies="2")),
    ],
)
@pytest.mark.threat("Q3")
def test_a_query_without_what_the_standard_and_a_scope_need_does_not_match_the_sop_class(
    index: Index, model: dict[str, str], wanted: Dataset
) -> None:
    with archive(index.handlers, SCOPE) as acceptor, association(acceptor) as assoc:
        assert find(assoc, ALL)[0] == 0x0000
        index.asked.clear()
        assert find(assoc, wanted, model["FIND"]) == (0xA900, [])
        assert index.asked == []


def private() -> Dataset:
    wanted = identifier("PATIENT", PatientID=None)
    wanted.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "secret")
    return wanted


STUDY_KEYS: dict[str, Dataset] = {
    keyword: identifier("PATIENT", PatientID=None, **{keyword: value})
    for keyword, value in {
        "StudyDescription": "HIV*",
        "AccessionNumber": "A2",
        "StudyInstanceUID": "1.2.2",
        "ModalitiesInStudy": "CT",
        "PatientAge": "040Y",
        "RequestAttributesSequence": [identifier(StudyInstanceUID="1.2.2")],
    }.items()
} | {"private": private()}


@pytest.mark.parametrize("keyword", STUDY_KEYS)
@pytest.mark.threat("Q7")
def test_a_patient_is_not_matched_by_what_studies_have(index: Index, keyword: str) -> None:
    """That the patient is found would tell that a study out of scope has it."""
    universal = identifier("PATIENT", PatientID="P1", PatientSex=None, StudyDescription=None, StudyInstanceUID=None)
    with archive(index.handlers) as acceptor, association(acceptor) as assoc:
        assert find(assoc, STUDY_KEYS[keyword], PATIENT_ROOT["FIND"])[0] == 0x0000
    index.asked.clear()
    with archive(index.handlers, SCOPE) as acceptor, association(acceptor) as assoc:
        assert find(assoc, STUDY_KEYS[keyword], PATIENT_ROOT["FIND"]) == (0xA900, [])
        assert index.asked == []
        assert len(find(assoc, universal, PATIENT_ROOT["FIND"])[1]) == 1


def test_the_identifier_passes_unchanged(index: Index) -> None:
    wanted = identifier("STUDY", StudyInstanceUID=None, PatientID="P?", NumberOfStudyRelatedInstances=None)
    with archive(index.handlers) as acceptor, association(acceptor) as assoc:
        find(assoc, wanted)
        unscoped = index.asked.pop()
    with archive(index.handlers, SCOPE) as acceptor, association(acceptor) as assoc:
        find(assoc, wanted)
    assert index.asked[0] == unscoped


def test_a_study_is_looked_up_once_for_an_association(index: Index) -> None:
    with archive(index.handlers, SCOPE) as acceptor:
        with association(acceptor) as assoc:
            for _ in range(3):
                assert len(find(assoc, ALL)[1]) == 2
            for uid in ("1.2.1", "1.2.2"):
                find(assoc, identifier("SERIES", StudyInstanceUID=uid, SeriesInstanceUID=None))
        lookups = [
            each.StudyInstanceUID for each in index.asked if each.get("StudyInstanceUID") and "PatientID" in each
        ]
        assert sorted(lookups) == ["1.2.1", "1.2.2", "1.2.3"]
        with association(acceptor) as assoc:
            find(assoc, ALL)
    assert len(index.asked) == 3 + 2 + 3 + 1 + 3


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


# Other services


def other_requests() -> dict[str, Any]:
    keys = identifier(PatientID="P1")
    return {
        "find in Patient/Study Only": lambda a: find(a, ALL, PatientStudyOnlyQueryRetrieveInformationModelFind)[0],
        "get without bulk data": lambda a: (
            retrieve(a.send_c_get(ALL, CompositeInstanceRetrieveWithoutBulkDataGet))[0].Status
        ),
        "query of UPS": lambda a: find(a, keys, UnifiedProcedureStepPull)[0],
        "N-GET of UPS": lambda a: a.send_n_get([0x00100020], UnifiedProcedureStepPush, "1.2")[0].Status,
        "N-CREATE of UPS": lambda a: a.send_n_create(keys, UnifiedProcedureStepPush, "1.2")[0].Status,
        "N-GET of MPPS": lambda a: a.send_n_get([0x00100020], ModalityPerformedProcedureStepRetrieve, "1.2")[0].Status,
        "N-CREATE of a film session": lambda a: a.send_n_create(keys, BasicFilmSession, "1.2")[0].Status,
        "N-DELETE of a film session": lambda a: a.send_n_delete(BasicFilmSession, "1.2").Status,
    }


SERVED = {
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


EVERYTHING_PERMITTED = {"contexts": [build_context(uid) for uid in OTHERS]}


@pytest.mark.parametrize("request_", other_requests())
@pytest.mark.threat("Q6")
def test_what_a_scope_cannot_decide_is_refused(
    handlers: list[Any], served: list[str], request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = other_requests()[request_]
    with archive(handlers, **EVERYTHING_PERMITTED) as acceptor, association(acceptor, propose=OTHERS) as assoc:
        assert ask(assoc) == 0x0000
    assert len(served) == 1
    monkeypatch.setattr("useridentity.grant_problems._serves_a_scope", lambda _: True)  # else no policy permits it
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


@pytest.mark.threat("Q7")
def test_the_comment_of_a_storage_is_not_told(index: Index) -> None:
    def on_store(event: evt.Event) -> Dataset:
        status = Dataset()
        status.Status, status.ErrorComment = 0xA700, "study of Roe^Richard is locked"
        return status

    def answered(scope: object) -> Dataset:
        image = instance({"SOPInstanceUID": "9.1", "StudyInstanceUID": "1.2.1", "PatientID": "P1"})
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        handlers = [*index.handlers, (evt.EVT_C_STORE, on_store)]
        with archive(handlers, scope) as acceptor, association(acceptor) as assoc:
            return assoc.send_c_store(image)

    assert "ErrorComment" in answered(None)
    status = answered(SCOPE)
    assert (status.Status, "ErrorComment" in status) == (0xA700, False)


def stored(index: Index, scope: object, **entity: Any) -> int:
    image = instance({"SOPInstanceUID": "9.1", "SeriesInstanceUID": "9", "Modality": "CT"} | entity)
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with archive(index.handlers, scope) as acceptor, association(acceptor) as assoc:
        status = int(assoc.send_c_store(image).Status)
        assert len(acceptor.served) == (status == 0)
        return status


@pytest.mark.threat("Q9")
def test_storing_brings_no_study_of_another_into_scope(index: Index) -> None:
    """An index that believes the latest instance would give the study away."""
    assert stored(index, SCOPE, StudyInstanceUID="1.2.1", PatientID="P1") == 0x0000
    assert stored(index, SCOPE, StudyInstanceUID="1.2.9", PatientID="P1") == 0x0000
    assert stored(index, None, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0000
    assert stored(index, SCOPE, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0124
    assert stored(index, SCOPE, StudyInstanceUID="1.2.1", PatientID="P2") == 0x0124
    assert stored(index, SCOPE, StudyInstanceUID="1.2.9", PatientID="P2") == 0x0124
    assert stored(index, SCOPE, StudyInstanceUID="1.2.9") == 0x0124
    assert stored(index, SCOPE, PatientID="P1") == 0x0124
    assert stored(index, {"PatientID": "{claims.none}"}, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0124


def test_a_modality_that_is_scoped_by_its_worklist_stores_whatever_it_makes(index: Index) -> None:
    """No study is in its scope whatever it stores."""
    assert stored(index, WORKLIST_SCOPE, StudyInstanceUID="1.2.2", PatientID="P2") == 0x0000
    with archive(index.handlers, WORKLIST_SCOPE) as acceptor, association(acceptor) as assoc:
        assert find(assoc, ALL) == (0x0000, [])
        wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
        assert retrieve(assoc.send_c_get(wanted, STUDY_ROOT["GET"]))[0].Status == 0x0124


@pytest.mark.threat("Q9")
def test_a_scope_of_worklists_with_a_patient_stores_what_is_the_patients(index: Index) -> None:
    scope = SCOPE | WORKLIST_SCOPE
    assert stored(index, scope, StudyInstanceUID="1.2.1", PatientID="P1") == 0x0000
    assert stored(index, scope, StudyInstanceUID="1.2.9", PatientID="P1") == 0x0000
    assert stored(index, scope, StudyInstanceUID="1.2.2", PatientID="P2") == 0x0124
    assert stored(index, scope, StudyInstanceUID="1.2.2", PatientID="P1") == 0x0124


@pytest.mark.threat("Q10")
def test_relational_queries_and_fuzzy_matching_are_not_negotiated() -> None:
    def on_extended(event: evt.Event) -> dict[str, bytes]:
        return dict(event.app_info)

    def answered(scope: object) -> set[str]:
        items = []
        for uid in (*MODELS, CTImageStorage):
            items.append(SOPClassExtendedNegotiation())
            items[-1].sop_class_uid, items[-1].service_class_application_information = uid, b"\x01\x01\x01"
        with (
            archive([(evt.EVT_SOP_EXTENDED, on_extended)], scope) as acceptor,
            association(acceptor, ext_neg=items) as assoc,
        ):
            return {str(uid) for uid in assoc.acceptor.sop_class_extended}

    assert answered(None) == {*MODELS, CTImageStorage}
    assert answered(SCOPE) == {CTImageStorage}
