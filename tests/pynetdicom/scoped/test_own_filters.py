"""Handlers that filter themselves, and lookups that are not by a handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom import DataElement, Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.presentation import build_context

from tests.pynetdicom.scoped.asking import (
    MODELS,
    PATIENT_ROOT,
    STUDY_ROOT,
    archive,
    association,
    find,
    identifier,
    policy,
    retrieve,
)
from tests.pynetdicom.scoped.index import Index, Series, Study, instance
from useridentity import Assurance, Identity, Scope, Username
from useridentity.pynetdicom import AE, scope_of
from useridentity.pynetdicom.scoped.lookup import Studies
from useridentity.scope import BoundScope

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


def policy_scope() -> BoundScope:
    return Scope.of(SCOPE).bind(Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED))


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


def test_a_lookup_of_the_applications_own_is_asked_instead_of_the_handler(index: Index) -> None:
    asked: list[Dataset] = []

    def lookup(wanted: Dataset) -> Iterator[Dataset]:
        asked.append(wanted)
        return index.find(wanted)

    ae = AE("ARCHIVE")
    ae.supported_contexts = [build_context(uid) for uid in MODELS]
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, policy=policy(SCOPE), evt_handlers=index.handlers, scope_lookup=lookup
    )
    assert server is not None
    try:
        scu = AE("SCU")
        scu.add_requested_context(STUDY_ROOT["FIND"])
        assoc = scu.associate("127.0.0.1", server.server_address[1], identity=Username("alice"))
        assert [row.StudyInstanceUID for row in find(assoc, ALL)[1]] == ["1.2.1", "1.2.3"]
        assoc.release()
    finally:
        ae.shutdown()
    assert [each.StudyInstanceUID for each in asked] == ["1.2.1", "1.2.2", "1.2.3"]
    assert len(index.asked) == 1


def test_a_uid_that_the_standard_does_not_allow_is_looked_up_all_the_same() -> None:
    def ask(wanted: Dataset) -> Iterator[Dataset]:
        yield Dataset({element.tag: element for element in wanted} | {0x00100020: DataElement("PatientID", "LO", "P1")})

    studies = Studies(policy_scope(), ask)
    found = studies.in_scope("1.2.01")
    assert found is not None
    assert found.uid == "1.2.01"


@pytest.mark.threat("Q8")
@pytest.mark.parametrize("broken", [None, 7, [7], "1.2.1"])
def test_a_lookup_that_answers_nonsense_refuses(index: Index, broken: Any) -> None:
    with archive(index.handlers, SCOPE) as acceptor:
        acceptor.server.scope_lookup = index.find
        with association(acceptor) as assoc:
            assert len(find(assoc, ALL)[1]) == 2
        acceptor.server.scope_lookup = lambda wanted: broken
        with association(acceptor, []) as assoc:
            assert find(assoc, ALL) == (0xC311, [])
            wanted = identifier("STUDY", StudyInstanceUID="1.2.1")
            assert retrieve(assoc.send_c_get(wanted, STUDY_ROOT["GET"]))[0].Status == 0x0124
