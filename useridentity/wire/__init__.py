"""A-ASSOCIATE-RQ and -AC PDUs as bytes (PS3.8 9.3.2, 9.3.3), and the user identity in them (PS3.7 D.3.3.7).

Decoding is strict about lengths and about whatever an identity could be hidden in or disguised as, and
about nothing else: what stock pynetdicom accepts from the installed base is accepted, and
`Associate.normalised` always gives stock pynetdicom bytes that it can read. Encoding is lossless:
`decode(pdu).encode() == pdu`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import pack
from typing import NamedTuple

from useridentity.credential import Credential
from useridentity.decision import Answer
from useridentity.errors import CredentialUnavailable, WireError
from useridentity.wire.identity_items import (
    decode_credential,
    decode_server_response,
    encode_credential,
    encode_server_response,
)
from useridentity.wire.quirks import PADDING, is_printable, readable, uid

MAX_ASSOCIATE_LENGTH = 256 * 1024
"""Bytes of a PDU, all of it. PS3.8 sets no limit; 128 presentation contexts of 20 transfer syntaxes, with
UIDs of 64 characters, beside a user information item that a credential fills take 244 KiB."""

MAX_ITEM_LENGTH = 0xFFFF
"""Bytes in an item, because Item-length has two bytes; all user data shares one item (PS3.8 Table 9-16)."""

MAX_CONTEXTS = 128
"""Presentation contexts of a PDU: their identifiers are the odd numbers below 256 (PS3.8 Table 9-13). Stock
pynetdicom needs a second for what else 256 KiB can hold, and would spend it before any decision."""

ASSUMED_MAXIMUM_LENGTH = 16384
"""Bytes of a P-DATA-TF for a peer that states no maximum length: what the installed base takes by default."""

REQUEST, ACCEPT = 0x01, 0x02
"""PDU-type of an A-ASSOCIATE-RQ and of an A-ASSOCIATE-AC."""

_FIXED_LENGTH = 74  # from PDU-type to where the variable items begin (PS3.8 Table 9-11)
_CALLED, _CALLING = slice(10, 26), slice(26, 42)
_APPLICATION_CONTEXT = 0x10
_PRESENTATION_CONTEXT = {REQUEST: 0x20, ACCEPT: 0x21}
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_SYNTAXES = frozenset((_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX))
_USER_INFORMATION = 0x50
_MAXIMUM_LENGTH = 0x51
_USER_IDENTITY = {REQUEST: 0x58, ACCEPT: 0x59}
_IDENTITIES = frozenset(_USER_IDENTITY.values())
_IDENTITY_OVERHEAD = {REQUEST: 10, ACCEPT: 6}  # bytes of a 58H and of a 59H beside the fields they carry

_Span = tuple[int, int]  # start and end of an item in the PDU, its header included


@dataclass(frozen=True, slots=True)
class Associate:
    """One A-ASSOCIATE-RQ or -AC PDU; made by `decode`.

    Fields:
        pdu_type: `REQUEST` or `ACCEPT`.
        abstract_syntaxes: what a request proposes, one UID for each presentation context, in order.
        credential: the content of a request's 58H sub-item, None without one. Always None in an
            acceptance: an acceptor that sends the 58H back has confirmed nothing.
        server_response: the content of an acceptance's 59H sub-item, None without one.
    """

    pdu_type: int
    abstract_syntaxes: tuple[str, ...]
    credential: Credential | None
    server_response: bytes | None = field(repr=False)
    _pdu: bytes = field(repr=False)
    _user_information: _Span = field(repr=False)  # empty, at the end of the PDU, where there is none
    _identities: tuple[_Span, ...] = field(repr=False)

    @property
    def called_ae_title(self) -> str:
        """Without padding; what is not ASCII, in an acceptance, escaped (PS3.8 Table 9-17: not tested)."""
        return _text(self._pdu[_CALLED])

    @property
    def calling_ae_title(self) -> str:
        """Without padding; what is not ASCII, in an acceptance, escaped (PS3.8 Table 9-17: not tested)."""
        return _text(self._pdu[_CALLING])

    @property
    def protocol_version(self) -> int:
        """A bit for each version; bit 0 is the one to test (PS3.8 Table 9-11)."""
        return int.from_bytes(self._pdu[6:8], "big")

    @property
    def application_context_name(self) -> str:
        """Without padding, what is not ASCII escaped; empty where the item is missing (PS3.8 9.3.2.1)."""
        for kind, start, end in _items(self._pdu, _FIXED_LENGTH, len(self._pdu)):
            if kind == _APPLICATION_CONTEXT:
                return _text(self._pdu[start + 4 : end])
        return ""

    @property
    def free(self) -> int:
        """Bytes that a credential may have beside the other user data: primary and secondary field together
        in a request, the server response in an acceptance. Negative: not even an empty one fits."""
        return MAX_ITEM_LENGTH - len(self._other_user_data()) - _IDENTITY_OVERHEAD[self.pdu_type]

    def encode(self) -> bytes:
        """The bytes that were decoded."""
        return self._pdu

    def without_identity(self) -> bytes:
        """The PDU with every 58H and 59H sub-item taken out, and nothing else changed."""
        return self._with_user_data(self._other_user_data()) if self._identities else self._pdu

    def with_credential(self, credential: Credential) -> bytes:
        """The request with `credential` as its last user sub-item, in place of the one it had.

        Raises `CredentialUnavailable` where a 58H sub-item cannot carry it, naming the limit in bytes.
        """
        self._require(REQUEST)
        length = len(credential.primary_field) + len(credential.secondary_field)
        if length > self.free:
            raise CredentialUnavailable(
                f"the credential has {length} bytes, and the user information item has room for "
                f"{max(self.free, 0)} beside the rest of the negotiation (PS3.8 9.3.2.3); a shorter one is needed"
            )
        return self._with_identity(encode_credential(credential))

    def with_server_response(self, response: bytes) -> bytes:
        """The acceptance with `response` as its last user sub-item, in place of the one it had.

        Raises `WireError` where a 59H sub-item cannot carry it, naming the limit in bytes.
        """
        self._require(ACCEPT)
        if len(response) > self.free:
            message = f"the server response has {len(response)} bytes, and there is room for {max(self.free, 0)}"
            raise WireError("PS3.8 9.3.3.3", message, about_identity=True)
        return self._with_identity(encode_server_response(response))

    def normalised(self) -> bytes:
        """The PDU without identity, as stock pynetdicom can read it.

        Stock aborts, or leaves a thread and a socket behind, over items it does not know, protocol versions
        (to be judged before), padded names, and user sub-items too short for their fields: these are dropped
        or put right. It cannot send to a peer that states no maximum length either: one is assumed.
        """
        pdu = self._pdu
        items = []
        for kind, start, end in _items(pdu, _FIXED_LENGTH, len(pdu)):
            if kind == _PRESENTATION_CONTEXT[self.pdu_type]:
                items.append(_item(kind, _context(pdu, self.pdu_type, start, end).encode()))
            elif kind == _APPLICATION_CONTEXT and (name := uid(pdu[start + 4 : end])) is not None:
                items.append(_item(kind, name))
        items.append(_item(_USER_INFORMATION, self._readable_user_data()))
        titles = b"".join(pdu[title].strip(PADDING).ljust(16) for title in (_CALLED, _CALLING))
        return _pdu(pdu[:2], b"\0\1", pdu[8:10], titles, pdu[42:_FIXED_LENGTH], *items)

    def _readable_user_data(self) -> bytes:
        data, kept = self._other_user_data(), []
        for kind, start, end in _items(data, 0, len(data)):
            if (content := readable(kind, data[start + 4 : end])) is not None:
                kept.append(_item(kind, content))
        if not any(sub_item[0] == _MAXIMUM_LENGTH for sub_item in kept):
            kept.insert(0, _item(_MAXIMUM_LENGTH, pack(">I", ASSUMED_MAXIMUM_LENGTH)))
        while sum(map(len, kept)) > MAX_ITEM_LENGTH:  # only where there was no room for the one put in
            kept.pop()
        return b"".join(kept)

    def _require(self, pdu_type: int) -> None:
        if self.pdu_type != pdu_type:
            raise ValueError(f"a {_USER_IDENTITY[pdu_type]:02X}H goes into a PDU of type {pdu_type:02X}H only")

    def _other_user_data(self) -> bytes:
        """The user sub-items that are not an identity."""
        at, end = self._user_information[0] + 4, self._user_information[1]
        parts = []
        for identity_start, identity_end in self._identities:
            parts.append(self._pdu[at:identity_start])
            at = identity_end
        return b"".join((*parts, self._pdu[at:end]))

    def _with_identity(self, content: bytes) -> bytes:
        return self._with_user_data(self._other_user_data() + _item(_USER_IDENTITY[self.pdu_type], content))

    def _with_user_data(self, data: bytes) -> bytes:
        start, end = self._user_information
        reserved = self._pdu[start + 1 : start + 2] or b"\0"
        head = bytes([_USER_INFORMATION]) + reserved + pack(">H", len(data))
        return _pdu(self._pdu[:2], self._pdu[6:start], head, data, self._pdu[end:])


def decode(pdu: bytes | bytearray, *, limit: int = MAX_ASSOCIATE_LENGTH) -> Associate:
    """Read an A-ASSOCIATE-RQ or -AC PDU of at most `limit` bytes.

    Raises `WireError` and nothing else: what is wrong, where, and the rule it breaks, as stated for requests.
    """
    pdu = bytes(pdu)
    pdu_type = _check_fixed_fields(pdu, limit)
    abstract_syntaxes, user_information = [], (len(pdu), len(pdu))
    for kind, start, end in _items(pdu, _FIXED_LENGTH, len(pdu)):
        if kind == _PRESENTATION_CONTEXT[pdu_type]:
            abstract_syntaxes.append(_context(pdu, pdu_type, start, end).abstract_syntax)
            if len(abstract_syntaxes) > MAX_CONTEXTS:
                raise WireError("PS3.8 Table 9-13", f"more than {MAX_CONTEXTS} presentation contexts")
        elif kind in _IDENTITIES:
            raise _misplaced(kind, start)
        elif kind == _USER_INFORMATION:
            if user_information[0] < len(pdu):
                raise WireError("PS3.8 9.3.2", f"a second user information item at byte {start}", about_identity=True)
            user_information = start, end
    identities, own = _find_identities(pdu, pdu_type, *user_information)
    content = None if own is None else pdu[own[0] + 4 : own[1]]
    return Associate(
        pdu_type,
        tuple(name.decode("ascii") for name in abstract_syntaxes if name is not None),
        None if content is None or pdu_type != REQUEST else decode_credential(content),
        None if content is None or pdu_type != ACCEPT else decode_server_response(content),
        pdu,
        user_information,
        identities,
    )


def titles(pdu: bytes) -> tuple[str, str]:
    """Called and calling AE title of what may be no PDU otherwise; empty where it is too short for them."""
    whole = len(pdu) >= _FIXED_LENGTH
    return (_text(pdu[_CALLED]), _text(pdu[_CALLING])) if whole else ("", "")


def encode_rejection(answer: Answer) -> bytes:
    """An A-ASSOCIATE-RJ PDU (PS3.8 Table 9-21)."""
    return pack(">BxIx3B", 0x03, 4, *answer)


def encode_abort(source: int, reason: int) -> bytes:
    """An A-ABORT PDU (PS3.8 Table 9-26): source 0 is the UL service-user, 2 the UL service-provider."""
    return pack(">BxIxxBB", 0x07, 4, source, reason)


def _check_fixed_fields(pdu: bytes, limit: int) -> int:
    table = "PS3.8 Table 9-11"
    if not _FIXED_LENGTH <= len(pdu) <= limit:
        raise WireError(table, f"the PDU has {len(pdu)} bytes, and {_FIXED_LENGTH} to {limit} are possible here")
    if pdu[0] not in _USER_IDENTITY:
        raise WireError(table, f"PDU-type {pdu[0]:02X}H is neither an A-ASSOCIATE-RQ nor an A-ASSOCIATE-AC")
    if (length := int.from_bytes(pdu[2:6], "big")) != len(pdu) - 6:
        raise WireError(table, f"PDU-length is {length}, and {len(pdu) - 6} bytes follow it")
    for name, title in (("called", pdu[_CALLED]), ("calling", pdu[_CALLING])):
        stripped = title.strip(PADDING)
        if pdu[0] == REQUEST and not (stripped and is_printable(stripped)):
            raise WireError(table, f"the {name} AE title is {title!r}, which is blank or not printable ASCII")
    return pdu[0]


def _items(pdu: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of every item from `start` up to `end`."""
    while start < end:
        stop = start + 4
        if stop <= end:
            stop += pdu[start + 2] << 8 | pdu[start + 3]
        if stop > end:
            message = f"item {pdu[start]:02X}H at byte {start} goes on to byte {stop}, and what holds it to {end}"
            raise WireError("PS3.8 9.3.2", message, about_identity=pdu[start] in _IDENTITIES)
        yield pdu[start], start, stop
        start = stop


