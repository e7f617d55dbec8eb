"""What proof an association owes, and what follows from the proofs that came.

A policy is pure: `plan` turns the facts into validators to ask, `conclude` turns their answers into a
decision. Who asks them, and how long that may take, is `checks.Driver`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.facts import Facts, Proposal
from useridentity.identity import Identity
from useridentity.match import BreakGlass, When, Who
from useridentity.permission import EVERYTHING, Permission
from useridentity.rule_index import WhenIndex, WhoIndex
from useridentity.rule_problems import problems
from useridentity.rules import ADMITTING, UNPROVED, Alternative, Assign, Assigning, Grant, Rule, Unproved, label
from useridentity.settings import Bytes, Seconds
from useridentity.state import Store
from useridentity.state.limits import PenaltyLimits
from useridentity.toml_file import spelled
from useridentity.validator import Validator, Verified

if TYPE_CHECKING:  # nothing here does any I/O
    from useridentity.audit.settings import AuditSettings
    from useridentity.audit.trail import Trail

__all__ = ["Assign", "BreakGlass", "Checks", "Grant", "Limits", "Policy", "Rule", "Unproved", "When", "Who"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may cost. Times in seconds, sizes in bytes.

    Fields:
        associate_deadline: from connect to the complete A-ASSOCIATE-RQ, absolute.
        tls_handshake: for the TLS handshake, within `associate_deadline`.
        max_associate_pdu: of an A-ASSOCIATE-RQ; 128 contexts with every registered transfer syntax
            and a full user information item stay below it.
        max_pending_per_peer, max_pending: connections without a complete request, per address and
            in all; beyond the first a connection is closed at accept, beyond the second the one
            that has waited longest is.
        validator_deadline: for all that is asked about one association.
        max_association: how long an association may last; a credential that ends earlier ends it earlier.
        penalty: what wrong credentials cost.
    """

    associate_deadline: Seconds = 10.0
    tls_handshake: Seconds = 5.0
    max_associate_pdu: Bytes = 256 * 1024
    max_pending_per_peer: int = 8
    max_pending: int = 256
    validator_deadline: Seconds = 10.0
    max_association: Seconds = 12 * 3600.0
    penalty: PenaltyLimits = field(default_factory=PenaltyLimits)


Result = Verified | Refused | Unavailable


@dataclass(frozen=True, slots=True)
class Content:
    """What a policy says: its rules in order, each with a name."""

    rules: tuple[Rule, ...]
    grants: tuple[Grant, ...]
    limits: Limits
    rule_index: WhenIndex = field(repr=False)
    grant_index: WhoIndex = field(repr=False)

    @classmethod
    def of(cls, rules: Sequence[Rule], grants: Sequence[Grant], limits: Limits) -> Content:
        """With the names of those that have none, and ready to be searched."""
        named = [
            replace(each, accept=tuple(each.accept), name=each.name or f"rule {number}")
            for number, each in enumerate(rules, 1)
        ]
        granted = [replace(each, name=each.name or f"grant {number}") for number, each in enumerate(grants, 1)]
        indexes = WhenIndex([each.when for each in named]), WhoIndex([each.who for each in granted])
        return cls(tuple(named), tuple(granted), limits, *indexes)

    def rule_for(self, facts: Facts) -> Rule | None:
        """The first rule that matches."""
        candidates = (self.rules[each] for each in self.rule_index.candidates(facts))
        return next((rule for rule in candidates if rule.when.matches(facts)), None)

    def rule_but_for_tls(self, facts: Facts) -> Rule | None:
        """The first rule that would match if the connection were secured as it asks."""
        candidates = (self.rules[each] for each in self.rule_index.but_for_tls(facts))
        return next((rule for rule in candidates if replace(rule.when, tls=None).matches(facts)), None)

    def grant_for(self, identity: Identity, validator: str) -> Grant | None:
        """The first grant that matches an identity that `validator` accepted."""
        candidates = (self.grants[each] for each in self.grant_index.candidates(identity, validator))
        return next((grant for grant in candidates if grant.matches(identity, validator)), None)

    def authorize(self, accepted: Accepted, contexts: Sequence[Proposal]) -> Decision:
        """`accepted` with what its identity may do; rejected where that is nothing of what was proposed."""
        found = self._granted(accepted)
        if isinstance(found, Rejected):
            return found
        if contexts and not any(_admits(found.permission, each) for each in contexts):
            return _unauthorised(accepted, f"{found.grant!r} permits nothing of what was proposed")
        return found

    def _granted(self, accepted: Accepted) -> Decision:
        if not self.grants:
            return replace(accepted, permission=EVERYTHING, grant="")
        identity = accepted.identity
        grant = self.grant_for(identity, accepted.validator)
        if grant is None:
            return _unauthorised(accepted, f"no [[authorize]] rule matches {identity.subject}")
        return replace(accepted, permission=grant.permission_for(identity), grant=grant.name)


