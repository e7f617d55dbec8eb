"""Penalties on a store that cannot be written, though it can be read: it goes on telling that nobody owes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from ipaddress import ip_address
from itertools import count
from pathlib import Path

import pytest

from tests.state.attack import HELD, HOUR, looked_at
from tests.state.builders import NOW, after, once
from tests.state.full_disk import filling
from tests.state.redis_server import RealRedis
from useridentity.errors import Unavailable
from useridentity.state import Kind, Store
from useridentity.state.books import RETRY
from useridentity.state.penalties import Penalties
from useridentity.state.sqlite import SqliteStore

HOME = ip_address("10.1.1.2")
SMALL = 48 * 1024  # bytes of a file that is soon full


@contextmanager
def redis_full(request: pytest.FixtureRequest, _folder: Path) -> Iterator[tuple[Store, Callable[[], None]]]:
    """The store, and what fills it."""
    server: RealRedis = request.getfixturevalue("own_redis")()
    yield request.getfixturevalue("opened")(server.url), lambda: server.call("CONFIG", "SET", "maxmemory", "1")


@contextmanager
def sqlite_full(_request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Store, Callable[[], None]]]:
    with closing(SqliteStore(folder / "state.db", SMALL)) as store:

        def fill() -> None:
            with suppress(Unavailable):
                for number in count():
                    store.spend([once(str(number), seconds=10 * HOUR)], NOW)
            with suppress(Unavailable):
                for number in count():
                    store.ledger.charge(Kind.SOURCE, b"%032d" % number, NOW.timestamp(), 10 * HOUR)

        yield store, fill


@pytest.mark.threat("T27")
@pytest.mark.parametrize("full", [redis_full, sqlite_full])
def test_guesses_are_held_to_the_penalty_while_the_store_is_full(
    full: Callable[..., AbstractContextManager[tuple[Store, Callable[[], None]]]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    with full(request, tmp_path) as (store, fill):
        penalties = Penalties(shared=store.ledger)
        assert looked_at(penalties, "bob") <= HELD
        fill()
        assert store.ledger is not None
        with pytest.raises(Unavailable, match="is full"):
            store.ledger.charge(Kind.SOURCE, b"%032d" % HOUR, NOW.timestamp(), 60)
        assert looked_at(penalties, start=HOUR) <= HELD
        assert not penalties.refuses_account("carol", HOME, after(2 * HOUR)), "others are served"


@pytest.mark.threat("T27")
def test_guesses_are_held_to_the_penalty_while_the_disk_is_full(tmp_path: Path) -> None:
    done = filling(tmp_path, "penalties")
    assert done.stdout, done.stderr
    with_room, full = map(int, done.stdout.split())
    assert with_room <= HELD
    assert full <= HELD


def test_what_was_counted_while_the_server_was_down_counts_when_it_is_back(
    own_redis: Callable[..., RealRedis], opened: Callable[[str], Store]
) -> None:
    server = own_redis()
    penalties = Penalties(shared=opened(server.url).ledger)
    server.kill()
    assert not penalties.refuses_account("alice", HOME, NOW)
    looked_at(penalties)
    server.start()
    later = after(HOUR + RETRY)
    assert not penalties.refuses_account("bob", HOME, later), "the server answers again"
    assert penalties.refuses_account("alice", HOME, later)
    assert looked_at(penalties, start=HOUR + 10) <= HELD
