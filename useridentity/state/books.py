"""A ledger of this process behind a shared one, so that an outage of that one is no holiday for guessers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from operator import attrgetter
from typing import TypeVar

from useridentity.decision import Reason
from useridentity.errors import Unavailable
from useridentity.state import Debt, Kind, Ledger
from useridentity.state.memory import MemoryLedger

LOGGER = logging.getLogger("useridentity.state")

RETRY = 5.0
"""Seconds for which a ledger that could not be reached is not asked again: every answer waits for its time-out."""

_UNTIL = attrgetter("until")

T = TypeVar("T")


class Shared:
    """A store's ledger, or none, and whether it can be reached."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger
        self._failed: float | None = None

    def ask(self, call: Callable[[Ledger], T], at: float) -> T:
        """What `call` makes of the ledger; raises `Unavailable`, at once during an outage."""
        if self._ledger is None or (self._failed is not None and abs(at - self._failed) < RETRY):
            raise Unavailable("no ledger is shared, or it could not be reached", Reason.STATE_UNAVAILABLE)
        try:
            answer = call(self._ledger)
        except Unavailable as unavailable:
            self._failed = at
            LOGGER.warning("penalties are counted in this process alone: %s", unavailable.detail)
            raise
        self._failed = None
        return answer


class Book:
    """Debts of one kind: those of the shared ledger, and those that this process has counted alone.

    The second are no copies, and outlive an outage: a store that is full goes on answering that nothing is
    owed, though nothing could be written. The larger debt counts.
    """

    def __init__(self, kind: Kind, shared: Shared) -> None:
        self._kind = kind
        self._shared = shared
        self._seen, self._alone = MemoryLedger(), MemoryLedger()

    def known(self, key: bytes, at: float) -> Debt | None:
        """What this process knows that `key` owes; never waits."""
        return _larger(self._seen.debt(self._kind, key, at), self._alone.debt(self._kind, key, at))

    def debt(self, key: bytes, at: float) -> Debt | None:
        """What `key` owes."""
        try:
            debt = self._shared.ask(lambda ledger: ledger.debt(self._kind, key, at), at)
        except Unavailable:
            return self.known(key, at)
        self._see(key, debt)
        return self.known(key, at)

    def charge(self, key: bytes, at: float, seconds: float) -> Debt:
        """Add one failure."""
        try:
            debt = self._shared.ask(lambda ledger: ledger.charge(self._kind, key, at, seconds), at)
        except Unavailable:
            return self._charge_alone(key, at, seconds)
        self._see(key, debt)
        if self._alone.debt(self._kind, key, at) is None:
            return debt
        return max(debt, self._alone.charge(self._kind, key, at, seconds), key=_UNTIL)

    def forgive(self, key: bytes, at: float) -> None:
        """Forget what `key` owes; during an outage others go on remembering it."""
        self._seen.forgive(self._kind, key)
        self._alone.forgive(self._kind, key)
        try:
            self._shared.ask(lambda ledger: ledger.forgive(self._kind, key), at)
        except Unavailable:
            return

    def _see(self, key: bytes, debt: Debt | None) -> None:
        if debt is None:
            self._seen.forgive(self._kind, key)
        else:
            self._seen.put(self._kind, key, debt)

    def _charge_alone(self, key: bytes, at: float, seconds: float) -> Debt:
        """On top of what is known: who was in penalty before an outage is so in it."""
        known = self.known(key, at)
        if known is not None:
            self._alone.put(self._kind, key, known)
        return self._alone.charge(self._kind, key, at, seconds)


def _larger(one: Debt | None, other: Debt | None) -> Debt | None:
    return max((debt for debt in (one, other) if debt), key=_UNTIL, default=None)
