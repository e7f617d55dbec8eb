"""Penalties that are shared by a store, and what becomes of them while it is down."""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from tests.mechanisms.builders import credential
from tests.state.builders import NOW, after
from tests.state.redis_server import RealRedis
from useridentity.errors import Unavailable
from useridentity.state import Debt, Kind, Store
from useridentity.state.books import RETRY
from useridentity.state.keys import digest
from useridentity.state.limits import PenaltyLimits
from useridentity.state.memory import MemoryLedger
from useridentity.state.penalties import Penalties

WARD, HOME, STRANGER = map(ip_address, ("10.1.1.1", "10.1.1.2", "203.0.113.9"))
LIMITS = PenaltyLimits()
Opened = Callable[[str], Store]


def fail(penalties: Penalties, number: int, at: float = 0) -> None:
    digest = penalties.digest(credential(2, b"alice", b"%d" % number))
    penalties.failed(STRANGER, "alice", digest, after(at))


@pytest.fixture
def two(shared_url: str, opened: Opened) -> tuple[Penalties, Penalties]:
    """Two processes' penalties on one store, as far as they know each other."""
    return Penalties(shared=opened(shared_url).ledger), Penalties(shared=opened(shared_url).ledger)


def test_an_account_that_was_guessed_at_here_is_refused_there(two: tuple[Penalties, Penalties]) -> None:
    here, there = two
    for number in range(LIMITS.account_free + 1):
        assert not there.refuses_account("alice", HOME, NOW)
        fail(here, number)
    assert there.refuses_account("alice", HOME, NOW)


def test_a_source_is_charged_there_for_what_it_did_here(two: tuple[Penalties, Penalties]) -> None:
    here, there = two
    for number in range(LIMITS.source_free + 5):
        fail(here, number)
    assert not there.refuses_source(STRANGER, NOW), "a listener asks nobody"
    fail(there, 100)
    assert there.refuses_source(STRANGER, after(60))


def test_a_source_that_was_good_here_is_good_there(two: tuple[Penalties, Penalties]) -> None:
    here, there = two
    here.succeeded(WARD, "alice", NOW)
    for number in range(LIMITS.account_free + 1):
        fail(here, number)
    assert there.refuses_account("alice", HOME, NOW)
    assert not there.refuses_account("alice", WARD, NOW)


def test_what_was_forgiven_here_is_forgiven_there(two: tuple[Penalties, Penalties]) -> None:
    here, there = two
    for each in two:
        each.succeeded(STRANGER, "alice", NOW)
    for number in range(LIMITS.account_free + 1):
        fail(here, number)
    assert there.refuses_account("alice", STRANGER, NOW)
    here.succeeded(STRANGER, "alice", NOW)
    assert not there.refuses_account("alice", STRANGER, NOW)
    assert not there._accounts.known(digest(["account", "alice", str(STRANGER)]), NOW.timestamp())


def test_while_the_server_is_down_penalties_are_counted_in_memory(
    own_redis: Callable[..., RealRedis], opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_redis()
    penalties = Penalties(shared=opened(server.url).ledger)
    for number in range(LIMITS.account_free):
        fail(penalties, number)
    server.kill()
    with caplog.at_level(logging.WARNING):
        assert not penalties.refuses_account("alice", HOME, NOW)
        fail(penalties, 100)
        assert penalties.refuses_account("alice", HOME, NOW), "what was shared before is known here"
    assert f"counted in this process alone: Redis at 127.0.0.1:{server.port}: cannot be reached" in caplog.text
    assert caplog.text.count("counted in this process alone") == 1
    server.start()
    assert not penalties.refuses_account("bob", HOME, after(RETRY))
    assert server.call("EXISTS", "useridentity:debts:account") == 1


class Failing(MemoryLedger):
    """A ledger that is down while `down`, and counts who asks."""

    down = True
    asked = 0

    def debt(self, kind: Kind, key: bytes, now: float) -> Debt | None:
        self.asked += 1
        if self.down:
            raise Unavailable("down")
        return super().debt(kind, key, now)


def test_a_ledger_that_is_down_is_asked_again_only_now_and_then() -> None:
    ledger = Failing()
    penalties = Penalties(shared=ledger)
    for tenth in range(100):
        assert not penalties.refuses_account("alice", HOME, after(tenth / 10))
    assert ledger.asked == 2, "at the start and after the time"
    ledger.down = False
    penalties.refuses_account("alice", HOME, after(3 * RETRY))
    assert ledger.asked == 4, "for the source and for the account"


def test_a_listener_never_asks_the_ledger() -> None:
    ledger = Failing()
    penalties = Penalties(shared=ledger)
    for number in range(LIMITS.source_free + 1):
        fail(penalties, number)
    asked = ledger.asked
    assert penalties.refuses_source(STRANGER, NOW)
    assert ledger.asked == asked
