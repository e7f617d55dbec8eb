"""Rows at PATIENT level: a patient is seen as the studies in scope have the patient, and counted by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pynetdicom import evt

from tests.pynetdicom.scoped.asking import PATIENT_ROOT, STUDY_ROOT, identifier
from tests.pynetdicom.scoped.index import Index, Study
from tests.pynetdicom.scoped.rows import Rows, answers, patients, study
from useridentity.pynetdicom.scoped import find
from useridentity.pynetdicom.scoped.lookup import count
from useridentity.pynetdicom.scoped.models import COUNTS

SCOPE = {"PatientID": "P1"}


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


@pytest.mark.parametrize("patient_id", ["P*", "*", "?1", "P\ufffd"])
def test_a_patient_is_seen_whose_id_looks_like_a_wildcard(patient_id: str) -> None:
    """No key can name it, so that it is not retrieved by; rows are decided by the studies that have the very ID."""
    index = Index([study(1, patient_id), study(2, "P1"), study(3, patient_id)])
    wanted = identifier("PATIENT", PatientID=None, PatientName=None, NumberOfPatientRelatedStudies=None)
    for scope, number in (({"AccessionNumber": "A1"}, 1), ({"AccessionNumber": ["A1", "A3"]}, 2)):
        (row, *_) = answers(index.on_find, wanted, PATIENT_ROOT["FIND"], scope)[1]
        assert (row.PatientID, row.NumberOfPatientRelatedStudies) == (patient_id, number)
    assert answers(index.on_find, wanted, PATIENT_ROOT["FIND"], {"AccessionNumber": "A9"})[1] == []


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
    rows.append(patient("P1", "Doe^P1"))
    rows[2].add_new("AccessionNumber", "UN", b"A2")
    assert patient_rows([study(1, "P1")], rows, None) == [*rows[:2], rows[1]]
    assert patient_rows([study(1, "P1")], rows, SCOPE) == rows[:1]
    assert patient_rows([study(1, "P1"), study(2, "P1")], rows, {"AccessionNumber": "A1"}) == rows[:1]


@pytest.mark.threat("Q2")
def test_a_sequence_is_compared_with_all_that_is_in_it() -> None:
    """Two items of the same length are not the same, nor two that hold so many values."""
    attribute = "PatientSpeciesCodeSequence"

    def species(code: str, names: str) -> list[Dataset]:
        return [identifier(LongCodeValue=code * 30, OtherPatientNames=[f"{names}{n}" for n in range(20)])]

    codes = [species("A", "N"), species("B", "N"), species("A", "M")]
    studies = [study(n, "P1", **{attribute: code}) for n, code in enumerate(codes, 1)]
    rows = [patient("P1", "Doe^P1", **{attribute: code}) for code in codes]
    asked: dict[str, list[Dataset]] = {attribute: []}
    assert patient_rows(studies, rows, None, **asked) == rows
    for n, row in enumerate(rows, 1):
        assert patient_rows(studies, rows, {"AccessionNumber": f"A{n}"}, **asked) == [row]


@pytest.mark.parametrize("scope", [None, {"PatientID": "P1"}, {"AccessionNumber": "A1"}])
def test_what_each_study_has_its_own_of_hides_no_patient_whose_row_leaves_it_empty(scope: object) -> None:
    studies = [Study({"PatientID": "P1"}, {**study(n, "P1").attributes, "PatientAge": f"04{n}Y"}) for n in (1, 2)]
    wanted = identifier("PATIENT", PatientID=None, PatientAge=None)
    status, (row,) = answers(Index(studies).on_find, wanted, PATIENT_ROOT["FIND"], scope)
    assert (status, row.PatientID, row.PatientAge) == (0x0000, "P1", "")


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


def leaving_out(keyword: str) -> Callable[[evt.Event], Rows]:
    """A handler of an index of two studies of P1 that does not answer this attribute."""
    index = Index([study(1, "P1"), study(2, "P1")])

    def on_find(event: evt.Event) -> Rows:
        for row in index.find(event.identifier):
            yield 0xFF00, Dataset({element.tag: element for element in row if element.keyword != keyword})

    return on_find


@pytest.mark.parametrize(("scope", "counted"), [(None, 2), ({"PatientID": "P1"}, 2), ({"AccessionNumber": "A1"}, 1)])
@pytest.mark.parametrize("level", ["STUDY", "PATIENT"])
def test_an_index_that_knows_no_issuers_is_counted_all_the_same(level: str, scope: object, counted: int) -> None:
    on_find = leaving_out("IssuerOfPatientID")
    wanted = identifier(level, PatientID=None, StudyInstanceUID=None, NumberOfPatientRelatedStudies=None)
    model = (STUDY_ROOT if level == "STUDY" else PATIENT_ROOT)["FIND"]
    rows = answers(on_find, wanted, model, scope)[1]
    assert {row.NumberOfPatientRelatedStudies for row in rows} == {counted}


@pytest.mark.parametrize(("scope", "counted"), [({"PatientID": "P1"}, "2"), ({"AccessionNumber": "A1"}, "")])
@pytest.mark.threat("Q7")
def test_a_count_that_cannot_be_made_again_is_left_out(scope: object, counted: str) -> None:
    """The index does not count the series of a study; where all of the patient's are in scope, it need not."""
    on_find = leaving_out("NumberOfStudyRelatedSeries")
    wanted = identifier("STUDY", StudyInstanceUID="1.2.1", NumberOfPatientRelatedSeries=None)
    assert answers(on_find, wanted, STUDY_ROOT["FIND"], None)[1][0].NumberOfPatientRelatedSeries == 2
    (row,) = answers(on_find, wanted, STUDY_ROOT["FIND"], scope)[1]
    assert str(row.NumberOfPatientRelatedSeries or "") == counted


