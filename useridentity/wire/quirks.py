"""What the installed base gets wrong inside the items of an A-ASSOCIATE PDU, put right for stock pynetdicom.

Names lose their padding. A user sub-item over which stock would abort the association is dropped, as one
of an unknown type is (PS3.7 D.2): it refines the negotiation, which can do without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import pack

MAX_UID_LENGTH = 64
"""Characters of a UID (PS3.8 F.1)."""

MAX_VERSION_NAME_LENGTH = 16
"""Characters of an Implementation-version-name (PS3.7 Table D.3-3)."""

PADDING = b"\0 \t\n\v\f\r\x1c\x1d\x1e\x1f"
"""What names are padded with: NUL and space in practice; the rest is what `str.strip` removes for stock."""


class _UnreadableError(Exception):
    """Stock pynetdicom would abort over this sub-item."""


def uid(name: bytes) -> bytes | None:
    """`name` without padding, which PS3.8 F.1 forbids and peers send; None where it cannot be a UID."""
    name = name.strip(PADDING)
    return name if len(name) <= MAX_UID_LENGTH and name.isascii() else None


def is_printable(name: bytes) -> bool:
    """Whether `name` has only characters that AE titles and version names may have."""
    return name.isascii() and name.decode("ascii").isprintable() and b"\\" not in name


def readable(kind: int, content: bytes) -> bytes | None:
    """The content of a user sub-item of type `kind` as stock reads it, None where stock cannot."""
    try:
        return _READERS[kind](content)
    except (_UnreadableError, KeyError):
        return None


def _maximum_length(content: bytes) -> bytes:
    """51H (PS3.8 Table D.1-1)."""
    if len(content) != 4:
        raise _UnreadableError
    return content


def _implementation_class_uid(content: bytes) -> bytes:
    """52H (PS3.7 Table D.3-1)."""
    if (name := uid(content)) is None:
        raise _UnreadableError
    return name


def _asynchronous_operations_window(content: bytes) -> bytes:
    """53H (PS3.7 Table D.3-7)."""
    if len(content) < 4:
        raise _UnreadableError
    return content[:4]


def _role_selection(content: bytes) -> bytes:
    """54H (PS3.7 Table D.3-9): a UID and two roles, 0 or 1."""
    name, end = _counted_uid(content, 0)
    roles = content[end : end + 2]
    if len(roles) < 2 or max(roles) > 1:
        raise _UnreadableError
    return name + roles


def _version_name(content: bytes) -> bytes:
    """55H (PS3.7 Table D.3-3)."""
    name = content[:MAX_VERSION_NAME_LENGTH].strip(PADDING)
    if not is_printable(name):
        raise _UnreadableError
    return name


def _extended_negotiation(content: bytes) -> bytes:
    """56H (PS3.7 Table D.3-11): a UID, and what its service class makes of the rest."""
    name, end = _counted_uid(content, 0)
    return name + content[end:]


def _common_extended_negotiation(content: bytes) -> bytes:
    """57H (PS3.7 Table D.3-12): two UIDs, then the length and the UIDs of the related general SOP classes."""
    sop_class, end = _counted_uid(content, 0)
    service_class, end = _counted_uid(content, end)
    if end + 2 > len(content):
        raise _UnreadableError
    end += 2
    related = []
    while end < len(content):
        name, end = _counted_uid(content, end)
        related.append(name)
    names = b"".join(related)
    return sop_class + service_class + pack(">H", len(names)) + names


def _counted_uid(content: bytes, start: int) -> tuple[bytes, int]:
    """The UID counted by the two bytes at `start`, its count before it and no padding in it, and where it ends."""
    end = start + 2 + int.from_bytes(content[start : start + 2], "big")
    name = uid(content[start + 2 : end])
    if end > len(content) or not name:
        raise _UnreadableError
    return pack(">H", len(name)) + name, end


_READERS: Mapping[int, Callable[[bytes], bytes]] = {
    0x51: _maximum_length,
    0x52: _implementation_class_uid,
    0x53: _asynchronous_operations_window,
    0x54: _role_selection,
    0x55: _version_name,
    0x56: _extended_negotiation,
    0x57: _common_extended_negotiation,
}
