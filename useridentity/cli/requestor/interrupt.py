"""Ctrl-C ends what a command does in order: the operation is cancelled, the association released.

The dealings with the peer run in a thread of their own, so that the one that gets the signal is free to
act on it. A second Ctrl-C aborts the association, and so does a peer that stands still.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from useridentity.cli.ending import interrupted

if TYPE_CHECKING:
    from pynetdicom.association import Association

T = TypeVar("T")

LAST = 10.0
"""Seconds, after Ctrl-C, in which a peer must at least take something, or the work end."""

PATIENCE = 2.0
"""Seconds for a peer to take an abort and close; whoever pressed Ctrl-C twice has no more."""

BYTES_ACKED = 120
"""Where `struct tcp_info` has tcpi_bytes_acked (linux/tcp.h), since Linux 4.1."""

GRACE = 5.0
"""Seconds for the work to end once its association has."""


class Stop:
    """The wish to end, as the thread that works sees it.

    `association` is the one to abort; `cancel` asks the peer to end the operation that is going on.
    """

    def __init__(self) -> None:
        self.asked = False
        self.association: Association | None = None
        self.cancel: Callable[[], None] | None = None

    def check(self) -> None:
        """Raises `Failure` where the user wants to end."""
        if self.asked:
            raise interrupted()

    def ask(self) -> None:
        self.asked = True
        if self.cancel is not None:
            with suppress(RuntimeError):  # the association has just ended by itself
                self.cancel()


def hang_up(association: Association) -> None:
    """Abort; a connection that the peer then neither reads from nor closes is cut, and nobody waits for an answer."""
    cut = threading.Timer(PATIENCE, _cut, [association])
    cut.daemon = True
    cut.start()
    try:
        association.abort()
    finally:
        cut.cancel()
    association.dimse.msg_queue.put((None, None))  # as where the peer aborts


def _cut(association: Association) -> None:
    held = association.dul.socket.socket if association.dul.socket else None
    if held is not None:
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(held, socket.SHUT_RDWR)  # TLS's own would wait for whoever is sending


def taken_octets(assoc: Association) -> int:
    """What the peer's system has acknowledged so far (tcp(7), TCP_INFO): it grows while a slow link is at work."""
    try:
        held = assoc.dul.socket.socket  # type: ignore[union-attr]
        info = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED + 8)  # type: ignore[union-attr]
    except (AttributeError, OSError):  # the connection has ended
        return 0
    return int.from_bytes(info[BYTES_ACKED:], sys.byteorder)


class _Working(threading.Thread, Generic[T]):
    """A daemon, so that no peer that is silent keeps the process from ending."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="requestor", daemon=True)
        self._work = work
        # Not `join`: once Ctrl-C has interrupted it, the next one returns at once (CPython 3.11).
        self.ended = threading.Event()
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:  # noqa: BLE001  it is raised again where it is waited for
            self._error = error
        finally:
            self.ended.set()

    def result(self) -> T:
        """Wait for the end; what the work returned, or raised."""
        self.ended.wait()
        if self._error is not None:
            raise self._error
        return self._result[0]


def interruptible(work: Callable[[Stop], T], note: Callable[[str], None]) -> T:
    """What `work` returns or raises; raises `Failure` (INTERRUPTED) where Ctrl-C ended it before its end."""
    stop = Stop()
    working = _Working(lambda: work(stop))
    working.start()
    try:
        return working.result()
    except KeyboardInterrupt:
        association = stop.association
    if association is None:  # nothing is established that could be released
        raise interrupted()
    with suppress(KeyboardInterrupt):
        note("ending; Ctrl-C again aborts the association")
        stop.ask()
        taken = taken_octets(association)
        while not working.ended.wait(LAST):
            before, taken = taken, taken_octets(association)
            if taken <= before:
                break
        else:
            return working.result()
    hang_up(association)
    working.ended.wait(GRACE)
    raise interrupted()
