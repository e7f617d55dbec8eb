"""The mark: how far the journal was, kept beside its key, so that who has only the journal cannot cut its end off.

It is as good as the key's place: who can write there too can put an older mark back together with an older journal.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from useridentity.audit.chain import Chain, Head
from useridentity.errors import ConfigurationError
from useridentity.mechanisms import private_file


def mark_of(journal: Path, key: Path) -> Path:
    """Where the mark of this journal is."""
    return key.with_name(f"{key.name}.{journal.name}.mark")


class Mark(NamedTuple):
    """The journal's id, its newest record when it was last marked, and where its file was then."""

    journal: str
    head: Head
    place: Path


def read_mark(path: Path, chain: Chain) -> Mark | None:
    """The mark in a file, None where there is none yet.

    Raises `ConfigurationError` where it is not a private file, or the key did not seal it.
    """
    return _parsed(path, private_file.read(path), chain) if os.path.lexists(path) else None


def write_mark(path: Path, chain: Chain, mark: Mark) -> None:
    """Mark what the journal has on disk; a mark never goes back, nor to another journal.

    Raises `ConfigurationError`.
    """
    seal = chain.seal("mark", mark.journal, mark.head)
    line = f"{mark.journal} {mark.head.sequence} {mark.head.mac.hex()} {seal.hex()} {json.dumps(str(mark.place))}\n"
    private_file.create(path, line)
    with private_file.replacing(path) as (text, replace):
        before = _parsed(path, text, chain)
        if before.journal != mark.journal:
            raise ConfigurationError(f"{path}: is of another journal, {before.place}; give one of them another key")
        if before.head.sequence < mark.head.sequence:
            replace(line)


def _parsed(path: Path, text: str, chain: Chain) -> Mark:
    try:
        journal, sequence, mac, seal, *place = text.split(maxsplit=4)  # no place in marks of earlier builds
        head = Head(int(sequence), bytes.fromhex(mac))
        if chain.seal("mark", journal, head).hex() == seal:
            return Mark(journal, head, Path(*map(json.loads, place)))
    except (ValueError, TypeError, RecursionError, ConfigurationError):
        pass
    raise ConfigurationError(
        f"{path}: is not what the key sealed; restore both from a copy, or remove this mark to go on without it"
    )
