"""Which of the processes that write one journal forwards it: one of them, and another when that one has ended."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from weakref import WeakSet

from useridentity.audit.sinks.sink import Undelivered

MODE = 0o600


class Turn:
    """A lock on a file, which the system releases however the process ends; for all its threads together.

    A child that the process forks has no part in it: it may outlive who forwards, and forwards nothing itself.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        _TURNS.add(self)

    def take(self) -> bool:
        """Whether this process has the turn; never waits. Raises `Undelivered` where nobody can have it."""
        with self._lock:
            if self._descriptor is None:
                self._descriptor = self._locked()
            return self._descriptor is not None

    def give_back(self) -> None:
        """Let another process have it."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def leave(self) -> None:
        """Have no part in it, as a child that was forked with threads whose locks nobody gives back any more."""
        self._lock = threading.Lock()
        self.give_back()

    def _locked(self) -> int | None:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise Undelivered(f"{self._path}: {error.strerror or error}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor


_TURNS: WeakSet[Turn] = WeakSet()


def _leave_all() -> None:
    for turn in list(_TURNS):
        turn.leave()


os.register_at_fork(after_in_child=_leave_all)
