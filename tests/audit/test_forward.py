"""Forwarding: at least once and in order, whatever is killed, pulled out or full; and nobody waits for it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.audit.builders import filled, locked, opened, record, tampering
from tests.audit.forwarding import HANG, Listed, append, event_ids, forwarding, until
from useridentity.audit.forward import STOP_SECONDS, Forwarder
from useridentity.audit.record import Record
from useridentity.audit.sinks import AT_ONCE, Confirm, Undelivered
from useridentity.audit.sinks.sink import in_form
from useridentity.errors import ConfigurationError


def test_every_record_is_forwarded_in_order(tmp_path: Path) -> None:
    sink = Listed()
    with opened(tmp_path) as journal, forwarding(journal, sink) as forwarder:
        append(journal, 95)
        until(lambda: forwarder.counters.queued == 0)
        assert sink.events == event_ids(journal)
        assert forwarder.counters.sent == journal.last


def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    sink = Listed()
    for _ in range(3):
        with opened(tmp_path) as journal, forwarding(journal, sink):
            append(journal, 20)
            until(lambda journal=journal: journal.cursor("list") == journal.last)  # type: ignore[misc]
            assert sink.events == event_ids(journal)


def test_what_was_not_confirmed_is_sent_again(tmp_path: Path) -> None:
    """Two batches are sent before the receiver is asked, and then it does not answer."""
    sink = Listed(confirm_after=Confirm(20, HANG))
    with opened(tmp_path) as journal:
        append(journal, 20)
        sink.failures = []
        lost = threading.Event()

        def confirm() -> None:
            if not lost.is_set():
                lost.set()
                raise Undelivered("it went away")

        sink.confirm = confirm  # type: ignore[method-assign]
        with forwarding(journal, sink):
            until(lambda: journal.cursor("list") == journal.last)
        assert sink.events == event_ids(journal) * 2


def test_a_few_records_are_confirmed_after_a_while(tmp_path: Path) -> None:
    sink = Listed(confirm_after=Confirm(1000, 0.05))
    with opened(tmp_path) as journal, forwarding(journal, sink):
        append(journal, 3)
        until(lambda: journal.cursor("list") == journal.last)
    assert len(sink.received) == 3


def test_stopping_confirms_what_is_on_its_way(tmp_path: Path) -> None:
    sink = Listed(confirm_after=Confirm(1000, HANG))
    with opened(tmp_path) as journal:
        append(journal, 3)
        with forwarding(journal, sink):
            until(lambda: len(sink.received) == 3)
            assert journal.cursor("list") == 0
        assert journal.cursor("list") == 3


def test_stopping_sends_what_was_recorded_before(tmp_path: Path) -> None:
    """The end of a server is a record too, and nobody waits for that one to be on disk."""
    sink = Listed()
    with opened(tmp_path) as journal:
        with forwarding(journal, sink):
            for number in range(95):
                journal.append(record(number), wait=False)
        assert sink.events == event_ids(journal)
        assert len(sink.received) == 95


def test_stopping_does_not_wait_for_a_receiver_that_is_away(tmp_path: Path) -> None:
    sink = Listed()
    sink.failures = [Undelivered("unreachable") for _ in range(100)]
    with opened(tmp_path) as journal:
        append(journal, 10)
        forwarder = Forwarder(journal, sink)
        forwarder.start()
        until(lambda: forwarder.counters.failed)
        began = time.monotonic()
        forwarder.stop(HANG)
        assert time.monotonic() - began < STOP_SECONDS
        assert forwarder.counters.queued == 10


def test_what_the_receiver_has_of_a_batch_is_not_sent_again(tmp_path: Path) -> None:
    sink = Listed()
    with opened(tmp_path) as journal:
        append(journal, 10)
        sink.failures = [Undelivered("four of ten", taken=4)]
        with forwarding(journal, sink):
            until(lambda: journal.cursor("list") == 10)
        assert sink.events == event_ids(journal)[4:]


def test_an_outage_is_said_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = Listed()
    old = record(time=datetime.now(UTC) - timedelta(hours=1))
    with opened(tmp_path) as journal, caplog.at_level(logging.WARNING, "useridentity.audit"):
        journal.append(old, wait=True)
        sink.failures = [Undelivered("unreachable") for _ in range(1000)]
        with forwarding(journal, sink) as forwarder:
            until(lambda: forwarder.counters.failed >= 3)
            during = forwarder.counters
            sink.failures = []
            until(lambda: not forwarder.counters.problem)
            after = forwarder.counters
    assert (during.sink, during.queued, during.sent, during.problem) == ("list", 1, 0, "unreachable")
    assert 3600 <= during.oldest_seconds < 3600 + HANG
    assert (after.queued, after.sent, after.oldest_seconds, after.problem) == (0, 1, 0.0, "")
    assert after.failed == len(sink.tried) - 1
    assert caplog.messages == ["audit records wait: unreachable"]


def test_an_outage_for_a_file_of_a_sink_names_the_sink(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Several may have a token or certificate each."""
    sink = Listed()
    sink.failures = [ConfigurationError("token: names no file")]
    with opened(tmp_path) as journal, forwarding(journal, sink) as forwarder:
        append(journal, 1)
        until(lambda: forwarder.counters.sent == journal.last)
    assert caplog.messages == ["audit records wait: list: token: names no file"]


