"""The audit trail as an acceptor writes it: what has to be on disk first, what follows, what is too much.

`on_failure` says what a journal that cannot be written means: "reject" that nobody is accepted and nothing more
is served until it can, "accept" that everything goes on and is recorded as far as possible.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, Protocol

from useridentity.audit.flood import TOLD_EVERY, Floods
from useridentity.audit.forward import Counters
from useridentity.audit.journal import Journal
from useridentity.audit.record import Kind, Record
from useridentity.errors import Unavailable

LOGGER = logging.getLogger("useridentity.audit")

OnFailure = Literal["reject", "accept"]

REFUSALS = (Kind.REJECTED, Kind.REFUSED)
"""Kinds of which whoever is refused can make as many as he likes."""


class Forwarder(Protocol):
    """Carries the records of a journal to its sinks."""

    @property
    def counters(self) -> Sequence[Counters]: ...

    def start(self, journal: Journal) -> None: ...

    def close(self) -> None: ...


class Trail:
    """The one place where an acceptor's records go. Safe to use from many threads.

    It is open as long as anybody holds it: servers do while they run, associations until their end is recorded.
    """

    def __init__(self, journal: Journal, on_failure: OnFailure = "reject", forwarder: Forwarder | None = None) -> None:
        self.journal = journal
        self._must_wait = on_failure == "reject"
        self._forwarder = forwarder
        self._floods = Floods()
        self._lock = threading.Lock()
        self._holders = 0
        self._telling = threading.Lock()
        self._teller: threading.Timer | None = None

    @property
    def counters(self) -> Sequence[Counters]:
        """How far each sink is, for metrics; none where nothing is forwarded."""
        return self._forwarder.counters if self._forwarder is not None else ()

    def hold(self) -> None:
        """Keep the trail open until `let_go` is called as often."""
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self.journal.open()
                if self._forwarder is not None:
                    self._forwarder.start(self.journal)

    def let_go(self) -> None:
        """The last one to let go writes what is left, and closes the journal."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._tell_suppressed()
                if self._forwarder is not None:
                    self._forwarder.close()
                self.journal.close()

    def must(self, record: Record) -> None:
        """Record what is about to happen. Raises `Unavailable` where it may not happen, for want of a record."""
        try:
            self.journal.append(record, wait=self._must_wait)
        except Unavailable as unavailable:
            if self._must_wait:
                raise
            LOGGER.error("not recorded: %s", unavailable.detail)  # noqa: TRY400  the journal has told why already

    def ready(self) -> None:
        """Raise `Unavailable` where nothing may happen, because nothing could be recorded."""
        if self._must_wait:
            self.journal.ready()

    def note(self, record: Record) -> None:
        """Record what has happened; of refusals, as many as one source may have."""
        if record.kind not in REFUSALS or self._floods.admits(record, time.monotonic()):
            self._keep(record)
        else:
            self._tell_later()

    def _keep(self, record: Record) -> None:
        try:
            self.journal.append(record, wait=False)
        except Unavailable as unavailable:
            LOGGER.error("not recorded: %s", unavailable.detail)  # noqa: TRY400

    def _tell_later(self) -> None:
        """What was suppressed is told though nothing else happens; without a thread for that, with the next one."""
        with self._telling, suppress(RuntimeError):
            if self._teller is None:
                teller = threading.Timer(TOLD_EVERY, self._tell_suppressed)
                teller.daemon = True
                teller.start()
                self._teller = teller

    def _tell_suppressed(self) -> None:
        with self._telling:
            if self._teller is not None:
                self._teller.cancel()
                self._teller = None
            for record in self._floods.told():
                self._keep(record)
