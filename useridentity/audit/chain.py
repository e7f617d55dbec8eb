"""The chain of the journal: every record vouches for the one before, by a key that is kept apart from it.

A record's MAC covers its number, the MAC before it and its text, so that whoever has the journal but not the
key can change, move or take out nothing unseen; only cut its end off, which anchors show.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from useridentity.errors import ConfigurationError
from useridentity.mechanisms import private_file

KEY_LENGTH = 32
"""Bytes: as many as SHA-256 gives, which RFC 2104 3 asks for."""

SEALS = ("base", "head")
"""What a file of the journal says of itself: the head it continues, and the one it ends with."""


class Head(NamedTuple):
    """A place in the chain: the number of a record, and its MAC."""

    sequence: int
    mac: bytes


class Chain:
    """The MACs of one journal, by its key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def start(self, journal: str) -> Head:
        """What the first record of the journal with this id continues."""
        return Head(0, self._mac(b"journal", journal.encode()))

    def link(self, before: Head, body: str) -> Head:
        """The head after one more record with this text."""
        return Head(before.sequence + 1, self.mac(before.mac, before.sequence + 1, body))

    def mac(self, before: bytes, sequence: int, body: str) -> bytes:
        return self._mac(b"record", before, sequence.to_bytes(8), body.encode())

    def seal(self, name: str, journal: str, head: Head) -> bytes:
        """What makes a head its writer's own words, and not those of whoever can write the file.

        Raises `ConfigurationError` for what is no head: SQLite keeps a value of any type in any column.
        """
        is_head = isinstance(head.sequence, int) and 0 <= head.sequence < 2**63 and isinstance(head.mac, bytes)
        if not (is_head and isinstance(journal, str) and journal.isascii()):
            raise ConfigurationError(f"the {name} is not one that any key sealed: the file was tampered with")
        return self._mac(name.encode(), journal.encode(), head.sequence.to_bytes(8), head.mac)

    def _mac(self, kind: bytes, *parts: bytes) -> bytes:
        """All parts but the last are of fixed length for their kind, so that no two lists look the same."""
        return hmac.digest(self._key, b"\0".join((kind, *parts)), "sha256")


def read_key(path: Path) -> bytes:
    """The key in the file; raises `ConfigurationError` where there is none, or it is not a private file."""
    try:
        key = bytes.fromhex(private_file.read(path).strip())
    except ValueError:
        key = b""
    if len(key) != KEY_LENGTH:
        raise ConfigurationError(
            f"{path}: should hold {2 * KEY_LENGTH} hexadecimal digits and nothing else; restore it from a copy"
        )
    return key


def make_key(path: Path) -> None:
    """Make the file with a new key, mode 0600, unless there is one."""
    if not os.path.lexists(path):
        private_file.create(path, secrets.token_hex(KEY_LENGTH) + "\n")
