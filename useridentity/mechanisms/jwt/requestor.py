"""Association requestor: a token that somebody else obtained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from useridentity.credential import MAX_FIELD
from useridentity.errors import ConfigurationError, CredentialUnavailable
from useridentity.facts import Peer
from useridentity.mechanisms.bearer import check_may_see, check_provider
from useridentity.mechanisms.jwt.offer import TokenOffer, token_octets
from useridentity.mechanisms.plaintext import Plaintext

Secret = bytes | str | Callable[[], bytes | str]
"""A secret, or a callable that is asked for it each time it is needed."""


def revealed(secret: Secret, origin: str) -> object:
    """What a secret is now; raises `CredentialUnavailable` where its callable fails."""
    if not callable(secret):
        return secret
    try:
        return secret()
    except Exception as error:
        raise CredentialUnavailable(f"{origin} raised {type(error).__name__}") from error


def check_secret(secret: object, name: str) -> None:
    """Raises `ConfigurationError` for what can be no secret."""
    if not (isinstance(secret, bytes | str) or callable(secret)):
        raise ConfigurationError(f"{name} is a {type(secret).__name__}; give bytes, a string, or a callable")


@dataclass(frozen=True, slots=True)
class Jwt:
    """Association requestor: a JSON Web Token in compact form.

    Fields:
        token: ASCII octets, a string, or a callable that gives either and is asked afresh for each association.
        peers: the hosts that may see it, by the name in their TLS certificate; `*` stands for any characters.
        plaintext: "refuse" (default) shows it only to a peer whose TLS certificate was verified.

    Raises `ConfigurationError` where one of them has the wrong type or word.
    """

    token: Secret = field(repr=False)
    peers: Sequence[str] = field(kw_only=True)
    plaintext: Plaintext = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        check_provider(self.peers, self.plaintext)
        check_secret(self.token, "token")

    def offer(self, peer: Peer) -> TokenOffer:
        """Raises `CredentialUnavailable` where the token may not be shown to `peer`, or cannot be had or sent."""
        check_may_see(peer, self.peers, self.plaintext)
        return TokenOffer(token_octets(revealed(self.token, "the token callable"), "the token"))


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
        try:
            with open(self.path, "rb") as file:
                content = file.read(MAX_FIELD + 2)
        except OSError as error:
            raise CredentialUnavailable(f"the token file {self.path}: {error.strerror}") from error
        return TokenOffer(token_octets(content.strip(), f"what the file {self.path} holds"))
