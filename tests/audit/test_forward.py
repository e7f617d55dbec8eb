"""Forwarding: at least once and in order, whatever is killed, pulled out or full; and nobody waits for it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.audit.builders import opened, record
from tests.audit.forwarding import HANG, append, event_ids, forwarding, until
from useridentity.audit.forward import STOP_SECONDS, Forwarder, Forwarders
from useridentity.audit.record import Record
from useridentity.audit.sinks import AT_ONCE, Confirm, Undelivered


class Listed:
    """A sink that keeps what it gets, and fails as it is told to."""

    def __init__(self, name: str = "list", batch: int = 10, confirm_after: Confirm = AT_ONCE) -> None:
        self.name, self.batch, self.confirm_after = name, batch, confirm_after
        self.received: list[Record] = []
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def send(self, records: Sequence[Record]) -> int:
        self.gate.wait(HANG)
        if self.failures:
            raise self.failures.pop(0)
        self.received += records
        return sum(made.detail == "refused" for made in records)

    def confirm(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def close(self) -> None:
        """Nothing is open."""

    @property
    def events(self) -> list[str]:
        return [made.event_id for made in self.received]


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
        sink.failures = [Undelivered("unreachable") for _ in range(5)]
        with forwarding(journal, sink) as forwarder:
            until(lambda: forwarder.counters.failed == 3)
            during = forwarder.counters
            until(lambda: not forwarder.counters.problem)
            after = forwarder.counters
    assert (during.sink, during.queued, during.sent, during.problem) == ("list", 1, 0, "unreachable")
    assert 3600 <= during.oldest_seconds < 3600 + HANG
    assert (after.queued, after.sent, after.failed, after.oldest_seconds, after.problem) == (0, 1, 5, 0.0, "")
    assert caplog.messages == ["audit records wait: unreachable"]


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


def test_pauses_grow_while_a_receiver_is_away(tmp_path: Path) -> None:
    sink = Listed()
    sink.failures = [Undelivered("unreachable") for _ in range(100)]
    with opened(tmp_path) as journal:
        append(journal, 1)
        with forwarding(journal, sink, longest_pause=HANG) as forwarder:
            until(lambda: forwarder.counters.failed == 3)
            began = time.monotonic()
            until(lambda: forwarder.counters.failed == 4)
            assert time.monotonic() - began > 0.2


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


def test_of_several_processes_one_forwards_and_then_the_next(tmp_path: Path) -> None:
    """Each with its own connection to one journal; a lock is no process's two times, so they can be told apart here."""
    sinks = [Listed(), Listed()]
    with opened(tmp_path) as one, opened(tmp_path) as other:
        processes = [Forwarders([sink], tmp_path / "lock") for sink in sinks]
        processes[0].start(one)
        append(one, 10)
        until(lambda: one.cursor("list") == 10)
        processes[1].start(other)
        append(one, 10)
        append(other, 10)
        until(lambda: one.cursor("list") == 30)
        assert sinks[1].received == []
        until(lambda: processes[1].counters[0].queued == 0)
        processes[0].close()
        append(other, 10)
        until(lambda: other.cursor("list") == 40)
        assert sinks[0].events + sinks[1].events == event_ids(one)
        processes[1].close()


def test_forwarders_start_again(tmp_path: Path) -> None:
    sink = Listed()
    forwarders = Forwarders([sink], tmp_path / "lock")
    for _ in range(3):
        with opened(tmp_path) as journal:
            forwarders.start(journal)
            append(journal, 5)
            until(lambda journal=journal: journal.cursor("list") == journal.last)  # type: ignore[misc]
            forwarders.close()
            assert sink.events == event_ids(journal)


def test_forwarders_start_again_at_once_while_a_receiver_still_holds_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts holds a lock that associations wait for; the sink still has one thread at a time."""
    monkeypatch.setattr("useridentity.audit.forward.STOP_SECONDS", 0.05)
    sink, other = Listed(), Listed("other")
    forwarders = Forwarders([sink, other], tmp_path / "lock")
    with opened(tmp_path) as journal:
        sink.gate.clear()
        for _ in range(2):
            forwarders.start(journal)
            append(journal, 5)
            until(lambda: journal.cursor("other") == journal.last)
            forwarders.close()
        forwarders.start(journal)
        assert sink.events == []
        sink.gate.set()
        until(lambda: journal.cursor("list") == journal.last)
        assert list(dict.fromkeys(sink.events)) == event_ids(journal)
        forwarders.close()
