"""What every provider of a bearer credential keeps to: who has it is the user, so who may see it is listed.

PS3.7 D.3.3.7 puts the credential itself into the association request, so whoever is connected to has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike

from useridentity import whole_file
from useridentity.credential import MAX_FIELD
from useridentity.errors import ConfigurationError, CredentialUnavailable
from useridentity.facts import Peer
from useridentity.mechanisms.plaintext import check_wire, plaintext_problems

MAX_SPACE = 1024
"""Bytes of white space around a credential in a file: line ends, mostly."""


def check_provider(peers: Sequence[str], plaintext: str) -> None:
    """Raises `ConfigurationError` where the peers are no list of names, or `plaintext` is no word known."""
    problems = [*plaintext_problems(plaintext)]
    if isinstance(peers, str) or not peers or not all(isinstance(name, str) and name for name in peers):
        problems.append(
            'peers: list the hosts that may see the credential: ["pacs.example.org"], ["*.example.org"] or ["*"]'
        )
    if problems:
        raise ConfigurationError(problems)


def check_may_see(peer: Peer, peers: Sequence[str], plaintext: str) -> None:
    """Raises `CredentialUnavailable` where a credential may not travel to `peer`.

    A name is compared with the one that the peer's certificate was verified for; without TLS there is
    only the address that was dialled. `*` stands for any characters.
    """
    check_wire("credential", peer, plaintext)
    name = peer.server_name if peer.tls_verified else peer.address
    if not any(_matches(pattern, name) for pattern in peers):
        raise CredentialUnavailable(f"the credential stays here: {name} is not among its peers ({', '.join(peers)})")


def in_file(path: str | PathLike[str], what: str) -> bytes:
    """The credential in a file, without white space around it; raises `CredentialUnavailable`."""
    try:
        return whole_file.content(path, MAX_FIELD + MAX_SPACE).strip()
    except OSError as error:
        raise CredentialUnavailable(f"the {what} file {path}: {error.strerror}") from error


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.lower().split("*"))), name.lower()) is not None
