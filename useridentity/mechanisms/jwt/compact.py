"""The primary field of type 5 into its parts: a JWS in Compact Serialization (RFC 7515 7.1), and nothing else.

Everything here is decided before any cryptography, from octets that anybody may have sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.mechanisms.strict_json import Malformed, base64url, json_object

MAX_TOKEN = 16 * 1024
"""Bytes. Issuers make tokens that fit an HTTP header, which common servers end at 8 to 16 KiB; the
primary field could carry four times that, and every one of them is parsed before anything is proved."""

MAX_SHOWN = 80
"""Characters of a token's own words that a refusal repeats."""

JWS_PARTS, JWE_PARTS = 3, 5


@dataclass(frozen=True, slots=True)
class Token:
    """A token's parts; nothing in it is proved until `signature` over `signing_input` is verified."""

    header: Mapping[str, Any] = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def refusal(problem: str, reason: Reason = Reason.CREDENTIAL_INVALID) -> Refused:
    """The verdict about a token that has this problem."""
    return Refused(reason, f"the token {problem}")


def shown(value: object) -> str:
    """A value out of a token, escaped and cut for the log."""
    text = json.dumps(value, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def parse(primary_field: bytes) -> Token:
    """The token that a primary field holds; raises `Refused` for everything that is no signed JWT.

    One line end after the token is taken off: DCMTK's `storescu --jwt FILE` sends the file byte for
    byte, and an editor leaves one there.
    """
    compact = primary_field.removesuffix(b"\n").removesuffix(b"\r")
    if len(compact) > MAX_TOKEN:
        raise refusal(f"has {len(compact)} bytes, at most {MAX_TOKEN} are looked at")
    parts = _parts(compact)
    try:
        header, claims = json_object(base64url(parts[0])), json_object(base64url(parts[1]))
        return Token(header, claims, compact[: compact.rindex(b".")], base64url(parts[2]))
    except Malformed as malformed:
        problem = str(malformed)
    raise refusal(f"is malformed: {problem}")


def _parts(compact: bytes) -> list[bytes]:
    if compact[:7].lower() == b"bearer ":
        raise refusal('starts with "Bearer ": send the token alone (PS3.7 D.3.3.7 Note 3)')
    parts = compact.split(b".")
    if len(parts) == JWE_PARTS:
        raise refusal("is encrypted (JWE); have the issuer sign it only, TLS keeps it from others")
    if len(parts) == 1:
        raise refusal("is opaque, or no token: a JWT has dots; have the issuer issue JWTs for this audience")
    if len(parts) != JWS_PARTS:
        raise refusal(f"has {len(parts)} parts, a signed JWT has {JWS_PARTS} (RFC 7515 7.1)")
    if not parts[2]:
        raise refusal("is not signed")
    return parts
