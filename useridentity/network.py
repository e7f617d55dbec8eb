"""What clients of a network share: where a URL leads, how long they wait, and how they say what went wrong."""

from __future__ import annotations

import re
import socket
import ssl
import time
from urllib.parse import SplitResult, urlsplit


class Deadline:
    """So many seconds from now, whatever the other side does; each wait before it gets what is left of them."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds; raises `TimeoutError` where there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def connected(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A TCP connection to the first address of `host` that takes one; raises `OSError`.

    Each address has its share of the time, so that one which never answers, of a family that nobody routes, say, leaves
    some to those behind it. The system looks the name up, which may take longer.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    problem = OSError(0, "has no address")
    for shares, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        try:
            made = socket.socket(family, kind, protocol)  # which of a family that was switched off there is none
        except OSError as error:
            problem = error
            continue
        try:
            made.settimeout(deadline.left / shares)
            made.connect(address)
        except OSError as error:
            made.close()
            problem = error
        else:
            return made
    raise problem


def located(url: str) -> SplitResult | None:
    """The parts of a URL that says where, in printable ASCII, and nothing that belongs elsewhere; None of any other."""
    try:
        parts = urlsplit(url)
        fits = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc and "#" not in url
        (parts.hostname or "").encode("idna")  # as whoever looks it up does
    except ValueError:
        return None
    return parts if fits and re.fullmatch("[!-~]+", url) else None


def shown(url: str) -> str:
    """A URL as an error may repeat it."""
    return repr(url) if "@" not in url and "#" not in url else "what has a user, a password or a fragment"


def words(error: Exception) -> str:
    """What went wrong, without what was sent: the text of an exception may repeat a header."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
