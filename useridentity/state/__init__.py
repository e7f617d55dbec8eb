"""What must be remembered across associations. One contract; a room for each place it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from useridentity.errors import ConfigurationError
from useridentity.validator import Once


class ReplayStore(Protocol):
    """Remembers what has been used, so that it is used once."""

    def spend(self, keys: Sequence[Once], now: datetime) -> bool:
        """Spend all of `keys` in one step; False, spending none, where one was spent before.

        Raises `Unavailable` (STATE_UNAVAILABLE) where that cannot be told or remembered.
        """


class Debt(NamedTuple):
    """What a key owes for its failures, as seconds since the epoch.

    Fields:
        last: when it failed for the last time.
        until: when all is forgiven.
    """

    last: float
    until: float


class Kind(StrEnum):
    """What is owed for. Each kind has room of its own: no number of one makes a ledger forget another."""

    SOURCE = "source"
    ACCOUNT = "account"
    GOOD = "good"


class Ledger(Protocol):
    """Debts by kind and key; what is forgiven is forgotten, and so are the smallest of too many of a kind.

    Every method raises `Unavailable` where the ledger cannot be reached.
    """

    def charge(self, kind: Kind, key: bytes, now: float, seconds: float) -> Debt:
        """Add one failure, forgiven `seconds` after those before it; the debt as it is then.

        Where the last failure lies after `now`, as when a clock was set back, no time has passed since.
        """

    def debt(self, kind: Kind, key: bytes, now: float) -> Debt | None:
        """What `key` owes; None where that is nothing."""

    def forgive(self, kind: Kind, key: bytes) -> None:
        """Forget what `key` owes."""


class Store(ReplayStore, Protocol):
    """A place where state is kept, as a URL names it."""

    @property
    def ledger(self) -> Ledger | None:
        """Where penalties are shared with other processes; None where there are no others."""

    def close(self) -> None:
        """End connections and files; a later call opens them again."""


def open_store(url: str, folder: Path) -> Store:
    """The store at `url`: memory:, sqlite:FILE, redis://... or rediss://...; FILE is relative to `folder`.

    Nobody is called yet: a server that is down refuses when something is to be spent, and no sooner.
    Raises `ConfigurationError` where the URL, the file or the installation cannot work.
    """
    scheme, _, rest = url.partition(":")
    if url == "memory:":
        from useridentity.state.memory import MemoryReplayStore

        return MemoryReplayStore()
    if scheme == "sqlite" and rest.startswith("//"):
        raise ConfigurationError("is no place for state: a file is named right after the colon, as in sqlite:state.db")
    if scheme == "sqlite" and rest:
        from useridentity.state.sqlite import SqliteStore

        return SqliteStore(folder / rest)
    if scheme in ("redis", "rediss"):
        return _redis_store(url, folder)
    # A URL may hold a password: it is not repeated.
    raise ConfigurationError("is no place for state; write memory:, sqlite:FILE, redis://HOST or rediss://HOST")


def _redis_store(url: str, folder: Path) -> Store:
    try:
        from useridentity.state.redis import RedisStore
    except ModuleNotFoundError as missing:
        raise ConfigurationError(f"{missing.name} is not installed: pip install 'useridentity[redis]'") from missing
    from useridentity.state.redis_url import parse

    return RedisStore(parse(url, folder))
