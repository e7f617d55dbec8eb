"""Forwarding: one thread a sink, which reads the journal from where the sink is and goes on until it has it all.

At least once and in order: a sink's place moves on only past what its receiver has for certain, and after a crash or
an outage everything behind that place is sent again. Who gets a record twice knows it by its event id. Nothing here
holds a lock that an association waits for: an unreachable receiver costs disk, and nothing else.

Several processes may write one journal. One of them forwards it, and the next when that one has ended (`turn`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from useridentity.audit.reader import Unreadable
from useridentity.audit.record import Record
from useridentity.audit.sinks.sink import NoForm, Sink, Undelivered
from useridentity.audit.turn import Turn
from useridentity.errors import UserIdentityError

LOGGER = logging.getLogger("useridentity.audit")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0
"""Seconds before a receiver that failed is tried again: at first, and after doubling with every failure."""

LONGEST_ASKED = 600.0
"""Seconds that a receiver may ask to be left alone for; one that asks for more is tried sooner."""

POLL = 0.2
"""Seconds after which a thread that waits for records looks whether it should stop, or confirm."""

STAND_BY = 1.0
"""Seconds after which a process looks whether the one that forwards has ended."""

STOP_SECONDS = 5.0
"""For sending the last records of a server that ends, its own end among them; the rest waits until it begins anew."""


class Source(Protocol):
    """The reading side of the journal."""

    def read(self, after: int, limit: int) -> Sequence[tuple[int, Record]]:
        """Raises `Unreadable` for the next record, which is then to be passed over."""

    def wait(self, after: int, timeout: float) -> bool: ...
    def cursor(self, sink: str) -> int: ...
    def advance(self, sink: str, sequence: int) -> None: ...
    @property
    def last(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Counters:
    """How far a sink is, for metrics.

    Fields:
        sink: its name.
        queued: records on disk that the receiver has not confirmed.
        sent: records that it has, since the start, duplicates not counted.
        refused: of those, the ones that were passed over: refused for good, without a form, or not readable.
        failed: attempts that failed, since the start.
        oldest_seconds: age of the oldest unconfirmed record that was read; 0.0 where there is none.
        problem: why the last attempt failed; empty where it did not.
    """

    sink: str
    queued: int
    sent: int
    refused: int
    failed: int
    oldest_seconds: float
    problem: str


class Forwarder:
    """Sends the records of a journal to a sink, from `start` to `stop`, whenever it is this process's `turn`.

    It begins once the one `after` which it comes has ended: a sink has one thread, and a receiver may hold that long.
    """

    def __init__(
        self,
        journal: Source,
        sink: Sink,
        *,
        longest_pause: float = LONGEST_PAUSE,
        turn: Turn | None = None,
        after: Forwarder | None = None,
    ) -> None:
        self._journal = journal
        self._sink = sink
        self._turn = turn
        self._after = after
        self._longest_pause = longest_pause
        self._pause = FIRST_PAUSE
        self._batch = sink.batch
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"audit-forward {sink.name}", daemon=True)
        self._confirmed = 0
        self._sent = 0
        self._refused = 0
        self._failed = 0
        self._problem = ""
        self._oldest: datetime | None = None
        self._position = 0
        self._unconfirmed = 0
        self._unconfirmed_refused = 0
        self._unconfirmed_since = 0.0
        self._told = 0

    def start(self) -> None:
        """Begin where the sink's receiver was last."""
        self._thread.start()

    def stop(self, timeout: float | None = STOP_SECONDS) -> None:
        """Send what is recorded by now, and return once it is confirmed or after `timeout` seconds, None for any time.

        A receiver that is away is not waited for; it gets the rest when forwarding starts again.
        """
        self._stopping.set()
        self._thread.join(timeout)

    @property
    def counters(self) -> Counters:
        """How far it is, at any time and from any thread."""
        queued = max(0, self._journal.last - self._confirmed)
        oldest = self._oldest
        age = max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if queued and oldest else 0.0
        return Counters(self._sink.name, queued, self._sent, self._refused, self._failed, age, self._problem)

    def _run(self) -> None:
        if self._after is not None:
            self._after.stop(None)
            self._after = None
        while not self._stopping.is_set():
            try:
                if self._turn is None or self._turn.take():
                    self._forward()
                else:
                    self._stand_by()
            except Undelivered as error:
                self._fail(str(error), error.taken, error.wait)
            except UserIdentityError as error:
                self._fail(f"{self._sink.name}: {error}")
            except Exception as error:
                LOGGER.exception("%s: a defect; its records stay in the journal", self._sink.name)
                self._fail(f"{type(error).__name__}: {error}")
        self._sink.close()

    def _stand_by(self) -> None:
        """Another process forwards; how far it is, the counters of this one tell too."""
        self._confirmed = self._journal.cursor(self._sink.name)
        self._stopping.wait(STAND_BY)

    def _forward(self) -> None:
        """Until told to stop. What is sent and not confirmed when this raises is sent again."""
        self._resume()
        while not self._stopping.is_set():
            self._journal.wait(self._position, POLL)  # what other processes wrote it does not tell; that is read anyway
            self._send(self._read())
            if self._is_due():
                self._confirm()
        self._finish()

    def _resume(self) -> None:
        """Go on after what the receiver has: what the journal says, and what it could not note the last time."""
        noted = self._journal.cursor(self._sink.name)
        if noted < self._confirmed:
            self._journal.advance(self._sink.name, self._confirmed)
            self._is_well()
        self._position = self._confirmed = max(noted, self._confirmed)
        self._unconfirmed = self._unconfirmed_refused = 0

    def _finish(self) -> None:
        """Send what was recorded before the stop; the journal writes a place after all that waits to be written."""
        deadline = time.monotonic() + STOP_SECONDS
        self._journal.advance(self._sink.name, self._confirmed)
        while (entries := self._read()) and time.monotonic() < deadline:
            self._send(entries)
        if self._unconfirmed:
            self._confirm()

    def _read(self) -> Sequence[tuple[int, Record]]:
        """The next records that this release can read: any other would hold up all that come after it."""
        while True:
            try:
                return self._journal.read(self._position, self._batch)
            except Unreadable as error:
                self._pass_over(error.sequence, str(error))

    def _send(self, entries: Sequence[tuple[int, Record]]) -> None:
        """Send them, but for records that the sink has no form for: those would hold up all that come after them."""
        if entries and not self._unconfirmed:
            self._oldest = entries[0][1].time
        try:
            self._send_whole(entries)
        except NoForm as error:
            self._send_whole(entries[: error.position])
            sequence, record = entries[error.position]
            self._pass_over(sequence, f"event {record.event_id}, which has no form here: {error}", error.__cause__)

    def _send_whole(self, entries: Sequence[tuple[int, Record]]) -> None:
        if not entries:
            return
        try:
            refused = self._sink.send([record for _, record in entries])
        except Undelivered as undelivered:
            if taken := undelivered.taken:
                self._advance(entries[taken - 1][0], taken, undelivered.refused)
            raise
        self._batch = min(2 * self._batch, self._sink.batch)
        self._sent_to(entries[-1][0], len(entries), refused)

    def _pass_over(self, sequence: int, what: str, cause: BaseException | None = None) -> None:
        """Said once, though it comes again after every failure until what comes with it is confirmed."""
        if sequence > self._told:
            self._told = sequence
            LOGGER.error("%s: left in the journal and passed over: %s", self._sink.name, what, exc_info=cause)
        self._sent_to(sequence, 1, 1)

    def _sent_to(self, sequence: int, records: int, refused: int) -> None:
        if not self._unconfirmed:
            self._unconfirmed_since = time.monotonic()
        self._position = sequence
        self._unconfirmed += records
        self._unconfirmed_refused += refused

    def _is_due(self) -> bool:
        """Whether enough was sent, or long enough ago, to ask for a confirmation."""
        records, seconds = self._sink.confirm_after
        waited = time.monotonic() - self._unconfirmed_since
        return self._unconfirmed >= records or (self._unconfirmed > 0 and waited >= seconds)

    def _confirm(self) -> None:
        self._sink.confirm()
        self._advance(self._position, self._unconfirmed, self._unconfirmed_refused)
        self._unconfirmed = self._unconfirmed_refused = 0
        self._is_well()

    def _advance(self, sequence: int, records: int, refused: int) -> None:
        try:
            self._journal.advance(self._sink.name, sequence)
        finally:  # the receiver has them, whether or not that could be noted
            self._sent += records
            self._refused += refused
            self._confirmed = sequence

    def _is_well(self) -> None:
        self._pause, self._problem, self._oldest = FIRST_PAUSE, "", None

    def _fail(self, problem: str, taken: int = 0, wait: float = 0.0) -> None:
        """Say it once per outage, and wait longer each time, or as long as the receiver asks.

        Half as many are sent then: a receiver that is too slow for a batch would get the same one for ever.
        """
        self._sink.close()
        self._batch = max(1, self._batch // 2)
        self._failed += 1
        if not self._problem:
            LOGGER.warning("audit records wait: %s", problem)
        self._problem = problem
        if taken:
            self._pause = FIRST_PAUSE
        self._stopping.wait(max(self._pause, min(wait, LONGEST_ASKED)))
        self._pause = min(2 * self._pause, self._longest_pause)


class Forwarders:
    """All the sinks of a journal, as often as it is opened and closed.

    Of all the processes with the same `lock` file one forwards, so that receivers get everything once and in order.
    """

    def __init__(self, sinks: Sequence[Sink], lock: Path) -> None:
        self._sinks = tuple(sinks)
        self._turn = Turn(lock)
        self._running: list[Forwarder] = []

    @property
    def counters(self) -> list[Counters]:
        """How far each sink is, in the order of the policy file; those of the last time where none runs now."""
        return [each.counters for each in self._running]

    def start(self, journal: Source) -> None:
        """Begin to forward; never waits for those of the last time."""
        before: Sequence[Forwarder | None] = self._running or [None] * len(self._sinks)
        self._running = [
            Forwarder(journal, sink, turn=self._turn, after=last)
            for sink, last in zip(self._sinks, before, strict=True)
        ]
        for each in self._running:
            each.start()

    def close(self) -> None:
        """Stop them all within `STOP_SECONDS`; they confirm what is on its way at the same time."""
        for each in self._running:
            each.stop(0.0)
        deadline = time.monotonic() + STOP_SECONDS
        for each in self._running:
            each.stop(max(0.0, deadline - time.monotonic()))
        self._turn.give_back()
