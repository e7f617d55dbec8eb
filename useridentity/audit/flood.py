"""Rejections have a quota of their own: strangers can neither fill the disk nor crowd out what matters.

A source may have some recorded each, and a few a minute after that; what is more is counted, and told in one
record a minute. All sources that are not proved users share a quota too, and another one for the first of each: who
has used up the former from many addresses does not hide who comes from elsewhere. A proved user has his own alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from useridentity.audit.record import Kind, Operation, Record, Requestor, User
from useridentity.identity import Assurance
from useridentity.state.penalties import source_of as network_of

BURST = 50
"""Rejections of one source that are recorded each: more than any mistyped passcode makes."""

REFILL = 10.0
"""Seconds after which a source that used them up has one more: 9,000 a day, under 10 MB."""

TOTAL_BURST = 2000
"""Rejections of all sources together that are recorded each, but for users who were proved."""

TOTAL_REFILL = 0.2
"""Seconds after which there is one more: 430,000 a day at most, about 400 MB."""

FIRST_BURST = 500
"""Rejections beside those, each the first of a source: more than a site has modalities and workstations."""

FIRST_REFILL = 1.0
"""Seconds after which there is one more: 86,400 a day at most, about 80 MB."""

QUIET = 86_400.0
"""Seconds after which a source that was quiet is taken for a new one."""

TOLD_EVERY = 60.0
"""Seconds after which what was suppressed meanwhile is told."""

MAX_SOURCES = 10_000
"""Sources of either sort that are remembered; the one that was quiet longest is forgotten for a new one."""

MAX_NAMED = 64
"""Sources of either sort and reasons told apart in one minute; what is more is counted under its reason alone."""


@dataclass(slots=True)
class _Bucket:
    """Tokens that come back with time."""

    tokens: float
    at: float

    def takes(self, now: float, burst: int, refill: float) -> bool:
        self.tokens = min(burst, self.tokens + max(0.0, now - self.at) / refill)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class _Sources:
    """What each source has left, and what was counted of it."""

    def __init__(self) -> None:
        self.buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self.suppressed: dict[tuple[str, str], Record] = {}

    def bucket(self, source: str, now: float) -> tuple[_Bucket, bool]:
        """The bucket of a source, and whether this is its first refusal for long."""
        found = self.buckets.pop(source, None)
        is_first = found is None or now - found.at > QUIET
        self.buckets[source] = found = found or _Bucket(BURST, now)
        if len(self.buckets) > MAX_SOURCES:
            self.buckets.popitem(last=False)
        return found, is_first

    def count(self, source: str, record: Record) -> None:
        key = (source, record.reason)
        if key not in self.suppressed and len(self.suppressed) >= MAX_NAMED:
            key = ("", record.reason)
            record = replace(record, requestor=Requestor(), user=User())
        counted = self.suppressed.get(key) or _summary(record)
        self.suppressed[key] = replace(counted, count=counted.count + 1)

    def told(self) -> Iterable[Record]:
        found, self.suppressed = self.suppressed, {}
        return found.values()


class Floods:
    """Which refusals are recorded each, and how many were not. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users, self._strangers = _Sources(), _Sources()
        self._all = _Bucket(TOTAL_BURST, 0.0)
        self._first = _Bucket(FIRST_BURST, 0.0)

    def admits(self, record: Record, now: float) -> bool:
        """Whether this refusal is recorded by itself; if not it is counted. `now` is in monotonic seconds."""
        source = source_of(record)
        sources = self._users if _is_proved(record.user) else self._strangers
        with self._lock:
            bucket, is_first = sources.bucket(source, now)
            if bucket.takes(now, BURST, REFILL) and (sources is self._users or self._takes(now, is_first)):
                return True
            sources.count(source, record)
            return False

    def told(self) -> Iterable[Record]:
        """The records of what was suppressed since the last time."""
        with self._lock:
            return [*self._users.told(), *self._strangers.told()]

    def _takes(self, now: float, is_first: bool) -> bool:
        """Whether strangers have something left for one more."""
        if is_first and self._first.takes(now, FIRST_BURST, FIRST_REFILL):
            return True
        return self._all.takes(now, TOTAL_BURST, TOTAL_REFILL)


def source_of(record: Record) -> str:
    """What a quota is counted for: who was proved, or else the address, of IPv6 its site, as penalties are.

    A name that was only asserted is the requestor's own to choose. Refusals of nobody, such as connections closed at
    accept, are counted apart: who makes many of them does not hide which accounts he guesses at.
    """
    if _is_proved(record.user):
        return record.user.subject
    try:
        network = network_of(ip_address(record.requestor.address))
    except ValueError:
        network = record.requestor.address
    return network if record.user != User() else f"nobody at {network}"


def _is_proved(user: User) -> bool:
    return bool(user.subject) and user.assurance == Assurance.AUTHENTICATED.value


def _summary(record: Record) -> Record:
    """The first refusal of many, to stand for all of them: without what was its own."""
    return Record(
        Kind.SUPPRESSED,
        record.outcome,
        time=record.time,
        reason=record.reason,
        detail=f"the first of them: {record.detail}"[:1000],
        rule=record.rule,
        user=record.user if _is_proved(record.user) else User(),
        requestor=replace(record.requestor, port=0),
        acceptor=record.acceptor,
        operation=Operation(record.operation.request) if record.operation else None,
    )
