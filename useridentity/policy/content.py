"""What a policy says: its rules and grants in order, ready to be searched, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.facts import Facts, Proposal
from useridentity.identity import Identity
from useridentity.permission import EVERYTHING, Permission
from useridentity.policy.index import WhenIndex, WhoIndex
from useridentity.policy.rules import Grant, Rule
from useridentity.settings import Bytes, Seconds, Wait
from useridentity.state.limits import PenaltyLimits


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

    associate_deadline: Wait = 10.0
    tls_handshake: Wait = 5.0
    max_associate_pdu: Bytes = 256 * 1024
    max_pending_per_peer: int = 8
    max_pending: int = 256
    validator_deadline: Wait = 10.0
    max_association: Seconds = 12 * 3600.0
    penalty: PenaltyLimits = field(default_factory=PenaltyLimits)


@dataclass(frozen=True, slots=True)
class Content:
    """What a policy says: its rules in order, each with a name.

    `unused` are the names of its file's validators that no rule accepts.
    """

    rules: tuple[Rule, ...]
    grants: tuple[Grant, ...]
    limits: Limits
    rule_index: WhenIndex = field(repr=False)
    grant_index: WhoIndex = field(repr=False)
    unused: tuple[str, ...] = ()

    @classmethod
    def of(cls, rules: Sequence[Rule], grants: Sequence[Grant], limits: Limits, unused: Sequence[str] = ()) -> Content:
        """With the names of those that have none, and ready to be searched."""
        named = [
            replace(each, accept=tuple(each.accept), name=each.name or f"rule {number}")
            for number, each in enumerate(rules, 1)
        ]
        granted = [replace(each, name=each.name or f"grant {number}") for number, each in enumerate(grants, 1)]
        indexes = WhenIndex([each.when for each in named]), WhoIndex([each.who for each in granted])
        return cls(tuple(named), tuple(granted), limits, *indexes, tuple(unused))

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
