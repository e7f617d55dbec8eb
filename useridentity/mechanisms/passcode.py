"""User-Identity-Type 2, a username and passcode: sent by `UsernamePasscode`, judged by `PasscodeValidator`.

The username follows the rule of the username room. The passcode is octets, whatever they mean
(PS3.7 Table D.3-14 gives it no character encoding). It travels as it is, so neither side lets it
over a connection without TLS unless told that other means protect the wire.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from useridentity.credential import MAX_FIELD, Credential, IdentityType
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, CredentialUnavailable, Refused, Unavailable
from useridentity.facts import Facts, Peer
from useridentity.identity import Assurance, Identity
from useridentity.mechanisms.given import Given, check_given, revealed
from useridentity.mechanisms.ldap_settings import LdapSettings
from useridentity.mechanisms.plaintext import Plaintext, check_arrival, check_wire, plaintext_problems
from useridentity.mechanisms.username import UsernameOffer, presented_as, username_field, username_from
from useridentity.printable import printable
from useridentity.settings import Runtime
from useridentity.validator import CheckContext, Verified


def _check_plaintext(word: str) -> None:
    if problems := list(plaintext_problems(word)):
        raise ConfigurationError(problems)


@dataclass(frozen=True, slots=True)
class UsernamePasscode:
    """Association requestor: a username, proved by a passcode.

    Fields:
        username: as for `Username`.
        passcode: octets, a string (sent as UTF-8), or a callable that gives either and is asked
            afresh for each association; empty is allowed, at most `MAX_FIELD` bytes.
        plaintext: "refuse" (default) sends it only to a peer whose TLS certificate was verified.

    Raises `ConfigurationError` where one of them has the wrong type or word.
    """

    username: str
    passcode: Given = field(repr=False)
    plaintext: Plaintext = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        _check_plaintext(self.plaintext)
        check_given(self.passcode, "the passcode")

    def offer(self, peer: Peer) -> UsernameOffer:
        """Raises `CredentialUnavailable` where the passcode may not travel to `peer`, or cannot be had or sent."""
        check_wire("passcode", peer, self.plaintext)
        primary_field = username_field(self.username)
        return UsernameOffer(Credential(IdentityType.USERNAME_PASSCODE, primary_field, self._secondary_field()))

    def _secondary_field(self) -> bytes:
        passcode = _octets(revealed(self.passcode, "the passcode"))
        if len(passcode) > MAX_FIELD:
            raise CredentialUnavailable(f"the passcode has {len(passcode)} bytes, the item carries at most {MAX_FIELD}")
        return passcode


def _octets(passcode: object) -> bytes:
    if isinstance(passcode, bytes):
        return passcode
    if not isinstance(passcode, str):
        raise CredentialUnavailable(f"the passcode callable returned {type(passcode).__name__}, not bytes or a string")
    # Suppressed before the next error is raised: a UnicodeEncodeError holds the passcode, and would be its context.
    with suppress(UnicodeEncodeError):
        return passcode.encode("utf-8")
    raise CredentialUnavailable("the passcode cannot be written in UTF-8; give its bytes")


@dataclass(frozen=True, slots=True)
class User:
    """A user that a store knows.

    Fields:
        user_id: the name within the store, never what the peer wrote.
        display_name: for people; may be empty.
        groups: local group names.

    Raises `ConfigurationError` where the name is empty or the groups are not a frozenset of strings.
    """

    user_id: str
    display_name: str = ""
    groups: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.user_id:
            raise ConfigurationError("a user has a user_id")
        # A string in place of the set would answer "is it in there?" for every part of itself.
        if not isinstance(self.groups, frozenset):
            raise ConfigurationError(f"groups is a {type(self.groups).__name__}; give a frozenset of strings")


@runtime_checkable
class PasscodeStore(Protocol):
    """Knows users by their passcode."""

    def verify(self, username: str, passcode: bytes) -> User:
        """The user who has this name and this passcode.

        Raises `Refused` where there is none, after the same time whether the name or the passcode is
        wrong, and `Unavailable` where that cannot be told now. Nothing but a `User` is a yes.
        """


@dataclass(frozen=True, slots=True)
class PasscodeValidator:
    """Association acceptor: a user who knows the passcode in a store (PS3.15 B.5).

    Fields:
        store: who is asked.
        name: what rules, logs and audit records call it; the issuer of its identities.
        plaintext: "refuse" (default) refuses a passcode that came without TLS, before the store is asked.
    """

    store: PasscodeStore
    name: str = field(default="passcode", kw_only=True)
    plaintext: Plaintext = field(default="refuse", kw_only=True)
    identity_type: int | None = field(default=IdentityType.USERNAME_PASSCODE, init=False)
    assurance: Assurance = field(default=Assurance.AUTHENTICATED, init=False)
    cpu_short: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        _check_plaintext(self.plaintext)
        if not isinstance(self.store, PasscodeStore):
            kind = type(self.store).__name__
            raise ConfigurationError(
                f"a {kind} is no passcode store: it has no verify(); for a function: passcode_check()"
            )

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        """The store's user, AUTHENTICATED; raises what the store raises, and `Refused` without a username or TLS."""
        credential = presented_as(IdentityType.USERNAME_PASSCODE, presented)
        check_arrival("a passcode", facts, self.plaintext)
        user = self.store.verify(username_from(credential.primary_field), credential.secondary_field)
        if not isinstance(user, User):
            raise Unavailable(f"the passcode store returned {type(user).__name__}, not a User")
        return Verified(self._identity(user, credential))

    def _identity(self, user: User, credential: Credential) -> Identity:
        return Identity(
            subject=f"{self.name}:{user.user_id}",
            user_id=user.user_id,
            issuer=self.name,
            assurance=Assurance.AUTHENTICATED,
            identity_type=IdentityType.USERNAME_PASSCODE,
            display_name=user.display_name,
            groups=user.groups,
            presented=printable(credential.primary_field),
        )


