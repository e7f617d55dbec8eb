"""What every store does, in memory, in a file and on a server."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mechanisms.builders import credential, facts
from tests.state.builders import NOW, T0, after, once
from tests.state.redis_server import RealRedis
from useridentity.checks import Driver
from useridentity.decision import Accepted, Reason, Rejected
from useridentity.errors import Unavailable
from useridentity.identity import Assurance, Identity
from useridentity.policy import Policy, Rule
from useridentity.state import Debt, Kind, Ledger, Store
from useridentity.state.keys import MARGIN
from useridentity.state.memory import MemoryLedger, MemoryReplayStore
from useridentity.state.redis import RedisLedger
from useridentity.state.sqlite import SqliteLedger, SqliteStore
from useridentity.validator import FunctionValidator, Verified

PRESENTATIONS = 1000
THREADS = 40
ACCOUNT = Kind.ACCOUNT


# Replay.


def test_what_is_spent_once_is_not_spent_again(store: Store) -> None:
    assert store.spend([once()], NOW)
    assert not store.spend([once()], NOW)
    assert store.spend([once("issuer", "two")], NOW)


def test_all_keys_of_a_call_are_spent_or_none(store: Store) -> None:
    assert store.spend([once("a"), once("b")], NOW)
    assert not store.spend([once("c"), once("a")], NOW)
    assert store.spend([once("c")], NOW)


def test_nothing_to_spend_is_spent(store: Store) -> None:
    assert store.spend([], NOW)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a", ""), ("a",)),
        (("\ud83d\ude00",), ("\U0001f600",)),
        (("A",), ("a",)),
        (("a\0b",), ("a", "b")),
    ],
)
def test_keys_that_differ_are_never_taken_for_each_other(
    store: Store, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert store.spend([once(*one)], NOW)
    assert store.spend([once(*other)], NOW)
    assert not store.spend([once(*one)], NOW)


def test_a_key_is_refused_for_as_long_as_its_credential_is_good_by_any_clock(store: Store) -> None:
    assert store.spend([once(seconds=60)], NOW)
    assert not store.spend([once(seconds=60)], after(59 + MARGIN))


def test_a_key_whose_time_is_already_over_is_remembered_for_the_margin(store: Store) -> None:
    assert store.spend([once(seconds=-3600)], NOW)
    assert not store.spend([once(seconds=-3600)], NOW)


def test_a_closed_store_opens_again_when_it_is_asked(store: Store) -> None:
    assert store.spend([once()], NOW)
    store.close()
    assert not store.spend([once()], NOW)


@pytest.mark.threat("T25")
def test_a_thousand_presentations_at_once_are_accepted_exactly_once(store: Store) -> None:
    identity = Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED, 5)
    verified = Verified(identity, once=(once("idp", "jti"),))
    validator = FunctionValidator("idp", 5, lambda *_: verified, cpu_short=True)
    driver = Driver(Policy([Rule([validator])]), store)
    start = threading.Barrier(THREADS)

    def present(_: int) -> list[Any]:
        start.wait()
        asked = facts(identity_type=5), credential(5, b"token")
        return [driver.decide(*asked) for _ in range(PRESENTATIONS // THREADS)]

    with ThreadPoolExecutor(THREADS) as threads:
        decisions = [decision for each in threads.map(present, range(THREADS)) for decision in each]
    driver.close()
    assert len(decisions) == PRESENTATIONS
    assert sum(isinstance(decision, Accepted) for decision in decisions) == 1
    assert {d.reason for d in decisions if isinstance(d, Rejected)} == {Reason.REPLAYED}


@contextmanager
def _small(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Store]:
    """A store with room for some more keys, and not for thousands."""
    if kind == "memory":
        yield MemoryReplayStore(capacity=100)
    elif kind == "sqlite":
        with closing(SqliteStore(folder / "small.db", max_bytes=32 * 1024)) as store:
            yield store
    else:
        redis: RealRedis = request.getfixturevalue("redis")
        with closing(request.getfixturevalue("opened")(redis.url)) as store:
            store.spend([once("warm")], NOW)
            used = int(redis.call("INFO", "memory")["used_memory"])
            redis.call("CONFIG", "SET", "maxmemory", used + 64 * 1024)
            try:
                yield store
            finally:
                redis.call("CONFIG", "SET", "maxmemory", 0)


def _fill(store: Store, seconds: float) -> None:
    for number in range(5000):
        assert store.spend([once(str(number), seconds=seconds)], NOW)


@pytest.mark.threat("T26")
@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_a_full_store_cannot_tell_and_forgets_nothing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with _small(kind, request, tmp_path) as store:
        assert store.spend([once("first")], NOW)
        with pytest.raises(Unavailable) as refused:
            _fill(store, seconds=600)
        assert refused.value.reason is Reason.STATE_UNAVAILABLE
        assert "full" in refused.value.detail or "taken" in refused.value.detail
        assert not store.spend([once("first")], NOW)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_full_store_has_room_again_when_credentials_have_expired(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with _small(kind, request, tmp_path) as store:
        with pytest.raises(Unavailable):
            _fill(store, seconds=60)
        assert store.spend([once("later", seconds=3600)], after(61 + MARGIN))


def test_redis_keys_expire_by_themselves_after_the_margin(redis: RealRedis, opened: Callable[[str], Store]) -> None:
    assert opened(redis.url).spend([once(seconds=60)], NOW)
    (key,) = redis.call("KEYS", "*")
    assert 59 + MARGIN < int(redis.call("PTTL", key)) / 1000 <= 60 + MARGIN


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_no_part_of_a_key_is_written_down(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, opened: Callable[[str], Store]
) -> None:
    url = request.getfixturevalue("redis").url if kind == "redis" else "sqlite:state.db"
    assert opened(url).spend([once("https://idp.example.org", "jti-4711")], NOW)
    if kind == "redis":
        written = repr(request.getfixturevalue("redis").call("KEYS", "*")).encode()
    else:
        written = b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))
        with closing(sqlite3.connect(tmp_path / "state.db")) as reader:
            assert reader.execute("SELECT length(key) FROM spent").fetchall() == [(32,)]
    assert b"jti-4711" not in written
    assert b"idp.example" not in written


# Debts.


@pytest.fixture
def ledger(store: Store) -> Ledger:
    """Each of the ledgers, empty."""
    return store.ledger or MemoryLedger()


def test_debts_add_up_and_are_forgiven_one_after_another(ledger: Ledger) -> None:
    assert ledger.debt(ACCOUNT, b"a", T0) is None
    assert ledger.charge(ACCOUNT, b"a", T0, 60) == Debt(T0, T0 + 60)
    assert ledger.charge(ACCOUNT, b"a", T0 + 10, 60) == Debt(T0 + 10, T0 + 120)
    assert ledger.debt(ACCOUNT, b"a", T0 + 119.5) == Debt(T0 + 10, T0 + 120)
    assert ledger.debt(ACCOUNT, b"a", T0 + 120) is None
    assert ledger.debt(ACCOUNT, b"b", T0) is None


def test_a_debt_after_all_was_forgiven_is_the_first_again(ledger: Ledger) -> None:
    ledger.charge(ACCOUNT, b"a", T0, 60)
    assert ledger.charge(ACCOUNT, b"a", T0 + 600.25, 60) == Debt(T0 + 600.25, T0 + 660.25)


def test_what_is_forgiven_by_hand_is_owed_no_more(ledger: Ledger) -> None:
    ledger.charge(ACCOUNT, b"a", T0, 60)
    ledger.forgive(ACCOUNT, b"a")
    ledger.forgive(ACCOUNT, b"never charged")
    assert ledger.debt(ACCOUNT, b"a", T0) is None
    assert ledger.charge(ACCOUNT, b"a", T0, 60) == Debt(T0, T0 + 60)


def test_a_clock_that_was_set_back_adds_nothing_to_a_debt(ledger: Ledger) -> None:
    ledger.charge(ACCOUNT, b"steady", T0, 60)
    assert ledger.charge(ACCOUNT, b"steady", T0, 60) == Debt(T0, T0 + 120)
    ledger.charge(ACCOUNT, b"set back", T0 + 7200, 60)
    assert ledger.charge(ACCOUNT, b"set back", T0, 60) == Debt(T0, T0 + 120)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def small(
    request: pytest.FixtureRequest, opened: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], Ledger]:
    """Each of the ledgers, with room for so many debts of a kind."""
    monkeypatch.setattr("useridentity.state.sqlite.COUNTED_EVERY", 1)

    def make(capacity: int) -> Ledger:
        if request.param == "sqlite":
            return SqliteLedger(opened("sqlite:state.db")._file, capacity)
        if request.param == "redis":
            return RedisLedger(opened(request.getfixturevalue("redis").url)._server, capacity)
        return MemoryLedger(capacity)

    return make


def test_a_full_ledger_forgets_the_smallest_debts_and_takes_every_new_one(small: Callable[[int], Ledger]) -> None:
    ledger = small(10)
    for _ in range(3):
        ledger.charge(ACCOUNT, b"guesser", T0, 60)
    for number in range(50):
        charged = ledger.charge(ACCOUNT, b"once %d" % number, T0 + number / 10, 60)
        assert charged.until == pytest.approx(T0 + number / 10 + 60)
    assert ledger.debt(ACCOUNT, b"guesser", T0) == Debt(T0, T0 + 180)
    kept = [number for number in range(50) if ledger.debt(ACCOUNT, b"once %d" % number, T0)]
    assert len(kept) <= 10


@pytest.mark.threat("T29")
@pytest.mark.parametrize("full", [Kind.GOOD, Kind.SOURCE])
def test_a_ledger_that_is_full_of_one_kind_has_room_for_the_others(small: Callable[[int], Ledger], full: Kind) -> None:
    """What is good lasts a month, and would leave no room for a debt of minutes."""
    ledger = small(10)
    for number in range(1, 31):
        ledger.charge(full, b"%d" % number, T0, 30 * 86400)
        assert ledger.charge(ACCOUNT, b"alice", T0, 60) == Debt(T0, T0 + 60 * number)
        assert ledger.debt(ACCOUNT, b"alice", T0) == Debt(T0, T0 + 60 * number)


def test_newcomers_do_not_make_a_full_ledger_forget_each_other(small: Callable[[int], Ledger]) -> None:
    """Or guesses at one account, and at others beside, would cost nothing where the debts of all others are greater."""
    ledger = small(64)
    for number in range(64):
        ledger.charge(ACCOUNT, b"greater %d" % number, T0, 86400)
    for number in range(1, 4):
        assert ledger.charge(ACCOUNT, b"alice", T0, 60) == Debt(T0, T0 + 60 * number)
        ledger.charge(ACCOUNT, b"bob", T0, 60)
