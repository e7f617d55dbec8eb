"""Metadata over https: fetched in the background, so that a provider that is slow or down stalls nobody."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from cryptography import x509

from useridentity.mechanisms.fetched import Fetched
from useridentity.mechanisms.https import get
from useridentity.mechanisms.saml.metadata import IdentityProvider, identity_provider, usable
from useridentity.tls.client import Tls

REFRESH = 900.0
"""Seconds after which metadata is fetched again, at its next use. A provider announces its next key days before
it signs with it, and withdraws a stolen one at once."""

_log = logging.getLogger(__name__)


class RemoteMetadata:
    """The keys of `issuer` out of what `fetch` gets. Safe to use from many threads.

    `fetch` raises `FetchFailed` or `ConfigurationError`; `clock` gives monotonic seconds. The first fetch
    begins at once.
    """

    def __init__(
        self, issuer: str, fetch: Callable[[], IdentityProvider], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.issuer = issuer
        self._clock = clock
        self._fetched = Fetched(f"metadata of {issuer}", fetch, REFRESH, _log)
        with self._fetched.lock:
            self._fetched.start(clock())

    def current(self, now: datetime) -> Sequence[x509.Certificate]:
        with self._fetched.lock:
            moment = self._clock()
            self._fetched.refresh(moment)
            return usable(self._fetched.current(moment), now)


def remote_metadata(issuer: str, url: str, tls: Tls) -> RemoteMetadata:
    """Metadata at an https URL, verified by `tls`."""
    return RemoteMetadata(issuer, partial(_fetched, issuer, url, tls))


def _fetched(issuer: str, url: str, tls: Tls) -> IdentityProvider:
    return identity_provider(get(url, tls), issuer, url)
