"""What is fetched in the background: one fetch at a time, few who wait, and a provider that is slow, down or lying."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from tests.lib.rawpeer import HANG
from tests.lib.threads import until
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms.fetched import COOLDOWN, MAX_WAITING, STALE, Fetched
from useridentity.mechanisms.https import FetchFailed

EVERY = 60.0  # seconds
WHAT = "news of idp"

pytestmark = pytest.mark.usefixtures("patient")


class Source:
    """Gives its answers in turn, the last for ever, once `go` is set; the clock is set by hand."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.now = 1000.0
        self.fetches = 0
        self.go = threading.Event()
        self.go.set()
        self.fetched = Fetched(WHAT, self._fetch, EVERY, logging.getLogger("useridentity"))

    def _fetch(self) -> str:
        self.fetches += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        assert self.go.wait(HANG)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get(self, seconds: float = HANG) -> str:
        with self.fetched.lock:
            self.fetched.refresh(self.now, seconds)
            return self.fetched.current(self.now)

    def settle(self) -> None:
        """Wait for a fetch in the background."""
        until(lambda: WHAT not in [thread.name for thread in threading.enumerate()])


def outcome(source: Source, seconds: float = HANG) -> type[Exception] | str:
    try:
        return source.get(seconds)
    except Unavailable as unavailable:
        return type(unavailable)


def test_the_first_use_waits_and_later_ones_do_not_ask_again() -> None:
    source = Source("old")
    assert source.fetches == 0
    assert [source.get() for _ in range(5)] == ["old"] * 5
    source.now += EVERY
    assert source.get() == "old"
    assert source.fetches == 1


def test_what_is_due_is_fetched_behind_the_use_of_what_is_there() -> None:
    source = Source("old", "new")
    source.get()
    source.now += EVERY + 1
    source.go.clear()
    assert source.get() == "old"
    source.go.set()
    source.settle()
    assert (source.get(), source.fetches) == ("new", 2)


def test_after_long_idleness_the_use_waits_for_what_is_new() -> None:
    source = Source("old", "new")
    source.get()
    source.now += 2 * EVERY + 1
    assert source.get() == "new"


def test_one_fetch_at_a_time_however_long_it_takes() -> None:
    source = Source("old")
    source.go.clear()
    for _ in range(3):
        assert outcome(source, seconds=0.01) is Unavailable
        source.now += COOLDOWN
    assert source.fetches == 1
    source.go.set()
    source.settle()
    assert source.get() == "old"


def test_nobody_waits_longer_than_there_is_time() -> None:
    source = Source("old")
    source.go.clear()
    began = time.monotonic()
    assert outcome(source, seconds=0.01) is Unavailable
    assert time.monotonic() - began < HANG / 2
    source.go.set()
    source.settle()


def test_many_who_come_at_once_cause_one_fetch_and_few_of_them_wait() -> None:
    source, outcomes = Source("old"), []
    source.go.clear()
    askers = [threading.Thread(target=lambda: outcomes.append(outcome(source))) for _ in range(16)]
    for asker in askers:
        asker.start()
    until(lambda: len(outcomes) == 16 - MAX_WAITING)
    source.go.set()
    for asker in askers:
        asker.join(HANG)
    assert source.fetches == 1
    assert (outcomes.count("old"), outcomes.count(Unavailable)) == (MAX_WAITING, 16 - MAX_WAITING)


@pytest.mark.parametrize("failure", [FetchFailed("down"), ConfigurationError("down"), ZeroDivisionError("SECRET")])
def test_who_fails_is_not_asked_for_each_association(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    source = Source(failure, "old")
    with pytest.raises(Unavailable, match=r"no news of idp: (down|fetching raised ZeroDivisionError)$"):
        source.get()
    assert [outcome(source) for _ in range(10)] == [Unavailable] * 10
    assert source.fetches == 1
    assert WHAT in caplog.text
    assert "SECRET" not in caplog.text
    source.now += COOLDOWN
    assert source.get() == "old"


def test_an_outage_is_survived_for_a_day_and_no_longer() -> None:
    source = Source("old", FetchFailed("down"))
    source.get()
    source.now += STALE
    assert source.get() == "old"
    source.settle()
    source.now += 1
    with pytest.raises(Unavailable, match="down"):
        source.get()
    source.answers = ["new"]
    source.now += COOLDOWN
    assert source.get() == "new"


def test_what_is_too_old_and_still_being_fetched_is_refused_with_a_reason() -> None:
    source = Source("old", "new")
    source.get()
    source.go.clear()
    source.now += STALE + 1
    with pytest.raises(Unavailable, match="still being fetched"):
        source.get(seconds=0.01)
    source.go.set()
    source.settle()
    assert source.get() == "new"


def test_a_thread_that_cannot_be_started_does_not_end_fetching_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    source = Source("old")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            source.get()
    source.now += COOLDOWN
    assert source.get() == "old"