@pytest.mark.threat("Q2")
def test_what_the_index_says_of_no_study_is_left_out_of_a_patient_with_studies_out_of_scope() -> None:
    """It tells nobody apart, and hides nobody."""

    def seen(told: str, accessions: list[str]) -> list[tuple[str, str | None]]:
        index = Index([study(1, "P1"), study(2, "P1", PatientComments=told)])

        def on_find(event: evt.Event) -> Rows:
            for found in index.find(event.identifier):
                if event.identifier.QueryRetrieveLevel == "PATIENT":
                    found.PatientComments = "allergic"
                elif "PatientComments" in found and not found.PatientComments:
                    del found.PatientComments
                yield 0xFF00, found

        wanted = identifier("PATIENT", PatientID=None, PatientName=None, PatientComments=None)
        rows = answers(on_find, wanted, PATIENT_ROOT["FIND"], {"AccessionNumber": accessions})[1]
        return [(row.PatientName, row.get("PatientComments")) for row in rows]

    assert seen("", ["A1", "A2"]) == [("Doe^P1", "allergic")]
    assert seen("", ["A1"]) == [("Doe^P1", None)]
    assert seen("allergic", ["A2"]) == [("Doe^P1", "allergic")]
    assert seen("allergic", ["A1"]) == [], "the other study says it"


def with_private(row: Dataset) -> None:
    row.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "three studies")


def with_unknown(row: Dataset) -> None:
    row.add_new(0x00100041, "LO", "three studies")


@pytest.mark.parametrize("add", [with_private, with_unknown])
@pytest.mark.filterwarnings("ignore:VR lookup failed")
@pytest.mark.threat("Q7")
def test_an_attribute_without_a_keyword_is_not_seen_of_a_patient_with_studies_out_of_scope(
    add: Callable[[Dataset], None],
) -> None:
    row = patient("P1", "Doe^P1")
    plain = len(row)
    add(row)
    studies = [study(1, "P1"), study(2, "P1")]
    assert len(patient_rows(studies, [row], {"AccessionNumber": ["A1", "A2"]})[0]) == len(row)
    assert len(patient_rows(studies, [row], {"AccessionNumber": "A1"})[0]) == plain


@pytest.mark.threat("Q7")
def test_a_private_attribute_that_cannot_be_read_hides_no_patient_with_studies_out_of_scope() -> None:
    row = patient("P1", "Doe^P1")
    (seen,) = patient_rows([study(1, "P1"), study(2, "P1")], [row], {"AccessionNumber": "A1"})
    private = Tag(0x00111001)
    broken = Dataset({**dict(row.items()), private: RawDataElement(private, "SQ", 3, b"abc", 0, False, True)})
    assert patient_rows([study(1, "P1"), study(2, "P1")], [broken], {"AccessionNumber": "A1"}) == [seen]


def test_a_patients_studies_are_counted_once_though_each_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a query would take the square of their number."""
    counted: list[int] = []

    def counting(studies: Sequence[Any], keyword: str) -> int | None:
        counted.append(len(studies))
        return count(studies, keyword)

    monkeypatch.setattr(find, "count", counting)
    index = Index([study(n, "P1") for n in range(1, 9)])
    wanted = identifier("STUDY", StudyInstanceUID=None, NumberOfPatientRelatedStudies=None)
    for scope, number in ((None, 8), ({"AccessionNumber": ["A1", "A2"]}, 2)):
        rows = answers(index.on_find, wanted, STUDY_ROOT["FIND"], scope)[1]
        assert [row.NumberOfPatientRelatedStudies for row in rows] == [number] * number
    assert counted == [2] * len(COUNTS)
