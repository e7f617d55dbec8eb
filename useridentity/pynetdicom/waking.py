"""How one thread wakes another that waits for a queue or a socket."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from useridentity.pynetdicom.transport import readable


class NotifyingQueue(queue.Queue[Any]):
    """A queue that tells when something was put."""

    def __init__(self, notify: Callable[[], None]) -> None:
        super().__init__()
        self._notify = notify

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._notify()


class EventQueue(queue.SimpleQueue[str]):
    """The state machine's events: put and taken several times a PDU, mostly by one thread, so free of Python locks."""

    def __init__(self, notify: Callable[[], None]) -> None:
        super().__init__()
        self._notify = notify

    def put(self, item: str, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._notify()


class Waker:
    """Wakes the one thread that waits for a socket."""

    def __init__(self) -> None:
        self._asleep = False
        self._ends: tuple[socket.socket, ...] = ()

    def open(self) -> None:
        """Get ready; only the thread that waits does this, so that one which never runs holds nothing."""
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)

    def wake(self) -> None:
        if self._asleep:
            with suppress(OSError):  # already awake many times over, or closed
                self._ends[1].send(b"\0")

    def wait(self, sock: socket.socket | None, timeout: float, idle: Callable[[], bool]) -> None:
        """Sleep until woken, `sock` can be read, or `timeout` seconds have passed; not at all unless `idle`."""
        receiver = self._ends[0]
        self._asleep = True
        try:
            # Looked at only after announcing the sleep, so that no wake can be missed in between.
            if idle():
                readable([receiver] if sock is None else [receiver, sock], timeout)
        finally:
            self._asleep = False
        with suppress(BlockingIOError):
            receiver.recv(4096)

    def close(self) -> None:
        for end in self._ends:
            end.close()
