"""Files that are changed or replaced while a server runs: the next use finds the new one."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from useridentity.errors import ConfigurationError

Fingerprint = tuple[int, ...]

T = TypeVar("T")


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Differs once the file was changed, replaced or made readable, also behind a symbolic link; empty without one."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Reread(Generic[T]):
    """What `read` makes of the file at `path`, read again once it was changed. Safe to use from many threads.

    A change for the worse, for which `read` raises `ConfigurationError`, is logged, and what was read before stays;
    at first it is raised. `what` says in the log what is read, in the plural.
    """

    def __init__(self, path: str | os.PathLike[str], read: Callable[[], T], what: str, log: logging.Logger) -> None:
        self._path = path
        self._read = read
        self._what = what
        self._log = log
        self._lock = threading.Lock()
        self._seen = fingerprint(path)
        self._value = read()

    def current(self) -> T:
        with self._lock:
            if self._seen != (seen := fingerprint(self._path)):
                self._seen = seen
                try:
                    self._value = self._read()
                except ConfigurationError as error:
                    self._log.error("%s not read again, those of before stay in use: %s", self._what, error)
            return self._value
