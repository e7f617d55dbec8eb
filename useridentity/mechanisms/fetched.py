"""What an identity provider publishes, kept fresh by a thread of its own: one that is slow, down, lying or huge
costs an association a second at most.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms.https import FetchFailed

STALE = 24 * 3600.0
"""Seconds after which what could not be fetched again is no longer used: a night without the provider is survived,
a key taken back is not trusted for days."""

COOLDOWN = 5.0
"""Seconds between fetches, whoever asks: the most that a new key may have to wait, and all the load that
tokens with invented kids can put on the provider."""

MAX_WAIT = 1.0
"""Seconds that an association waits for a fetch."""

MAX_WAITING = 2
"""Associations that wait at once: of the driver's four threads, two always stay free for those that need not."""

T = TypeVar("T")


class Fetched(Generic[T]):
    """The last that `fetch` got; one fetch at a time, behind the use of what is there already.

    Fields:
        lock: whoever uses this object holds it; the thread that fetches takes it to deliver.
        value: what was got last, None before that.
        as_of: when the fetch that got it began; times are monotonic seconds.
        failure: why the last fetch got nothing, empty where it got something.

    `fetch` raises `FetchFailed` or `ConfigurationError`. It is due `every` so many seconds; at twice that age
    the use waits for it, since nobody has asked for a while. `what` is in errors, `log` and the thread's name.
    """

    def __init__(self, what: str, fetch: Callable[[], T], every: float, log: logging.Logger) -> None:
        self.lock = threading.Condition()
        self.value: T | None = None
        self.as_of = self._tried = float("-inf")
        self.failure = "not fetched yet"
        self._what = what
        self._fetch = fetch
        self._every = every
        self._log = log
        self._fetching = False
        self._waiting = 0

    def refresh(self, now: float, seconds: float = float("inf"), *, at_once: bool = False) -> None:
        """Fetch where it is due or asked for `at_once`, waiting at most `seconds` where that is worth it."""
        age = now - self.as_of
        if at_once or age > self._every:
            self.start(now)
        if at_once or age > 2 * self._every:
            self._wait(seconds)

    def current(self, now: float) -> T:
        """What there is; raises `Unavailable` where that is nothing, or too old."""
        if self.value is None or now - self.as_of > STALE:
            raise Unavailable(f"there are no {self._what}: {self.failure or 'still being fetched'}")
        return self.value

    def start(self, now: float) -> None:
        """Begin a fetch, unless there is one or was one a moment ago."""
        if self._fetching or now - self._tried < COOLDOWN:
            return
        self._tried = now
        threading.Thread(target=self._run, args=(now,), name=self._what, daemon=True).start()
        self._fetching = True

    def _wait(self, seconds: float) -> None:
        if self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        try:
            self.lock.wait_for(lambda: not self._fetching, min(MAX_WAIT, seconds))
        finally:
            self._waiting -= 1

    def _run(self, started: float) -> None:
        value, failure = None, ""
        try:
            value = self._fetch()
        except (FetchFailed, ConfigurationError) as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001  whatever it was, whoever waits must not wait for ever
            failure = f"fetching raised {type(error).__name__}"
        if failure:
            self._log.warning("%s: %s", self._what, failure)
        with self.lock:
            if value is not None:
                self.value, self.as_of = value, started
            self.failure = failure
            self._fetching = False
            self.lock.notify_all()
