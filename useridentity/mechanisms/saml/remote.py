"""Metadata over https: fetched in the background, so that a provider that is slow or down stalls nobody."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from cryptography import x509

from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms.https import FetchFailed, get
from useridentity.mechanisms.saml.metadata import IdentityProvider, identity_provider, usable

REFRESH = 900.0
"""Seconds after which metadata is fetched again, at its next use and behind it. A provider announces its next
key days before it signs with it, and withdraws a stolen one at once. At twice that age the use waits for the fetch,
since nobody has asked for a while."""

STALE = 24 * 3600.0
"""Seconds after which metadata that could not be fetched again is no longer used: a night without the provider
is survived, a key taken back is not trusted for days."""

COOLDOWN = 5.0
"""Seconds between fetches while they fail."""

MAX_WAIT = 1.0
"""Seconds that an association waits for a fetch."""

MAX_WAITING = 2
"""Associations that wait at once: of the driver's four threads, two always stay free for those that need not."""

_log = logging.getLogger(__name__)


class RemoteMetadata:
    """The keys of `issuer` out of what `fetch` gets; one fetch at a time. Safe to use from many threads.

    `fetch` raises `FetchFailed` or `ConfigurationError`; `clock` gives monotonic seconds. The first fetch
    begins at once.
    """

    def __init__(
        self, issuer: str, fetch: Callable[[], IdentityProvider], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._changed = threading.Condition()
        self._provider: IdentityProvider | None = None
        self._as_of = self._tried = float("-inf")
        self._fetching = False
        self._failure = "not fetched yet"
        self._waiting = 0
        with self._changed:
            self._start(clock())

    def current(self, now: datetime) -> Sequence[x509.Certificate]:
        with self._changed:
            moment = self._clock()
            if moment - self._as_of > REFRESH:
                self._start(moment)
            if moment - self._as_of > 2 * REFRESH:
                self._wait()
            if self._provider is None or moment - self._as_of > STALE:
                why = self._failure or "still being fetched"
                raise Unavailable(f"there is no metadata of {self.issuer}: {why}")
            return usable(self._provider, now)

    def _wait(self) -> None:
        if self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        try:
            self._changed.wait_for(lambda: not self._fetching, MAX_WAIT)
        finally:
            self._waiting -= 1

    def _start(self, moment: float) -> None:
        if self._fetching or moment - self._tried < COOLDOWN:
            return
        self._tried = moment
        threading.Thread(target=self._run, args=(moment,), name=f"metadata of {self.issuer}", daemon=True).start()
        self._fetching = True

    def _run(self, started: float) -> None:
        provider, failure = None, ""
        try:
            provider = self._fetch()
        except (FetchFailed, ConfigurationError) as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001  whatever it was, whoever waits must not wait for ever
            failure = f"fetching raised {type(error).__name__}"
        if failure:
            _log.warning("metadata of %s: %s", self.issuer, failure)
        with self._changed:
            if provider is not None:
                self._provider, self._as_of = provider, started
            self._failure, self._fetching = failure, False
            self._changed.notify_all()


def remote_metadata(issuer: str, url: str, context: ssl.SSLContext) -> RemoteMetadata:
    """Metadata at an https URL, verified by `context`."""
    return RemoteMetadata(issuer, partial(_fetched, issuer, url, context))


def _fetched(issuer: str, url: str, context: ssl.SSLContext) -> IdentityProvider:
    return identity_provider(get(url, context), issuer, url)
