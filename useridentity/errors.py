"""Every error this package raises.

UserIdentityError
|- ConfigurationError      a policy, store or argument is wrong; lists everything wrong with it
|- WireError               a peer's bytes are not well formed
|- CredentialUnavailable   requestor: nothing can or may be sent
|- Refused                 a validator's verdict: the credential is wrong
|- Unavailable             a validator cannot tell now
`- NotConfirmed            requestor: no server response, or a wrong one
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import TypeVar

from useridentity.decision import Reason

T = TypeVar("T")


class UserIdentityError(Exception):
    """Base of every error raised by this package."""


class ConfigurationError(UserIdentityError):
    """What an administrator or programmer wrote cannot be used; `problems` says all that is wrong."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class WireError(UserIdentityError):
    """An A-ASSOCIATE PDU breaks the standard.

    `rule` is the section or table that is broken. `about_identity` tells a malformed identity,
    which is answered with a rejection, from a malformed PDU, which is answered with an abort.
    """

    def __init__(self, rule: str, message: str, *, about_identity: bool = False) -> None:
        self.rule = rule
        self.about_identity = about_identity
        super().__init__(f"{message} ({rule})")


class CredentialUnavailable(UserIdentityError):
    """There is nothing to send, or what there is cannot or may not be sent; raised before connecting."""


class Refused(UserIdentityError):
    """The credential is wrong. `detail` is for the log and the audit record, never for the peer."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.word}: {detail}")


class Unavailable(UserIdentityError):
    """Whether the credential is right cannot be told now; `detail` is for the log and the audit record."""

    def __init__(self, detail: str, reason: Reason = Reason.VALIDATOR_UNAVAILABLE) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.word}: {detail}")


class NotConfirmed(UserIdentityError):
    """The acceptor did not confirm the identity as it was asked to."""


def problems_of(check: Callable[[T], object], given: T) -> tuple[str, ...]:
    """What `check` finds wrong with what it is given; empty where it raises no `ConfigurationError`."""
    try:
        check(given)
    except ConfigurationError as error:
        return error.problems
    return ()


def described(error: BaseException) -> str:
    """An exception's type and place, and not its text, which could hold a credential or another secret."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"
