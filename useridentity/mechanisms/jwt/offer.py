"""A token in an association request, and the answer to it (PS3.7 D.3.3.7)."""

from __future__ import annotations

import re

from useridentity.credential import MAX_FIELD, Confirmation, Credential, IdentityType
from useridentity.errors import CredentialUnavailable, NotConfirmed
from useridentity.mechanisms.username import UsernameOffer

_COMPACT = re.compile(rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2}(?:(?:\.[A-Za-z0-9_-]*){2})?")


def token_octets(token: object, origin: str) -> bytes:
    """The token as it goes into the primary field; raises `CredentialUnavailable` for what is no compact JWT.

    `origin` says in an error where the token came from; the token itself is in no error.
    """
    octets = token.encode("utf-8", "replace") if isinstance(token, str) else token
    if not isinstance(octets, bytes):
        raise CredentialUnavailable(f"{origin} is a {type(token).__name__}, not bytes or a string")
    if len(octets) > MAX_FIELD:
        raise CredentialUnavailable(f"{origin} has {len(octets)} bytes, the item carries at most {MAX_FIELD}")
    if not _COMPACT.fullmatch(octets):
        raise CredentialUnavailable(
            f"{origin} is no JWT in compact form, which is all that DICOM carries (PS3.7 Table D.3-14); "
            'it has no dots if it is opaque, and "Bearer " does not belong to it'
        )
    return octets


class TokenOffer(UsernameOffer):
    """A token, held for one association. The answer to it has zero length, as for a username.

    PS3.7 Table D.3-15 gives type 5 no content. An acceptor that sends the token back, as some do, has
    shown that it read it and not that it understood it.
    """

    __slots__ = ()

    def __init__(self, token: bytes) -> None:
        super().__init__(Credential(IdentityType.JWT, token))

    def confirm(self, server_response: bytes | None) -> Confirmation:
        """Judge the Server-response; raises `NotConfirmed` unless it is there and empty."""
        if server_response == self.credential.primary_field:
            raise NotConfirmed("the acceptor sent the token back, which confirms nothing (PS3.7 Table D.3-15)")
        return super().confirm(server_response)
