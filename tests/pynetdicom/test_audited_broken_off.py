"""A query or retrieve that has had no final response is not recorded as a success, whoever broke it off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.association import Association

from tests.pynetdicom.archive import FIND, GET, MOVE, Archive, archive, associated, image, query, trail_in
from tests.pynetdicom.support import until
from useridentity import Policy, Rule, Username, UsernameValidator
from useridentity.audit.message.build import messages
from useridentity.audit.message.style import MessageStyle
from useridentity.audit.record import Kind, Outcome

STUDY = "1.2.3.1"
IMAGES = 3

Break = Callable[[evt.Event], None]


def peer_aborts(event: evt.Event) -> None:
    """The peer does so once it has two results; pynetdicom then breaks off, and answers as if there were no more."""
    until(event.assoc.acse.is_aborted)


def handler_aborts(event: evt.Event) -> None:
    event.assoc.abort()


def handler_fails(_event: evt.Event) -> None:
    raise OSError("the disk is gone")


def nothing_happens(_event: evt.Event) -> None:
    """All goes well."""


def results(archive: Archive, happens: Break, event: evt.Event) -> Iterator[Any]:
    """Two results, and what happens before the third."""
    if event.event is evt.EVT_C_MOVE:
        yield "127.0.0.1", archive.workstation
    if event.event is not evt.EVT_C_FIND:
        yield IMAGES
    for number in range(IMAGES):
        if number == IMAGES - 1:
            happens(event)
        yield 0xFF00, query(StudyInstanceUID=STUDY) if event.event is evt.EVT_C_FIND else image(STUDY, number)


def asked(assoc: Association, kind: str) -> Iterator[Any]:
    what = query(StudyInstanceUID=STUDY)
    if kind == "C-FIND":
        return assoc.send_c_find(what, FIND)
    return assoc.send_c_move(what, "WS_1", MOVE) if kind == "C-MOVE" else assoc.send_c_get(what, GET)


EVENTS = {"C-FIND": evt.EVT_C_FIND, "C-GET": evt.EVT_C_GET, "C-MOVE": evt.EVT_C_MOVE}
BROKEN_OFF = {nothing_happens: 0x0000, peer_aborts: None, handler_aborts: None}
FAILURES = {"C-FIND": 0xC311, "C-GET": 0xC411, "C-MOVE": 0xC511}


@pytest.mark.parametrize("happens", [*BROKEN_OFF, handler_fails])
@pytest.mark.parametrize("kind", list(EVENTS))
def test_what_is_broken_off_is_no_success_and_what_had_been_sent_is_told(
    tmp_path: Path, kind: str, happens: Break
) -> None:
    status = BROKEN_OFF.get(happens, FAILURES[kind])
    anybody = Policy([Rule([UsernameValidator()], weakest="asserted")], audit=trail_in(tmp_path))
    with archive(anybody) as running:
        running.server.bind(EVENTS[kind], lambda event: results(running, happens, event))
        with associated(running.port, Username("bob"), confirmation="none") as assoc:
            answers = asked(assoc, kind)
            assert [next(answers)[0].Status, next(answers)[0].Status] == [0xFF00, 0xFF00]
            if happens is peer_aborts:
                assoc.abort()
            else:
                list(answers)
        found = running.settled(Kind.QUERIED, Kind.RETRIEVED)
    outcome = Outcome.SUCCESS if status == 0 else Outcome.FAILED
    number = IMAGES if status == 0 else IMAGES - 1
    assert {each.operation and each.operation.status for each in found} == {status}
    if kind == "C-FIND":
        assert [(each.outcome, each.operation and each.operation.matches) for each in found] == [(outcome, number)]
    else:
        assert found[0].outcome is Outcome.SUCCESS
        assert [len(sop.instances) for study in found[0].studies for sop in study.sop_classes] == [number]
        assert [each.outcome for each in found[1:]] == ([] if status == 0 else [Outcome.FAILED])
        assert {study.study_instance_uid for each in found for study in each.studies} == {STUDY}
    assert messages(found[-1], MessageStyle())[0].outcome.value == (0 if status == 0 else 8)