def test_refused_records_are_counted(tmp_path: Path) -> None:
    with opened(tmp_path) as journal, forwarding(journal, Listed()) as forwarder:
        journal.append(record(detail="refused"), wait=True)
        until(lambda: forwarder.counters.queued == 0)
        assert (forwarder.counters.sent, forwarder.counters.refused) == (1, 1)


def test_a_defect_in_a_sink_keeps_the_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = Listed()
    sink.failures = [ZeroDivisionError("a defect")]
    with opened(tmp_path) as journal, forwarding(journal, sink):
        append(journal, 3)
        until(lambda: journal.cursor("list") == 3)
    assert len(sink.received) == 3
    assert "list: a defect; its records stay in the journal" in caplog.messages


def test_a_record_without_a_form_is_passed_over_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two of ten; what is before, between and after them arrives, and the ten are confirmed."""
    sink = Choosy()
    with opened(tmp_path) as journal:
        for number in range(10):
            journal.append(record(number, detail="odd" if number in (3, 7) else ""), wait=number == 9)
        with forwarding(journal, sink) as forwarder:
            until(lambda: journal.cursor("list") == 10)
            until(lambda: not forwarder.counters.queued)
            found = forwarder.counters
        odd = [each.event_id for _, each in journal.read(0, 10) if each.detail]
        assert [event for event in event_ids(journal) if event not in odd] == sink.events
    assert (found.sent, found.refused, found.failed) == (10, 2, 0)
    assert [event in message for event, message in zip(odd, caplog.messages, strict=True)] == [True, True]
    assert all("left in the journal and passed over: " in each for each in caplog.messages)
    assert "which has no form here: ValueError: odd" in caplog.messages[0]


class Choosy(Listed):
    """Has no form for details that say "odd"."""

    def send(self, records: Sequence[Record]) -> int:
        in_form(records, self._form)
        return super().send(records)

    def _form(self, made: Record) -> None:
        if made.detail:
            raise ValueError(made.detail)


@pytest.mark.threat("A2")
@pytest.mark.parametrize("unreadable", [(5,), (1, 2, 3), (9, 10), (1, 4, 5, 10)], ids=str)
@pytest.mark.parametrize("body", [b'{"kind":"of-tomorrow"}', b'{"kind":"alert","new":"field"}', b"[]", b"", b'"\xff'])
def test_a_record_that_cannot_be_read_is_passed_over_and_said(
    unreadable: tuple[int, ...], body: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer release wrote it, after which the older one was taken again; or somebody has altered it.

    It is said once, though the receiver is away at first.
    """
    sink = Listed(batch=4)
    sink.failures = [Undelivered("away")]
    path = filled(tmp_path)
    with opened(tmp_path) as journal:
        events = event_ids(journal)
    with tampering(path) as database:
        changes = [(body, each) for each in unreadable]
        database.executemany("UPDATE record SET body = CAST(? AS TEXT) WHERE sequence = ?", changes)
    with opened(tmp_path) as journal, forwarding(journal, sink) as forwarder:
        until(lambda: forwarder.counters.queued == 0)
        assert sink.events == [each for number, each in enumerate(events, 1) if number not in unreadable]
        assert (forwarder.counters.refused, forwarder.counters.problem) == (len(unreadable), "")
        assert journal.cursor("list") == len(events)
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    for number, each in zip(unreadable, told, strict=True):
        assert f"list: left in the journal and passed over: record {number} cannot be read: " in each
        assert "useridentity audit verify" in each


def test_what_is_refused_is_counted_once_it_is_confirmed(tmp_path: Path) -> None:
    sink = Listed(confirm_after=Confirm(10, HANG))
    lost = iter([Undelivered("it went away")])

    def confirm() -> None:
        for error in lost:
            raise error

    sink.confirm = confirm  # type: ignore[method-assign]
    with opened(tmp_path) as journal:
        for number in range(10):
            journal.append(record(number, detail="refused"), wait=number == 9)
        with forwarding(journal, sink) as forwarder:
            until(lambda: journal.cursor("list") == 10)
            until(lambda: not forwarder.counters.queued)
            assert (forwarder.counters.sent, forwarder.counters.refused, len(sink.received)) == (10, 10, 20)


def test_what_a_receiver_has_is_not_sent_again_though_the_journal_could_not_note_it(tmp_path: Path) -> None:
    """Somebody holds the journal, as a full disk would; it can be read."""
    sink = Listed(batch=5)
    with opened(tmp_path) as journal, forwarding(journal, sink) as forwarder:
        append(journal, 10)
        until(lambda: journal.cursor("list") == 10)
        sink.gate.clear()
        append(journal, 10)
        with locked(tmp_path):
            sink.gate.set()
            until(lambda: forwarder.counters.failed)
            assert 10 < len(sink.received) <= 15
        until(lambda: len(sink.received) >= 20 and journal.cursor("list") == journal.last)
        until(lambda: not forwarder.counters.problem)
        assert sink.events == event_ids(journal)


