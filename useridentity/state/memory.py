"""The memory of one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from useridentity.decision import Reason
from useridentity.errors import Unavailable
from useridentity.validator import Once

MAX_SPENT = 100_000
"""Keys remembered at once, about 30 MB: 80 single-use credentials a second for twenty minutes. A full
store refuses: forgetting a live key would let it be used again."""


class MemoryReplayStore:
    """A `ReplayStore` in this process; what it knows ends with it."""

    def __init__(self, capacity: int = MAX_SPENT) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._spent: dict[tuple[str, ...], datetime] = {}

    def spend(self, keys: Sequence[Once], now: datetime) -> bool:
        with self._lock:
            if any(self._is_spent(once, now) for once in keys):
                return False
            if len(self._spent) + len(keys) > self._capacity:
                self._forget(now)
            if len(self._spent) + len(keys) > self._capacity:
                raise Unavailable(
                    f"all {self._capacity} places of the replay store are taken", Reason.STATE_UNAVAILABLE
                )
            self._spent.update((once.key, once.until) for once in keys)
            return True

    def _is_spent(self, once: Once, now: datetime) -> bool:
        until = self._spent.get(once.key)
        return until is not None and now <= until

    def _forget(self, now: datetime) -> None:
        self._spent = {key: until for key, until in self._spent.items() if now <= until}
