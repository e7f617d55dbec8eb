"""What must be remembered across associations. One contract; a room for each place it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from useridentity.validator import Once


class ReplayStore(Protocol):
    """Remembers what has been used, so that it is used once."""

    def spend(self, keys: Sequence[Once], now: datetime) -> bool:
        """Spend all of `keys` in one step; False, spending none, where one was spent before.

        Raises `Unavailable` where that cannot be told or remembered.
        """
