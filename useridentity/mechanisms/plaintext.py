"""The word `plaintext` of those who send or take what others must not read: passcodes and bearer credentials."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from useridentity.decision import Reason
from useridentity.errors import CredentialUnavailable, Refused
from useridentity.facts import Facts, Peer, Tls

Plaintext = Literal["refuse", "allow"]
"""What to do without TLS, for an association requestor also where the peer's certificate is not verified. "refuse"
makes no exception for loopback; "allow" is for a wire that other means protect."""


def plaintext_problems(word: str) -> Iterator[str]:
    """What is wrong with a `plaintext` that was given in code."""
    if word not in get_args(Plaintext):
        yield f'plaintext is {word!r}; write "refuse" or "allow"'


def check_wire(what: str, peer: Peer, plaintext: str) -> None:
    """Raises `CredentialUnavailable` where `what` would travel to `peer` without TLS, or to whom nobody vouches for."""
    if plaintext != "allow" and not peer.tls_verified:
        raise CredentialUnavailable(
            f"the {what} stays here: {peer.address}:{peer.port} is not reached over TLS with a verified "
            'certificate; use TLS, or plaintext="allow" where other means protect the wire'
        )


def check_arrival(what: str, facts: Facts, plaintext: str) -> None:
    """Raises `Refused` (TLS_REQUIRED) where `what` came without TLS."""
    if plaintext != "allow" and facts.tls is Tls.NONE:
        raise Refused(Reason.TLS_REQUIRED, f"{what} came without TLS and was not looked at")
