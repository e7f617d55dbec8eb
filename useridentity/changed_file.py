"""Files that are changed or replaced while a server runs: the next use finds the new one."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from useridentity.errors import ConfigurationError

Fingerprint = tuple[int, ...]

RETRY_AFTER = 5.0
"""Seconds after a file could not be used: what was wrong need not be in it, and then no change of it tells its end."""

T = TypeVar("T")


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Differs once the file was changed, replaced or made readable, also behind a symbolic link; empty without one."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Reread(Generic[T]):
    """What `read` makes of some files, read again once one of them was changed. Safe to use from many threads.

    A change for the worse, for which `read` raises `ConfigurationError`, is logged once, and what was read before stays
    until the files can be read; at first it is raised. `what` says in the log what is read, in the plural.
    """

    def __init__(
        self, files: Iterable[str | os.PathLike[str]], read: Callable[[], T], what: str, log: logging.Logger
    ) -> None:
        self._files = tuple(files)
        self._read = read
        self._what = what
        self._log = log
        self._lock = threading.Lock()
        self._seen: list[Fingerprint] = []
        self._told = ""
        self.prepare()()

    def current(self) -> T:
        """What is read of the files as they are, or of the last that could be used."""
        with self._lock:
            seen, now = self._fingerprints(), time.monotonic()
            if self._seen != seen or now >= self._retry_at:
                self._seen = seen
                self._read_again(now)
            return self._value

    def prepare(self) -> Callable[[], None]:
        """Read the files, changed or not; what is returned puts them to use, and cannot fail.

        Raises `ConfigurationError`.
        """
        seen, value = self._fingerprints(), self._read()

        def use() -> None:
            with self._lock:
                self._seen = seen
                self._use(value)

        return use

    def _read_again(self, now: float) -> None:
        try:
            self._use(self._read())
        except ConfigurationError as error:
            self._retry_at, told = now + RETRY_AFTER, str(error)
            if told != self._told:
                self._log.error("%s not read again, those of before stay in use: %s", self._what, told)
            self._told = told

    def _use(self, value: T) -> None:
        self._value, self._retry_at, self._told = value, float("inf"), ""

    def _fingerprints(self) -> list[Fingerprint]:
        return [fingerprint(path) for path in self._files]
