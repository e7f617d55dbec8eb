"""The three stores, the last two with real files and a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.state.redis_server import RealRedis, real_redis
from useridentity.state import Store, open_store
from useridentity.state.penalties import Penalties


@pytest.fixture(scope="session")
def _redis_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    with real_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(_redis_of_this_run: RealRedis) -> RealRedis:
    """A running, empty Redis server that keeps an append-only file."""
    _redis_of_this_run.call("FLUSHALL")
    return _redis_of_this_run


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., RealRedis]]:
    """Starts servers, with the arguments of `RealRedis`, that a test may kill."""
    with ExitStack() as running:
        yield lambda *options, **kwargs: running.enter_context(real_redis(tmp_path, *options, **kwargs))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Opens stores by URL, files in a folder of the test's own, and closes them at its end."""
    with ExitStack() as running:

        def open_one(url: str) -> Store:
            store = open_store(url, tmp_path)
            running.callback(store.close)
            return store

        yield open_one


SHARED = ("sqlite", "redis")


@pytest.fixture(params=SHARED)
def shared_url(request: pytest.FixtureRequest) -> str:
    """Where several processes may keep state."""
    return request.getfixturevalue("redis").url if request.param == "redis" else "sqlite:state.db"


@pytest.fixture(params=("memory", *SHARED))
def store(request: pytest.FixtureRequest, opened: Callable[[str], Store]) -> Store:
    """Each of the stores, empty."""
    urls = {"memory": "memory:", "sqlite": "sqlite:state.db"}
    return opened(urls.get(request.param) or request.getfixturevalue("redis").url)


@pytest.fixture
def penalties() -> Penalties:
    return Penalties()
