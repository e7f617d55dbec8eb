"""What the audit trail says of one event survives being written down, whatever a peer sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audit.builders import ALICE, record
from useridentity.audit.record import (
    MAX_TEXT,
    Anchor,
    EndedBy,
    Kind,
    Operation,
    Outcome,
    Record,
    SopClass,
    Study,
    Traffic,
    User,
    text,
)

FULL = record(
    user=User(
        5, "", "idp#7", "7", "Ann", "https://idp.example.org", "authenticated", "person", ("a", "b"), ("TREAT",),
        "patient unconscious", "idp#client", "jti", "4711", {"role": ("MD", "RN"), "alias": ("dicom:ARCHIVE",)},
    ),
    operation=Operation("C-FIND", "1.2", 7, 0xFF00, "WS_2", "192.0.2.9", "1.2.840.10008.1.2", b"\0\xff", True, 12),
    studies=(Study("1.2.3", "P1", "Doe^Jane", ("A1", "A2"), (SopClass("1.2.840", 2, ("1.9", "1.10")),)), Study("1.4")),
    traffic=Traffic(EndedBy.CONNECTION, 1.5, 3, 2, 1000, 2000),
    anchor=Anchor("journal", 12, "ab" * 32),
    count=3,
)  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("outcome", Outcome)
def test_a_record_of_every_kind_and_outcome_is_read_as_it_was_written(kind: Kind, outcome: Outcome) -> None:
    written = record(kind=kind, outcome=outcome)
    assert Record.from_json(written.to_json()) == written


def test_every_field_is_read_as_it_was_written() -> None:
    assert Record.from_json(FULL.to_json()) == FULL


@pytest.mark.threat("A8")
def test_a_record_is_one_line_of_ascii_and_always_the_same() -> None:
    """Whatever is in it: no line end, no escape sequence, no quotation mark can leave its place."""
    hostile = record(user=User(presented='x\r\n\x1b[31m"\u2028\udcff\x00é'), detail="\n")
    line = hostile.to_json()
    assert line.isascii()
    assert line.isprintable()
    assert line == hostile.to_json()
    assert Record.from_json(line) == hostile


def test_fields_without_a_value_are_left_out() -> None:
    small = Record(Kind.APPLICATION_STARTED)
    assert set(json.loads(small.to_json())) == {"kind", "time", "event_id"}
    assert Record.from_json(small.to_json()) == small


def test_every_record_has_an_event_id_of_its_own_and_the_time_it_was_made() -> None:
    before = datetime.now(UTC)
    first, second = Record(Kind.ALERT), Record(Kind.ALERT)
    assert first.event_id != second.event_id
    assert before <= first.time <= second.time <= datetime.now(UTC)


def test_times_are_written_as_utc_whatever_zone_they_came_in() -> None:
    zoned = record(time=datetime(2026, 11, 22, 13, 0, tzinfo=timezone(timedelta(hours=1))))
    assert json.loads(zoned.to_json())["time"] == "2026-11-22T12:00:00.000000Z"
    assert Record.from_json(zoned.to_json()).time == zoned.time


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{}", "null", '{"kind":"stored","unknown":1}', '{"kind":"eaten"}', '{"kind":"stored","time":7}',
     '{"kind":"stored","user":{"nobody":1}}', '{"kind":"stored","studies":[1]}', "[" * 100_000,
     '{"kind":"stored","detail":7}', '{"kind":"stored","count":"7"}', '{"kind":"stored","user":{"groups":"ab"}}',
     '{"kind":"stored","user":{"attributes":{"role":["MD",null]}}}', '{"kind":"stored","user":{"emergency":null}}',
     '{"kind":"stored","time":"2026-11-22T12:00:00"}', '{"kind":"stored","time":"0001-01-01T00:00:00+14:00"}',
     '{"kind":"stored","time":"9999-12-31T23:59:59-12:00"}'],
)  # fmt: skip
def test_what_is_no_record_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the kinds of JSON's and of ours
        Record.from_json(line)


@given(st.text(), st.text(), st.binary())
def test_any_text_and_octets_survive(presented: str, patient: str, identifier: bytes) -> None:
    """Property: also those that no encoding carries, since a peer may send them."""
    written = record(
        user=User(presented=presented),
        studies=(Study("1.2", patient),),
        operation=Operation("C-FIND", identifier=identifier),
    )
    assert Record.from_json(written.to_json()) == written


@given(st.text(alphabet=st.characters(codec=None), max_size=3 * MAX_TEXT))
def test_text_of_a_peer_is_bounded_and_can_be_encoded(value: str) -> None:
    kept = text(value)
    assert len(kept) <= MAX_TEXT
    kept.encode("utf-8")


def test_text_that_is_cut_says_so() -> None:
    assert text("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert text("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT - 1) + "…"


def test_a_record_and_its_user_can_be_members_of_sets() -> None:
    assert len({ALICE, ALICE, FULL.user}) == 2
