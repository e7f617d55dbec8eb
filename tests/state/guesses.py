"""Guesses at passcodes, and where they come from."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from tests.mechanisms.builders import credential
from tests.state.builders import after
from useridentity.credential import Credential
from useridentity.state.limits import PenaltyLimits
from useridentity.state.penalties import Address, Penalties, account_of

WARD = ip_address("10.1.1.1")
HOME = ip_address("10.1.1.2")
STRANGER = ip_address("203.0.113.9")
DAY = 86_400
LIMITS = PenaltyLimits()


def wrong(number: object = 0, name: str = "alice") -> Credential:
    return credential(2, name.encode(), f"guess {number}".encode())


def fail(penalties: Penalties, address: Address, times: int, *, at: float = 0, name: str = "alice") -> None:
    """So many wrong passcodes, each another one."""
    for number in range(times):
        digest = penalties.digest(wrong((at, number), name))
        penalties.failed(address, account_of(wrong(name=name)), digest, after(at))


def stranger(number: int) -> IPv4Address:
    return IPv4Address("198.18.0.0") + number


def guesses(penalties: Penalties, addresses: list[Address], *, seconds: int, step: int, name: str = "") -> list[int]:
    """When guesses were let through that are tried at every step, from one address after another."""
    through = []
    for turn, at in enumerate(range(0, seconds, step)):
        address, account = addresses[turn % len(addresses)], name or f"user{turn}"
        if penalties.refuses_source(address, after(at)) or penalties.refuses_account(account, address, after(at)):
            continue
        through.append(at)
        penalties.failed(address, account, penalties.digest(wrong(turn, account)), after(at))
    return through
