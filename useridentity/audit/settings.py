"""The table `[audit]` of a policy file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from useridentity.audit.forward import Forwarders
from useridentity.audit.journal import Journal
from useridentity.audit.message.style import MessageSettings
from useridentity.audit.sinks import open_sinks
from useridentity.audit.trail import Trail
from useridentity.audit.upkeep import ROTATE
from useridentity.settings import Bytes, Seconds


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What is recorded where.

    Fields:
        journal: the SQLite file that every record is written to, on a local disk.
        key: the file of the key that chains the records; kept where who has the journal has not the key. Left
            out: beside the journal, with the ending `.key`.
        on_failure: "reject": nobody is accepted and nothing more is served while no record can be written;
            "accept": everything goes on.
        rotate: size at which a file of the journal is full and the next one is begun.
        keep: how long full files are kept once every sink has taken them; left out: for ever.
        forward: the sinks that records are sent to: a URL each, or a table with a `url` and more
            (docs/audit-messages.md).
        message: how audit messages name this system, people and codes.
    """

    journal: Path
    key: Path | None = None
    on_failure: Literal["reject", "accept"] = "reject"
    rotate: Bytes = ROTATE
    keep: Seconds | None = None
    forward: tuple[object, ...] = ()
    message: MessageSettings = field(default_factory=MessageSettings)

    def open(self, folder: Path) -> Trail:
        """The trail that these settings ask for, sinks' paths relative to `folder`.

        Raises `ConfigurationError` where it cannot work.
        """
        sinks = open_sinks(self.forward, folder, self.message.style)
        key = self.key or key_beside(self.journal)
        names = [sink.name for sink in sinks]
        journal = Journal(self.journal, key, rotate_bytes=self.rotate, keep=self.keep, sinks=names)
        forwarders = Forwarders(sinks, self.journal.with_name(f"{self.journal.name}.forwarding"))
        return Trail(journal, self.on_failure, forwarders if sinks else None)


def key_beside(journal: Path) -> Path:
    """Where the key of a journal is unless another place is named."""
    return journal.parent / f"{journal.stem}.key"
