"""The mark: how far the journal was, kept beside its key, so that who has only the journal cannot cut its end off.

It is as good as the key's place: who can write there too can put an older mark back together with an older journal.
"""

from __future__ import annotations

import os
from pathlib import Path

from useridentity.audit.chain import Chain, Head
from useridentity.errors import ConfigurationError
from useridentity.mechanisms import private_file


def mark_of(journal: Path, key: Path) -> Path:
    """Where the mark of this journal is."""
    return key.with_name(f"{key.name}.{journal.name}.mark")


def read_mark(path: Path, chain: Chain) -> tuple[str, Head] | None:
    """The journal's id and its newest record when it was last marked, None where it never was.

    Raises `ConfigurationError` where the mark is not a private file, or the key did not seal it.
    """
    return _parsed(path, private_file.read(path), chain) if os.path.lexists(path) else None


def write_mark(path: Path, chain: Chain, journal: str, head: Head) -> None:
    """Mark that the journal has this record on disk; a mark never goes back. Raises `ConfigurationError`."""
    seal = chain.seal("mark", journal, head)
    line = f"{journal} {head.sequence} {head.mac.hex()} {seal.hex()}\n"
    private_file.create(path, line)
    with private_file.replacing(path) as (text, replace):
        before = _parsed(path, text, chain)
        if before[0] != journal or before[1].sequence < head.sequence:
            replace(line)


def _parsed(path: Path, text: str, chain: Chain) -> tuple[str, Head]:
    try:
        journal, sequence, mac, seal = text.split()
        head = Head(int(sequence), bytes.fromhex(mac))
        if chain.seal("mark", journal, head).hex() == seal:
            return journal, head
    except (ValueError, ConfigurationError):
        pass
    raise ConfigurationError(
        f"{path}: is not what the key sealed; restore both from a copy, or remove this mark to go on without it"
    )
