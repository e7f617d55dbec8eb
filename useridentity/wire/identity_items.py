"""What the user identity sub-items of an A-ASSOCIATE PDU hold, as bytes: 58H and 59H (PS3.7 D.3.3.7)."""

from __future__ import annotations

from struct import pack

from useridentity.credential import Credential, IdentityType
from useridentity.errors import CredentialUnavailable, WireError

_REQUEST_TABLE, _ACCEPT_TABLE = "PS3.7 Table D.3-14", "PS3.7 Table D.3-15"


def encode_credential(credential: Credential) -> bytes:
    """The content of a 58H (PS3.7 Table D.3-14).

    Raises `CredentialUnavailable` for an identity type that is none, or with a secondary field that it has not.
    """
    kind, primary, secondary = credential.identity_type, credential.primary_field, credential.secondary_field
    if not 0 <= kind <= 0xFF or (secondary and kind != IdentityType.USERNAME_PASSCODE):
        raise CredentialUnavailable(
            f"no user identity sub-item can have type {kind} and a secondary field of {len(secondary)} bytes: "
            f"the type is one byte, and only type 2 has a secondary field ({_REQUEST_TABLE})"
        )
    head = pack(">BBH", kind, credential.positive_response_requested, len(primary))
    return head + primary + pack(">H", len(secondary)) + secondary


def decode_credential(content: bytes) -> Credential:
    """What the content of a 58H says; raises `WireError`."""
    primary_end = 4 + int.from_bytes(content[2:4], "big")
    end = primary_end + 2 + int.from_bytes(content[primary_end : primary_end + 2], "big")
    if len(content) < 6 or end != len(content):
        message = f"the 58H sub-item has {len(content)} bytes, and its fields need {max(end, 6)}"
        raise WireError(_REQUEST_TABLE, message, about_identity=True)
    kind, secondary = content[0], content[primary_end + 2 :]
    if secondary and kind != IdentityType.USERNAME_PASSCODE:
        raise WireError(_REQUEST_TABLE, f"identity type {kind} with a secondary field", about_identity=True)
    return Credential(kind, content[4:primary_end], secondary, content[1] != 0)


def encode_server_response(response: bytes) -> bytes:
    """The content of a 59H (PS3.7 Table D.3-15)."""
    return pack(">H", len(response)) + response


def decode_server_response(content: bytes) -> bytes:
    """The server response in the content of a 59H; raises `WireError`."""
    end = 2 + int.from_bytes(content[:2], "big")
    if end != len(content):
        message = f"the 59H sub-item has {len(content)} bytes, and its fields need {end}"
        raise WireError(_ACCEPT_TABLE, message, about_identity=True)
    return content[2:]
