"""What every provider of a bearer token keeps to: who has the token is the user, so who may see it is listed.

PS3.7 D.3.3.7 puts the token itself into the association request, so whoever is connected to has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from useridentity.credential import Confirmation, Credential, IdentityType
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed
from useridentity.facts import Peer
from useridentity.mechanisms.username import UsernameOffer

Plaintext = Literal["refuse", "allow"]
"""What to do with a token where the peer's TLS certificate is not verified; "allow" is for a wire that other
means protect."""

MAX_FIELD = 65_535
"""Bytes: the Primary-field-length has 16 bits (PS3.7 Table D.3-14)."""

_COMPACT = re.compile(rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2}(?:(?:\.[A-Za-z0-9_-]*){2})?")


def check_provider(peers: Sequence[str], plaintext: str) -> None:
    """Raises `ConfigurationError` where the peers are no list of names, or `plaintext` is no word known."""
    problems = []
    if isinstance(peers, str) or not peers or not all(isinstance(name, str) and name for name in peers):
        problems.append(
            'peers: list the hosts that may see the token: ["pacs.example.org"], ["*.example.org"] or ["*"]'
        )
    if plaintext not in get_args(Plaintext):
        problems.append(f'plaintext is {plaintext!r}; write "refuse" or "allow"')
    if problems:
        raise ConfigurationError(problems)


def check_may_see(peer: Peer, peers: Sequence[str], plaintext: str) -> None:
    """Raises `CredentialUnavailable` where a token may not travel to `peer`.

    A name is compared with the one that the peer's certificate was verified for; without TLS there is
    only the address that was dialled. `*` stands for any characters.
    """
    if plaintext != "allow" and not peer.tls_verified:
        raise CredentialUnavailable(
            f"the token stays here: {peer.address}:{peer.port} is not reached over TLS with a verified certificate; "
            'use TLS, or plaintext="allow" where other means protect the wire'
        )
    name = peer.server_name if peer.tls_verified else peer.address
    if not any(_matches(pattern, name) for pattern in peers):
        raise CredentialUnavailable(f"the token stays here: {name} is not among its peers ({', '.join(peers)})")


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.lower().split("*"))), name.lower()) is not None


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
