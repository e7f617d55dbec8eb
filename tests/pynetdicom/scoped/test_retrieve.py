"""C-GET and C-MOVE under a scope: decided from the identifier, and instance by instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, archive, association, identifier, retrieve
from tests.pynetdicom.scoped.index import Index, Series, Study, instance
from tests.pynetdicom.support import Acceptor, serving
from useridentity import Policy

SCOPE = {"PatientID": ["P1", "P3", "P4"], "IssuerOfPatientID": "HOSP_A"}


def study(uid: str, patient_id: str, issuer: str = "HOSP_A", **more: Any) -> Study:
    patient = {"PatientID": patient_id, "IssuerOfPatientID": issuer}
    series = [Series({"SeriesInstanceUID": f"{uid}.{n}", "Modality": "CT"}, 2) for n in (1, 2)]
    return Study(patient, {"StudyInstanceUID": uid, "AccessionNumber": more.pop("accession", "")}, series, **more)


INDEX = [
    study("1.2.1", "P1"),
    study("1.2.2", "P1"),
    study("1.2.3", "P2"),
    study("1.2.4", "P3"),
    study("1.2.5", "P3", "HOSP_B"),
    study("1.2.6", "P4", stored_patient={"PatientID": "P0", "IssuerOfPatientID": "HOSP_A"}),
]
SERIES_OF_1 = ["1.2.1.1", "1.2.1.2"]
INSTANCES_OF_1 = [f"{series}.{n}" for series in SERIES_OF_1 for n in (1, 2)]

Retrieve = Callable[[Dataset, str], tuple[Dataset, list[str], list[str]]]
"""Retrieves by an identifier, in Patient Root or Study Root: final response, failed UIDs, UIDs that came."""


@pytest.fixture
def index() -> Index:
    return Index(INDEX)


@pytest.fixture(params=["C-GET", "C-MOVE"])
def retrieving(request: pytest.FixtureRequest, index: Index) -> Iterator[Callable[..., Any]]:
    """Opens an association as somebody with SCOPE, or without one, and gives a function that retrieves."""
    with serving(Policy.unguarded(), contexts=[build_context(CTImageStorage)]) as destination:
        index.destinations["STORE"] = ("127.0.0.1", destination.port)

        def asker(assoc: Association, received: list[Dataset]) -> Retrieve:
            def ask(wanted: Dataset, root: str = "STUDY") -> tuple[Dataset, list[str], list[str]]:
                models = PATIENT_ROOT if root == "PATIENT" else STUDY_ROOT
                before = len(destination.served), len(received)
                if request.param == "C-GET":
                    status, failed = retrieve(assoc.send_c_get(wanted, models["GET"]))
                else:
                    status, failed = retrieve(assoc.send_c_move(wanted, "STORE", models["MOVE"]))
                came = [event.dataset for event in destination.served[before[0] :]] + received[before[1] :]
                return status, failed, [each.SOPInstanceUID for each in came]

            return ask

        yield asker


@pytest.fixture
def scoped(retrieving: Callable[..., Retrieve], index: Index) -> Iterator[Retrieve]:
    received: list[Dataset] = []
    with archive(index.handlers, SCOPE) as acceptor, association(acceptor, received) as assoc:
        yield retrieving(assoc, received)


@pytest.fixture
def unscoped(retrieving: Callable[..., Retrieve], index: Index) -> Iterator[Retrieve]:
    received: list[Dataset] = []
    with archive(index.handlers) as acceptor, association(acceptor, received) as assoc:
        yield retrieving(assoc, received)


@pytest.mark.parametrize(
    ("root", "wanted", "uids"),
    [
        ("STUDY", identifier("STUDY", StudyInstanceUID="1.2.1"), INSTANCES_OF_1),
        ("STUDY", identifier("STUDY", StudyInstanceUID=["1.2.1", "1.2.2"]), [*INSTANCES_OF_1, "1.2.2"]),
        ("STUDY", identifier("SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1"), INSTANCES_OF_1[:2]),
        ("STUDY", identifier("SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID=SERIES_OF_1), INSTANCES_OF_1),
        (
            "STUDY",
            identifier(
                "IMAGE", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1", SOPInstanceUID=INSTANCES_OF_1[:2]
            ),
            INSTANCES_OF_1[:2],
        ),
        ("PATIENT", identifier("PATIENT", PatientID="P1"), [*INSTANCES_OF_1, "1.2.2"]),
        ("PATIENT", identifier("STUDY", PatientID="P1", StudyInstanceUID="1.2.1"), INSTANCES_OF_1),
    ],
)
@pytest.mark.threat("Q1")
def test_what_is_in_scope_is_retrieved_at_every_level(
    scoped: Retrieve, unscoped: Retrieve, root: str, wanted: Dataset, uids: list[str]
) -> None:
    status, failed, came = scoped(wanted, root)
    assert status == unscoped(wanted, root)[0]
    assert (status.Status, failed) == (0x0000, [])
    assert {uid for uid in came if any(uid.startswith(each) for each in uids)} == set(came)
    assert len(came) == status.NumberOfCompletedSuboperations > 0


@pytest.mark.parametrize(
    ("root", "wanted"),
    [
        ("STUDY", identifier("STUDY", StudyInstanceUID="1.2.3")),
        ("STUDY", identifier("STUDY", StudyInstanceUID=["1.2.1", "1.2.3"])),
        ("STUDY", identifier("SERIES", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1")),
        (
            "STUDY",
            identifier("IMAGE", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1", SOPInstanceUID="1.2.3.1.1"),
        ),
        ("PATIENT", identifier("PATIENT", PatientID="P2")),
        ("PATIENT", identifier("PATIENT", PatientID="P3")),
        ("PATIENT", identifier("STUDY", PatientID="P1", StudyInstanceUID="1.2.3")),
    ],
    ids=["study", "one of two", "series", "instance", "patient", "the same ID", "another's study"],
)  # fmt: skip
@pytest.mark.threat("Q1")
def test_any_study_out_of_scope_refuses_the_whole_before_the_handler_runs(
    scoped: Retrieve, unscoped: Retrieve, index: Index, root: str, wanted: Dataset
) -> None:
    assert unscoped(wanted, root)[0].Status == 0x0000
    index.retrieved.clear()
    status, failed, came = scoped(wanted, root)
    assert (status.Status, failed, came) == (0x0124, [], [])
    assert status.ErrorComment == "not authorized"
    assert index.retrieved == []


@pytest.mark.parametrize(
    ("root", "wanted"),
    [("STUDY", identifier("STUDY", StudyInstanceUID="1.2.1")), ("PATIENT", identifier("PATIENT", PatientID="P1"))],
)
@pytest.mark.threat("Q1")
def test_a_study_that_another_patient_has_too_is_refused_at_every_level(
    retrieving: Callable[..., Retrieve], index: Index, root: str, wanted: Dataset
) -> None:
    """An archive may send whatever has the UID."""
    for others, code in (([], 0x0000), ([study("1.2.1", "P2")], 0x0124)):
        index.studies = [*INDEX, *others]
        index._indexes.clear()
        received: list[Dataset] = []
        with archive(index.handlers, SCOPE) as acceptor, association(acceptor, received) as assoc:
            assert retrieving(assoc, received)(wanted, root)[0].Status == code


def test_a_study_that_does_not_exist_is_refused_in_the_same_way(scoped: Retrieve) -> None:
    """So that nobody learns whether there is one."""
    exists, _, _ = scoped(identifier("STUDY", StudyInstanceUID="1.2.3"), "STUDY")
    missing, _, _ = scoped(identifier("STUDY", StudyInstanceUID="1.2.33"), "STUDY")
    assert missing == exists


@pytest.mark.parametrize(
    ("root", "wanted"),
    [
        ("STUDY", identifier("STUDY")),
        ("STUDY", identifier("STUDY", StudyInstanceUID=None)),
        ("STUDY", identifier(StudyInstanceUID="1.2.1")),
        ("STUDY", identifier("PATIENT", PatientID="P1")),
        ("STUDY", identifier("SERIES", SeriesInstanceUID="1.2.1.1")),
        ("STUDY", identifier("SERIES", StudyInstanceUID=["1.2.1", "1.2.2"], SeriesInstanceUID="1.2.1.1")),
        ("STUDY", identifier("SERIES", StudyInstanceUID="1.2.1")),
        ("STUDY", identifier("IMAGE", StudyInstanceUID="1.2.1", SOPInstanceUID="1.2.1.1.1")),
        ("PATIENT", identifier("STUDY", StudyInstanceUID="1.2.1")),
        ("PATIENT", identifier("PATIENT", PatientID=None)),
        ("PATIENT", identifier("PATIENT", PatientID="P*")),
        ("PATIENT", identifier("PATIENT", PatientID=["P1", "P1"])),
        ("PATIENT", identifier("ROOM", PatientID="P1")),
    ],
)
@pytest.mark.threat("Q3")
def test_an_identifier_without_the_unique_keys_does_not_match_the_sop_class(
    scoped: Retrieve, index: Index, root: str, wanted: Dataset
) -> None:
    index.retrieved.clear()
    status, failed, came = scoped(wanted, root)
    assert (status.Status, failed, came) == (0xA900, [], [])
    assert index.retrieved == []


@pytest.fixture
def stray(index: Index) -> list[Dataset]:
    """Instances that the handlers add to whatever is asked for."""
    added: list[Dataset] = []
    honest = index.instances
    index.instances = lambda identifier: iter([*honest(identifier), *added])  # type: ignore[method-assign]
    return added


def image(uid: str, **entity: Any) -> Dataset:
    return instance({"SOPInstanceUID": uid, "SeriesInstanceUID": "1.2.1.1", "Modality": "CT"} | entity)


STRAYS = {
    "another patient": image("9.1", StudyInstanceUID="1.2.3", PatientID="P2", IssuerOfPatientID="HOSP_A"),
    "another study in scope": image("9.2", StudyInstanceUID="1.2.2", PatientID="P1", IssuerOfPatientID="HOSP_A"),
    "another patient under the study's UID": image("9.3", StudyInstanceUID="1.2.1", PatientID="P2"),
    "another issuer": image("9.4", StudyInstanceUID="1.2.1", PatientID="P1", IssuerOfPatientID="HOSP_B"),
    "no study": image("9.5", PatientID="P1", IssuerOfPatientID="HOSP_A"),
    "two studies": image("9.6", StudyInstanceUID=["1.2.1", "1.2.3"], PatientID="P1"),
}


@pytest.mark.parametrize("kind", STRAYS)
@pytest.mark.threat("Q4")
def test_a_stray_instance_is_withheld_and_counts_as_failed_without_its_uid(
    scoped: Retrieve, unscoped: Retrieve, stray: list[Dataset], kind: str
) -> None:
    wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
    stray.append(STRAYS[kind])
    assert unscoped(wanted, "STUDY")[2] == [*INSTANCES_OF_1, STRAYS[kind].SOPInstanceUID]
    status, failed, came = scoped(wanted, "STUDY")
    assert (status.Status, failed, came) == (0xB000, [], INSTANCES_OF_1)
    assert (status.NumberOfFailedSuboperations, status.NumberOfCompletedSuboperations) == (1, 4)


@pytest.mark.threat("Q4")
def test_where_all_are_stray_the_sub_operations_have_failed(scoped: Retrieve, stray: list[Dataset]) -> None:
    """Merged patients are an example: what is sent must say what the index says, as PS3.4 C.4.2.2.2 lets it."""
    status, failed, came = scoped(identifier("STUDY", StudyInstanceUID="1.2.6"), "STUDY")
    assert (status.Status, failed, came) == (0xA702, [], [])
    assert status.NumberOfFailedSuboperations == 4


def test_an_instance_that_is_in_scope_and_fails_is_listed(retrieving: Any, index: Index) -> None:
    def on_store(event: evt.Event) -> int:
        return 0xA700 if event.request.AffectedSOPInstanceUID == INSTANCES_OF_1[0] else 0x0000

    storage = [build_context(CTImageStorage)]
    with (
        serving(Policy.unguarded(), contexts=storage, handlers=[(evt.EVT_C_STORE, on_store)]) as to,
        archive(index.handlers, SCOPE) as acceptor,
        association(acceptor) as assoc,
    ):
        index.destinations["FULL"] = ("127.0.0.1", to.port)
        wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
        status, failed = retrieve(assoc.send_c_move(wanted, "FULL", STUDY_ROOT["MOVE"]))
    assert (status.Status, failed) == (0xB000, [INSTANCES_OF_1[0]])


@pytest.mark.parametrize("code", [0xA702, 0xB000, 0xFE00])
@pytest.mark.threat("Q4")
def test_a_status_of_the_handlers_lists_no_uid_and_has_no_comment_of_its_own(index: Index, code: int) -> None:
    def on_get(event: evt.Event) -> Iterator[Any]:
        yield 2
        yield 0xFF00, next(index.instances(event.identifier))
        status, failures = Dataset(), Dataset()
        status.Status, status.ErrorComment = code, "Roe^Richard was there"
        failures.FailedSOPInstanceUIDList = ["1.2.3.1.1"]
        yield status, failures

    def ask(acceptor: Acceptor) -> tuple[Dataset, list[str]]:
        with association(acceptor, []) as assoc:
            return retrieve(assoc.send_c_get(identifier("STUDY", StudyInstanceUID="1.2.1"), STUDY_ROOT["GET"]))

    handlers = [index.handlers[0], (evt.EVT_C_GET, on_get)]
    with archive(handlers) as acceptor:
        status, failed = ask(acceptor)
        assert (status.ErrorComment, failed) == ("Roe^Richard was there", ["1.2.3.1.1"])
    with archive(handlers, SCOPE) as acceptor:
        status, failed = ask(acceptor)
        assert (status.Status, failed) == (code, [])
        assert "ErrorComment" not in status


def test_a_study_of_ten_thousand_instances_is_looked_up_once(index: Index) -> None:
    many = 10_000
    patient = {"PatientID": "P1", "IssuerOfPatientID": "HOSP_A"}
    index.studies = [
        Study(patient, {"StudyInstanceUID": "1.3"}, [Series({"SeriesInstanceUID": "1.3.1", "Modality": "CT"}, many)])
    ]

    def on_get(event: evt.Event) -> Iterator[Any]:
        yield many
        for number, each in enumerate(index.instances(event.identifier)):
            yield (0xFF00, each) if number < 20 else (0xFE00, None)

    with archive([index.handlers[0], (evt.EVT_C_GET, on_get)], SCOPE) as acceptor:
        received: list[Dataset] = []
        with association(acceptor, received) as assoc:
            retrieve(assoc.send_c_get(identifier("STUDY", StudyInstanceUID="1.3"), STUDY_ROOT["GET"]))
    assert len(received) == 20
    assert len(index.asked) == 1