PasscodeFunction = Callable[[str, bytes], bool | User]
"""Username and passcode in; True or a `User` out where they belong together, False where they do not."""


def passcode_check(
    function: PasscodeFunction, *, name: str = "passcode", plaintext: Plaintext = "refuse"
) -> PasscodeValidator:
    """A validator that asks a function of the application's own.

    Only `True` itself or a `User` accepts, and only `False` itself refuses; anything else returned
    or raised is a fault of the function, and the association is rejected as undecided. Raises
    `ConfigurationError` where `function` cannot be called, or returns an awaitable.
    """
    if not callable(function) or inspect.iscoroutinefunction(function):
        kind = "coroutine function" if callable(function) else type(function).__name__
        raise ConfigurationError(f"passcode_check takes a plain function of username and passcode, not a {kind}")
    return PasscodeValidator(_FunctionStore(function), name=name, plaintext=plaintext)


@dataclass(frozen=True, slots=True)
class _FunctionStore:
    function: PasscodeFunction = field(repr=False)

    def verify(self, username: str, passcode: bytes) -> User:
        answer = self.function(username, passcode)
        if isinstance(answer, User):
            return answer
        if answer is True:
            return User(username)
        if answer is False:
            raise Refused(Reason.CREDENTIAL_INVALID, "the passcode check said no")
        raise Unavailable(f"the passcode check returned {type(answer).__name__}; it must return True, False or a User")


@dataclass(frozen=True, slots=True)
class PasscodeSettings:
    """`type = "passcode"` in a policy file.

    Fields:
        store: who knows the passcodes. "file:PATH": a file kept with `useridentity passcode`, relative to the
            policy file. "ldaps://HOST": a directory. "pam:SERVICE": the system's PAM.
        plaintext: "refuse" (default) | "allow", because a passcode can be used again by whoever sees it.
        ldap: how users are found in the directory; for that store only.
    """

    store: str
    plaintext: Plaintext = "refuse"
    ldap: LdapSettings | None = None

    def build(self, runtime: Runtime) -> PasscodeValidator:
        """Raises `ConfigurationError` where the store cannot be used."""
        try:
            store = self._store(runtime)
        except ModuleNotFoundError as missing:
            raise ConfigurationError(str(missing)) from None
        return PasscodeValidator(store, name=runtime.name, plaintext=self.plaintext)

    def _store(self, runtime: Runtime) -> PasscodeStore:
        kind, _, place = self.store.partition(":")
        if self.ldap is not None and kind not in ("ldap", "ldaps"):
            raise ConfigurationError(f'ldap: has no meaning with store = "{self.store}"')
        match kind:
            case "file" if place:
                from useridentity.mechanisms.passcode_file import PasscodeFile

                return PasscodeFile(runtime.folder / place)
            case "ldap" | "ldaps":
                from useridentity.mechanisms.passcode_ldap import LdapStore

                return LdapStore(self.store, self.ldap or LdapSettings())
            case "pam" if place:
                from useridentity.mechanisms.passcode_pam import PamStore

                return PamStore(place)
        raise ConfigurationError(
            f'store = "{self.store}" is no store; write "file:passcodes.toml", "ldaps://HOST" or "pam:SERVICE"'
        )
