"""The memory of one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from heapq import nsmallest
from operator import itemgetter

from useridentity.decision import Reason
from useridentity.errors import Unavailable
from useridentity.state import Debt, Kind
from useridentity.state.keys import digest, kept_until
from useridentity.validator import Once

MAX_SPENT = 100_000
"""Keys remembered at once, about 14 MB: 80 single-use credentials a second for twenty minutes. A full
store refuses: forgetting a live key would let it be used again."""

MAX_DEBTS = 65_536
"""Debts of a kind remembered at once, about 14 MB: as many sources as OpenSSH remembers (PerSourcePenalties)."""

MADE_ROOM = 16
"""A full ledger forgets the smallest sixteenth of a kind at once: finding it costs each newcomer microseconds, and
two newcomers do not make it forget each other."""


class MemoryReplayStore:
    """A `Store` in this process; what it knows ends with it."""

    ledger = None

    def __init__(self, capacity: int = MAX_SPENT) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._spent: dict[bytes, float] = {}

    def spend(self, keys: Sequence[Once], now: datetime) -> bool:
        kept = {digest(once.key): kept_until(once, now) for once in keys}
        with self._lock:
            if any(self._spent.get(key, 0.0) >= now.timestamp() for key in kept):
                return False
            if len(self._spent) + len(kept) > self._capacity:
                self._forget(now.timestamp())
            if len(self._spent) + len(kept) > self._capacity:
                raise Unavailable(
                    f"all {self._capacity} places of the replay store are taken", Reason.STATE_UNAVAILABLE
                )
            self._spent.update(kept)
            return True

    def close(self) -> None:
        """There is nothing to close."""

    def _forget(self, now: float) -> None:
        self._spent = {key: until for key, until in self._spent.items() if now <= until}


class MemoryLedger:
    """A bounded `Ledger` in this process. It never waits and is always available."""

    def __init__(self, capacity: int = MAX_DEBTS) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._debts: dict[Kind, dict[bytes, Debt]] = {kind: {} for kind in Kind}

    def charge(self, kind: Kind, key: bytes, now: float, seconds: float) -> Debt:
        with self._lock:
            before = self._debts[kind].get(key)
            owed = max(before.until - max(before.last, now), 0.0) if before else 0.0
            debt = Debt(now, now + owed + seconds)
            self._put(kind, key, debt)
            return debt

    def debt(self, kind: Kind, key: bytes, now: float) -> Debt | None:
        with self._lock:
            found = self._debts[kind].get(key)
        return found if found is not None and now < found.until else None

    def forgive(self, kind: Kind, key: bytes) -> None:
        with self._lock:
            self._debts[kind].pop(key, None)

    def put(self, kind: Kind, key: bytes, debt: Debt) -> None:
        """Remember what another ledger says `key` owes."""
        with self._lock:
            self._put(kind, key, debt)

    def _put(self, kind: Kind, key: bytes, debt: Debt) -> None:
        debts = self._debts[kind]
        if key not in debts and len(debts) >= self._capacity:
            smallest = ((known.until, each) for each, known in debts.items())
            for _, forgotten in nsmallest(made_room(self._capacity), smallest, key=itemgetter(0)):
                del debts[forgotten]
        debts[key] = debt


def made_room(capacity: int) -> int:
    """How many debts a full ledger forgets."""
    return max(1, capacity // MADE_ROOM)
