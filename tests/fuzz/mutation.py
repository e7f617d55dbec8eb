"""Mutants of real A-ASSOCIATE PDUs: the same ones for the same seed."""

from __future__ import annotations

from random import Random
from struct import pack

from tests.lib.pdus import item, user_identity
from tests.wire.vectors import MANY_CONTEXTS, VECTORS

FIXED_LENGTH = 74  # bytes before the variable items (PS3.8 Table 9-11)
CONTAINERS = {0x20: 8, 0x21: 8, 0x50: 4}  # items that hold sub-items, and where these begin
MANY_CONTEXTS_EVERY = 2000  # mutants; the one large PDU costs as much as thirty small ones

ODDITIES = [
    item(0x5A, b"unknown"),
    item(0x60, b""),
    item(0x51, b"\0\1"),
    item(0x53, b"\0"),
    item(0x54, b"\0\0\1\1"),
    item(0x54, b"\0\x031.2\2\1"),
    item(0x55, b"PADDED\0\0"),
    item(0x57, b"\0\x031.2\0\x031.3\0\5\0\x031.4"),
    item(0x59, b"\0\0"),
    item(0x59, b"\0\3no"),
    user_identity(6, b"reserved"),
    user_identity(2, b"", b""),
    user_identity(1, b"bob", b"not his"),
]


def split(data: bytes) -> list[bytes]:
    """The items one after the other in `data`; the last one may be cut short."""
    items = []
    while data:
        end = 4 + int.from_bytes(data[2:4], "big")
        items.append(data[:end])
        data = data[end:]
    return items


def headers(data: bytes, start: int = FIXED_LENGTH) -> list[int]:
    """Where every item and sub-item begins, counted from `start` bytes before `data`."""
    found = []
    for each in split(data):
        found.append(start)
        if each[0] in CONTAINERS:
            inside = CONTAINERS[each[0]]
            found += headers(each[inside:], start + inside)
        start += len(each)
    return found


def with_length(pdu: bytes) -> bytes:
    """The PDU with the PDU-length that it has."""
    return pdu[:2] + pack(">I", max(0, len(pdu) - 6)) + pdu[6:]


class Mutator:
    """Makes mutants of the vectors, each by one change or a few."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._corpus = [vector.pdu for vector in VECTORS]
        items = [each for pdu in self._corpus for each in split(pdu[FIXED_LENGTH:])]
        nested = [sub for each in items if each[0] in CONTAINERS for sub in split(each[CONTAINERS[each[0]] :])]
        self._items = [*items, *nested, *ODDITIES]
        self._byte_changes = (self._flip, self._set, self._resize, self._announce, self._cut, self._splice, self._edit)

    def mutant(self) -> bytes:
        """Another one."""
        pick = self._random
        pdu = MANY_CONTEXTS if pick.randrange(MANY_CONTEXTS_EVERY) == 0 else pick.choice(self._corpus)
        if pick.random() < 0.5:
            pdu = self._rearrange(pdu)
        for _ in range(pick.choice((0, 1, 1, 1, 2, 3))):
            pdu = pick.choice(self._byte_changes)(pdu)
        return pdu

    def _rearrange(self, pdu: bytes) -> bytes:
        """Change the items, or the sub-items of one of them, and put all lengths right."""
        items = split(pdu[FIXED_LENGTH:])
        containers = [index for index, each in enumerate(items) if each[0] in CONTAINERS]
        if self._random.random() < 0.7:
            index = self._random.choice(containers)
            inside = CONTAINERS[items[index][0]]
            content = items[index][4:inside] + self._reorder(split(items[index][inside:]))
            items[index] = items[index][:2] + pack(">H", len(content) & 0xFFFF) + content
            return with_length(pdu[:FIXED_LENGTH] + b"".join(items))
        return with_length(pdu[:FIXED_LENGTH] + self._reorder(items))

    def _reorder(self, items: list[bytes]) -> bytes:
        """Remove, duplicate, move, insert or rewrite one item."""
        pick = self._random
        at, to = pick.randrange(len(items) + 1), pick.randrange(len(items) + 1)
        taken = items[at : at + 1]
        rest = items[:at] + items[at + 1 :]
        change = pick.randrange(5)
        if change == 0:
            items = rest
        elif change == 1:
            items = items[:to] + taken + items[to:]
        elif change == 2:
            items = rest[:to] + taken + rest[to:]
        elif change == 3:
            items = [*items[:to], pick.choice(self._items), *items[to:]]
        elif taken:
            items = [*items[:at], item(taken[0][0], self._edited(taken[0][4:])), *items[at + 1 :]]
        return b"".join(items)

    def _edited(self, data: bytes) -> bytes:
        """Put a few bytes in, or take some out."""
        pick = self._random
        at = pick.randrange(len(data) + 1)
        if pick.random() < 0.5:
            return data[:at] + pick.choice((b"\0", b" ", b"\xff", pick.randbytes(3))) * pick.randrange(1, 4) + data[at:]
        return data[:at] + data[at + pick.randrange(1, 5) :]

    def _flip(self, pdu: bytes) -> bytes:
        changed = bytearray(pdu)
        for _ in range(self._random.randrange(1, 5) if pdu else 0):
            changed[self._random.randrange(len(pdu))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _set(self, pdu: bytes) -> bytes:
        at = self._random.randrange(len(pdu) + 1)
        return pdu[:at] + bytes([self._random.choice((0, 1, 2, 0x20, 0x58, 0x59, 0xFF))]) + pdu[at + 1 :]

    def _resize(self, pdu: bytes) -> bytes:
        """Lie about the length of one item, or within one."""
        starts = headers(pdu[FIXED_LENGTH:])
        if not starts:
            return pdu
        at = self._random.choice(starts) + self._random.choice((2, 2, 2, 6))
        length = int.from_bytes(pdu[at : at + 2], "big")
        lies = (length - 1, length + 1, length + self._random.randrange(-9, 10), 0, 0xFFFF, length ^ 0x100)
        return pdu[:at] + pack(">H", self._random.choice(lies) & 0xFFFF) + pdu[at + 2 :]

    def _announce(self, pdu: bytes) -> bytes:
        """Lie about the length of the PDU."""
        length = self._random.choice((0, len(pdu), len(pdu) - 7, 0xFFFFFFFF, self._random.randrange(1000)))
        return pdu[:2] + pack(">I", max(0, length)) + pdu[6:]

    def _cut(self, pdu: bytes) -> bytes:
        return self._maybe_with_length(pdu[: self._random.randrange(len(pdu) + 1)])

    def _splice(self, pdu: bytes) -> bytes:
        """Go on with another PDU, from the beginning of one of its items mostly."""
        other = self._random.choice(self._corpus)
        if self._random.random() < 0.3:
            at, to = self._random.randrange(len(pdu) + 1), self._random.randrange(len(other) + 1)
        else:
            at = self._random.choice([*headers(pdu[FIXED_LENGTH:]), len(pdu)])
            to = self._random.choice(headers(other[FIXED_LENGTH:]))
        return self._maybe_with_length(pdu[:at] + other[to:])

    def _edit(self, pdu: bytes) -> bytes:
        return self._maybe_with_length(self._edited(pdu))

    def _maybe_with_length(self, pdu: bytes) -> bytes:
        return with_length(pdu) if self._random.random() < 0.8 else pdu
