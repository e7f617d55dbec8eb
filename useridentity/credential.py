"""What an association requestor sends to say who its user is (PS3.7 D.3.3.7)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol, get_args, runtime_checkable

from useridentity.facts import Peer

MAX_FIELD = 65_535
"""Bytes of a primary or secondary field: their lengths have 16 bits (PS3.7 Table D.3-14)."""


ConfirmationWord = Literal["required", "wanted", "none"]
"""Whether a requestor demands the server response, takes its absence, or does not ask for it (PS3.7 D.3.3.7)."""

CONFIRMATION_WORDS: tuple[str, ...] = get_args(ConfirmationWord)


class IdentityType(IntEnum):
    """User-Identity-Type (PS3.7 Table D.3-14).

    The wire carries any octet; a type without a name here is refused by every policy whose
    validators do not claim it.
    """

    USERNAME = 1
    USERNAME_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


@dataclass(frozen=True, slots=True)
class Credential:
    """The content of one User Identity sub-item, 58H (PS3.7 D.3.3.7.1).

    The fields' octets are secrets, or may be: they have no repr.
    """

    identity_type: int
    primary_field: bytes = field(repr=False)
    secondary_field: bytes = field(default=b"", repr=False)
    positive_response_requested: bool = True


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a server response, 59H, told the requestor.

    `acceptor` names the acceptor as far as the response says; `mutual` is true only where the
    response proves it (an AP-REP, say), never for a zero-length one.
    """

    acceptor: str = ""
    mutual: bool = False


class Offer(Protocol):
    """One credential for one association, and the judge of the answer to it."""

    @property
    def credential(self) -> Credential: ...

    def confirm(self, server_response: bytes | None) -> Confirmation:
        """Judge the Server-response of the 59H, None where there was none; raises `NotConfirmed`."""


@runtime_checkable
class CredentialProvider(Protocol):
    """The association requestor's side of a mechanism; asked afresh for each association."""

    def offer(self, peer: Peer) -> AbstractContextManager[Offer]:
        """A credential for `peer`, held until the association is negotiated.

        Raises `CredentialUnavailable` where nothing can or may be sent to this peer.
        """
