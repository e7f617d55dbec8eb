"""Rejections have a quota of their own: strangers can neither fill the disk nor crowd out what matters.

A source may have some recorded each, and a few a minute after that; what is more is counted, and told in one
record a minute. All strangers together have a quota too.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network, ip_address

from useridentity.audit.record import Kind, Operation, Record, Requestor, User

BURST = 50
"""Rejections of one source that are recorded each: more than any mistyped passcode makes."""

REFILL = 10.0
"""Seconds after which a source that used them up has one more: 9,000 a day, under 10 MB."""

TOTAL_BURST = 2000
"""Rejections of all sources together that are recorded each."""

TOTAL_REFILL = 0.2
"""Seconds after which there is one more: 430,000 a day at most, about 400 MB."""

TOLD_EVERY = 60.0
"""Seconds between two records of what was suppressed."""

MAX_SOURCES = 10_000
"""Sources that are remembered; the one that was quiet longest is forgotten for a new one."""

MAX_NAMED = 64
"""Sources and reasons told apart in one minute; what is more is counted under its reason alone."""

IPV6_SITE = 64
"""Bits of an IPv6 address that tell sites apart: the rest is a host's own to choose (RFC 4291 2.5.4)."""


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


class Floods:
    """Which refusals are recorded each, and how many were not. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(TOTAL_BURST, 0.0)
        self._suppressed: dict[tuple[str, str], Record] = {}
        self._due = float("inf")

    def admits(self, record: Record, now: float) -> bool:
        """Whether this refusal is recorded by itself; if not it is counted. `now` is in monotonic seconds."""
        source = source_of(record)
        with self._lock:
            bucket = self._sources.pop(source, None) or _Bucket(BURST, now)
            self._sources[source] = bucket
            if len(self._sources) > MAX_SOURCES:
                self._sources.popitem(last=False)
            if bucket.takes(now, BURST, REFILL) and self._all.takes(now, TOTAL_BURST, TOTAL_REFILL):
                return True
            self._count(source, record, now)
            return False

    def told(self, now: float) -> Iterable[Record]:
        """The records of what was suppressed, once they are due; with `now` infinite, whatever there is."""
        if now < self._due:
            return ()
        with self._lock:
            found, self._suppressed, self._due = self._suppressed, {}, float("inf")
        return found.values()

    def _count(self, source: str, record: Record, now: float) -> None:
        key = (source, record.reason)
        if key not in self._suppressed and len(self._suppressed) >= MAX_NAMED:
            key = ("", record.reason)
            record = replace(record, requestor=Requestor(), user=User())
        if key not in self._suppressed:
            self._suppressed[key] = _summary(record)
            self._due = min(self._due, now + TOLD_EVERY)
        counted = self._suppressed[key]
        self._suppressed[key] = replace(counted, count=counted.count + 1)


def source_of(record: Record) -> str:
    """What a quota is counted for: who was proved, or else the address, of IPv6 its site."""
    if record.user.subject:
        return record.user.subject
    try:
        address = ip_address(record.requestor.address)
    except ValueError:
        return record.requestor.address
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_SITE), strict=False))
    return str(address)


def _summary(record: Record) -> Record:
    """The first refusal of many, to stand for all of them: without what was its own."""
    return Record(
        Kind.SUPPRESSED,
        record.outcome,
        time=record.time,
        reason=record.reason,
        detail=f"the first of them: {record.detail}"[:1000],
        rule=record.rule,
        user=record.user if record.user.subject else User(),
        requestor=replace(record.requestor, port=0),
        acceptor=record.acceptor,
        operation=Operation(record.operation.request) if record.operation else None,
    )
