"""A ledger of this process behind a shared one, so that an outage of that one is no holiday for guessers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from useridentity.decision import Reason
from useridentity.errors import Unavailable
from useridentity.state import Debt, Ledger
from useridentity.state.memory import MemoryLedger

LOGGER = logging.getLogger("useridentity.state")

RETRY = 5.0
"""Seconds for which a ledger that could not be reached is not asked again: every answer waits for its time-out."""

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
    """Debts of one kind: the shared ledger's while that answers, and this process's own in any case."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._own = MemoryLedger()

    def known(self, key: bytes, at: float) -> Debt | None:
        """What this process knows that `key` owes; never waits."""
        return self._own.debt(key, at)

    def debt(self, key: bytes, at: float) -> Debt | None:
        """What `key` owes."""
        try:
            debt = self._shared.ask(lambda ledger: ledger.debt(key, at), at)
        except Unavailable:
            return self._own.debt(key, at)
        if debt is None:
            self._own.forgive(key)
        else:
            self._own.put(key, debt)
        return debt

    def charge(self, key: bytes, at: float, seconds: float) -> Debt:
        """Add one failure."""
        try:
            debt = self._shared.ask(lambda ledger: ledger.charge(key, at, seconds), at)
        except Unavailable:
            return self._own.charge(key, at, seconds)
        self._own.put(key, debt)
        return debt

    def forgive(self, key: bytes, at: float) -> None:
        """Forget what `key` owes; during an outage others go on remembering it."""
        self._own.forgive(key)
        try:
            self._shared.ask(lambda ledger: ledger.forgive(key), at)
        except Unavailable:
            return
