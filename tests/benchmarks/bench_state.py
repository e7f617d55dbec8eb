"""Microseconds to find out whether a credential was used before, and to say who has to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.figure import EFFORT, Figure, seconds_each, spread
from tests.state.redis_server import real_redis
from useridentity.state import Store, open_store
from useridentity.state.penalties import Penalties
from useridentity.validator import Once

COUNT = 2000
ADDRESS = ip_address("203.0.113.9")


def measure() -> list[Figure]:
    """One replay check per store, and what a penalty check adds to every connection."""
    figures = []
    for name in ("memory", "SQLite", "Redis"):
        with _store(name) as store:
            figures.append(_figure(f"replay check, {name}", _spending(store)))
            if store.ledger is not None:
                figures.append(_figure(f"penalty on an account, {name}", _asking(Penalties(shared=store.ledger))))
    penalties = Penalties()
    figures.append(_figure("penalty on an account, memory", _asking(penalties)))
    now = datetime.now(UTC)
    figures.append(_figure("penalty on a source, at accept", lambda: penalties.refuses_source(ADDRESS, now)))
    return figures


@contextmanager
def _store(name: str) -> Iterator[Store]:
    with TemporaryDirectory() as folder:
        if name != "Redis":
            url = "memory:" if name == "memory" else "sqlite:state.db"
            with closing(open_store(url, Path(folder))) as store:
                yield store
        else:
            with real_redis(Path(folder)) as server, closing(open_store(server.url, Path(folder))) as store:
                yield store


def _spending(store: Store) -> Callable[[], object]:
    numbers, now = count(), datetime.now(UTC)
    return lambda: store.spend([Once(("idp", str(next(numbers))), now + timedelta(minutes=10))], now)


def _asking(penalties: Penalties) -> Callable[[], object]:
    now = datetime.now(UTC)
    return lambda: penalties.refuses_account("alice", ADDRESS, now)


def _figure(name: str, call: Callable[[], object]) -> Figure:
    turns = [1e6 * seconds_each(call, COUNT) for _ in range(EFFORT.get().rounds)]
    return Figure(name, median(turns), None, "us", higher_is_better=False, spread=spread(turns))
