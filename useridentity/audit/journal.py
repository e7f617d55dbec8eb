"""The journal: every audit record on disk, in order, chained; and where each sink is in it.

One thread writes. Whoever needs a record on disk waits for it, and all who wait at the same time share one
commit. A file that is locked, damaged, full or gone refuses, and is opened anew for each attempt, so that the
journal goes on as soon as it can, without a restart; what happened meanwhile and could not be kept is counted.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from useridentity.audit.chain import Head
from useridentity.audit.here import host, this_process
from useridentity.audit.reader import JournalReader
from useridentity.audit.record import Anchor, Kind, Outcome, Record
from useridentity.audit.segment import Entry, problem
from useridentity.audit.upkeep import ROTATE, Upkeep, WrittenFile
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Unavailable

LOGGER = logging.getLogger("useridentity.audit")

WAIT = 3.0
"""Seconds an association waits for its record: a disk that takes longer is as good as none."""

RETRY = 1.0
"""Seconds between two attempts to write what nobody waits for, while the journal cannot be written."""

PROVED = 1.0
"""Seconds for which a commit shows that there could be another: with more, more would be served unrecorded."""

GATHER = 0.05
"""Seconds in which records that nobody waits for are gathered, so that most of them cost no commit of their own."""

CLOSING = 10.0
"""Seconds a server that ends waits at most for what is held to be written: a few attempts at a file that is locked."""

MAX_HELD = 10_000
"""Records held in memory while the journal cannot be written, about 20 MiB; more are lost and counted."""

MAX_BATCH = 1000
"""Records in one commit: more would make those who wait, wait longer for no more throughput."""

ANCHOR_RECORDS = 1000
"""Records after which the head is anchored: those since are what could be cut off unseen."""

ANCHOR_SECONDS = 300.0
"""Seconds after which it is anchored where fewer came."""


class _Item:
    """Something to be written, and whoever waits for it."""

    __slots__ = ("cursor", "done", "entry", "failure", "given_up")

    def __init__(self, entry: Entry | None, cursor: tuple[str, int] | None, *, waited: bool) -> None:
        self.entry = entry
        self.cursor = cursor
        self.done = threading.Event() if waited else None
        self.failure: str | None = None
        self.given_up = False


class _GivenUp(Exception):
    """Somebody waits no longer for what has not been committed yet."""


class Journal:
    """An audit journal in a file, written by this process; others may write it too.

    `key` is the file of the chain's key, made with the journal and never after. Full files are begun at
    `rotate_bytes`, and removed once they are older than `keep` seconds and all of `sinks` have taken them. Nothing
    is opened, and no thread runs, before the first record: a server may fork before it serves.
    """

    def __init__(
        self,
        path: Path,
        key: Path,
        *,
        rotate_bytes: int = ROTATE,
        keep: float | None = None,
        sinks: Iterable[str] = (),
    ) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._written = threading.Condition(self._lock)
        self._queue: deque[_Item] = deque()
        self._awaited = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._file_in_use = threading.Lock()
        self._anchored = (0, time.monotonic())
        self._failing_since = 0.0
        self._busy_since = 0.0
        self._proved_at = float("-inf")
        self._lost = 0
        self.failure: str | None = None
        self.reader = JournalReader(path)
        self._written_file = WrittenFile(path, key, self.reader, Upkeep(rotate_bytes, keep, tuple(sinks)))
        self._last = self._written_file.check()

    # Writing.

    def append(self, record: Record, *, wait: bool) -> None:
        """Keep the record; with `wait` it is on disk when this returns, and `Unavailable` is raised where it is not.

        Without, it is written soon, and held in memory for as long as the journal cannot be written.
        """
        self._put(_Item(Entry.of(record), None, waited=wait))

    def ready(self) -> None:
        """Raise `Unavailable` where a record could not be written now; a commit shows it, unless one just did."""
        busy, now = self._busy_since, time.monotonic()
        if self.failure is not None:
            raise _unavailable(self.failure)
        if busy and now - busy > WAIT:
            raise _unavailable(f"{self._path}: nothing was written for {WAIT:g} s")
        if now - self._proved_at > PROVED:
            self._put(_Item(None, None, waited=True))

    def advance(self, sink: str, sequence: int) -> None:
        """`sink` has taken every record up to `sequence`; on disk when this returns. Raises `Unavailable`."""
        self._put(_Item(None, (sink, sequence), waited=True))

    def open(self) -> None:
        """Take records again after `close`; a journal that was just made is open."""
        with self._lock:
            self._closed = False

    def close(self) -> None:
        """Write what is held, within `CLOSING` seconds, and close the file; what could not be written is lost."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
            self._written.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(CLOSING)
        self._give_up()

    # Reading.

    def read(self, after: int, limit: int) -> Sequence[tuple[int, Record]]:
        """Up to `limit` records with sequence numbers above `after`, in order; each is on disk.

        Raises `Unavailable` where the journal cannot be read now, and `Unreadable` where the next record is none of
        this release, which its `sequence` says; `after` that one it goes on.
        """
        return self.reader.read(after, limit)

    def wait(self, after: int, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, for a record above `after`; whether there is one. Ends at `close`."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while self.last <= after and not self._closed and (left := deadline - time.monotonic()) > 0:
                self._written.wait(left)
            if self.last > after or self._closed:
                return self.last > after
        with suppress(Unavailable):  # another process may have written, which nobody tells
            self._last = max(self._last, self.reader.last())
        return self.last > after

    def cursor(self, sink: str) -> int:
        """The sequence number up to which `sink` has taken every record, 0 at first; raises `Unavailable`."""
        return self.reader.cursors().get(sink, 0)

    @property
    def last(self) -> int:
        """The newest record on disk as far as this process knows, 0 where there is none; never waits."""
        return self._last

    # The queue.

    def _put(self, item: _Item) -> None:
        with self._lock:
            if self._closed:
                raise _unavailable(f"{self._path}: the journal is closed")
            if item.done is None and len(self._queue) >= MAX_HELD:
                self._lost += 1
                return
            self._start()
            self._queue.append(item)
            self._awaited += item.done is not None
            if item.done is not None or len(self._queue) in (1, MAX_BATCH):
                self._changed.notify()
        if item.done is None:
            return
        if not item.done.wait(WAIT):
            self._withdraw(item)
            raise _unavailable(f"{self._path}: nothing was written for {WAIT:g} s")
        if item.failure is not None:
            raise _unavailable(item.failure)

    def _withdraw(self, item: _Item) -> None:
        """Nobody waits for it any more: it is not written, and takes no room while the disk hangs."""
        item.given_up = True
        with self._lock, suppress(ValueError):  # in the batch that is being written
            self._queue.remove(item)
            self._awaited -= 1

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="audit journal", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                raise _unavailable("no thread to be had for the audit journal") from None
            self._thread = thread

    def _give_up(self) -> None:
        """What is still held is not written any more."""
        with self._lock:
            self._lost += sum(item.done is None for item in self._queue)
            self._queue.clear()
            self._awaited, lost = 0, self._lost
        if lost:
            LOGGER.error("%s: %d records could not be written before the journal was closed", self._path, lost)

    def _next_batch(self) -> list[_Item] | None:
        """What is to be written now, empty where an anchor or another attempt may be due; None when all is done."""
        with self._lock:
            if self.failure is None and not self._queue and not self._closed:
                self._changed.wait(ANCHOR_SECONDS)
            if self.failure is not None or self._queue:
                self._changed.wait_for(self._is_pressing, GATHER if self.failure is None else RETRY)
            if not self._queue and self._closed:
                self._thread = None
                return None
            batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
            self._awaited -= sum(item.done is not None for item in batch)
            self._busy_since = time.monotonic()
        return batch

    def _is_pressing(self) -> bool:
        """Whether somebody waits, or there is enough to write."""
        return self._closed or self._awaited > 0 or len(self._queue) >= MAX_BATCH

    # The thread.

    def _run(self) -> None:
        host()  # which may take long, once; not in a transaction that others wait for
        with self._file_in_use:  # by the thread that was closed before, which may still be about to end
            self._write_all()

    def _write_all(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                anchored = self._write_wanted(batch)
            except (sqlite3.Error, ConfigurationError, OSError) as error:
                self._failed(batch, f"{self._path}: {problem(error)}", again=not self._closed)
            except Exception as error:
                LOGGER.exception("%s: %d records could not be written and are lost", self._path, len(batch))
                self._failed(batch, f"{self._path}: {type(error).__name__}", again=False)
            else:
                self._succeeded(batch)
                self._written_file.look_after(is_due=anchored)
        self._written_file.end()

    def _write_wanted(self, batch: list[_Item]) -> bool:
        """As `_write`, without the records of those who gave up meanwhile: they were told that there is none."""
        while True:
            with suppress(_GivenUp):
                return self._write([item for item in batch if not item.given_up])

    def _write(self, batch: list[_Item]) -> bool:
        """Write the batch; whether the chain was anchored too."""
        segment = self._written_file.current()
        entries = [item.entry for item in batch if item.entry is not None]
        with segment.transaction():
            before, lost = self._written_file.follows(segment), self._lost
            anchor = self._anchor(*before, len(entries))
            own = [Entry.of(record) for record in (self._resumed(lost), anchor) if record is not None]
            head = segment.append([*own, *entries], before)  # of none, too: the seal is written, so the disk has room
            segment.advance(dict(item.cursor for item in batch if item.cursor is not None))
            if any(item.given_up for item in batch):
                raise _GivenUp
        self._written_file.head = (before[0], head)
        self._last = head.sequence
        with self._lock:
            self._lost -= lost
        if anchor is not None:
            self._anchored = (head.sequence - len(entries), time.monotonic())
        return anchor is not None

    def _resumed(self, lost: int) -> Record | None:
        """What there is to say of a time when nothing could be written, or not as much as came."""
        if self.failure is None and not lost:
            return None
        if self.failure is None:
            detail = f"more came than could be written; at most {MAX_HELD} records wait"
        else:
            detail = f"nothing was written for {time.monotonic() - self._failing_since:.1f} s: {self.failure}"
        return Record(Kind.RECORDING_RESUMED, Outcome.FAILED, acceptor=this_process(), detail=detail, count=lost)

    def _anchor(self, journal: str, head: Head, number: int) -> Record | None:
        """The head before the next `number` records, where it is to be anchored."""
        sequence, since = self._anchored
        if head.sequence <= sequence:
            return None
        if head.sequence + number - sequence < ANCHOR_RECORDS and time.monotonic() - since < ANCHOR_SECONDS:
            return None
        return Record(Kind.ANCHOR, acceptor=this_process(), anchor=Anchor(journal, head.sequence, head.mac.hex()))

    def _succeeded(self, batch: list[_Item]) -> None:
        with self._lock:
            if self.failure is not None:
                LOGGER.warning("%s: is written again", self._path)
            self.failure, self._failing_since, self._busy_since = None, 0.0, 0.0
            self._proved_at = time.monotonic()
            self._written.notify_all()
        for item in batch:
            if item.done is not None:
                item.done.set()

    def _failed(self, batch: list[_Item], detail: str, *, again: bool) -> None:
        """Tell those who wait; hold what nobody waits for, where it is to be tried again."""
        self._written_file.close()
        held = [item for item in batch if item.done is None]
        with self._lock:
            if self.failure is None:
                LOGGER.error("the audit journal cannot be written: %s", detail)
                self._failing_since = time.monotonic()
            self.failure, self._busy_since = detail, 0.0
            if again:
                self._queue.extendleft(reversed(held))
            else:
                self._lost += len(held)
        for item in batch:
            if item.done is not None:
                item.failure = detail
                item.done.set()


def _unavailable(detail: str) -> Unavailable:
    return Unavailable(detail, Reason.AUDIT_UNAVAILABLE)
