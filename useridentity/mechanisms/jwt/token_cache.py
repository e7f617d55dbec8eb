"""Tokens that may be used again, each fetched once however many threads ask for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from useridentity.errors import CredentialUnavailable

RENEW_BEFORE = 60.0
"""Seconds before its end from which a token is renewed: an association ends with its token. For tokens that
live less than four minutes it is a quarter of that."""

MAX_TOKENS = 1024
"""Tokens kept; a web application has about as many users signed in."""

MAX_WAIT = 15.0
"""Seconds that a thread waits for the fetch of another, which is two requests and two look-ups of names."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A token and when it ends, in monotonic seconds; the time it was asked for is its beginning."""

    token: bytes = field(repr=False)
    begins: float
    ends: float

    @property
    def renew_at(self) -> float:
        return self.ends - min(RENEW_BEFORE, (self.ends - self.begins) / 4)


class TokenCache:
    """Safe to use from many threads; `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._issued: dict[bytes, Issued] = {}
        self._flights: dict[bytes, Future[Issued]] = {}

    def token(self, key: bytes, fetch: Callable[[], Issued]) -> bytes:
        """The token for `key`; raises `CredentialUnavailable` where there is none and `fetch` gets none.

        A token that is due but has not ended is used where it cannot be renewed.
        """
        with self._lock:
            issued = self._issued.get(key)
            if issued and self._clock() < issued.renew_at:
                return issued.token
            flight = self._flights.get(key)
            mine = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if mine:
            self._fly(key, flight, fetch)
        try:
            return flight.result(MAX_WAIT).token
        except (CredentialUnavailable, TimeoutError) as error:
            if issued and self._clock() < issued.ends:
                return issued.token
            raise CredentialUnavailable(str(error) or "the token was not issued in time") from None

    def _fly(self, key: bytes, flight: Future[Issued], fetch: Callable[[], Issued]) -> None:
        try:
            issued = fetch()
        except BaseException as error:
            self._land(key, None)
            # What waits for this flight must end with it, whatever ended it.
            unavailable = isinstance(error, CredentialUnavailable)
            flight.set_exception(
                error if unavailable else CredentialUnavailable(f"fetching raised {type(error).__name__}")
            )
            if not unavailable:
                raise
        else:
            self._land(key, issued)
            flight.set_result(issued)

    def _land(self, key: bytes, issued: Issued | None) -> None:
        with self._lock:
            del self._flights[key]
            if issued is None:
                return
            self._issued.pop(key, None)
            if len(self._issued) >= MAX_TOKENS:
                self._make_room()
            self._issued[key] = issued

    def _make_room(self) -> None:
        now = self._clock()
        self._issued = {key: issued for key, issued in self._issued.items() if now < issued.ends}
        while len(self._issued) >= MAX_TOKENS:
            del self._issued[next(iter(self._issued))]
