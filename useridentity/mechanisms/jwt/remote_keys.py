"""An issuer's keys over https, and the tokens with invented kids by which strangers would have us flood it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from useridentity.errors import Unavailable
from useridentity.mechanisms import fetched
from useridentity.mechanisms.fetched import Fetched
from useridentity.mechanisms.https import FetchFailed, get
from useridentity.mechanisms.jwt.compact import shown
from useridentity.mechanisms.jwt.discovery import discovered
from useridentity.mechanisms.jwt.key_source import LOGGER
from useridentity.mechanisms.jwt.keys import Key, KeySet, read_key_set
from useridentity.mechanisms.strict_json import Malformed
from useridentity.tls.client import Tls
from useridentity.validator import CheckContext

REFRESH = 300.0
"""Seconds after which keys are fetched again at their next use: a key taken back is out of use in minutes."""

FORGET_UNKNOWN = 30.0
"""Seconds for which a kid that the issuer did not have is refused without asking again."""

MAX_UNKNOWN = 1024
"""Such kids remembered; the oldest goes first, and the cooldown between fetches still holds."""


def remote_keys(issuer: str, url: str | None, tls: Tls) -> RemoteKeys:
    """Keys from `url`, or from where the issuer's metadata say they are."""
    return RemoteKeys(issuer, partial(_fetch, issuer, url, tls))


def _fetch(issuer: str, url: str | None, tls: Tls) -> KeySet:
    url = url or discovered(issuer, "jwks_uri", tls)
    try:
        keys, problems = read_key_set(get(url, tls))
    except Malformed as malformed:
        raise FetchFailed(f"{url}: {malformed}") from None
    for problem in problems:
        LOGGER.warning("%s: %s", url, problem)
    if not keys.keys:
        raise FetchFailed(f"{url}: holds no key that verifies signatures")
    return keys


class RemoteKeys:
    """A `KeySource` over what `fetch` gets. Safe to use from many threads.

    `fetch` raises `FetchFailed`; `clock` gives monotonic seconds.
    """

    may_wait = True

    def __init__(self, issuer: str, fetch: Callable[[], KeySet], clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._fetched = Fetched(f"keys of {issuer}", fetch, REFRESH, LOGGER)
        self._unknown: dict[str, float] = {}

    def key(self, kid: str | None, algorithm: str, context: CheckContext) -> Key:
        with self._fetched.lock:
            arrived = self._clock()
            self._fetched.refresh(arrived, context.remaining(), at_once=self._is_new(kid, arrived))
            keys = self._fetched.current(arrived)
            if kid is not None and kid not in keys:
                self._check_is_unknown(kid, arrived)
            return keys.key(kid, algorithm)

    def _is_new(self, kid: str | None, now: float) -> bool:
        """Whether the issuer may have got this key since we asked it."""
        keys = self._fetched.value
        if kid is None or keys is None or kid in keys:
            return False
        return now - self._unknown.get(kid, float("-inf")) > FORGET_UNKNOWN

    def _check_is_unknown(self, kid: str, arrived: float) -> None:
        """Raises `Unavailable` where a fetch that began after the token came may yet find the key."""
        if not self._is_new(kid, arrived):
            return
        if self._fetched.as_of < arrived:
            why = self._fetched.failure or f"asked less than {fetched.COOLDOWN:.0f} s ago, or still being asked"
            raise Unavailable(f"the key {shown(kid)} is not known yet; {self._issuer}: {why}")
        while len(self._unknown) >= MAX_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
        self._unknown.pop(kid, None)
        self._unknown[kid] = arrived
