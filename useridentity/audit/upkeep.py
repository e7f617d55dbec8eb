"""The file of the journal that is written: opened anew when it must be, put away when full, removed when outdated.

For the thread that writes; nothing here is safe to use from others.
"""

from __future__ import annotations

import logging
import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from useridentity.audit.archive import alone, archives, files, full_name, inherited, outdated
from useridentity.audit.chain import Chain, Head, make_key, read_key
from useridentity.audit.mark import Mark, mark_of, read_mark, write_mark
from useridentity.audit.reader import JournalReader
from useridentity.audit.segment import Entry, Segment, begin, check_private, problem
from useridentity.errors import ConfigurationError, Unavailable

LOGGER = logging.getLogger("useridentity.audit")

ROTATE = 1024**3
"""Bytes of a file of the journal, about a million records, before the next one is begun."""


class Upkeep(NamedTuple):
    """When a file is full, in bytes; for how many seconds full ones are kept, None for ever; whose cursors count."""

    rotate_bytes: int
    keep: float | None
    sinks: tuple[str, ...]


class WrittenFile:
    """The newest file of a journal. `head` is what was last written to it, None before anything was."""

    def __init__(self, path: Path, key: Path, reader: JournalReader, upkeep: Upkeep) -> None:
        self._path = path
        self._key = key
        self._mark = mark_of(path, key)
        self._unmarked = ""
        self._reader = reader
        self._upkeep = upkeep
        self._segment: Segment | None = None
        self.head: tuple[str, Head] | None = None

    def check(self) -> int:
        """Find now what would never work; a file that is locked or on a full disk may work later.

        The number of the newest record, 0 where it cannot be told yet. Nothing stays open: whoever loads a policy
        may find it bad, or fork. Raises `ConfigurationError`.
        """
        if self._key == self._path:
            raise ConfigurationError(f"{self._path}: is named as the journal and as its key; name another file for one")
        for path in (self._path, self._key):
            if not path.parent.is_dir():
                raise ConfigurationError(f"{path}: there is no folder {path.parent}; make it, or name another")
        if self._key.exists():
            self._marked(Chain(read_key(self._key)))
        elif left := [*files(self._path), *([self._mark] if self._mark.exists() else [])]:
            raise ConfigurationError(
                f"{self._key}: the key of the journal {self._path} is missing; restore it from a copy, or move "
                f"{', '.join(each.name for each in left)} away for a new one to be begun"
            )
        passing = self._reader.check() if self._path.exists() else ""
        try:
            if os.path.lexists(self._path):
                check_private(self._path)
            return self._reader.last()
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._path}: {each}" for each in error.problems) from None
        except Unavailable as unavailable:
            LOGGER.warning("%s; nothing is recorded until that is over", passing or unavailable.detail)
            return 0

    def current(self) -> Segment:
        """The file that has the name now, with its log: one that was moved away is no journal any more."""
        if self._segment is not None and (lost := self._segment.lost):
            LOGGER.error("%s: %s", self._path, lost)
            with self._reader.paused():  # who reads keeps what is in the log from being put into the file
                self._segment.leave()
            self._segment = None
        if self._segment is None:
            self._segment = self._opened()
        return self._segment

    def follows(self, segment: Segment) -> tuple[str, Head]:
        """What the next record of the file follows; raises `ConfigurationError` where that is not what was written."""
        journal, head = segment.head
        before, written = self.head or (journal, head)
        if journal != before:
            raise ConfigurationError(
                "is another journal than the one that was written; put that back, or move this one away for a new "
                "file to continue from there"
            )
        if head.sequence < written.sequence:
            raise ConfigurationError(
                f"is an older copy: it ends with record {head.sequence}, and record {written.sequence} was written; "
                "move it away for a new file to continue from there"
            )
        return journal, head

    def look_after(self, *, is_due: bool) -> None:
        """Leave a full file, so that whoever puts it away has it alone.

        Where it `is_due`: mark how far the journal is, remove what is outdated, and put a full file away.
        """
        if is_due:
            self._set_mark()
        try:
            if is_due and self._upkeep.keep is not None:
                self._retire(self._upkeep.keep)
            if self.current().is_full(self._upkeep.rotate_bytes):
                self.close()
                if is_due:
                    self._put_away()
        except Exception as error:  # noqa: BLE001  what was written stays written, and the thread has to go on
            LOGGER.warning("%s: %s; files are put away and removed later", self._path, problem(error))
            self.close()

    def end(self) -> None:
        """Mark how far the journal is, and close its file."""
        self.close()
        self._set_mark()

    def close(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    def _set_mark(self) -> None:
        """Nobody waits for it, and what was written is written: a key's folder may be one for reading only."""
        try:
            if self.head is not None:
                write_mark(self._mark, Chain(read_key(self._key)), Mark(*self.head, self._path.resolve()))
        except ConfigurationError as error:
            if str(error) != self._unmarked:
                LOGGER.warning("%s; that the journal was cut off shows only by what sinks have kept", error)
            self._unmarked = str(error)

    def _opened(self) -> Segment:
        if not self._path.exists() and not archives(self._path):
            make_key(self._key)
        chain = Chain(read_key(self._key))
        self.head = self.head or self._marked(chain)
        with alone(self._key):
            if not self._path.exists():
                left, cursors = inherited(self._path, chain)
                heads = [each for each in (left, self.head) if each is not None]
                base = max(heads, key=lambda each: each[1].sequence, default=None)  # others may have gone on
                begin(self._path, chain, base, cursors)
            return Segment(self._path, chain)

    def _marked(self, chain: Chain) -> tuple[str, Head] | None:
        """How far the journal was; raises `ConfigurationError` where another journal's mark has the name of its own."""
        mark = read_mark(self._mark, chain)
        if mark is None:
            return None
        if mark.place != self._path.resolve() and mark.place.is_file() and not self._path.exists():
            raise ConfigurationError(
                f"{self._path}: has the key and the name of the journal {mark.place}; give it a key of its own"
            )
        return mark.journal, mark.head

    def _put_away(self) -> None:
        """Begin the next file, unless somebody has this one open: who has left it cannot open it meanwhile."""
        chain = Chain(read_key(self._key))
        with alone(self._key), self._reader.paused():
            with closing(Segment(self._path, chain)) as segment:
                if not (segment.is_full(self._upkeep.rotate_bytes) and segment.settle()):
                    return
                base, cursors = segment.head, segment.cursors()
            begin(self._path, chain, base, cursors, instead_of=full_name(self._path))

    def _retire(self, keep: float) -> None:
        """Remove full files that are older than `keep` seconds and that every sink has taken."""
        segment, chain = self.current(), Chain(read_key(self._key))
        cursors = segment.cursors()  # those of sinks that are not used any more do not matter
        taken = min((cursors.get(sink, 0) for sink in self._upkeep.sinks), default=None)
        for archive in outdated(self._path, chain, keep, taken):
            with segment.transaction():
                journal, before = self.follows(segment)
                head = segment.append([Entry.of(archive.retirement)], (journal, before))
            self.head = (journal, head)
            archive.path.unlink()
