"""Handlers that do not do what they are asked: whatever they answer, nothing out of scope is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import DataElement, Dataset
from pynetdicom import evt

from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, archive, association, find, identifier, retrieve
from tests.pynetdicom.scoped.index import Index, Series, Study, instance

SCOPE = {"PatientID": "P1"}


def study(number: int, patient_id: str, **patient: Any) -> Study:
    uid = f"1.2.{number}"
    series = [Series({"SeriesInstanceUID": f"{uid}.1", "Modality": "CT"}, 2)]
    attributes = {"StudyInstanceUID": uid, "AccessionNumber": f"A{number}", "StudyDate": "20261122"}
    return Study({"PatientID": patient_id, "PatientName": f"Doe^{patient_id}", **patient}, attributes, series)


INDEX = Index([study(1, "P1"), study(2, "P2"), study(3, "P1"), study(4, "P2")])
EVERYTHING = identifier("STUDY", StudyInstanceUID=None, PatientID=None, PatientName=None, AccessionNumber=None)
Rows = Iterator[tuple[Any, Any]]


def answers(handler: Callable[[evt.Event], Rows], wanted: Dataset, model: str, scope: object) -> tuple[int, list[Any]]:
    with archive([(evt.EVT_C_FIND, handler)], scope) as acceptor, association(acceptor) as assoc:
        return find(assoc, wanted, model)


def both(
    handler: Callable[[evt.Event], Rows], wanted: Dataset = EVERYTHING, model: str = STUDY_ROOT["FIND"]
) -> tuple[tuple[int, list[Any]], tuple[int, list[Any]]]:
    """What is answered without a scope, and with one."""
    return answers(handler, wanted, model, None), answers(handler, wanted, model, SCOPE)


def patients(rows: list[Dataset]) -> list[str]:
    return [row.PatientID for row in rows]


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

    unscoped, scoped = both(on_find)
    assert [row.PatientID for row in unscoped[1]] == ["P1", "P2", ""]
    assert [row.PatientID for row in scoped[1]] == ["P1", ""]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.threat("Q2")
def test_an_index_that_contradicts_itself_refuses(order: int) -> None:
    def on_find(event: evt.Event) -> Rows:
        for patient_id in ("P1", "P2")[::order]:
            yield 0xFF00, identifier("STUDY", StudyInstanceUID="1.2.1", PatientID=patient_id)
        yield 0xFF00, identifier("STUDY", StudyInstanceUID="1.2.3", PatientID="P1")

    unscoped, scoped = both(on_find)
    assert len(unscoped[1]) == 3
    assert [row.StudyInstanceUID for row in scoped[1]] == ["1.2.3"]


@pytest.mark.threat("Q8")
def test_one_that_raises_midway_has_shown_nothing_but_rows_in_scope() -> None:
    def on_find(event: evt.Event) -> Rows:
        yield from INDEX.on_find(event)
        if not event.identifier.StudyInstanceUID:
            raise RuntimeError("Doe^P2 has a broken record")

    unscoped, scoped = both(on_find)
    assert (unscoped[0], patients(unscoped[1])) == (0xC311, ["P1", "P2", "P1", "P2"])
    assert (scoped[0], patients(scoped[1])) == (0xC311, ["P1", "P1"])


def raising(event: evt.Event) -> Rows:
    raise RuntimeError("the database is down")
    yield


def refusing(event: evt.Event) -> Rows:
    yield 0xA700, None


def cutting_short(event: evt.Event) -> Rows:
    yield 0xFF00, identifier("STUDY", StudyInstanceUID="1.2.1", PatientID="P1")
    yield 0xB001, None


def talking_nonsense(event: evt.Event) -> Any:
    return [0xFF00]


def breaking_rows(event: evt.Event) -> Rows:
    yield 0xFF00, None


BROKEN = [raising, refusing, cutting_short, talking_nonsense, breaking_rows]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.threat("Q8")
def test_a_lookup_that_fails_refuses(broken: Callable[[evt.Event], Rows]) -> None:
    """A query ends with the failure of a handler, a retrieval with 0124H."""
    failing = False

    def on_find(event: evt.Event) -> Rows:
        return broken(event) if failing and event.identifier.get("StudyInstanceUID") else INDEX.on_find(event)

    with archive([(evt.EVT_C_FIND, on_find), *INDEX.handlers[1:]], SCOPE) as acceptor:
        with association(acceptor, []) as assoc:
            assert patients(find(assoc, EVERYTHING)[1]) == ["P1", "P1"]
        failing = True
        with association(acceptor, []) as assoc:
            assert find(assoc, EVERYTHING) == (0xC311, [])
            wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
            assert retrieve(assoc.send_c_get(wanted, STUDY_ROOT["GET"]))[0].Status == 0x0124
            failing = False
            assert retrieve(assoc.send_c_get(wanted, STUDY_ROOT["GET"]))[0].Status == 0x0000


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


# Patients


def patient_rows(studies: list[Study], rows: list[Dataset], scope: object, **keys: Any) -> list[Dataset]:
    """The PATIENT rows that are seen of those that a handler yields, whatever is asked."""
    index = Index(studies)

    def on_find(event: evt.Event) -> Rows:
        yield from (
            ((0xFF00, row) for row in rows)
            if event.identifier.QueryRetrieveLevel == "PATIENT"
            else index.on_find(event)
        )

    wanted = identifier("PATIENT", PatientID=None, PatientName=None, **keys)
    status, seen = answers(on_find, wanted, PATIENT_ROOT["FIND"], scope)
    assert status == 0x0000
    return seen


def patient(patient_id: str | None, name: str, **more: Any) -> Dataset:
    return identifier("PATIENT", PatientID=patient_id, PatientName=name, **more)


@pytest.mark.threat("Q2")
def test_a_patient_is_seen_as_studies_in_scope_have_it_and_not_otherwise() -> None:
    """Another patient may have the same ID; a study out of scope may have another name of the same patient."""
    studies = [study(1, "P1", PatientName="Doe^Jane"), study(2, "P1", PatientName="Roe^Richard")]
    rows = [patient("P1", "Doe^Jane"), patient("P1", "Roe^Richard"), patient("P1", ""), patient("", "Doe^Jane")]
    assert patient_rows(studies, rows, None) == rows
    assert patient_rows(studies, rows, {"AccessionNumber": "A1"}) == rows[:1]
    assert patient_rows(studies, rows, {"AccessionNumber": "A9"}) == []


@pytest.mark.parametrize("scope", [{"PatientID": "P1", "IssuerOfPatientID": "A"}, {"AccessionNumber": "A1"}])
@pytest.mark.parametrize("asked", [{}, {"IssuerOfPatientID": None}])
@pytest.mark.threat("Q2")
def test_a_patient_without_studies_is_not_seen_though_all_studies_with_the_id_are_in_scope(
    scope: object, asked: dict[str, Any]
) -> None:
    studies = [study(1, "P1", PatientName="Doe^Jane", IssuerOfPatientID="A")]
    issuers = [dict.fromkeys(asked, issuer) for issuer in "AB"]
    rows = [patient("P1", "Doe^Jane", **issuers[0]), patient("P1", "Roe^Richard", **issuers[1])]
    rows.append(patient("P1", "Doe^Jane", **issuers[1]))
    assert patient_rows(studies, rows, None, **asked) == rows
    assert patient_rows(studies, rows, scope, **asked) == rows[:1]


@pytest.mark.threat("Q2")
def test_a_patient_row_that_tells_of_studies_out_of_scope_is_withheld() -> None:
    rows = [patient("P1", "Doe^P1", **more) for more in ({"AccessionNumber": "A1"}, {"AccessionNumber": "A2"})]
    assert patient_rows([study(1, "P1")], rows, None) == rows
    assert patient_rows([study(1, "P1")], rows, SCOPE) == rows[:1]
    assert patient_rows([study(1, "P1"), study(2, "P1")], rows, {"AccessionNumber": "A1"}) == rows[:1]


@pytest.mark.parametrize("level", ["STUDY", "PATIENT"])
@pytest.mark.threat("Q2")
def test_a_data_set_that_is_filled_again_in_the_look_up_shows_what_it_was_decided_by(level: str) -> None:
    """The look-up asks the handler for the next study while the row is the same data set."""
    index = Index([study(1, "P1"), study(2, "P2")])
    reused = Dataset()

    def on_find(event: evt.Event) -> Rows:
        is_lookup = bool(event.identifier.get("StudyInstanceUID") or event.identifier.PatientID)
        for found in index.find(event.identifier):
            for element in found:
                setattr(reused, element.keyword, element.value)
            yield 0xFF00, reused
        if is_lookup:
            reused.PatientID, reused.PatientName = "P2", "Doe^P2"

    wanted = identifier(level, PatientID=None, PatientName=None)
    if level == "STUDY":
        wanted.StudyInstanceUID = None
    model = (STUDY_ROOT if level == "STUDY" else PATIENT_ROOT)["FIND"]
    assert patients(answers(on_find, wanted, model, None)[1]) == ["P1", "P2"]
    (row,) = answers(on_find, wanted, model, {"AccessionNumber": "A1"})[1]
    assert (row.PatientID, row.PatientName) == ("P1", "Doe^P1")


@pytest.mark.threat("Q2")
def test_a_handler_that_fills_the_same_data_set_again_and_again_shows_no_more() -> None:
    studies = [study(1, "P1", PatientName="Doe^Jane"), study(2, "P1", PatientName="Roe^Richard")]
    index, reused = Index(studies), Dataset()

    def on_find(event: evt.Event) -> Rows:
        for found in index.find(event.identifier):
            for element in found:
                setattr(reused, element.keyword, element.value)
            yield 0xFF00, reused

    def names(scope: object) -> list[str]:
        wanted = identifier("PATIENT", PatientID=None, PatientName=None)
        return [str(row.PatientName) for row in answers(on_find, wanted, PATIENT_ROOT["FIND"], scope)[1]]

    assert names(None) == ["Roe^Richard"]
    assert names({"AccessionNumber": ["A1", "A2"]}) == ["Roe^Richard"]
    assert names({"AccessionNumber": "A2"}) == ["Roe^Richard"]
    assert names({"AccessionNumber": "A1"}) == []


@pytest.mark.threat("Q2")
def test_so_many_patients_of_one_id_are_seen_as_have_studies_in_scope() -> None:
    studies = [
        study(1, "P1", PatientName="Doe^Jane", IssuerOfPatientID="A"),
        study(2, "P1", PatientName="Doe^Jane", IssuerOfPatientID="B"),
        study(3, "P1", PatientName="Doe^Jane", IssuerOfPatientID="C"),
    ]
    rows = [patient("P1", "Doe^Jane") for _ in studies]
    assert len(patient_rows(studies, rows, None)) == 3
    assert len(patient_rows(studies, rows, {"AccessionNumber": ["A1", "A3"]})) == 2
    assert len(patient_rows(studies, rows, {"AccessionNumber": "A2"})) == 1


@pytest.mark.threat("Q7")
def test_counts_over_a_patients_studies_are_of_those_in_scope() -> None:
    studies = [study(1, "P1"), study(2, "P1"), study(3, "P2")]
    counts = {"NumberOfPatientRelatedStudies": "2", "NumberOfPatientRelatedInstances": "4"}
    rows = [patient("P1", "Doe^P1", **counts)]
    asked = dict.fromkeys(counts)
    assert patient_rows(studies, rows, None, **asked) == rows
    (seen,) = patient_rows(studies, rows, {"AccessionNumber": "A1"}, **asked)
    assert (seen.NumberOfPatientRelatedStudies, seen.NumberOfPatientRelatedInstances) == (1, 2)
    assert rows[0].NumberOfPatientRelatedStudies == 2, "the handler's own is left alone"


@pytest.mark.parametrize(("scope", "counted"), [({"PatientID": "P1"}, "2"), ({"AccessionNumber": "A1"}, "")])
@pytest.mark.threat("Q7")
def test_a_count_that_cannot_be_made_again_is_left_out(scope: object, counted: str) -> None:
    """The index does not count the series of a study; where all of the patient's are in scope, it need not."""
    index = Index([study(1, "P1"), study(2, "P1")])

    def on_find(event: evt.Event) -> Rows:
        for row in index.find(event.identifier):
            if "NumberOfStudyRelatedSeries" in row:
                del row.NumberOfStudyRelatedSeries
            yield 0xFF00, row

    wanted = identifier("STUDY", StudyInstanceUID="1.2.1", NumberOfPatientRelatedSeries=None)
    assert answers(on_find, wanted, STUDY_ROOT["FIND"], None)[1][0].NumberOfPatientRelatedSeries == 2
    (row,) = answers(on_find, wanted, STUDY_ROOT["FIND"], scope)[1]
    assert str(row.NumberOfPatientRelatedSeries or "") == counted


@pytest.mark.threat("Q7")
def test_a_study_that_is_stored_meanwhile_counts_in_the_next_request() -> None:
    index = Index([study(2, "P2")])
    wanted = identifier("PATIENT", PatientID="P1")
    with archive(index.handlers, {"AccessionNumber": "A1"}) as acceptor, association(acceptor, []) as assoc:
        for stored, status in (([], 0x0124), ([study(1, "P1")], 0x0000), ([study(3, "P1")], 0x0124)):
            index.studies = [*index.studies, *stored]
            index._indexes.clear()
            assert retrieve(assoc.send_c_get(wanted, PATIENT_ROOT["GET"]))[0].Status == status


@pytest.mark.threat("Q7")
def test_a_private_attribute_is_not_seen_of_a_patient_with_studies_out_of_scope() -> None:
    row = patient("P1", "Doe^P1")
    row.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "three studies")
    studies = [study(1, "P1"), study(2, "P1")]
    assert len(patient_rows(studies, [row], {"AccessionNumber": ["A1", "A2"]})[0]) == len(row)
    assert 0x00110010 not in patient_rows(studies, [row], {"AccessionNumber": "A1"})[0]


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
