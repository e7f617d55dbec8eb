"""Files that are read whole."""

from __future__ import annotations

import errno
import os

MAX_FILE = 64 * 2**20
"""Bytes, where nothing less is enough: the longest revocation lists have some ten million."""


def content(path: str | os.PathLike[str], most: int = MAX_FILE) -> bytes:
    """What the file holds; raises `OSError` where it cannot be read, or is longer than `most` bytes.

    A device has no end, and the size of one that is still written says nothing.
    """
    with open(path, "rb") as file:
        octets = file.read(most + 1)
    if len(octets) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes")
    return octets
