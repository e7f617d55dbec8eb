"""A store that fails under a running acceptor: what its peers are answered, what its log says, and what comes after."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.lib.pdus import user_identity
from tests.lib.rawpeer import Pdu, PduType
from tests.pynetdicom.support import Acceptor, ask, serving
from tests.state.redis_server import RealRedis
from useridentity.decision import REFUSED, UNDECIDED
from useridentity.errors import Unavailable
from useridentity.facts import Facts
from useridentity.identity import Assurance, Identity
from useridentity.mechanisms.username import UsernameValidator
from useridentity.policy import Policy, Rule
from useridentity.state import Store, open_store
from useridentity.state.sqlite import SqliteStore
from useridentity.validator import FunctionValidator, Once, Verified

Outage = Callable[..., Any]
SMALL = 32 * 1024  # bytes of a file that is soon full


@contextmanager
def redis_killed(server: RealRedis, _folder: Path) -> Iterator[str]:
    server.kill()
    yield "cannot be reached"
    server.start()


@contextmanager
def redis_silent(server: RealRedis, _folder: Path) -> Iterator[str]:
    server.hang()
    yield "did not answer within 0.2 s"
    server.go_on()


@contextmanager
def redis_slow(server: RealRedis, _folder: Path) -> Iterator[str]:
    server.call("CLIENT", "PAUSE", 1000, "ALL")
    yield "did not answer within 0.2 s"
    server.call("PING")  # answered when the pause is over


@contextmanager
def redis_full(server: RealRedis, _folder: Path) -> Iterator[str]:
    server.call("CONFIG", "SET", "maxmemory", "1")
    yield "is full (maxmemory)"
    server.call("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def sqlite_locked(_server: object, folder: Path) -> Iterator[str]:
    with closing(sqlite3.connect(folder / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield "locked by another process for 0.2 s"


@contextmanager
def sqlite_full(_server: object, folder: Path) -> Iterator[str]:
    """By the bound of the file; a full disk is `test_sqlite`'s."""
    now = datetime.now(UTC)
    with closing(SqliteStore(folder / "state.db", SMALL)) as other, suppress(Unavailable):
        for number in count():
            other.spend([Once((str(number),), now + timedelta(hours=1))], now)
    yield "is full, or its disk is"
    (folder / "state.db").rename(folder / "full.db")


@contextmanager
def sqlite_damaged(_server: object, folder: Path) -> Iterator[str]:
    with closing(sqlite3.connect(folder / "state.db")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = (folder / "state.db").stat().st_size
    with (folder / "state.db").open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(size - 100))
    yield "is damaged or no SQLite file; move it away"
    (folder / "state.db").rename(folder / "damaged.db")


REDIS: list[Outage] = [redis_killed, redis_silent, redis_slow, redis_full]
SQLITE: list[Outage] = [sqlite_locked, sqlite_full, sqlite_damaged]


@pytest.fixture(params=[*REDIS, *SQLITE], ids=lambda outage: outage.__name__)
def outage(request: pytest.FixtureRequest) -> Outage:
    """Each way in which a store may fail."""
    chosen: Outage = request.param
    return chosen


@pytest.fixture
def store(
    outage: Outage, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Store, Any]:
    """The store that is to fail, and its server where it has one."""
    monkeypatch.setattr("useridentity.state.redis.TIMEOUT", 0.2)
    monkeypatch.setattr("useridentity.state.sqlite.BUSY", 0.2)
    server = request.getfixturevalue("own_redis")() if outage in REDIS else None
    return open_store(server.url, tmp_path) if server else SqliteStore(tmp_path / "state.db", SMALL), server


def policy(store: Store) -> Policy:
    """Tokens that are good once, and usernames, of which nothing need be remembered."""

    def judge(presented: Any, facts: Facts, _context: object) -> Verified:
        identity = Identity("idp:alice", "alice", "idp", Assurance.AUTHENTICATED, 5)
        once = Once(("idp", presented.primary_field.decode()), facts.now + timedelta(minutes=5))
        return Verified(identity, once=(once,))

    return Policy(
        [Rule([FunctionValidator("idp", 5, judge, cpu_short=True), UsernameValidator()], weakest="asserted")],
        store=store,
    )


def answer(acceptor: Acceptor, token: bytes, identity_type: int = 5) -> tuple[int, int, int] | None:
    """How this is rejected; None where it is accepted."""
    pdu = ask(acceptor, user_identity(identity_type, token))
    assert isinstance(pdu, Pdu), pdu
    return None if pdu.type is PduType.ASSOCIATE_AC else pdu.answer


def test_an_outage_is_answered_and_logged_for_what_it_is_and_over_when_it_is_over(
    store: tuple[Store, Any], outage: Outage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, server = store
    with serving(policy(kept)) as acceptor:
        assert answer(acceptor, b"one") is None
        assert answer(acceptor, b"one") == REFUSED
        with outage(server, tmp_path) as words:
            caplog.clear()
            assert answer(acceptor, b"two") == UNDECIDED
            assert answer(acceptor, b"alice", 1) is None, "who needs no memory is served"
        (line,) = [each.getMessage() for each in caplog.records if "rejected" in each.getMessage()]
        assert 'reason="state-unavailable"' in line
        assert words in line
        assert answer(acceptor, b"three") is None
        assert answer(acceptor, b"three") == REFUSED


def test_a_server_that_is_slow_within_its_time_is_waited_for(
    own_redis: Callable[..., RealRedis], tmp_path: Path
) -> None:
    server = own_redis()
    with serving(policy(open_store(server.url, tmp_path))) as acceptor:
        server.call("CLIENT", "PAUSE", 300, "ALL")
        assert answer(acceptor, b"one") is None
        assert answer(acceptor, b"one") == REFUSED


def test_what_was_used_before_an_outage_stays_used(own_redis: Callable[..., RealRedis], tmp_path: Path) -> None:
    server = own_redis()
    with serving(policy(open_store(server.url, tmp_path))) as acceptor:
        assert answer(acceptor, b"one") is None
        with redis_killed(server, tmp_path):
            assert answer(acceptor, b"one") == UNDECIDED
        assert answer(acceptor, b"one") == REFUSED
        assert answer(acceptor, b"two") is None
