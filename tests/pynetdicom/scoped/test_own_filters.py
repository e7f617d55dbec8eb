"""Handlers that filter themselves, and lookups that are not by a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import evt

from tests.pynetdicom.scoped.asking import (
    PATIENT_ROOT,
    STUDY_ROOT,
    archive,
    association,
    find,
    identifier,
    retrieve,
)
from tests.pynetdicom.scoped.index import Index, Series, Study, instance
from useridentity.pynetdicom import scope_of

SCOPE = {"PatientID": "P1"}


def study(number: int, patient_id: str, issuer: str = "") -> Study:
    uid = f"1.2.{number}"
    series = [Series({"SeriesInstanceUID": f"{uid}.1", "Modality": "CT"}, 1)]
    patient = {"PatientID": patient_id, "IssuerOfPatientID": issuer}
    return Study(patient, {"StudyInstanceUID": uid, "AccessionNumber": f"A{number}"}, series)


def filtering(index: Index, *, says_so: bool = True) -> Callable[[evt.Event], Iterator[Any]]:
    """A handler as docs/scope.md has it."""

    def on_find(event: evt.Event) -> Iterator[Any]:
        scope = scope_of(event)
        where = scope.values if scope is not None else {}
        if scope is not None and says_so:
            scope.handled()
        index.asked.append(event.identifier)
        mine = index.only(lambda each: all({**each.patient, **each.own}[word] in said for word, said in where.items()))
        yield from ((0xFF00, row) for row in mine.find(event.identifier))

    return on_find


@pytest.fixture
def index() -> Index:
    return Index([study(1, "P1"), study(2, "P2"), study(3, "P1")])


ALL = identifier("STUDY", StudyInstanceUID=None, PatientID=None)


@pytest.mark.parametrize("says_so", [False, True])
def test_a_handler_may_filter_itself_and_nothing_is_looked_up_for_it(index: Index, says_so: bool) -> None:
    handlers = [(evt.EVT_C_FIND, filtering(index, says_so=says_so)), *index.handlers[1:]]
    with archive(handlers, SCOPE) as acceptor, association(acceptor, []) as assoc:
        status, rows = find(assoc, ALL)
        assert (status, [row.StudyInstanceUID for row in rows]) == (0x0000, ["1.2.1", "1.2.3"])
        assert len(index.asked) == (1 if says_so else 3)
        out, inside = (identifier("STUDY", StudyInstanceUID=uid) for uid in ("1.2.2", "1.2.1"))
        assert retrieve(assoc.send_c_get(inside, STUDY_ROOT["GET"]))[0].Status == 0x0000
        assert retrieve(assoc.send_c_get(out, STUDY_ROOT["GET"]))[0].Status == 0x0124


@pytest.fixture(params=["plain", "filtering"])
def on_find(request: pytest.FixtureRequest, index: Index) -> Callable[[evt.Event], Iterator[Any]]:
    """A handler of either kind, of which the same is expected."""
    return index.on_find if request.param == "plain" else filtering(index)


@pytest.mark.threat("Q9")
def test_a_handler_that_filters_itself_hides_no_study_from_the_storage_guard(index: Index, on_find: Any) -> None:
    handlers = [(evt.EVT_C_FIND, on_find), *index.handlers[1:]]
    with archive(handlers, SCOPE) as acceptor, association(acceptor) as assoc:
        statuses = {}
        for uid in ("1.2.1", "1.2.9", "1.2.2"):
            entity = {"StudyInstanceUID": uid, "PatientID": "P1", "SeriesInstanceUID": "9", "SOPInstanceUID": "9.1"}
            image = instance(entity)
            image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            statuses[uid] = assoc.send_c_store(image).Status
    assert statuses == {"1.2.1": 0x0000, "1.2.9": 0x0000, "1.2.2": 0x0124}


@pytest.mark.threat("Q1")
def test_a_handler_that_filters_itself_hides_no_study_of_a_patient_from_the_retrieval(
    index: Index, on_find: Any
) -> None:
    """The retrieval cannot name the issuer, so that it would bring the other patient's studies too."""
    index.studies = [study(1, "P1", "A"), study(2, "P3", "A"), study(3, "P3", "B")]
    scope = {"PatientID": ["P1", "P3"], "IssuerOfPatientID": "A"}
    came: list[Dataset] = []
    with (
        archive([(evt.EVT_C_FIND, on_find), *index.handlers[1:]], scope) as acceptor,
        association(acceptor, came) as assoc,
    ):
        mine, mixed = (identifier("PATIENT", PatientID=patient_id) for patient_id in ("P1", "P3"))
        assert retrieve(assoc.send_c_get(mine, PATIENT_ROOT["GET"]))[0].Status == 0x0000
        assert retrieve(assoc.send_c_get(mixed, PATIENT_ROOT["GET"]))[0].Status == 0x0124
    assert [each.StudyInstanceUID for each in came] == ["1.2.1"]


@pytest.mark.threat("Q7")
def test_counts_are_right_where_a_handler_filters_rows_and_does_not_say_so(index: Index) -> None:
    """Its counts are over all studies of the patient."""

    def on_find(event: evt.Event) -> Iterator[Any]:
        scope = scope_of(event)
        for row in index.find(event.identifier):
            if scope is None or "A1" in scope.values["AccessionNumber"]:
                yield 0xFF00, row

    wanted = identifier("STUDY", StudyInstanceUID="1.2.1", NumberOfPatientRelatedStudies=None)
    for scope, counted in ((None, 2), ({"AccessionNumber": "A1"}, 1)):
        with archive([(evt.EVT_C_FIND, on_find)], scope) as acceptor, association(acceptor) as assoc:
            assert [row.NumberOfPatientRelatedStudies for row in find(assoc, wanted)[1]] == [counted]


@pytest.mark.threat("Q4")
def test_a_handler_that_filters_itself_is_checked_on_retrieval_all_the_same(index: Index) -> None:
    def on_get(event: evt.Event) -> Iterator[Any]:
        scope = scope_of(event)
        assert scope is not None
        assert [scope.admits(each) for each in index.instances(identifier("IMAGE"))] == [True, False, True]
        scope.handled()
        instances = list(index.instances(identifier("IMAGE")))
        yield len(instances)
        yield from ((0xFF00, each) for each in instances)

    came: list[Dataset] = []
    with archive([index.handlers[0], (evt.EVT_C_GET, on_get)], SCOPE) as acceptor, association(acceptor, came) as assoc:
        status, _ = retrieve(assoc.send_c_get(identifier("STUDY", StudyInstanceUID="1.2.1"), STUDY_ROOT["GET"]))
    assert (status.Status, [each.StudyInstanceUID for each in came]) == (0xB000, ["1.2.1"])


def test_without_a_scope_there_is_none_of_an_event(index: Index) -> None:
    seen: list[object] = []
    handlers = [(evt.EVT_C_FIND, lambda event: seen.append(scope_of(event)))]
    with archive(handlers) as acceptor, association(acceptor) as assoc:
        assert find(assoc, ALL) == (0x0000, [])
    assert seen == [None]
