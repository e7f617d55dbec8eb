"""What every provider of a bearer credential keeps to: who has it is the user, so who may see it is listed.

PS3.7 D.3.3.7 puts the credential itself into the association request, so whoever is connected to has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from useridentity.errors import ConfigurationError, CredentialUnavailable
from useridentity.facts import Peer

Plaintext = Literal["refuse", "allow"]
"""What to do with a credential where the peer's TLS certificate is not verified; "allow" is for a wire that other
means protect."""


def check_provider(peers: Sequence[str], plaintext: str) -> None:
    """Raises `ConfigurationError` where the peers are no list of names, or `plaintext` is no word known."""
    problems = []
    if isinstance(peers, str) or not peers or not all(isinstance(name, str) and name for name in peers):
        problems.append(
            'peers: list the hosts that may see the credential: ["pacs.example.org"], ["*.example.org"] or ["*"]'
        )
    if plaintext not in get_args(Plaintext):
        problems.append(f'plaintext is {plaintext!r}; write "refuse" or "allow"')
    if problems:
        raise ConfigurationError(problems)


def check_may_see(peer: Peer, peers: Sequence[str], plaintext: str) -> None:
    """Raises `CredentialUnavailable` where a credential may not travel to `peer`.

    A name is compared with the one that the peer's certificate was verified for; without TLS there is
    only the address that was dialled. `*` stands for any characters.
    """
    if plaintext != "allow" and not peer.tls_verified:
        raise CredentialUnavailable(
            f"the credential stays here: {peer.address}:{peer.port} is not reached over TLS with a verified "
            'certificate; use TLS, or plaintext="allow" where other means protect the wire'
        )
    name = peer.server_name if peer.tls_verified else peer.address
    if not any(_matches(pattern, name) for pattern in peers):
        raise CredentialUnavailable(f"the credential stays here: {name} is not among its peers ({', '.join(peers)})")


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.lower().split("*"))), name.lower()) is not None
