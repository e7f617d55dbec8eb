"""One https address that takes records: a connection that is kept, and answers that are read to their end."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from useridentity.audit.sinks.sink import Undelivered

SECONDS = 10.0
"""For connecting, and for each read of an answer; a repository stores a batch in less than one."""

MAX_ANSWER = 16 * 1024 * 1024
"""Octets of an answer: a FHIR server may send back what it stored, in a batch of some hundred events."""

REFUSALS = (400, 413, 422)
"""Statuses that are about what was sent and not about the server: the same would be answered next time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    body: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        return self.status in REFUSALS


class Endpoint:
    """Posts to `url`. `context` is None for plain http, which `sinks.opening` admits on this machine only.

    `authorization` is asked for the header of that name before each connection, so that a token can be renewed.
    """

    def __init__(self, url: str, context: ssl.SSLContext | None, authorization: Callable[[], str] = lambda: "") -> None:
        self.url = url
        self._context = context
        self._authorization = authorization
        self._header: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status; raises `Undelivered` where there is none."""
        parts = urlsplit(self.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection = self._connection = self._connection or self._connected()
            connection.request("POST", target, body, {**headers, **self._header})
            response = connection.getresponse()
            answer = Answer(response.status, response.read(MAX_ANSWER))
            if response.will_close or not response.isclosed():
                self.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Undelivered(f"{self.url}: {_words(error)}") from None
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host, authorization = parts.hostname or "", self._authorization()
        self._header = {"Authorization": authorization} if authorization else {}
        if self._context is None:
            return http.client.HTTPConnection(host, parts.port, timeout=SECONDS)
        return http.client.HTTPSConnection(host, parts.port, timeout=SECONDS, context=self._context)


def _words(error: Exception) -> str:
    """What went wrong, without what was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
