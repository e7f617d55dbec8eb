"""What sinks share that use a network: how long they wait, and how they say what went wrong."""

from __future__ import annotations

import ssl
import time


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


def words(error: Exception) -> str:
    """What went wrong, without what was sent: the text of an exception may repeat a header."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
