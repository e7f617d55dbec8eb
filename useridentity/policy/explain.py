"""Why a policy decides as it does: every rule that was looked at, for an association as somebody supposes it.

No credential is looked at: validators are supposed to verify, or to refuse. Everything else is the policy itself: its
`plan`, its `conclude`, and the `difference` by which each rule matches or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Literal

from useridentity.ae_title import title_problem
from useridentity.claim_path import planted
from useridentity.credential import IdentityType
from useridentity.decision import Decision, Reason, Rejected
from useridentity.errors import ConfigurationError, Refused, problems_of
from useridentity.facts import Facts, Proposal, Tls, peer_address
from useridentity.identity import Assurance, Identity, Kind
from useridentity.permission import capabilities_of
from useridentity.policy import Checks, Policy, Result
from useridentity.policy.rules import Admitting, Assigning, label
from useridentity.settings import nearest
from useridentity.validator import CheckContext, Validator, Verified

Sent = Literal["none", "username", "passcode", "kerberos", "saml", "jwt"]

IDENTITY_TYPES: Mapping[str, int | None] = {
    "none": None,
    "username": IdentityType.USERNAME,
    "passcode": IdentityType.USERNAME_PASSCODE,
    "kerberos": IdentityType.KERBEROS,
    "saml": IdentityType.SAML,
    "jwt": IdentityType.JWT,
}

ROLES = {"": (True, False), "scu": (True, False), "scp": (False, True), "both": (True, True)}


@dataclass(frozen=True, slots=True)
class Supposed:
    """An association request as it might come.

    Fields:
        calling, called: AE titles.
        peer: the requestor's address.
        tls: how the connection is secured; "mutual" is with a certificate that TLS itself has verified.
        identity: what is sent as 58H.
        credential: "good", so that validators verify it, or "bad", so that all refuse.
        validator: the validators that verify; left out, all that are asked.
        groups, purpose: of whoever is verified.
        claims: by path, as in an [[authorize]] rule; each with its values.
        kind: of whoever is verified; left out, a node for a certificate and a person for the rest.
        contexts: the SOP classes proposed, by keyword or UID, with the requestor as SCU; as SCP, or as both, after
            ":scp" or ":both". Left out, nothing is said of contexts.
        on: the day of the association, in UTC; left out, today.
    """

    calling: str
    called: str
    peer: str
    tls: Tls = Tls.NONE
    identity: Sent = "none"
    credential: Literal["good", "bad"] = "good"
    validator: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    purpose: tuple[str, ...] = ()
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kind: Kind | None = None
    contexts: tuple[str, ...] = ()
    on: date | None = None

    def problems(self, policy: Policy) -> Iterator[tuple[str, str]]:
        """The fields that make no sense with `policy`, and why."""
        for key in ("calling", "called"):
            if problem := title_problem(getattr(self, key)):
                yield key, problem
        try:
            peer_address(self.peer)
        except ValueError:
            yield "peer", f"{self.peer!r} is no address; write 10.20.0.7 or fd00::7"
        known = {each.name for rule in policy.rules for each in _members(rule.alternatives)}
        yield from (
            ("validator", f'"{name}" is in no rule{nearest(name, known)}') for name in set(self.validator) - known
        )
        wrong = [problem for word in self.contexts for problem in problems_of(_proposal, word)]
        yield from (("contexts", problem) for problem in wrong or problems_of(_proposals, self.contexts))
        yield from (("claims", problem) for problem in problems_of(planted, self.claims))

    def facts(self, now: datetime) -> Facts:
        """What an acceptor would know of it before anybody has proved anything."""
        return Facts(
            self.calling,
            self.called,
            peer_address(self.peer),
            port=0,
            tls=self.tls,
            identity_type=IDENTITY_TYPES[self.identity],
            now=now if self.on is None else datetime.combine(self.on, time(), UTC),
            contexts=_proposals(self.contexts),
        )

    def answer(self, validator: Validator, facts: Facts) -> Result:
        """What `validator` is supposed to say."""
        if isinstance(validator, Admitting | Assigning):
            return validator.validate(None, facts, CheckContext(0))
        if facts.tls is Tls.NONE and getattr(validator, "plaintext", "allow") == "refuse":
            return Refused(Reason.TLS_REQUIRED, f"{validator.name} looks at nothing that comes without TLS")
        if validator.identity_type is None and facts.tls is not Tls.MUTUAL:
            return Refused(Reason.IDENTITY_REQUIRED, f"{validator.name} needs a TLS client certificate")
        if getattr(validator, "binding", "none") == "certificate" and facts.tls is not Tls.MUTUAL:
            detail = f"{validator.name} takes nothing that is not bound to a TLS client certificate"
            return Refused(Reason.CREDENTIAL_INVALID, detail)
        if self.credential == "bad" or (self.validator and validator.name not in self.validator):
            return Refused(Reason.CREDENTIAL_INVALID, f"{validator.name} is supposed to refuse")
        return Verified(self._identity(validator))

    def _identity(self, validator: Validator) -> Identity:
        number = validator.identity_type
        usual = Assurance.ASSERTED if number == IdentityType.USERNAME else Assurance.AUTHENTICATED
        user = self.calling if number is None else "somebody"
        return Identity(
            f"{validator.name}:{user}",
            user,
            validator.name,
            getattr(validator, "assurance", None) or usual,
            number,
            kind=self.kind or (Kind.NODE if number is None else Kind.PERSON),
            groups=frozenset(self.groups),
            claims=planted(self.claims),
            purposes=frozenset(self.purpose),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """A rule that was looked at.

    Fields:
        name: the rule's.
        difference: why it does not decide; empty for the one that does, which is the last.
    """

    name: str
    difference: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and how it came about.

    Fields:
        facts: what was known of the association.
        rules: the [[authenticate]] rules that were looked at.
        asked: what the deciding one asked for, as `accept` names it.
        grants: the [[authorize]] rules that were looked at; none where nobody was verified.
        unseen: how many of both were not looked at, because one before them decided.
        decision: what was decided.
    """

    facts: Facts
    rules: tuple[Step, ...]
    asked: tuple[str, ...]
    grants: tuple[Step, ...]
    unseen: tuple[int, int]
    decision: Decision


