"""As much of ITU-T X.690 DER as a Kerberos message needs, strict: one encoding for one value."""

from __future__ import annotations

from useridentity.errors import WireError

SHORT_FORM = 0x80
"""Lengths below this are one octet (X.690 8.1.3.4)."""

SHORTEST = {1: 0x80, 2: 0x100}
"""The least length that needs so many octets (X.690 10.1). None needs three: nothing here is longer
than the 65535 bytes of a primary field (PS3.7 Table D.3-14)."""


def element(tag: int, *contents: bytes) -> bytes:
    """An element of a one-octet tag."""
    content = b"".join(contents)
    return bytes([tag]) + _length(len(content)) + content


def split(octets: bytes, tag: int, name: str) -> tuple[bytes, bytes]:
    """The content of the element `name` that `octets` begin with, and what follows it.

    Raises `WireError` unless its tag is `tag` and its length definite, the shortest possible and not
    beyond the end.
    """
    if octets[:1] != bytes([tag]):
        raise malformed(f"{name} should begin with {tag:02X}H and begins with {octets[:1].hex().upper() or 'nothing'}")
    header, length = _header(octets, name)
    end = header + length
    if end > len(octets):
        raise malformed(f"{name} announces {length} bytes, {len(octets) - header} are there")
    return octets[header:end], octets[end:]


def only(octets: bytes, tag: int, name: str) -> bytes:
    """The content of the element `name` that `octets` are; raises `WireError` as `split`, and for anything after it."""
    content, rest = split(octets, tag, name)
    if rest:
        raise malformed(f"{len(rest)} bytes follow {name}")
    return content


def malformed(what: str, rule: str = "ITU-T X.690") -> WireError:
    """The error for a credential or response that breaks `rule`."""
    return WireError(rule, what, about_identity=True)


def _header(octets: bytes, name: str) -> tuple[int, int]:
    """Octets of tag and length, and the length."""
    first = octets[1] if len(octets) > 1 else SHORT_FORM
    if first < SHORT_FORM:
        return 2, first
    count = first - SHORT_FORM
    length = int.from_bytes(octets[2 : 2 + count])
    if len(octets) < 2 + count or length < SHORTEST.get(count, length + 1):
        raise malformed(f"the length of {name} is not in the definite, shortest form")
    return 2 + count, length


def _length(length: int) -> bytes:
    if length < SHORT_FORM:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([SHORT_FORM + len(octets)]) + octets
