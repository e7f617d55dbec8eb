"""One request to an identity provider: https only, no redirects, within a time and a size whatever it answers."""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from useridentity.errors import ConfigurationError
from useridentity.mechanisms.strict_json import Malformed, json_object
from useridentity.tls import PathLike, client_context

REQUEST_SECONDS = 3.0
"""From connect to the last byte; twice as long where connecting itself takes that long. Identity providers
answer in a tenth of a second."""

MAX_RESPONSE = 1024 * 1024
"""Bytes, headers included; metadata, key sets and token responses have a few thousand."""

_CHUNK = 65536


class FetchFailed(Exception):
    """What went wrong with a request, in words that hold nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer that is no redirect."""

    status: int
    body: bytes = field(repr=False)


def https_context(ca: PathLike | None, cert: PathLike | None = None, key: PathLike | None = None) -> ssl.SSLContext:
    """Trusts the authorities in `ca` and no others, or the system's; raises `ConfigurationError`.

    `cert` and `key` prove who asks, where that is wanted; that takes a `ca`.
    """
    if ca is not None:
        return client_context(ca, cert, key)
    if cert is not None or key is not None:
        raise ConfigurationError("ca: missing; a client certificate (cert, key) is shown to an authority you name only")
    return ssl.create_default_context()


def check_url(url: str) -> str:
    """`url` itself; raises `ConfigurationError` unless it is an https URL that says all and no more than where."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme == "https" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        fits = False
    if not fits or not re.fullmatch(r"[!-~]+", url) or "#" in url:
        raise ConfigurationError(f"{url!r} is no https URL that can be asked, such as https://idp.example.org/jwks")
    return url


def get_json(url: str, context: ssl.SSLContext) -> dict[str, Any]:
    """The JSON object at `url`; raises `FetchFailed`."""
    try:
        return json_object(get(url, context))
    except Malformed as malformed:
        problem = str(malformed)
    raise FetchFailed(f"{url}: {problem}")


def get(url: str, context: ssl.SSLContext) -> bytes:
    """The content at `url`; raises `FetchFailed`."""
    response = request(url, context)
    if response.status != http.client.OK:
        raise FetchFailed(f"{url}: answered with status {response.status}")
    return response.body


def request(
    url: str, context: ssl.SSLContext, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a GET, or to a POST where there is a `body`; raises `FetchFailed`.

    Proxies named in the environment are not used. The name of the host is looked up by the system, which
    may take longer than `REQUEST_SECONDS`; nothing waits for that but the thread that asks.
    """
    deadline = time.monotonic() + REQUEST_SECONDS
    try:
        response = _exchange(check_url(url), context, body, headers or {}, deadline)
    except ConfigurationError as error:
        raise FetchFailed(str(error)) from None
    except ssl.SSLCertVerificationError as error:
        raise FetchFailed(f"{url}: its certificate is not trusted: {error.verify_message}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise FetchFailed(f"{url}: {what}") from None
    if 300 <= response.status < 400:
        raise FetchFailed(f"{url}: answered with a redirect, which is not followed; configure where it leads to")
    return response


def _exchange(
    url: str, context: ssl.SSLContext, body: bytes | None, headers: Mapping[str, str], deadline: float
) -> Response:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    method = "GET" if body is None else "POST"
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, timeout=_remaining(deadline), context=context
    )
    try:
        connection.request(method, target, body, {"Accept": "application/json", "Connection": "close", **headers})
        received = _Received(_read_to_end(connection.sock, deadline))
    finally:
        connection.close()
    # Parsed only once it is complete, so that no slow or endless part of it can hold us up.
    answer = http.client.HTTPResponse(received, method=method)  # type: ignore[arg-type]  # as much of a socket as it uses
    answer.begin()
    return Response(answer.status, answer.read())


class _Received:
    """The octets of an answer, in place of the socket they came from."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._octets)


def _read_to_end(sock: socket.socket, deadline: float) -> bytes:
    received = bytearray()
    while True:
        sock.settimeout(_remaining(deadline))
        chunk = sock.recv(_CHUNK)
        if not chunk:
            return bytes(received)
        received += chunk
        if len(received) > MAX_RESPONSE:
            raise OSError(0, f"answered with more than {MAX_RESPONSE} bytes")


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError(0, f"did not answer completely within {REQUEST_SECONDS:.0f} s")
    return remaining
