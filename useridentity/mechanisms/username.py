"""User-Identity-Type 1, a username: sent by `Username`, taken at its word by `UsernameValidator`.

A username is strict UTF-8 (PS3.7 Table D.3-14) and in the PRECIS profile UsernameCasePreserved
(RFC 8265 3.4), on both sides: what one side calls a user, the other does too. The passcode room
shares the rule and the offer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from precis_i18n import get_profile

from useridentity.credential import Confirmation, Credential, IdentityType
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, CredentialUnavailable, NotConfirmed, Refused
from useridentity.facts import Facts, Peer
from useridentity.identity import Assurance, Identity
from useridentity.printable import printable
from useridentity.settings import Runtime
from useridentity.validator import CheckContext, Verified

MAX_USERNAME = 256
"""Bytes of UTF-8. An e-mail address, the longest name people log in with, has at most 254 (RFC 5321
4.5.3.1.3), and a name of this length is still checked in well under a millisecond."""

_PROFILE = get_profile("UsernameCasePreserved")


def username_from(primary_field: bytes) -> str:
    """The username that a primary field holds, in the form in which usernames are compared.

    That form differs from what was sent in full-width characters and in normalization only; case is
    kept. Raises `Refused` (CREDENTIAL_INVALID) where the field is no username.
    """
    if len(primary_field) > MAX_USERNAME:
        raise _not_a_username(f"{len(primary_field)} bytes long, at most {MAX_USERNAME} are allowed")
    try:
        return str(_PROFILE.enforce(primary_field.decode("utf-8")))
    except UnicodeDecodeError as error:
        problem = f"no UTF-8 at byte {error.start}"
    except UnicodeEncodeError as error:
        # The library's words: DISALLOWED/spaces, DISALLOWED/empty, DISALLOWED/bidi_rule.
        problem = f"{error.reason.rpartition('/')[2]} at character {error.start} (RFC 8265 3.4)"
    raise _not_a_username(problem)


def _not_a_username(problem: str) -> Refused:
    return Refused(Reason.CREDENTIAL_INVALID, f"not a username: {problem}")


def username_field(username: str) -> bytes:
    """The primary field that carries `username`; raises `CredentialUnavailable` where none can."""
    if not isinstance(username, str):
        raise ConfigurationError(f"the username is a {type(username).__name__}; give a string")
    try:
        return username_from(username.encode("utf-8")).encode("utf-8")
    except UnicodeEncodeError:
        problem = "not a username: it cannot be written in UTF-8"
    except Refused as refused:
        problem = refused.detail
    named = repr(username) if len(username) <= MAX_USERNAME else "what was given"  # a token, perhaps
    raise CredentialUnavailable(f"{named} is {problem}")


def presented_as(identity_type: IdentityType, presented: Credential | None) -> Credential:
    """What was presented, if it is of this type; raises `Refused` if it is not."""
    if presented is None:
        raise Refused(Reason.IDENTITY_REQUIRED, "no identity was presented")
    if presented.identity_type != identity_type:
        detail = f"type {presented.identity_type} was presented, this is a check of type {identity_type:d}"
        raise Refused(Reason.IDENTITY_TYPE_NOT_ACCEPTED, detail)
    return presented


class UsernameOffer:
    """A credential of type 1 or 2, held for one association and dropped when the block ends.

    The answer to it is a Server-response of zero length (PS3.7 Table D.3-15).
    """

    __slots__ = ("_credential",)

    def __init__(self, credential: Credential) -> None:
        self._credential: Credential | None = credential

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._credential = None

    @property
    def credential(self) -> Credential:
        """The 58H to send; raises `CredentialUnavailable` once the offer has ended."""
        if self._credential is None:
            raise CredentialUnavailable("the offer has ended and its credential is gone; ask the provider again")
        return self._credential

    def confirm(self, server_response: bytes | None) -> Confirmation:
        """Judge the Server-response; raises `NotConfirmed` unless it is there and empty."""
        if server_response is None:
            raise NotConfirmed("no server response: the acceptor may have ignored the identity (PS3.7 D.3.3.7)")
        if server_response:
            raise NotConfirmed(
                f"the server response has {len(server_response)} bytes; for a username it has none (PS3.7 Table D.3-15)"
            )
        return Confirmation()


@dataclass(frozen=True, slots=True)
class Username:
    """Association requestor: says who the user is and proves nothing. Not a secret, so TLS is not asked for.

    Fields:
        name: the username; sent as UTF-8 in the form of RFC 8265 3.4, at most `MAX_USERNAME` bytes.
    """

    name: str

    def offer(self, peer: Peer) -> UsernameOffer:  # noqa: ARG002  any peer may know a name
        """Raises `CredentialUnavailable` where the name is empty, too long or not a username, whatever the peer."""
        return UsernameOffer(Credential(IdentityType.USERNAME, username_field(self.name)))


@dataclass(frozen=True, slots=True)
class UsernameValidator:
    """Association acceptor: takes a username at its word (PS3.15 B.4).

    Fields:
        name: what rules, logs and audit records call it; the issuer of its identities.
    """

    name: str = "username"
    identity_type: int | None = field(default=IdentityType.USERNAME, init=False)
    assurance: Assurance = field(default=Assurance.ASSERTED, init=False)
    cpu_short: bool = field(default=True, init=False)

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        """The identity claimed, ASSERTED only; raises `Refused` where there is no valid username."""
        primary_field = presented_as(IdentityType.USERNAME, presented).primary_field
        user_id = username_from(primary_field)
        return Verified(
            Identity(
                subject=f"{self.name}:{user_id}",
                user_id=user_id,
                issuer=self.name,
                assurance=Assurance.ASSERTED,
                identity_type=IdentityType.USERNAME,
                presented=printable(primary_field),
            )
        )


@dataclass(frozen=True, slots=True)
class UsernameSettings:
    """`type = "username"` in a policy file; it has no settings."""

    def build(self, runtime: Runtime) -> UsernameValidator:
        return UsernameValidator(runtime.name)
