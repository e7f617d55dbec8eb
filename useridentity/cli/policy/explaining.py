"""An explanation for people, and for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from useridentity.cli.policy import english
from useridentity.cli.policy.output import listed, say
from useridentity.credential import IdentityType
from useridentity.decision import REFUSED, UNDECIDED, Accepted, Answer, Rejected
from useridentity.facts import Facts, Proposal, Tls
from useridentity.permission import Permission
from useridentity.policy.explain import Explanation, Step
from useridentity.policy.grant_problems import serves_a_scope
from useridentity.policy.rules import ASSIGNED, UNPROVED
from useridentity.scope import Scope
from useridentity.sop_classes import OTHER_CLASSES, STORAGE_CLASSES

NOTHING_PROVED = (
    "No credential was looked at. It is supposed to be good for the validators asked, or as the options say, and to "
    "give the groups, claims and purposes that they name, even where a validator never gives any."
)

_TLS = {Tls.NONE: "without TLS", Tls.SERVER: "over TLS", Tls.MUTUAL: "over TLS with a client certificate"}

_SENT: Mapping[int | None, str] = {
    None: "no identity",
    IdentityType.USERNAME: "a username",
    IdentityType.USERNAME_PASSCODE: "a username and passcode",
    IdentityType.KERBEROS: "a Kerberos ticket",
    IdentityType.SAML: "a SAML assertion",
    IdentityType.JWT: "a JSON Web Token",
}

_WITHOUT = {ASSIGNED: "no identity, and assigns one", UNPROVED: "no identity (unproved)"}

_RESPONSES = {
    IdentityType.USERNAME: "a server response of length 0",
    IdentityType.USERNAME_PASSCODE: "a server response of length 0",
    IdentityType.JWT: "a server response of length 0",
    IdentityType.KERBEROS: "the KRB_AP_REP to the ticket as its server response",
    IdentityType.SAML: "a samlp:Response as its server response",
}
"""What a 59H holds where a positive response was requested (PS3.7 D.3.3.7.2)."""

_ANSWERS: Mapping[Answer, str] = {
    REFUSED: "rejected-permanent, by the service provider (ACSE), no reason given",
    UNDECIDED: "rejected-transient, by the service provider (ACSE), no reason given",
}
"""PS3.8 Table 9-21."""

_KEYWORDS = {uid: keyword for keyword, uid in {**STORAGE_CLASSES, **OTHER_CLASSES}.items()}


def show(found: Explanation, *, authorizes: bool) -> None:
    """Print which rule decides, why those before it did not, and what follows; `authorizes` where there are grants."""
    say(_association(found.facts))
    say()
    say("[[authenticate]]")
    _steps(found.rules, found.unseen[0])
    if found.asked:
        say(f"asks for {listed((_WITHOUT.get(each, each) for each in found.asked), 'or')}", "      ")
    if found.grants or not authorizes:
        say()
        say("[[authorize]]" if authorizes else "[[authorize]]: none, so that everything is permitted")
        _steps(found.grants, found.unseen[1])
    say()
    for line in _outcome(found):
        say(line)
    say()
    say(NOTHING_PROVED)


def plain(found: Explanation) -> Mapping[str, object]:
    """The same for scripts."""
    return {
        "authenticate": [{"name": each.name, "difference": each.difference} for each in found.rules],
        "authorize": [{"name": each.name, "difference": each.difference} for each in found.grants],
        "asked": list(found.asked),
        **_decision(found),
        "wire": wire(found),
    }


def wire(found: Explanation) -> str:
    """What the requestor would receive."""
    decision = found.decision
    if isinstance(decision, Rejected):
        result, source, diagnostic = decision.answer
        return f"A-ASSOCIATE-RJ ({result},{source},{diagnostic}): {_ANSWERS[decision.answer]}"
    sent = found.facts.identity_type
    if sent is None:
        return "A-ASSOCIATE-AC without a 59H, as no 58H was sent"
    return f"A-ASSOCIATE-AC; with a 59H if a positive response was requested, with {_RESPONSES[IdentityType(sent)]}"


def _association(facts: Facts) -> str:
    return (
        f"{facts.calling_ae_title} at {facts.address} calls {facts.called_ae_title} {_TLS[facts.tls]}, and sends "
        f"{_SENT[facts.identity_type]}, on {facts.now:%Y-%m-%d}."
    )


def _steps(steps: Sequence[Step], unseen: int) -> None:
    for step in steps:
        say(
            f"{step.name}: {step.difference}" if step.difference else f"{step.name} decides",
            "  - " if step.difference else "  > ",
        )
    if unseen and steps and not steps[-1].difference:
        say(f"({unseen} further {'rule is' if unseen == 1 else 'rules are'} not looked at)", "    ")
    if steps and steps[-1].difference:
        say("none decides", "  > ")


def _outcome(found: Explanation) -> Iterator[str]:
    decision = found.decision
    if isinstance(decision, Rejected):
        yield f"Rejected, {decision.reason.word}: {decision.detail}"
    else:
        yield f"Accepted as {decision.identity.subject}, {decision.identity.assurance.value}."
        if decision.waived is not None:
            yield f"Without `unproved` it would be rejected, {decision.waived.reason.word}: {decision.waived.detail}"
        yield from _permitted(decision.permission)
        yield from (_context(each, decision.permission) for each in found.facts.contexts)
    yield f"On the wire: {wire(found)}."


def _permitted(permission: Permission) -> Iterator[str]:
    if permission.emergency:
        yield f"An emergency: {permission.emergency}"
    if permission.words is None:
        yield "Permitted: everything that the acceptor offers."
        return
    yield f"Permitted: {listed(permission.words)}."
    if permission.destinations:
        yield f"C-MOVE to: {listed(map(english.place, permission.destinations), 'or')}."
    if isinstance(permission.scope, Scope):
        yield f"Limited to studies whose {english.scope(permission.scope)}."


def _context(proposed: Proposal, permission: Permission) -> str:
    name = _KEYWORDS.get(proposed.abstract_syntax, proposed.abstract_syntax)
    roles = _roles(proposed, permission)
    if not roles:
        return f"Context {name}: refused (user-rejection)."
    served = permission.scope is None or serves_a_scope(proposed.abstract_syntax)
    refused = "" if served else "; the scope refuses each request"
    return f"Context {name}: accepted, requestor as {listed(roles)}{refused}."


def _roles(proposed: Proposal, permission: Permission) -> list[str]:
    permitted = permission.roles(proposed.abstract_syntax)
    asked = [("SCU", proposed.scu and permitted.scu), ("SCP", proposed.scp and permitted.scp)]
    return [role for role, holds in asked if holds]


def _decision(found: Explanation) -> Mapping[str, object]:
    decision = found.decision
    if isinstance(decision, Rejected):
        return {
            "decision": "rejected",
            "reason": decision.reason.word,
            "detail": decision.detail,
            "rule": decision.rule,
            "validator": decision.validator,
            "answer": list(decision.answer),
        }
    return {"decision": "accepted", **_accepted(decision, found.facts.contexts)}


def _accepted(decision: Accepted, contexts: Sequence[Proposal]) -> Mapping[str, object]:
    permission = decision.permission
    return {
        "rule": decision.rule,
        "validator": decision.validator,
        "grant": decision.grant,
        "assurance": decision.identity.assurance.value,
        "kind": decision.identity.kind.value,
        "permits": None if permission.words is None else list(permission.words),
        "destinations": list(map(english.place, permission.destinations)),
        "scope": dict(permission.scope.terms) if isinstance(permission.scope, Scope) else None,
        "emergency": permission.emergency,
        "waived": decision.waived.reason.word if decision.waived else None,
        "contexts": [{"abstract_syntax": each.abstract_syntax, "roles": _roles(each, permission)} for each in contexts],
    }
