"""The check that no test leaves a thread behind sees those that matter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.lib.threads import left_behind

SHORT = 0.05  # seconds, for threads that are not going to end

StartThread = Callable[..., None]


@pytest.fixture
def waiting() -> Iterator[StartThread]:
    """Starts threads that wait for the end of the test."""
    end = threading.Event()
    threads: list[threading.Thread] = []

    def start(name: str, *, daemon: bool) -> None:
        threads.append(threading.Thread(target=end.wait, name=name, daemon=daemon))
        threads[-1].start()

    yield start
    end.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("name", "daemon"), [("reactor", False), ("AcceptorThread@1", True), ("RequestorThread@1", True)]
)
def test_a_thread_that_goes_on_is_named(waiting: StartThread, name: str, daemon: bool) -> None:
    before = threading.enumerate()
    waiting(name, daemon=daemon)
    assert left_behind(before, SHORT) == [name]


def test_other_daemons_and_earlier_threads_are_left_alone(waiting: StartThread) -> None:
    waiting("earlier", daemon=False)
    before = threading.enumerate()
    waiting("worker", daemon=True)
    assert left_behind(before, SHORT) == []


def test_a_thread_on_its_way_out_is_waited_for() -> None:
    before = threading.enumerate()
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    end.set()
    assert left_behind(before, within=10.0) == []
