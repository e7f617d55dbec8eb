"""The rules of a policy: `Rule` for the proof that is owed, `Grant` for what may be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date
from typing import Literal

from useridentity.credential import Credential
from useridentity.facts import Facts, Tls
from useridentity.identity import Assurance, Identity, Kind
from useridentity.permission import Destination, Permission
from useridentity.policy.match import BreakGlass, When, Who
from useridentity.scope import Scope
from useridentity.settings import TitlePattern
from useridentity.settings.shape import demand_none, misfits
from useridentity.validator import CheckContext, Validator, Verified

Alternative = tuple[Validator, ...]
"""Validators that must all verify, each what it is for: at most one a 58H, the others the TLS client certificate."""

ASSIGNED, UNPROVED = "assigned", "unproved"
"""The labels of identities that no validator of the policy has accepted; none may be called so."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Who a device is that cannot identify itself: no 58H, and no certificate where one is asked for.

    Fields:
        user: its name; the identity's subject is "assigned:USER".
        groups: local groups.
        kind: what it stands for.
    """

    user: str
    groups: tuple[str, ...] = ()
    kind: Kind = Kind.NODE

    def identity(self) -> Identity:
        """The identity, ASSIGNED."""
        subject, groups = f"{ASSIGNED}:{self.user}", frozenset(self.groups)
        return Identity(subject, self.user, ASSIGNED, Assurance.ASSIGNED, kind=self.kind, groups=groups)


@dataclass(frozen=True, slots=True)
class Unproved:
    """Lets in who sends no identity, for the time of a migration.

    Fields:
        until: the last day of it, in UTC.
        mode: "report": each is admitted as UNPROVED, and what would have been refused is recorded.
    """

    until: date
    mode: Literal["report"] = "report"

    def holds(self, facts: Facts) -> bool:
        """Whether the time has not ended."""
        return facts.now.astimezone(UTC).date() <= self.until


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[authenticate]]` rule: the connections in `when` owe what one of `accept` verifies.

    Fields:
        accept: any of these suffices; of a tuple all are needed ("idp+node" in a file).
        when: the connections it is for.
        name: what logs and audit records call it.
        assign: who is meant where no identity was sent.
        unproved: lets in who sends none, for a while.
        overlap: "first-verifies" where several validators may take the same credential.
        weakest: "asserted" where a bare username may stand beside what proves more.
    """

    accept: Sequence[Validator | Alternative] = ()
    when: When = field(default_factory=When)
    name: str = ""
    assign: Assign | None = None
    unproved: Unproved | None = None
    overlap: Literal["first-verifies"] | None = None
    weakest: Literal["asserted"] | None = None

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """What may be accepted, in the order in which it is tried."""
        return tuple(each if isinstance(each, tuple) else (each,) for each in self.accept)

    def asked(self, facts: Facts) -> tuple[Alternative, ...]:
        """The alternatives for what this peer sent; who shows a certificate is never taken for one without."""
        found = tuple(each for each in self.alternatives if identity_type(each) == facts.identity_type)
        if facts.identity_type is not None or (facts.tls is Tls.MUTUAL and self.asks_for_certificates):
            return found
        return (*found, *self._without_identity(facts))

    @property
    def asks_for_certificates(self) -> bool:
        return any(each.identity_type is None for alternative in self.alternatives for each in alternative)

    def _without_identity(self, facts: Facts) -> Sequence[Alternative]:
        if self.assign is not None:
            return [(Assigning(self.assign),)]
        return [(ADMITTING,)] if self.unproved is not None and self.unproved.holds(facts) else []


def label(alternative: Alternative) -> str:
    """What rules, logs and audit records call it: "idp", "idp+node"."""
    return "+".join(each.name for each in alternative)


def identity_type(alternative: Alternative) -> int | None:
    """The User-Identity-Type it takes; None where no 58H is."""
    return next((each.identity_type for each in alternative if each.identity_type is not None), None)


def assurances(alternative: Alternative) -> frozenset[Assurance]:
    """What its identities may have: what the validator says that it gives, or anything where it does not say."""
    proof = next((each for each in alternative if each.identity_type is not None), next(iter(alternative), None))
    known: Assurance | None = getattr(proof, "assurance", None)
    return frozenset(Assurance) if known is None else frozenset({known})


@dataclass(frozen=True, slots=True)
class Assigning:
    """Gives the identity of an `Assign` to whoever sent none."""

    assign: Assign
    name: str = field(default=ASSIGNED, init=False)
    identity_type: int | None = field(default=None, init=False)
    cpu_short: bool = field(default=True, init=False)

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        return Verified(self.assign.identity(), server_response=None)


@dataclass(frozen=True, slots=True)
class Admitting:
    """Takes everybody for UNPROVED; the address is all that is known of them."""

    name: str = field(default=UNPROVED, init=False)
    identity_type: int | None = field(default=None, init=False)
    cpu_short: bool = field(default=True, init=False)

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        address = str(facts.address)
        identity = Identity(f"{UNPROVED}:{address}", address, UNPROVED, Assurance.UNPROVED)
        return Verified(identity, server_response=None)


ADMITTING = Admitting()


@dataclass(frozen=True, slots=True)
class Grant:
    """One `[[authorize]]` rule: what those in `who` may do.

    Fields:
        permit: capabilities, SOP class UIDs and keywords.
        who: the identities it is for; all that are AUTHENTICATED where it is left out.
        name: what logs and audit records call it.
        destinations: where a C-MOVE may send to: AE titles, or `Destination`s.
        scope: the studies that may be reached, all where it is left out.
        break_glass: for emergencies only, each of them recorded as one.
        permission: what follows for an association.

    Raises `ConfigurationError` where the permission cannot be made of `permit`, `destinations` and `scope`.
    """

    permit: Sequence[str]
    who: Who = field(default_factory=Who)
    name: str = ""
    destinations: Sequence[Destination | TitlePattern] = ()
    scope: Scope | None = None
    break_glass: BreakGlass | None = None
    permission: Permission = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        demand_none(misfits((), self, but=("who", "name", "scope", "break_glass")))  # `Policy` tells those
        object.__setattr__(self, "permission", Permission.of(self.permit, self.destinations, self.scope))

    def difference(self, identity: Identity, validator: str) -> str:
        """Why the rule is not for this identity, accepted by `validator`; empty where it is."""
        different = self.who.difference(identity, validator)
        return different or (self.break_glass.difference(identity) if self.break_glass else "")

    def matches(self, identity: Identity, validator: str) -> bool:
        return not self.difference(identity, validator)

    def permission_for(self, identity: Identity) -> Permission:
        """What one of those it is for may do."""
        if self.break_glass is None:
            return self.permission
        return replace(self.permission, emergency=self.break_glass.reason(identity))