def _unauthorised(accepted: Accepted, detail: str) -> Rejected:
    return Rejected(Reason.NOT_AUTHORISED, detail, accepted.rule, accepted.validator, accepted.identity)


def _admits(permission: Permission, proposal: Proposal) -> bool:
    roles = permission.roles(proposal.abstract_syntax)
    return (proposal.scu and roles.scu) or (proposal.scp and roles.scp)


@dataclass(frozen=True, slots=True)
class Checks:
    """What to ask: the first of `alternatives` whose validators all verify is accepted.

    `facts` and `content` are those of the plan, so that a policy reloaded meanwhile changes nothing for it.
    """

    rule: str
    alternatives: tuple[Alternative, ...]
    facts: Facts
    content: Content = field(repr=False)

    def proof(self, results: Mapping[str, Result]) -> Proof | None:
        """The first alternative of which every validator has verified; `results` are by the validators' names."""
        for alternative in self.alternatives:
            answers = [results.get(each.name) for each in alternative]
            verified = [answer for answer in answers if isinstance(answer, Verified)]
            if len(verified) == len(alternative):
                return Proof(alternative, tuple(verified))
        return None


@dataclass(frozen=True, slots=True)
class Proof:
    """An alternative, and the answers of its validators."""

    alternative: Alternative
    answers: tuple[Verified, ...]

    @property
    def principal(self) -> Verified:
        """The answer that says who the user is: the one about the 58H, where there was one."""
        return next((answer for answer in self.answers if answer.identity.identity_type is not None), self.answers[0])

    @property
    def node(self) -> Identity | None:
        """Whose certificate was asked for beside the user's identity."""
        principal = self.principal
        return next((answer.identity for answer in self.answers if answer is not principal), None)

    def verified(self) -> Verified:
        """All answers as one: the principal's, used up and ending with any of them."""
        once = tuple(dict.fromkeys(each for answer in self.answers for each in answer.once))
        ends = min((answer.expires_at for answer in self.answers if answer.expires_at is not None), default=None)
        return replace(self.principal, once=once, expires_at=ends)


class Source(NamedTuple):
    """Where a policy was read: its file, and the places of its state and its records, which `reload` leaves there."""

    path: Path
    state_url: str
    audit: AuditSettings | None = None


class Policy:
    """The rules of an association acceptor: a handle on what `reload` replaces as a whole.

    `store` keeps what must be remembered between associations (`open_store`); None for the memory of each
    server alone. `audit` takes the records of every association; None for no trail. Without any `authorize`,
    whoever is accepted may do all that the server offers.
    Raises `ConfigurationError`, listing everything that is wrong, where the rules cannot work.
    """

    def __init__(
        self,
        authenticate: Sequence[Rule],
        authorize: Sequence[Grant] = (),
        *,
        limits: Limits | None = None,
        store: Store | None = None,
        audit: Trail | None = None,
    ) -> None:
        if found := [f"{spelled(key)}: {what}" for key, what in problems(authenticate, authorize)]:
            raise ConfigurationError(found)
        self.content = Content.of(authenticate, authorize, limits or Limits())
        self.store = store
        self.audit = audit
        self.source: Source | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.content.rules

    @property
    def grants(self) -> tuple[Grant, ...]:
        return self.content.grants

    @property
    def limits(self) -> Limits:
        return self.content.limits

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """The policy in a TOML file; raises `ConfigurationError` listing every problem with line and key."""
        from useridentity.config import load_policy

        return load_policy(Path(path))

    def reload(self) -> None:
        """Read the policy's file again: all of it holds from the next association on, or none of it does.

        Associations in progress keep what they were accepted for; `reconsider` tells whether they still would be.
        Raises `ConfigurationError` where the file cannot be used, or the policy was made in code.
        """
        self.prepare()()

    def prepare(self) -> Callable[[], None]:
        """Read the policy's file again; what is returned puts it to use, and cannot fail. Raises as `reload`."""
        if self.source is None:
            raise ConfigurationError("this policy was made in code: there is no file to read again")
        from useridentity.config import load_policy

        content = load_policy(self.source.path, running=self).content

        def use() -> None:
            self.content = content

        return use

    @classmethod
    def unguarded(cls) -> Policy:
        """No policy, said aloud: everybody is let in as UNPROVED, and nothing is confirmed to anybody."""
        return _Unguarded([Rule([ADMITTING], name="unguarded")])

    def plan(self, facts: Facts) -> Rejected | Checks:
        """The validators to ask about this association, by the first rule that matches."""
        content = self.content
        rule = content.rule_for(facts)
        if rule is None:
            return _no_rule(content, facts)
        asked = rule.asked(facts)
        return Checks(rule.name, asked, facts, content) if asked else _nothing_to_ask(rule, facts)

    def conclude(self, checks: Checks, results: Mapping[str, Result]) -> Decision:
        """The decision that follows from the answers, by the names of the validators that were asked."""
        proof = checks.proof(results)
        if proof is None:
            return _refusal(checks, results)
        verified, name = proof.verified(), label(proof.alternative)
        accepted = Accepted(
            verified.identity,
            checks.rule,
            name,
            verified.server_response,
            verified.expires_at,
            permission=_NOTHING,
            node=proof.node,
            waived=_waived(checks, results) if name == UNPROVED else None,
        )
        return checks.content.authorize(accepted, checks.facts.contexts)

    def reconsider(self, facts: Facts, accepted: Accepted) -> Decision:
        """What becomes of an association that was accepted earlier; `facts` are its own, with the time of now.

        What accepted it must still be among what the rule that now matches accepts. Nobody is asked again: a
        credential is not kept.
        """
        plan = self.plan(facts)
        if isinstance(plan, Rejected):
            return plan
        alternative = next((each for each in plan.alternatives if label(each) == accepted.validator), None)
        if alternative is None:
            detail = f"{accepted.validator} is not accepted any more"
            return Rejected(Reason.NOT_AUTHORISED, detail, plan.rule, accepted.validator)
        assigned = next((each.assign.identity() for each in alternative if isinstance(each, Assigning)), None)
        again = replace(accepted, rule=plan.rule, identity=assigned or accepted.identity)
        return plan.content.authorize(again, facts.contexts)


