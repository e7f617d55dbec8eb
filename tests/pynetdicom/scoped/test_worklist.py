"""Modality Worklist under a scope: items are tested by their own attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pynetdicom import evt

from tests.pynetdicom.scoped.asking import WORKLIST, archive, association, find, identifier
from tests.pynetdicom.scoped.index import Index
from useridentity.pynetdicom import scope_of

WORKLIST_SCOPE = {"ScheduledProcedureStepSequence.ScheduledStationAETitle": "CT_1"}


def item(number: int, station: Any, **more: Any) -> Dataset:
    step = Dataset()
    step.ScheduledStationAETitle, step.Modality, step.ScheduledProcedureStepID = station, "CT", f"S{number}"
    entry = identifier(PatientID=f"P{number}", AccessionNumber=f"A{number}", StudyInstanceUID=f"1.2.{number}")
    entry.ScheduledProcedureStepSequence = [step, *more.get("steps", [])]
    return entry


def worklist_query(**step: Any) -> Dataset:
    wanted = identifier(PatientID=None, AccessionNumber=None)
    inner = Dataset()
    for keyword, value in step.items():
        setattr(inner, keyword, value)
    wanted.ScheduledProcedureStepSequence = [inner]
    return wanted


@pytest.fixture
def scheduled() -> Index:
    second = Dataset()
    second.ScheduledStationAETitle = "MR_1"
    return Index(
        worklist=[
            item(1, "CT_1"),
            item(2, "MR_1"),
            item(3, ["CT_2", "CT_1"]),
            item(4, None),
            item(5, "CT_1 "),
            item(6, "CT_1", steps=[second]),
        ]
    )


def items(index: Index, wanted: Dataset, scope: object) -> tuple[int, list[str]]:
    with archive(index.handlers, scope) as acceptor, association(acceptor) as assoc:
        status, rows = find(assoc, wanted, WORKLIST)
        return status, [row.PatientID for row in rows]


@pytest.mark.threat("Q1")
def test_items_of_a_worklist_are_those_of_the_station(scheduled: Index) -> None:
    """An item whose steps are of several stations is in nobody's scope (PS3.4 Table K.6-1: a single item)."""
    wanted = worklist_query(ScheduledStationAETitle=None, Modality=None)
    assert items(scheduled, wanted, None) == (0x0000, ["P1", "P2", "P3", "P4", "P5", "P6"])
    assert items(scheduled, wanted, WORKLIST_SCOPE) == (0x0000, ["P1", "P3", "P5"])
    assert items(scheduled, worklist_query(ScheduledStationAETitle="MR_1"), WORKLIST_SCOPE) == (0x0000, [])
    all_of_it = identifier(PatientID=None, ScheduledProcedureStepSequence=[])
    assert items(scheduled, all_of_it, WORKLIST_SCOPE) == (0x0000, ["P1", "P3", "P5"])


@pytest.mark.threat("Q7")
def test_an_item_that_cannot_be_read_is_out_of_scope_and_leaves_no_trace(scheduled: Index) -> None:
    steps = Tag("ScheduledProcedureStepSequence")
    broken = item(9, "CT_1")
    wanted = worklist_query(ScheduledStationAETitle=None)

    def on_find(event: evt.Event) -> Iterator[Any]:
        yield from ((0xFF00, entry) for entry in (broken, *scheduled.worklist))

    def seen(scope: object) -> tuple[int, int]:
        with archive([(evt.EVT_C_FIND, on_find)], scope) as acceptor, association(acceptor) as assoc:
            status, rows = find(assoc, wanted, WORKLIST)
            return status, len(rows)

    assert (seen(None), seen(WORKLIST_SCOPE)) == ((0x0000, 7), (0x0000, 4))
    broken = Dataset({**dict(broken.items()), steps: RawDataElement(steps, "SQ", 3, b"abc", 0, False, True)})
    assert (seen(None), seen(WORKLIST_SCOPE)) == ((0xC312, 0), (0x0000, 3))


def test_items_may_be_scoped_by_patient(scheduled: Index) -> None:
    wanted = worklist_query(Modality=None)
    assert items(scheduled, wanted, {"PatientID": ["P2", "P4"]}) == (0x0000, ["P2", "P4"])


@pytest.mark.threat("Q3")
def test_a_worklist_query_must_ask_for_what_items_are_decided_by(scheduled: Index) -> None:
    for wanted in (worklist_query(Modality="CT"), identifier(PatientID=None)):
        assert items(scheduled, wanted, None)[0] == 0x0000
        assert items(scheduled, wanted, WORKLIST_SCOPE) == (0xA900, [])


@pytest.mark.threat("Q3")
def test_an_identifier_that_cannot_be_read_does_not_match_the_sop_class(scheduled: Index) -> None:
    with archive(scheduled.handlers, WORKLIST_SCOPE) as acceptor, association(acceptor) as assoc:
        assert find(assoc, worklist_query(ScheduledStationAETitle=None), WORKLIST)[0] == 0x0000
        broken = identifier(PatientID=None)
        broken.add_new("ScheduledProcedureStepSequence", "OB", b"\x01\x02\x03\x04")
        assert find(assoc, broken, WORKLIST) == (0xA900, [])
        assert find(assoc, worklist_query(ScheduledStationAETitle=None), WORKLIST)[0] == 0x0000


def test_a_worklist_handler_may_filter_itself(scheduled: Index) -> None:
    def on_find(event: evt.Event) -> Iterator[Any]:
        scope = scope_of(event)
        assert scope is not None
        scope.handled()
        (title,) = scope.values["ScheduledProcedureStepSequence.ScheduledStationAETitle"]
        for entry in scheduled.worklist:
            if entry.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == title:
                yield 0xFF00, identifier(PatientID=entry.PatientID)

    wanted = worklist_query(ScheduledStationAETitle=None)
    with archive([(evt.EVT_C_FIND, on_find)], WORKLIST_SCOPE) as acceptor, association(acceptor) as assoc:
        assert [row.PatientID for row in find(assoc, wanted, WORKLIST)[1]] == ["P1", "P6"]
