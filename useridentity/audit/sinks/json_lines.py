"""Records as lines of JSON in a file, each on disk before the journal's place moves on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from useridentity.audit.record import Record
from useridentity.audit.sinks.sink import AT_ONCE, Undelivered
from useridentity.mechanisms import private_file

MODE = 0o640
"""The file says who saw which patient."""

_BLOCK = 65536


class JsonLines:
    """Appends to `path`, which may be moved away while it is written: the next batch begins a new file."""

    batch = 1000
    confirm_after = AT_ONCE

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def send(self, records: Sequence[Record]) -> int:
        lines = "".join(f"{line(record)}\n" for record in records).encode("ascii")
        try:
            self._append(lines)
        except OSError as error:
            raise Undelivered(f"{self._path}: {_words(error)}") from None
        return 0

    def confirm(self) -> None:
        """What was synced was received."""

    def close(self) -> None:
        """Nothing is kept open."""

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # or two would cut off each other's last line
            end = _end_of_lines(descriptor)
            os.ftruncate(descriptor, end)
            try:
                _write_all(descriptor, lines)
                os.fsync(descriptor)
                if not end:
                    private_file.sync_folder(self._path.parent)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)


def line(record: Record) -> str:
    """The record as a line of printable ASCII."""
    return record.to_json().replace("\x7f", "\\u007f")


def _words(error: OSError) -> str:
    return "another process is writing it" if isinstance(error, BlockingIOError) else error.strerror or str(error)


def _write_all(descriptor: int, octets: bytes) -> None:
    """A full disk may take a part."""
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _end_of_lines(descriptor: int) -> int:
    """Where the last whole line ends: a crash may have left a part of one, which will be written again."""
    position = os.fstat(descriptor).st_size
    while position:
        start = max(0, position - _BLOCK)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0
