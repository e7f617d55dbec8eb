"""A-ASSOCIATE-RQ and its parts built octet by octet, independently of every parser under test."""

from __future__ import annotations

import struct

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

RELEASE_RQ = bytes.fromhex("0500 00000004 00000000")  # PS3.8 Table 9-24
MAXIMUM_LENGTH = bytes.fromhex("5100 0004 00004000")  # PS3.8 Table D.1-1: 16384 octets
IMPLEMENTATION_CLASS_UID = b"\x52\x00\x00\x091.2.3.4.5"  # PS3.7 Table D.3-1


def item(item_type: int, content: bytes) -> bytes:
    """An item or sub-item: type, reserved, 16-bit length, content (PS3.8 9.3.2)."""
    return struct.pack(">BxH", item_type, len(content)) + content


def user_identity(
    identity_type: int, primary: bytes, secondary: bytes = b"", *, positive_response_requested: bool = False
) -> bytes:
    """A User Identity sub-item, 58H (PS3.7 Table D.3-14)."""
    fields = b"".join(struct.pack(">H", len(each)) + each for each in (primary, secondary))
    return item(0x58, bytes([identity_type, positive_response_requested]) + fields)


def presentation_context(
    context_id: int, abstract_syntax: str, transfer_syntaxes: tuple[str, ...] = (IMPLICIT_VR_LITTLE_ENDIAN,)
) -> bytes:
    """A presentation context item, 20H (PS3.8 Table 9-13)."""
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in transfer_syntaxes)
    return item(0x20, bytes([context_id, 0, 0, 0]) + item(0x30, abstract_syntax.encode()) + syntaxes)


def associate_rq(
    *user_items: bytes,
    contexts: tuple[bytes, ...] = (presentation_context(1, VERIFICATION),),
    called: str = "ANY-SCP",
    calling: str = "RAW",
) -> bytes:
    """A whole A-ASSOCIATE-RQ; `user_items` follow 51H and 52H in its user information item, 50H."""
    fixed = struct.pack(">Hxx16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    user_information = item(0x50, MAXIMUM_LENGTH + IMPLEMENTATION_CLASS_UID + b"".join(user_items))
    return pdu(1, fixed + item(0x10, APPLICATION_CONTEXT.encode()) + b"".join(contexts) + user_information)


def pdu(pdu_type: int, body: bytes) -> bytes:
    """A PDU: type, reserved, 32-bit length, body (PS3.8 9.3.1)."""
    return struct.pack(">BxI", pdu_type, len(body)) + body
