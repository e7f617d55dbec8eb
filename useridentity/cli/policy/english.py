"""Rules in plain English, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from useridentity.cli.policy.output import listed
from useridentity.credential import IdentityType
from useridentity.facts import Tls
from useridentity.identity import Assurance, Kind
from useridentity.permission import Destination
from useridentity.policy.match import BreakGlass, When, Who
from useridentity.policy.rules import Grant, Rule
from useridentity.scope import CLAIM, Scope
from useridentity.validator import Validator

_TLS = {Tls.NONE: "without TLS", Tls.SERVER: "over TLS", Tls.MUTUAL: "over TLS with a client certificate"}
_ASSURANCES = {
    Assurance.UNPROVED: "is unproved",
    Assurance.ASSIGNED: "was assigned an identity",
    Assurance.ASSERTED: "is taken at their word",
    Assurance.AUTHENTICATED: "is authenticated",
}
_PROOFS: Mapping[int | None, str] = {
    None: "certificate",
    IdentityType.USERNAME: "bare username",
    IdentityType.USERNAME_PASSCODE: "passcode",
    IdentityType.KERBEROS: "Kerberos",
    IdentityType.SAML: "SAML",
    IdentityType.JWT: "JWT",
}
_KINDS = {Kind.PERSON: "a person", Kind.NODE: "a node", Kind.SERVICE: "a service"}


def rule(of: Rule) -> str:
    """What an [[authenticate]] rule asks of whom."""
    alternatives = [" together with ".join(map(_validator, each)) for each in of.alternatives]
    owed = [f"must be verified by {listed(alternatives, 'or')}"] if alternatives else []
    if of.assign is not None:
        owed.append(
            f"{'or, without an identity, ' if owed else ''}counts as {of.assign.user}{_groups(of.assign.groups)}"
        )
    if of.unproved is not None:
        owed.append(f"or, without an identity, gets in unproved until {of.unproved.until} (UTC)")
    return f"Whoever {_when(of.when)} {', '.join(owed)}."


def grant(of: Grant) -> str:
    """What an [[authorize]] rule lets whom do."""
    places = f", C-MOVE to {listed(map(place, of.destinations), 'or')} only" if of.destinations else ""
    within = f", limited to studies whose {scope(of.scope)}" if isinstance(of.scope, Scope) else ""
    return f"Whoever {_who(of.who)} may use {listed(of.permit)}{places}{within}{_emergency(of.break_glass)}."


def place(of: Destination | str) -> str:
    """A destination of C-MOVE."""
    if isinstance(of, str) or of.network is None:
        return of if isinstance(of, str) else of.ae_title
    return f"{of.ae_title} at {of.network}"


def scope(of: Scope) -> str:
    """Which studies may be reached: after "studies whose"."""
    return listed(f"{path} is {listed(map(_term, values), 'or')}" for path, values in of.terms.items())


def _term(value: str) -> str:
    claim = CLAIM.fullmatch(value)
    return f"in the claim {claim[1]}" if claim else repr(value)


def _validator(of: Validator) -> str:
    return f"{of.name} ({_PROOFS.get(of.identity_type, 'its own type')})"


def _when(when: When) -> str:
    parts = ["calls"]
    if when.called_ae_title:
        parts.append(listed(when.called_ae_title, "or"))
    if when.calling_ae_title:
        parts.append(f"as {listed(when.calling_ae_title, 'or')}")
    if when.network:
        parts.append(f"from {listed(map(str, when.network), 'or')}")
    if when.tls is not None:
        parts.append(_TLS[when.tls])
    return " ".join(parts)


def _who(who: Who) -> str:
    parts = [listed((_ASSURANCES[each] for each in who.assurances), "or")]
    if who.validator:
        parts.append(f"was verified by {listed((_both(each) for each in who.validator), 'or')}")
    if who.kind:
        parts.append(f"is {listed((_KINDS[each] for each in who.kind), 'or')}")
    if who.groups:
        parts.append(f"is in the group {listed(who.groups, 'or')}")
    parts += [f"has {path} = {listed(values, 'or')}" for path, values in who.claims.items()]
    if who.purpose:
        parts.append(f"states the purpose {listed(who.purpose, 'or')}")
    return listed(parts)


def _both(text: str) -> str:
    return " together with ".join(text.split("+"))


def _emergency(glass: BreakGlass | None) -> str:
    if glass is None:
        return ""
    needs = [f"a reason in the claim {glass.claim}"] if glass.claim else []
    needs += [f"the group {glass.group}"] if glass.group else []
    return f"; each time an emergency, which needs {listed(needs, 'or')}"


def _groups(groups: Iterable[str]) -> str:
    names = list(groups)
    return f" in the group {listed(names)}" if names else ""
