"""TLS as a client that runs for long: it outlives its certificate, and its authorities' revocation lists."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial

from useridentity.changed_file import fingerprint
from useridentity.errors import ConfigurationError
from useridentity.tls import PathLike, client_context

Tls = Callable[[], ssl.SSLContext]
"""Asked for the context of each connection."""


class ClientTls:
    """A `Tls` by its files, anew once one of them was changed.

    Args:
        ca: PEM file with the authorities that are trusted and no others; without one, the system's.
        cert, key: what proves who we are, where that is wanted; they need a `ca`.
        crl: PEM file with a revocation list of each of these authorities; needs a `ca`.

    Raises `ConfigurationError` where a file cannot be used, then and whenever it is asked: nothing goes on by what
    somebody has just taken out of use.
    """

    def __init__(
        self,
        ca: PathLike | None,
        cert: PathLike | None = None,
        key: PathLike | None = None,
        crl: PathLike | None = None,
    ) -> None:
        self._make = partial(_context, ca, cert, key, crl)
        self._files = [each for each in (ca, cert, key, crl) if each is not None]
        self._made = self._fingerprints(), self._make()

    def __call__(self) -> ssl.SSLContext:
        """Safe to use from many threads."""
        seen, made = self._made
        now = self._fingerprints()
        if now != seen:
            made = self._make()
            self._made = now, made
        return made

    def _fingerprints(self) -> list[tuple[int, ...]]:
        return [fingerprint(path) for path in self._files]


def _context(ca: PathLike | None, cert: PathLike | None, key: PathLike | None, crl: PathLike | None) -> ssl.SSLContext:
    if ca is not None:
        return client_context(ca, cert, key, crl=crl)
    if cert is not None or key is not None:
        raise ConfigurationError("ca: missing; a client certificate (cert, key) is shown to an authority you name only")
    if crl is not None:
        raise ConfigurationError("ca: missing; revocation lists (crl) are those of the authorities you name")
    return ssl.create_default_context()
