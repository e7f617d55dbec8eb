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
from bisect import bisect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from useridentity.changed_file import Reread
from useridentity.errors import ConfigurationError
from useridentity.tls import ClientCertificate, PathLike, Profile, server_context

if TYPE_CHECKING:
    from useridentity.tls.trust import Trust

WARN_AGAIN = timedelta(hours=1)
"""Between two warnings of a revocation list's end, while connections come."""

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class _Contexts:
    """What was made of the files: contexts, one until each end of a list, and what certificates are judged by.

    With the end of a list another context takes over: a session that is resumed would not notice.
    """

    def __init__(self, contexts: list[ssl.SSLContext], ends: list[datetime], trust: Trust | None) -> None:
        self.trust = trust
        self._contexts = contexts
        self._ends = ends
        self._lock = threading.Lock()
        self._told = ""
        self._tell_again = datetime.max.replace(tzinfo=UTC)

    def at(self, now: datetime) -> ssl.SSLContext:
        if self.trust is not None and self.trust.lists is not None:
            self._warn(self.trust.lists.warning(now), now)
        return self._contexts[bisect(self._ends, now)]

    def _warn(self, warning: str, now: datetime) -> None:
        with self._lock:
            if warning == self._told and now < self._tell_again:
                return
            self._told, self._tell_again = warning, now + WARN_AGAIN
        if warning:
            _log.warning("%s", warning)


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
        self._crl, self._client_ca = crl, client_ca
        self._now = now
        files = [path for path in (cert, key, client_ca, crl, *(also or ())) if path is not None]
        self._files = Reread(files, self._read, "TLS files", _log)

    def context(self) -> ssl.SSLContext:
        """The context for the next connection."""
        return self._files.current().at(self._now())

    def reload(self) -> None:
        """Read the files again, changed or not; raises `ConfigurationError`, and the context of before stays."""
        self.prepare()()

    def prepare(self) -> Callable[[], None]:
        """Read the files again, changed or not; what is returned puts them to use, and cannot fail.

        Raises `ConfigurationError`.
        """
        return self._files.prepare()

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
        trust = self._files.current().trust
        return trust.objects(certificate, now) if trust is not None else ""

    def _read(self) -> _Contexts:
        """Raises `ConfigurationError`, also where it is not for the files: no descriptor is left, say."""
        try:
            if self._client_ca is None:
                return _Contexts([self._make()], [], None)
            from useridentity.tls.trust import Trust

            trust, now = Trust.read(self._client_ca, self._crl), self._now()
            ends = [end for end in trust.lists.ends if now < end] if trust.lists is not None else []
            return _Contexts([self._make() for _ in range(len(ends) + 1)], ends, trust)
        except OSError as error:
            raise ConfigurationError(f"TLS files cannot be read: {error}") from error
