"""Waiting for what another thread brings about, and which threads a test has left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from tests.lib.rawpeer import HANG

ASSOCIATION_THREADS = ("AcceptorThread", "RequestorThread")  # daemons, so named by pynetdicom


def until(condition: Callable[[], object], within: float = HANG) -> None:
    """Wait for what another thread brings about."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.002)


class Hanging:
    """A call that answers once it is let go."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.entered = threading.Semaphore(0)
        self._free = threading.Event()

    def __call__(self, *_: object) -> Any:
        self.entered.release()
        assert self._free.wait(HANG)
        return self.answer

    def let_go(self) -> None:
        self._free.set()


def left_behind(before: Collection[threading.Thread], within: float) -> list[str]:
    """Names of the threads not in `before` that hold up exit or serve an association and do not end in time."""
    deadline = time.monotonic() + within
    started = [each for each in threading.enumerate() if each not in before and _must_end(each)]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in started if thread.is_alive()]


def _must_end(thread: threading.Thread) -> bool:
    return not thread.daemon or thread.name.startswith(ASSOCIATION_THREADS)
