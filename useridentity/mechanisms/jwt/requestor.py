"""Association requestor: a token that somebody else obtained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from useridentity.facts import Peer
from useridentity.mechanisms.bearer import check_may_see, check_provider, in_file
from useridentity.mechanisms.given import Given, check_given, revealed
from useridentity.mechanisms.jwt.offer import TokenOffer, token_octets
from useridentity.mechanisms.plaintext import Plaintext


@dataclass(frozen=True, slots=True)
class Jwt:
    """Association requestor: a JSON Web Token in compact form.

    Fields:
        token: ASCII octets, a string, or a callable that gives either and is asked afresh for each association.
        peers: the hosts that may see it, by the name in their TLS certificate; `*` stands for any characters.
        plaintext: "refuse" (default) shows it only to a peer whose TLS certificate was verified.

    Raises `ConfigurationError` where one of them has the wrong type or word.
    """

    token: Given = field(repr=False)
    peers: Sequence[str] = field(kw_only=True)
    plaintext: Plaintext = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        check_provider(self.peers, self.plaintext)
        check_given(self.token, "token")

    def offer(self, peer: Peer) -> TokenOffer:
        """Raises `CredentialUnavailable` where the token may not be shown to `peer`, or cannot be had or sent."""
        check_may_see(peer, self.peers, self.plaintext)
        return TokenOffer(token_octets(revealed(self.token, "the token"), "the token"))


@dataclass(frozen=True, slots=True)
class JwtFile:
    """Association requestor: the token in a file, read for each association.

    For tokens that something else renews, such as the projected service account tokens of Kubernetes.
    White space around the token is no part of it.

    Fields:
        path: the file.
        peers, plaintext: as for `Jwt`.
    """

    path: Path | str
    peers: Sequence[str] = field(kw_only=True)
    plaintext: Plaintext = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        check_provider(self.peers, self.plaintext)

    def offer(self, peer: Peer) -> TokenOffer:
        """Raises `CredentialUnavailable` where the token may not be shown to `peer`, or the file holds none."""
        check_may_see(peer, self.peers, self.plaintext)
        return TokenOffer(token_octets(in_file(self.path, "token"), f"what the file {self.path} holds"))