_NOTHING = Permission(())
"""What is permitted until a grant says otherwise."""


class _Unguarded(Policy):
    def plan(self, facts: Facts) -> Rejected | Checks:
        return Checks(self.rules[0].name, self.rules[0].alternatives, facts, self.content)


def _no_rule(content: Content, facts: Facts) -> Rejected:
    rule = content.rule_but_for_tls(facts)
    if rule is None:
        return Rejected(Reason.NO_RULE, "no [[authenticate]] rule matches")
    return Rejected(Reason.TLS_REQUIRED, rule.when.difference(facts), rule.name)


def _nothing_to_ask(rule: Rule, facts: Facts) -> Rejected:
    if facts.identity_type is None:
        return Rejected(Reason.IDENTITY_REQUIRED, "no user identity was sent", rule.name)
    detail = f"no validator of the rule takes User-Identity-Type {facts.identity_type}"
    return Rejected(Reason.IDENTITY_TYPE_NOT_ACCEPTED, detail, rule.name)


def _refusal(checks: Checks, results: Mapping[str, Result]) -> Rejected:
    verdicts = [found for each in checks.alternatives if (found := _verdict(each, results)) is not None]
    if not verdicts:
        return Rejected(Reason.VALIDATOR_UNAVAILABLE, "no validator answered", checks.rule)
    validator, result = max(verdicts, key=lambda verdict: _weight(verdict[1]))
    return Rejected(result.reason, result.detail, checks.rule, validator.name)


def _waived(checks: Checks, results: Mapping[str, Result]) -> Rejected:
    """What would have been decided about somebody who was let in as UNPROVED."""
    others = tuple(each for each in checks.alternatives if label(each) != UNPROVED)
    if others:
        return _refusal(replace(checks, alternatives=others), results)
    return Rejected(Reason.IDENTITY_REQUIRED, "no user identity was sent", checks.rule)


def _verdict(alternative: Alternative, results: Mapping[str, Result]) -> tuple[Validator, Refused | Unavailable] | None:
    """Why not all of these verified; one that refuses settles it, whatever those say that cannot tell."""
    answers = [(each, results.get(each.name)) for each in alternative]
    negative = [(each, answer) for each, answer in answers if isinstance(answer, Refused | Unavailable)]
    return next((each for each in negative if isinstance(each[1], Refused)), negative[0] if negative else None)


def _weight(result: Refused | Unavailable) -> int:
    """How much a negative answer tells: whose credential it is not, what is wrong with it, that nobody knows."""
    if isinstance(result, Unavailable):
        return 2
    return int(result.reason is not Reason.ISSUER_UNKNOWN)
