"""An acceptor's TLS for as long as it runs: its files may be replaced, and the next connection finds the new ones.

A context is never changed, a new one takes its place. So associations go on as they began, and no TLS
session of before can be resumed: who was verified by the old authorities and revocation lists is verified
by the new ones.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from useridentity.errors import ConfigurationError
from useridentity.tls import ClientCertificate, PathLike, Profile, server_context

if TYPE_CHECKING:
    from useridentity.tls_crl import RevocationLists

WARN_AGAIN = timedelta(hours=1)
"""Between two warnings of a revocation list's end, while connections come."""

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class _Read(NamedTuple):
    """What was made of the files: a context, another that has never been used, and the revocation lists.

    The other takes over when a list ends: a session that is resumed would not notice.
    """

    context: ssl.SSLContext
    spare: ssl.SSLContext | None
    lists: RevocationLists | None


class ServerTls:
    """What `server_context` makes, made anew whenever one of its files was changed or replaced.

    Takes the arguments of `server_context`, and stands where an `ssl.SSLContext` is asked for its
    `wrap_socket`. A file that cannot be used later is logged, and the context of before stays. `now` is
    the clock, for tests.

    Raises `ConfigurationError` where an argument or a file cannot be used.
    """

    def __init__(
        self,
        cert: PathLike,
        key: PathLike,
        *,
        client_ca: PathLike | None = None,
        client_certificate: ClientCertificate | None = None,
        crl: PathLike | None = None,
        profile: Profile = "B.12",
        also: tuple[PathLike, PathLike] | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._make = partial(
            server_context,
            cert,
            key,
            client_ca=client_ca,
            client_certificate=client_certificate,
            crl=crl,
            profile=profile,
            also=also,
        )
        self._files = [path for path in (cert, key, client_ca, crl, *(also or ())) if path is not None]
        self._crl, self._client_ca = crl, client_ca
        self._now = now
        self._lock = threading.Lock()
        self._seen: list[tuple[int, ...]] = []
        self.reload()

    def context(self) -> ssl.SSLContext:
        """The context for the next connection."""
        with self._lock:
            if self._seen != (seen := self._fingerprints()):
                self._seen = seen
                self._load_or_stay()
            if self._lists is not None:
                self._heed(self._lists)
            return self._context

    def reload(self) -> None:
        """Read the files again, changed or not; raises `ConfigurationError`, and the context of before stays."""
        self.prepare()()

    def prepare(self) -> Callable[[], None]:
        """Read the files again, changed or not; what is returned puts them to use, and cannot fail.

        Raises `ConfigurationError`.
        """
        seen, read = self._fingerprints(), self._read()

        def use() -> None:
            with self._lock:
                self._seen = seen
                self._use(read)

        return use

    def wrap_socket(
        self, sock: socket.socket, server_side: bool = True, do_handshake_on_connect: bool = True
    ) -> ssl.SSLSocket:
        """As `ssl.SSLContext.wrap_socket`, for one connection that was accepted."""
        return self.context().wrap_socket(
            sock, server_side=server_side, do_handshake_on_connect=do_handshake_on_connect
        )

    def revokes(self, certificate: bytes) -> bool:
        """Whether the revocation lists hold this client certificate, DER: to end what began before they did."""
        self.context()
        return self._lists is not None and self._lists.revoke(certificate)

    def _read(self) -> _Read:
        context = self._make()
        if self._crl is None or self._client_ca is None:
            return _Read(context, None, None)
        from useridentity.tls_crl import RevocationLists

        return _Read(context, self._make(), RevocationLists.read(self._crl, self._client_ca))

    def _use(self, read: _Read) -> None:
        self._context, self._spare, self._lists = read
        self._warn_at = read.lists.warn_at if read.lists is not None else None

    def _load_or_stay(self) -> None:
        try:
            self._use(self._read())
        except ConfigurationError as error:
            _log.error("TLS files not read again, those read before stay:\n%s", error)

    def _heed(self, lists: RevocationLists) -> None:
        now = self._now()
        if self._spare is not None and now >= lists.ends_at:
            self._context, self._spare = self._spare, None
            self._warn_at = now
        if self._warn_at is not None and now >= self._warn_at:
            self._warn_at = now + WARN_AGAIN
            _log.warning("%s", lists.warning(now))

    def _fingerprints(self) -> list[tuple[int, ...]]:
        return [_fingerprint(path) for path in self._files]


def _fingerprint(path: PathLike) -> tuple[int, ...]:
    """Differs once the file was changed or replaced, also behind a symbolic link."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
