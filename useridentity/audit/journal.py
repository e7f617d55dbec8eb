"""The journal: every audit record on disk, in order, chained; and where each sink is in it."""

from __future__ import annotations

from collections.abc import Sequence

from useridentity.audit.record import Record


class Journal:
    """What a forwarder reads from. Safe to use from many threads."""

    def read(self, after: int, limit: int) -> Sequence[tuple[int, Record]]:
        """Up to `limit` records with sequence numbers above `after`, in order; each is on disk.

        Raises `Unavailable` where the journal cannot be read now.
        """
        raise NotImplementedError

    def wait(self, after: int, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, for a record above `after`; whether there is one. Ends at `close`."""
        raise NotImplementedError

    def cursor(self, sink: str) -> int:
        """The sequence number up to which `sink` has taken every record, 0 at first; raises `Unavailable`."""
        raise NotImplementedError

    def advance(self, sink: str, sequence: int) -> None:
        """`sink` has taken every record up to `sequence`; on disk when this returns. Raises `Unavailable`."""
        raise NotImplementedError

    @property
    def last(self) -> int:
        """The sequence number of the newest record on disk, 0 where there is none; never waits."""
        raise NotImplementedError
