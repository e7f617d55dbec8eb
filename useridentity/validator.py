"""The association acceptor's side of a mechanism: a credential in, a verified identity out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from useridentity.credential import Credential
from useridentity.facts import Facts
from useridentity.identity import Identity


@dataclass(frozen=True, slots=True)
class Once:
    """Something that may be used a single time, spent by the driver before the answer is sent.

    `key` names it among all the acceptor ever sees: (issuer, jti), (issuer, assertion ID). It may be
    forgotten after `until`, when the credential is refused for its age. It was not used before `issued`, None
    where that is not known: a store that has remembered all since then has not forgotten it.
    """

    key: tuple[str, ...]
    until: datetime
    issued: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """A complete, positive answer. Nothing else a validator returns is one.

    `server_response` is the content of the 59H (PS3.7 D.3.3.7.2), empty for most types; None where
    nothing was authenticated, so that no positive response may be given.
    """

    identity: Identity
    server_response: bytes | None = field(default=b"", repr=False)
    once: tuple[Once, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The time a validator has. `deadline` is on the monotonic clock, in seconds."""

    deadline: float

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - time.monotonic())


@runtime_checkable
class Validator(Protocol):
    """The acceptor's side of a mechanism.

    One that always gives the same assurance has it as its attribute `assurance`, so that grants that could match
    nobody are found when the policy is loaded.
    """

    @property
    def name(self) -> str:
        """What rules, logs and audit records call it."""

    @property
    def identity_type(self) -> int | None:
        """The User-Identity-Type it judges; None: it applies where no 58H was sent."""

    @property
    def cpu_short(self) -> bool:
        """True where `validate` never waits and takes microseconds, so that it needs no thread of its own."""

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        """Judge what was presented.

        Raises `Refused` (the credential is wrong) or `Unavailable` (cannot tell now); any other
        exception, and any other return value, counts as `Unavailable`.
        """


@dataclass(frozen=True, slots=True)
class FunctionValidator:
    """A validator made of a plain callable, for policies built in code."""

    name: str
    identity_type: int | None
    function: Callable[[Credential | None, Facts, CheckContext], Verified]
    cpu_short: bool = False

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        return self.function(presented, facts, context)
