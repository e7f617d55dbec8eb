"""Threads for validators: bounded in number, in who may wait, and in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lib.rawpeer import HANG
from tests.lib.threads import Hanging
from useridentity import Assurance, Identity, Reason, Unavailable, Verified
from useridentity.pool import BACKLOG, WORKERS, Pool

ANSWER = Verified(Identity("test:alice", "alice", "test", Assurance.AUTHENTICATED, 2))


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Let go when the test ends, at the latest."""
    each = Hanging(ANSWER)
    yield each
    each.let_go()


def test_more_than_may_wait_are_turned_away(hanging: Hanging) -> None:
    pool = Pool("test", workers=1, backlog=2)
    deadline = time.monotonic() + HANG
    results: list[Any] = []
    waiting = [threading.Thread(target=lambda: results.append(pool.run(hanging, deadline))) for _ in range(3)]
    waiting[0].start()
    assert hanging.entered.acquire(timeout=HANG)
    for thread in waiting[1:]:
        thread.start()
    while len(pool._waiting) < 2:
        assert time.monotonic() < deadline
    with pytest.raises(Unavailable) as full:
        pool.run(hanging, deadline)
    assert full.value.reason is Reason.CAPACITY
    hanging.let_go()
    for thread in waiting:
        thread.join(HANG)
    assert [type(result) for result in results] == [Verified] * 3
    pool.close()


def test_who_waited_too_long_is_never_served(hanging: Hanging) -> None:
    pool = Pool("test", workers=1)
    first = threading.Thread(target=lambda: pool.run(hanging, time.monotonic() + HANG))
    first.start()
    assert hanging.entered.acquire(timeout=HANG)
    called = threading.Event()

    def call() -> Verified:
        called.set()
        return ANSWER

    with pytest.raises(Unavailable) as late:
        pool.run(call, time.monotonic() + 0.05)
    assert late.value.reason is Reason.TIMED_OUT
    hanging.let_go()
    first.join(HANG)
    pool.run(lambda: ANSWER, time.monotonic() + HANG)
    assert not called.is_set()
    pool.close()


def test_a_pool_starts_no_more_threads_than_it_may() -> None:
    pool, running, most = Pool("counted", workers=3), [], []
    lock = threading.Lock()

    def count() -> Verified:
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.002)
        with lock:
            running.pop()
        return ANSWER

    deadline = time.monotonic() + HANG
    callers = [threading.Thread(target=pool.run, args=(count, deadline)) for _ in range(30)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(HANG)
    assert len(most) == 30
    assert max(most) <= 3
    assert sum(thread.name == "validator counted" for thread in threading.enumerate()) <= 3
    pool.close()


def test_a_closed_pool_ends_its_threads_and_takes_nobody() -> None:
    pool = Pool("closing")
    assert isinstance(pool.run(lambda: ANSWER, time.monotonic() + HANG), Verified)
    threads = [thread for thread in threading.enumerate() if thread.name == "validator closing"]
    pool.close()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive()
    with pytest.raises(Unavailable):
        pool.run(lambda: ANSWER, time.monotonic() + HANG)


def test_without_a_thread_to_be_had_the_answer_is_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool("test")

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(BACKLOG + WORKERS + 1):
            with pytest.raises(Unavailable) as refused:
                pool.run(lambda: ANSWER, time.monotonic() + HANG)
            assert refused.value.reason is Reason.CAPACITY
    assert isinstance(pool.run(lambda: ANSWER, time.monotonic() + HANG), Verified)
    pool.close()
