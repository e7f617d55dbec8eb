"""An issuer's keys over https: fetched by a thread of their own, so that an issuer that is slow, down, lying
or huge costs an association a second at most, and strangers cannot make us flood it.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from functools import partial

from useridentity.errors import Unavailable
from useridentity.mechanisms.https import FetchFailed, get
from useridentity.mechanisms.jwt.compact import shown
from useridentity.mechanisms.jwt.discovery import discovered
from useridentity.mechanisms.jwt.key_source import LOGGER
from useridentity.mechanisms.jwt.keys import Key, KeySet, read_key_set
from useridentity.mechanisms.strict_json import Malformed
from useridentity.validator import CheckContext

REFRESH = 300.0
"""Seconds after which keys are fetched again at their next use, behind it: a key taken back is out of use in
minutes. At twice that age the use waits for the fetch, since nobody has asked for a while."""

STALE = 24 * 3600.0
"""Seconds after which keys that could not be fetched again are no longer used: a night without the issuer is
survived, a key taken back is not trusted for days."""

COOLDOWN = 5.0
"""Seconds between fetches, whoever asks: the most that a new key may have to wait, and all the load that
tokens with invented kids can put on the issuer."""

FORGET_UNKNOWN = 30.0
"""Seconds for which a kid that the issuer did not have is refused without asking again."""

MAX_UNKNOWN = 1024
"""Such kids remembered; the oldest goes first, and `COOLDOWN` still holds."""

MAX_WAIT = 1.0
"""Seconds that an association waits for a fetch."""

MAX_WAITING = 2
"""Associations that wait at once: of the driver's four threads, two always stay free for those that need not."""


def remote_keys(issuer: str, url: str | None, context: ssl.SSLContext) -> RemoteKeys:
    """Keys from `url`, or from where the issuer's metadata say they are."""
    return RemoteKeys(issuer, partial(_fetch, issuer, url, context))


def _fetch(issuer: str, url: str | None, context: ssl.SSLContext) -> KeySet:
    url = url or discovered(issuer, "jwks_uri", context)
    try:
        keys, problems = read_key_set(get(url, context))
    except Malformed as malformed:
        raise FetchFailed(f"{url}: {malformed}") from None
    for problem in problems:
        LOGGER.warning("%s: %s", url, problem)
    if not keys.keys:
        raise FetchFailed(f"{url}: holds no key that verifies signatures")
    return keys


class RemoteKeys:
    """A `KeySource` over what `fetch` gets; one fetch at a time. Safe to use from many threads.

    `fetch` raises `FetchFailed`; `clock` gives monotonic seconds.
    """

    may_wait = True

    def __init__(self, issuer: str, fetch: Callable[[], KeySet], clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._changed = threading.Condition()
        self._keys: KeySet | None = None
        self._as_of = self._tried = float("-inf")
        self._fetching = False
        self._failure = "not fetched yet"
        self._waiting = 0
        self._unknown: dict[str, float] = {}

    def key(self, kid: str | None, algorithm: str, context: CheckContext) -> Key:
        with self._changed:
            arrived = self._clock()
            if self._is_due(kid, arrived):
                self._start_fetch(arrived)
                if self._is_worth_waiting_for(kid, arrived):
                    self._wait(context)
            keys = self._keys_not_too_old(arrived)
            if kid is not None and kid not in keys:
                self._check_is_unknown(kid, arrived)
            return keys.key(kid, algorithm)

    def _is_due(self, kid: str | None, now: float) -> bool:
        return now - self._as_of > REFRESH or self._is_new(kid, now)

    def _is_worth_waiting_for(self, kid: str | None, now: float) -> bool:
        return now - self._as_of > 2 * REFRESH or self._is_new(kid, now)

    def _is_new(self, kid: str | None, now: float) -> bool:
        """Whether the issuer may have got this key since we asked it."""
        if kid is None or self._keys is None or kid in self._keys:
            return False
        return now - self._unknown.get(kid, float("-inf")) > FORGET_UNKNOWN

    def _keys_not_too_old(self, now: float) -> KeySet:
        if self._keys is None or now - self._as_of > STALE:
            raise Unavailable(f"there are no keys of {self._issuer}: {self._failure}")
        return self._keys

    def _check_is_unknown(self, kid: str, arrived: float) -> None:
        """Raises `Unavailable` where a fetch that began after the token came may yet find the key."""
        if not self._is_new(kid, arrived):
            return
        if self._as_of < arrived:
            why = self._failure or f"asked less than {COOLDOWN:.0f} s ago, or still being asked"
            raise Unavailable(f"the key {shown(kid)} is not known yet; {self._issuer}: {why}")
        while len(self._unknown) >= MAX_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
        self._unknown.pop(kid, None)
        self._unknown[kid] = arrived

    def _wait(self, context: CheckContext) -> None:
        if self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        try:
            self._changed.wait_for(lambda: not self._fetching, min(MAX_WAIT, context.remaining()))
        finally:
            self._waiting -= 1

    def _start_fetch(self, now: float) -> None:
        if self._fetching or now - self._tried < COOLDOWN:
            return
        self._tried = now
        threading.Thread(target=self._run, args=(now,), name=f"keys of {self._issuer}", daemon=True).start()
        self._fetching = True

    def _run(self, started: float) -> None:
        keys, failure = None, ""
        try:
            keys = self._fetch()
        except FetchFailed as failed:
            failure = str(failed)
        except Exception as error:  # noqa: BLE001  whatever it was, whoever waits must not wait for ever
            failure = f"fetching raised {type(error).__name__}"
        if failure:
            LOGGER.warning("keys of %s: %s", self._issuer, failure)
        with self._changed:
            if keys is not None:
                self._keys, self._as_of = keys, started
            self._failure = failure
            self._fetching = False
            self._changed.notify_all()
