"""Asking the index whether a study is in scope: how often, by whom, and what becomes of it where that fails."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Event
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pynetdicom import evt
from pynetdicom.association import Association
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
from tests.pynetdicom.scoped.index import Index
from tests.pynetdicom.scoped.rows import ALL, EVERYTHING, INDEX, Rows, answers, patients, study
from useridentity import Assurance, Identity, Scope, Username
from useridentity.pynetdicom import AE
from useridentity.pynetdicom.scoped.lookup import Studies
from useridentity.scope import BoundScope

SCOPE = {"PatientID": "P1"}
A_RELEASE_RQ = bytes.fromhex("0500 00000004 00000000")  # PS3.8 9.3.6


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


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.threat("Q2")
def test_an_index_that_contradicts_itself_refuses(order: int) -> None:
    def on_find(event: evt.Event) -> Rows:
        for patient_id in ("P1", "P2")[::order]:
            yield 0xFF00, identifier("STUDY", StudyInstanceUID="1.2.1", PatientID=patient_id)
        yield 0xFF00, identifier("STUDY", StudyInstanceUID="1.2.3", PatientID="P1")

    unscoped, scoped = (answers(on_find, EVERYTHING, STUDY_ROOT["FIND"], scope) for scope in (None, SCOPE))
    assert len(unscoped[1]) == 3
    assert [row.StudyInstanceUID for row in scoped[1]] == ["1.2.3"]


@pytest.mark.threat("Q7")
def test_a_study_that_is_stored_meanwhile_counts_in_the_next_request() -> None:
    index = Index([study(2, "P2")])
    wanted = identifier("PATIENT", PatientID="P1")
    with archive(index.handlers, {"AccessionNumber": "A1"}) as acceptor, association(acceptor, []) as assoc:
        for stored, status in (([], 0x0124), ([study(1, "P1")], 0x0000), ([study(3, "P1")], 0x0124)):
            index.studies = [*index.studies, *stored]
            index._indexes.clear()
            assert retrieve(assoc.send_c_get(wanted, PATIENT_ROOT["GET"]))[0].Status == status


@pytest.mark.parametrize(("level", "model"), [("STUDY", STUDY_ROOT["FIND"]), ("PATIENT", PATIENT_ROOT["FIND"])])
@pytest.mark.parametrize("scope", [{"PatientName": "Doe^P1"}, {"AccessionNumber": ["A1", "A3"]}])
@pytest.mark.threat("Q7")
def test_a_study_out_of_scope_leaves_no_trace_though_it_cannot_be_read(scope: object, level: str, model: str) -> None:
    """An element that pydicom raises for is out of scope like one that is empty, and so in whatever is looked up."""
    name = Tag("PatientName")
    broken = RawDataElement(name, "SQ", 3, b"abc", 0, False, True)

    def on_find(event: evt.Event) -> Rows:
        for found in INDEX.find(event.identifier):
            yield 0xFF00, found if found.PatientID != spoilt else Dataset({**dict(found.items()), name: broken})

    wanted = identifier(level, StudyInstanceUID=None, PatientID=None, PatientName=None)
    spoilt = ""
    honest = answers(on_find, wanted, model, scope)
    assert (honest[0], set(patients(honest[1]))) == (0x0000, {"P1"})
    spoilt = "P2"
    assert answers(on_find, wanted, model, None)[0] == 0xC312, "nobody can be sent it"
    assert answers(on_find, wanted, model, scope) == honest


def test_a_date_of_a_database_is_compared_as_it_is_written_out() -> None:
    """pydicom takes dates, and writes them as PS3.5 has them."""

    def on_find(event: evt.Event) -> Rows:
        for n, born in enumerate((date(1999, 12, 31), date(2000, 1, 1)), 1):
            yield 0xFF00, identifier("STUDY", StudyInstanceUID=f"1.2.{n}", PatientBirthDate=born)

    wanted = identifier("STUDY", StudyInstanceUID=None, PatientBirthDate=None)
    for scope, born in ((None, ["19991231", "20000101"]), ({"PatientBirthDate": "19991231"}, ["19991231"])):
        assert [row.PatientBirthDate for row in answers(on_find, wanted, STUDY_ROOT["FIND"], scope)[1]] == born


def abort(assoc: Association) -> None:
    assoc.abort()


def ask_for_release_and_hang_up(assoc: Association) -> None:
    connection = assoc.dul.socket.socket
    connection.sendall(A_RELEASE_RQ)
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("leave", [abort, ask_for_release_and_hang_up])
@pytest.mark.threat("Q8")
def test_a_look_up_without_end_ends_with_the_association(index: Index, leave: Callable[[Association], None]) -> None:
    started, may_end, ended = Event(), Event(), Event()

    def on_find(event: evt.Event) -> Rows:
        yield from index.on_find(event)
        if event.identifier.StudyInstanceUID:
            started.set()
            try:
                while not may_end.is_set():
                    yield 0xFF00, identifier("STUDY", StudyInstanceUID="1.2.9", PatientID="P1")
            finally:
                ended.set()

    with archive([(evt.EVT_C_FIND, on_find)], SCOPE) as acceptor:
        may_end.set()
        with association(acceptor) as assoc:
            assert patients(find(assoc, EVERYTHING)[1]) == ["P1", "P1"]
        for each in (started, may_end, ended):
            each.clear()
        with association(acceptor) as assoc, ThreadPoolExecutor() as pool:
            pool.submit(list, assoc.send_c_find(EVERYTHING, STUDY_ROOT["FIND"]))
            try:
                assert started.wait(30)
                leave(assoc)
                assert ended.wait(30)
            finally:
                may_end.set()


@pytest.mark.threat("Q8")
def test_a_look_up_that_cannot_be_encoded_is_not_made_with_nothing_instead(index: Index) -> None:
    """For a row with an attribute whose VR depends on others: pydicom cannot write LUT Data by itself."""
    asked: list[Dataset] = []
    extra: list[str] = []

    def on_find(event: evt.Event) -> Rows:
        asked.append(event.identifier)
        for found in index.find(event.identifier) if event.identifier else []:
            for keyword in extra:
                found.add_new(keyword, "OW", None)
            yield 0xFF00, found

    wanted = identifier("PATIENT", PatientID=None, PatientName=None)
    assert patients(answers(on_find, wanted, PATIENT_ROOT["FIND"], {"AccessionNumber": "A1"})[1]) == ["P1"]
    extra.append("LUTData")
    asked.clear()
    assert answers(on_find, wanted, PATIENT_ROOT["FIND"], {"AccessionNumber": "A1"}) == (0xC311, [])
    assert all(asked)


def policy_scope() -> BoundScope:
    return Scope.of(SCOPE).bind(Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED))


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
        row = Dataset({element.tag: element for element in wanted})
        row.PatientID = "P1"
        yield row

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
