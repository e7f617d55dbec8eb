"""A sink's TLS by its files as they are: a forwarder outlives its certificate and its authorities' revocation lists."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

from useridentity.changed_file import fingerprint


class ClientTls:
    """Called for each connection: the context that `make` makes of the files, anew once one of them was changed.

    Raises `ConfigurationError` as `make` does. Records then wait until the files can be used: nothing goes on by what
    somebody has just taken out of use.
    """

    def __init__(
        self,
        make: Callable[..., ssl.SSLContext],
        ca: Path | None,
        cert: Path | None,
        key: Path | None,
        crl: Path | None,
    ) -> None:
        self._make = partial(make, ca, cert, key, crl=crl)
        self._files = [each for each in (ca, cert, key, crl) if each is not None]
        self._seen, self._context = self._fingerprints(), self._make()

    def __call__(self) -> ssl.SSLContext:
        seen = self._fingerprints()
        if seen != self._seen:
            self._context = self._make()
            self._seen = seen
        return self._context

    def _fingerprints(self) -> list[tuple[int, ...]]:
        return [fingerprint(path) for path in self._files]