def explain(policy: Policy, supposed: Supposed, now: datetime) -> Explanation:
    """What `policy` decides about `supposed`, and why; raises `ConfigurationError` where that makes no sense."""
    if problems := [f"{key}: {what}" for key, what in supposed.problems(policy)]:
        raise ConfigurationError(problems)
    facts = supposed.facts(now)
    rules = _looked_at((rule.name, rule.when.difference(facts)) for rule in policy.rules)
    planned = policy.plan(facts)
    if isinstance(planned, Rejected):
        return Explanation(facts, rules, (), (), (len(policy.rules) - len(rules), 0), planned)
    results = planned.ask(lambda validator: supposed.answer(validator, facts))
    grants = _grants(policy, planned, results)
    unseen = len(policy.rules) - len(rules), len(policy.grants) - len(grants) if grants else 0
    asked = tuple(map(label, planned.alternatives))
    return Explanation(facts, rules, asked, grants, unseen, policy.conclude(planned, results))


def _grants(policy: Policy, planned: Checks, results: Mapping[str, Result]) -> tuple[Step, ...]:
    proof = planned.proof(results)
    if proof is None:
        return ()
    identity, validator = proof.principal.identity, label(proof.alternative)
    return _looked_at((grant.name, grant.difference(identity, validator)) for grant in policy.grants)


def _looked_at(differences: Iterable[tuple[str, str]]) -> tuple[Step, ...]:
    """The rules up to the first that matches."""
    steps: list[Step] = []
    for name, difference in differences:
        steps.append(Step(name, difference))
        if not difference:
            break
    return tuple(steps)


def _members(alternatives: Iterable[Iterable[Validator]]) -> Iterator[Validator]:
    for alternative in alternatives:
        yield from alternative


def _proposals(words: Iterable[str]) -> tuple[Proposal, ...]:
    """The contexts proposed; role selection is negotiated once for each SOP class (PS3.7 D.3.3.4)."""
    found: dict[str, Proposal] = {}
    for word in words:
        each = _proposal(word)
        if found.setdefault(each.abstract_syntax, each) != each:
            raise ConfigurationError(f'"{word}" is proposed in another role before; write :both for both')
    return tuple(map(_proposal, words))


def _proposal(word: str) -> Proposal:
    name, _, role = word.partition(":")
    if role not in ROLES:
        raise ConfigurationError(f'"{word}": {role!r} is no role{nearest(role, [each for each in ROLES if each])}')
    syntaxes = {uid for row in capabilities_of(name) if row.requests for uid in row.abstract_syntaxes}
    if len(syntaxes) != 1:
        raise ConfigurationError(f'"{name}" is several SOP classes; name one of them, such as CTImageStorage')
    return Proposal(syntaxes.pop(), *ROLES[role])
