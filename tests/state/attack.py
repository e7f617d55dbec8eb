"""Guesses at one user from ever new addresses, by a clock of the tests' own."""

from __future__ import annotations

from ipaddress import IPv4Address

from tests.mechanisms.builders import credential
from tests.state.builders import after
from useridentity.state.limits import PenaltyLimits
from useridentity.state.penalties import Penalties

STEP = 2
HOUR = 3600
LIMITS = PenaltyLimits()
HELD = LIMITS.account_free + 10 + HOUR / LIMITS.account_forgive
"""Guesses that the configured penalty lets through in an hour, the doubling at its start included."""


def looked_at(penalties: Penalties, name: str = "alice", start: int = 0) -> int:
    """How many of the guesses of an hour a validator would see."""
    seen = 0
    for at in range(start, start + HOUR, STEP):
        address = IPv4Address("198.18.0.0") + at
        if not penalties.refuses_account(name, address, after(at)):
            guess = penalties.digest(credential(2, name.encode(), b"guess %d" % at))
            penalties.failed(address, name, guess, after(at))
            seen += 1
    return seen