def test_a_receiver_that_asks_to_be_left_alone_is(tmp_path: Path) -> None:
    sink = Listed()
    sink.failures = [Undelivered("busy", wait=1.0)]
    with opened(tmp_path) as journal:
        append(journal, 1)
        with forwarding(journal, sink, longest_pause=0.001):
            until(lambda: journal.cursor("list") == 1)
    first, second = sink.tried
    assert second - first >= 1.0


def test_a_receiver_that_is_too_slow_for_a_batch_gets_smaller_ones(tmp_path: Path) -> None:
    """It keeps what it gets, and answers too late for more than three."""
    sink = Slow(batch=100)
    with opened(tmp_path) as journal:
        append(journal, 30)
        with forwarding(journal, sink, longest_pause=0.001):
            until(lambda: journal.cursor("list") == 30)
        assert set(sink.events) == set(event_ids(journal))


class Slow(Listed):
    def send(self, records: Sequence[Record]) -> int:
        refused = super().send(records)
        if len(records) > 3:
            raise Undelivered("timed out")
        return refused


def test_nobody_is_left_alone_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("useridentity.audit.forward.LONGEST_ASKED", 0.1)
    sink = Listed()
    sink.failures = [Undelivered("busy", wait=10.0**9)]
    with opened(tmp_path) as journal, forwarding(journal, sink):
        append(journal, 1)
        until(lambda: journal.cursor("list") == 1)


def test_a_record_of_tomorrow_has_no_age(tmp_path: Path) -> None:
    """The clock was set back."""
    sink = Listed()
    with opened(tmp_path) as journal, forwarding(journal, sink) as forwarder:
        sink.failures = [Undelivered("unreachable")] * 100
        journal.append(record(time=datetime.now(UTC) + timedelta(days=1)), wait=True)
        until(lambda: forwarder.counters.failed)
        assert forwarder.counters.oldest_seconds == 0.0
        sink.failures = []
        until(lambda: journal.cursor("list") == 1)


def test_pauses_grow_while_a_receiver_is_away(tmp_path: Path) -> None:
    sink = Listed()
    sink.failures = [Undelivered("unreachable") for _ in range(3)]
    with opened(tmp_path) as journal:
        append(journal, 1)
        with forwarding(journal, sink, longest_pause=HANG):
            until(lambda: journal.cursor("list") == 1)
    for pause, (before, after) in zip((0.1, 0.2, 0.4), pairwise(sink.tried), strict=True):
        assert after - before >= pause


def test_sinks_have_places_of_their_own(tmp_path: Path) -> None:
    """One that hangs keeps nothing from the other."""
    quick, hanging = Listed("quick"), Listed("hanging")
    hanging.gate.clear()
    with opened(tmp_path) as journal, forwarding(journal, hanging), forwarding(journal, quick):
        append(journal, 30)
        until(lambda: journal.cursor("quick") == 30)
        assert journal.cursor("hanging") == 0
        hanging.gate.set()
        until(lambda: journal.cursor("hanging") == 30)
    assert hanging.events == quick.events


@pytest.mark.threat("F5")
def test_a_receiver_that_hangs_slows_no_record(tmp_path: Path) -> None:
    """What an association waits for is its record on disk, and nothing of the forwarders."""
    sink = Listed()
    sink.gate.clear()
    with opened(tmp_path) as journal, forwarding(journal, sink) as forwarder:
        for number in range(50):
            journal.append(record(number), wait=True)
        assert forwarder.counters.queued == 50
        assert sink.received == []
        sink.gate.set()


class Unreliable(Listed):
    """A receiver that fails a third of the time, in every way it can, and keeps what it had."""

    def __init__(self, seed: int) -> None:
        super().__init__(confirm_after=AT_ONCE if seed % 2 else Confirm(25, 0.01))
        self._random = random.Random(seed)

    def send(self, records: Sequence[Record]) -> int:
        if self._random.random() < 0.3:
            arrived = self._random.randint(0, len(records))
            self.received += records[:arrived]
            taken = self._random.randint(0, arrived) if self.confirm_after == AT_ONCE else 0
            raise self._random.choice([Undelivered("it failed", taken), ZeroDivisionError("a defect")])
        return super().send(records)

    def confirm(self) -> None:
        if self._random.random() < 0.3:
            raise Undelivered("it does not answer")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_fails_every_record_arrives_and_for_the_first_time_in_order(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("useridentity.audit.forward.FIRST_PAUSE", 0.001)
    sink = Unreliable(seed)
    with opened(tmp_path) as journal, forwarding(journal, sink, longest_pause=0.001) as forwarder:
        append(journal, 300)
        until(lambda: forwarder.counters.queued == 0)
        assert list(dict.fromkeys(sink.events)) == event_ids(journal)
        assert forwarder.counters.failed
        assert forwarder.counters.sent == 300


def test_a_forwarder_can_be_stopped_before_it_had_anything_to_do(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        forwarder = Forwarder(journal, Listed())
        forwarder.start()
        forwarder.stop()
        assert forwarder.counters.queued == 0
