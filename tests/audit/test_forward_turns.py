"""Which process forwards a journal, and where: when one ends, forks, loses its lock or its place, or begins again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit.builders import opened, tampering
from tests.audit.forwarding import HANG, Listed, append, event_ids, forwarding, until
from useridentity.audit.forward import Forwarders
from useridentity.audit.turn import Turn


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


FORK = """
import os, signal, sys
from pathlib import Path
from useridentity.audit.turn import Turn
turn = Turn(Path(sys.argv[1]))
assert turn.take()
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def test_a_child_does_not_keep_the_turn_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    """A server may fork while it runs; what it leaves behind goes on until its input ends, and forwards nothing."""
    turn = Turn(tmp_path / "lock")
    with subprocess.Popen([sys.executable, "-c", FORK, str(tmp_path / "lock")], stdin=subprocess.PIPE) as process:
        assert process.wait(HANG) == -signal.SIGKILL
        until(turn.take)
    turn.give_back()


def test_a_lock_that_somebody_removes_costs_no_record(tmp_path: Path) -> None:
    """Two forward at once then; each goes on only past what its receiver has."""
    sinks = [Listed(), Listed()]
    with opened(tmp_path) as one, opened(tmp_path) as other:
        processes = [Forwarders([sink], tmp_path / "lock") for sink in sinks]
        processes[0].start(one)
        until((tmp_path / "lock").exists)
        (tmp_path / "lock").unlink()
        processes[1].start(other)
        append(one, 50)
        append(other, 50)
        until(lambda: one.cursor("list") == 100)
        for each in processes:
            each.close()
        assert set(sinks[0].events + sinks[1].events) == set(event_ids(one))


def test_a_place_that_is_lost_is_the_beginning(tmp_path: Path) -> None:
    """Everything is sent again rather than nothing."""
    sink = Listed()
    for times in (1, 2):
        with opened(tmp_path) as journal:
            if times == 1:
                append(journal, 20)
            with forwarding(journal, sink):
                until(lambda: journal.cursor("list") == 20)
            assert sink.events == times * event_ids(journal)
        with tampering(tmp_path / "audit.db") as database:
            database.execute("DELETE FROM cursor")


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
