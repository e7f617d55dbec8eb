"""What stores write instead of what they remember, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from useridentity.validator import Once

MARGIN = 300.0
"""Seconds that a key is kept longer than it need be: the clocks of acceptors that share a store, or one clock
before and after it was set, may lie so far apart. It is what Kerberos tolerates (MIT's default clockskew)."""


def encoded(parts: Iterable[str]) -> bytes:
    """`parts` as bytes that no other parts have: each with its length before it."""
    octets = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(each).to_bytes(8) + each for each in octets)


def digest(parts: Iterable[str]) -> bytes:
    """SHA-256 of `parts`: 32 octets in place of a token's identifier or a user's name of any length."""
    return sha256(encoded(parts)).digest()


def kept_until(once: Once, now: datetime) -> float:
    """When a key spent at `now` may be forgotten, in seconds since the epoch; never within the margin."""
    return max(once.until, now).timestamp() + MARGIN
