"""An acceptor's TLS for as long as it runs: its files may be replaced, and the next connection finds the new ones.

A context is never changed, a new one takes its place. So associations go on as they began, and no TLS
session of before can be resumed: who was verified by the old authorities and revocation lists is verified
by the new ones.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from useridentity.changed_file import Fingerprint, fingerprint
from useridentity.errors import ConfigurationError
from useridentity.tls import ClientCertificate, PathLike, Profile, server_context

if TYPE_CHECKING:
    from useridentity.tls_crl import RevocationLists
    from useridentity.tls_trust import Trust

WARN_AGAIN = timedelta(hours=1)
"""Between two warnings of a revocation list's end, while connections come."""

RETRY_AFTER = timedelta(seconds=5)
"""After files could not be used: what was wrong need not be in them, and then no change of theirs tells its end."""

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class _Read(NamedTuple):
    """What was made of the files: a context, others that have never been used, and what certificates are judged by.

    One of the others takes over when a list ends, at the time beside it: a session that is resumed would not notice.
    """

    context: ssl.SSLContext
    spares: list[tuple[datetime, ssl.SSLContext]]
    trust: Trust | None


class ServerTls:
    """What `server_context` makes, made anew whenever one of its files was changed or replaced.

    Takes the arguments of `server_context`, and stands where an `ssl.SSLContext` is asked for its
    `wrap_socket`. A file that cannot be used later is logged, and the context of before stays until it can.
    `now` is the clock, for tests. `client_ca` needs `cryptography`.

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
        self._seen: list[Fingerprint] = []
        self._retry_at: datetime | None = None
        self._told = ""
        self.reload()

    def context(self) -> ssl.SSLContext:
        """The context for the next connection."""
        with self._lock:
            seen, now = self._fingerprints(), self._now()
            if self._seen != seen or (self._retry_at is not None and now >= self._retry_at):
                self._seen = seen
                self._load_or_stay(now)
            if self._trust is not None and self._trust.lists is not None:
                self._heed(self._trust.lists, now)
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

    def objects(self, certificate: bytes, now: datetime) -> str:
        """Why a client certificate, DER, would not be verified at `now`; empty where it would be.

        For what began with an earlier context. One whose authority is not in `client_ca`, so an intermediate that
        the requestor sent itself, cannot be judged any more, which is an objection too.
        """
        self.context()
        return self._trust.objects(certificate, now) if self._trust is not None else ""

    def _read(self) -> _Read:
        """Raises `ConfigurationError`, also where it is not for the files: no descriptor is left, say."""
        try:
            context = self._make()
            if self._client_ca is None:
                return _Read(context, [], None)
            from useridentity.tls_trust import Trust

            trust, now = Trust.read(self._client_ca, self._crl), self._now()
            ends = trust.lists.ends if trust.lists is not None else []
            return _Read(context, [(end, self._make()) for end in ends if now < end], trust)
        except OSError as error:
            raise ConfigurationError(f"TLS files cannot be read: {error}") from error

    def _use(self, read: _Read) -> None:
        self._context, self._spares, self._trust = read
        self._warn_at = read.trust.lists.warn_at if read.trust is not None and read.trust.lists is not None else None
        self._retry_at, self._told = None, ""

    def _load_or_stay(self, now: datetime) -> None:
        try:
            self._use(self._read())
        except ConfigurationError as error:
            self._retry_at = now + RETRY_AFTER
            if self._told != str(error):
                self._told = str(error)
                _log.error("TLS files not read again, those read before stay:\n%s", error)

    def _heed(self, lists: RevocationLists, now: datetime) -> None:
        while self._spares and now >= self._spares[0][0]:
            self._context = self._spares.pop(0)[1]
            if now >= lists.ends_at:
                self._warn_at = now
        if self._warn_at is not None and now >= self._warn_at:
            self._warn_at = now + WARN_AGAIN
            _log.warning("%s", lists.warning(now))

    def _fingerprints(self) -> list[Fingerprint]:
        return [fingerprint(path) for path in self._files]
