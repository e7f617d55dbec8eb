"""Handlers that do not do what they are asked: whatever they answer, nothing out of scope is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pynetdicom import evt

from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, archive, association, identifier, retrieve
from tests.pynetdicom.scoped.index import Index, Study, instance
from tests.pynetdicom.scoped.rows import EVERYTHING, INDEX, Rows, answers, patients

SCOPE = {"PatientID": "P1"}


def both(
    handler: Callable[[evt.Event], Rows], wanted: Dataset = EVERYTHING, model: str = STUDY_ROOT["FIND"]
) -> tuple[tuple[int, list[Any]], tuple[int, list[Any]]]:
    """What is answered without a scope, and with one."""
    return answers(handler, wanted, model, None), answers(handler, wanted, model, SCOPE)


@pytest.mark.threat("Q2")
def test_one_that_ignores_keys_shows_what_is_in_scope_only() -> None:
    def on_find(event: evt.Event) -> Rows:
        for each in INDEX.studies:
            yield 0xFF00, row(event, each)

    def row(event: evt.Event, each: Study) -> Dataset:
        everything = Index([each])
        keys = Dataset()
        keys.QueryRetrieveLevel = "STUDY"
        for element in event.identifier:
            if element.keyword != "QueryRetrieveLevel":
                keys.add(DataElement(element.tag, element.VR, None))
        return next(everything.find(keys))

    unscoped, scoped = both(on_find)
    assert patients(unscoped[1]) == ["P1", "P2", "P1", "P2"]
    assert patients(scoped[1]) == ["P1", "P1"]
    asked = identifier("STUDY", StudyInstanceUID="1.2.2", PatientID=None)
    assert patients(both(on_find, asked)[1][1]) == ["P1", "P1"]


@pytest.mark.parametrize("uid", [None, "", "1.2.3\\1.2.2", "1.2.*", "1.2.9", "*"])
@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.threat("Q2")
def test_a_row_without_the_uid_of_one_known_study_is_withheld(level: str, uid: str | None) -> None:
    """Also where it says that it belongs to the user's patient."""

    def on_find(event: evt.Event) -> Rows:
        if event.identifier.QueryRetrieveLevel == "STUDY" and event.identifier.StudyInstanceUID:
            yield from INDEX.on_find(event)
            return
        for each in (uid, "1.2.1"):
            row = identifier(level, PatientID="P1", PatientName="Roe^Richard")
            if each is not None:
                row.StudyInstanceUID = each
            yield 0xFF00, row

    keys = {
        "SERIES": {"StudyInstanceUID": "1.2.3"},
        "IMAGE": {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"},
    }
    wanted = identifier(level, PatientID=None, **keys.get(level, {"StudyInstanceUID": None}))
    unscoped, scoped = both(on_find, wanted)
    assert len(unscoped[1]) == 2
    assert [row.StudyInstanceUID for row in scoped[1]] == ["1.2.1"]


@pytest.mark.threat("Q2")
def test_a_row_that_says_itself_that_it_is_of_another_patient_is_withheld() -> None:
    """Though it has the UID of a study in scope."""

    def on_find(event: evt.Event) -> Rows:
        if event.identifier.StudyInstanceUID:
            yield from INDEX.on_find(event)
            return
        for patient_id in ("P1", "P2", None):
            yield 0xFF00, identifier("STUDY", StudyInstanceUID="1.2.1", PatientID=patient_id)
        undecoded = identifier("STUDY", StudyInstanceUID="1.2.1")
        undecoded.add_new("PatientID", "UN", b"P2")
        yield 0xFF00, undecoded

    unscoped, scoped = both(on_find)
    assert patients(unscoped[1]) == ["P1", "P2", "", "P2"]
    assert patients(scoped[1]) == ["P1", ""]


@pytest.mark.parametrize("level", ["STUDY", "PATIENT"])
@pytest.mark.threat("Q7")
def test_a_row_out_of_scope_leaves_no_trace_though_it_cannot_be_read(level: str) -> None:
    """Nobody could be sent it, and nobody is told that it is there."""
    rows = Tag("Rows")
    broken = RawDataElement(rows, "US", 3, b"abc", 0, False, True)  # an odd length

    def on_find(event: evt.Event) -> Rows:
        for found in INDEX.find(event.identifier):
            yield 0xFF00, found if found.PatientID != spoilt else Dataset({**dict(found.items()), rows: broken})

    wanted = identifier(level, PatientID=None, PatientName=None)
    if level == "STUDY":
        wanted.StudyInstanceUID = None
    model = (STUDY_ROOT if level == "STUDY" else PATIENT_ROOT)["FIND"]
    spoilt = ""
    unscoped, honest = both(on_find, wanted, model)
    assert (unscoped[0], set(patients(unscoped[1]))) == (0x0000, {"P1", "P2"})
    spoilt = "P2"
    unscoped, scoped = both(on_find, wanted, model)
    assert (unscoped[0], patients(unscoped[1])) == (0xC312, ["P1"])
    assert scoped == honest
    assert (scoped[0], set(patients(scoped[1]))) == (0x0000, {"P1"})


@pytest.mark.threat("Q8")
def test_one_that_raises_midway_has_shown_nothing_but_rows_in_scope() -> None:
    def on_find(event: evt.Event) -> Rows:
        yield from INDEX.on_find(event)
        if not event.identifier.StudyInstanceUID:
            raise RuntimeError("Doe^P2 has a broken record")

    unscoped, scoped = both(on_find)
    assert (unscoped[0], patients(unscoped[1])) == (0xC311, ["P1", "P2", "P1", "P2"])
    assert (scoped[0], patients(scoped[1])) == (0xC311, ["P1", "P1"])


@pytest.mark.threat("Q7")
def test_statuses_pass_as_numbers() -> None:
    def on_find(event: evt.Event) -> Rows:
        yield from INDEX.on_find(event)
        status = Dataset()
        status.Status, status.ErrorComment = (0x0000 if event.identifier.StudyInstanceUID else 0xA700), "17 rows"
        yield status, None

    with archive([(evt.EVT_C_FIND, on_find)], SCOPE) as acceptor, association(acceptor) as assoc:
        *rows, (status, _) = assoc.send_c_find(EVERYTHING, STUDY_ROOT["FIND"])
    assert len(rows) == 2
    assert (status.Status, "ErrorComment" in status) == (0xA700, False)


# Retrievals


@pytest.mark.threat("Q4")
def test_instances_of_other_patients_are_withheld_and_what_raises_ends_the_retrieval() -> None:
    def on_get(event: evt.Event) -> Rows:
        yield 4  # type: ignore[misc]  # the number of sub-operations comes first
        for each in INDEX.studies[:2]:
            entity = {**each.patient, **each.attributes, "SeriesInstanceUID": "1.2", "SOPInstanceUID": f"{each.uid}.1"}
            yield 0xFF00, instance(entity)
        raise RuntimeError("Doe^P2 is not on the tape")

    def received(scope: object) -> tuple[Dataset, list[str], list[str]]:
        came: list[Dataset] = []
        handlers = [INDEX.handlers[0], (evt.EVT_C_GET, on_get)]
        wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
        with archive(handlers, scope) as acceptor, association(acceptor, came) as assoc:
            status, failed = retrieve(assoc.send_c_get(wanted, STUDY_ROOT["GET"]))
        return status, failed, [each.PatientID for each in came]

    status, _, came = received(None)
    assert (status.Status, came) == (0xC411, ["P1", "P2"])
    status, failed, came = received(SCOPE)
    assert (status.Status, failed, came) == (0xC411, [], ["P1"])
    assert "Doe" not in str(status)


@pytest.mark.parametrize("nonsense", ["P2's file", 7, Dataset(), None])
@pytest.mark.threat("Q4")
def test_what_is_no_instance_is_not_sent(nonsense: Any) -> None:
    def on_get(event: evt.Event) -> Any:
        yield 2
        yield 0xFF00, nonsense
        yield 0xFF00, next(INDEX.instances(event.identifier))

    came: list[Dataset] = []
    with archive([INDEX.handlers[0], (evt.EVT_C_GET, on_get)], SCOPE) as acceptor, association(acceptor, came) as assoc:
        retrieve(assoc.send_c_get(identifier("STUDY", StudyInstanceUID="1.2.1"), STUDY_ROOT["GET"]))
    assert [each.PatientID for each in came] == ["P1"]