class _Context(NamedTuple):
    """What is significant in a presentation context item (PS3.8 Tables 9-13 and 9-18)."""

    fixed: bytes
    abstract_syntax: bytes | None
    transfer_syntaxes: list[bytes]

    def encode(self) -> bytes:
        names = [] if self.abstract_syntax is None else [_item(_ABSTRACT_SYNTAX, self.abstract_syntax)]
        return b"".join([self.fixed, *names, *(_item(_TRANSFER_SYNTAX, name) for name in self.transfer_syntaxes)])


def _context(pdu: bytes, pdu_type: int, start: int, end: int) -> _Context:
    """The presentation context item from `start` to `end`; stock hangs on what is refused here."""
    fixed = pdu[start + 4 : min(start + 8, end)]
    if len(fixed) < 4 or fixed[0] % 2 == 0:
        raise WireError("PS3.8 9.3.2.2", f"presentation context at byte {start}: cut short, or its identifier is even")
    significant = pdu_type == REQUEST or fixed[2] == 0  # else it "shall not be tested when received" (Table 9-18)
    abstract_syntax, transfer_syntaxes = None, []
    for kind, at, stop in _items(pdu, start + 8, end):
        if kind not in _SYNTAXES:
            if kind in _IDENTITIES:
                raise _misplaced(kind, at)
            continue
        name = uid(pdu[at + 4 : stop])
        if name is None and significant:
            raise WireError("PS3.8 F.1", f"sub-item {kind:02X}H at byte {at} is no UID: too long, or not ASCII")
        if kind == _ABSTRACT_SYNTAX:
            abstract_syntax = name
        elif name:
            transfer_syntaxes.append(name)
    if pdu_type == ACCEPT:
        return _Context(fixed, None, transfer_syntaxes)
    if abstract_syntax is None or not transfer_syntaxes:
        raise WireError("PS3.8 9.3.2.2", f"presentation context {fixed[0]} lacks an abstract or a transfer syntax")
    return _Context(fixed, abstract_syntax, transfer_syntaxes)


def _misplaced(kind: int, start: int) -> WireError:
    message = f"a {kind:02X}H sub-item at byte {start}, outside the user information item"
    return WireError("PS3.7 D.3.3.7", message, about_identity=True)


def _find_identities(pdu: bytes, pdu_type: int, start: int, end: int) -> tuple[tuple[_Span, ...], _Span | None]:
    """Where all 58H and 59H sub-items are, and the one that belongs into this PDU."""
    found, own = [], None
    for kind, at, stop in _items(pdu, start + 4, end):
        if kind not in _IDENTITIES:
            continue
        found.append((at, stop))
        if kind == _USER_IDENTITY[pdu_type]:
            if own:
                raise WireError("PS3.7 D.3.3.7", f"a second {kind:02X}H sub-item at byte {at}", about_identity=True)
            own = at, stop
        elif pdu_type == REQUEST:
            raise WireError("PS3.7 D.3.3.7.2", f"a 59H sub-item in a request, at byte {at}", about_identity=True)
    return tuple(found), own


def _item(kind: int, content: bytes) -> bytes:
    return pack(">BxH", kind, len(content)) + content


def _pdu(head: bytes, *parts: bytes) -> bytes:
    rest = b"".join(parts)
    return head + pack(">I", len(rest)) + rest


def _text(name: bytes) -> str:
    return name.strip(PADDING).decode("ascii", "backslashreplace")
