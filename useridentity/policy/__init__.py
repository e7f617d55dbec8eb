"""What proof an association owes, and what follows from the proofs that came.

A policy is pure: `plan` turns the facts into validators to ask, `conclude` turns their answers into a
decision. Who asks them, and how long that may take, is `checks.Driver`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.errors import ConfigurationError
from useridentity.facts import Facts
from useridentity.permission import Permission
from useridentity.policy.content import Content, Limits
from useridentity.policy.match import BreakGlass, When, Who
from useridentity.policy.problems import problems
from useridentity.policy.proof import Checks, Result, refusal, waived
from useridentity.policy.rules import ADMITTING, UNPROVED, Assign, Assigning, Grant, Rule, Unproved, label
from useridentity.settings.shape import demand_none, misfit
from useridentity.settings.toml_file import Problem
from useridentity.state import Store

if TYPE_CHECKING:  # nothing here does any I/O
    from useridentity.audit.settings import AuditSettings
    from useridentity.audit.trail import Trail

__all__ = [
    "Assign", "BreakGlass", "Checks", "Content", "Grant", "Limits", "Policy", "Result", "Rule", "Source", "Unproved",
    "When", "Who",
]  # fmt: skip


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
        limits = Limits() if limits is None else limits
        wrong = [*problems(authenticate, authorize), *misfit(("limits",), Limits, limits), *_no_parts(store, audit)]
        demand_none(wrong)
        self._hold(Content.of(authenticate, authorize, limits), store, audit)

    def _hold(self, content: Content, store: Store | None, audit: Trail | None, source: Source | None = None) -> None:
        self.content = content
        self.store = store
        self.audit = audit
        self.source = source

    @classmethod
    def of(cls, content: Content, *, store: Store | None, audit: Trail | None, source: Source) -> Policy:
        """The policy with this content, which was read from `source` and is known to have no problems."""
        policy = cls.__new__(cls)
        policy._hold(content, store, audit, source)
        return policy

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
        from useridentity.config.parts import PartsInUse

        content = load_policy(self.source.path, PartsInUse(self)).content
        if self.content.grants and not content.grants:  # a file that was read while it was being written looks so
            raise ConfigurationError(
                f"{self.source.path}: has no [[authorize]] any more, which permits everything; "
                "if that is meant, restart the program"
            )

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
            return refusal(checks, results)
        verified, name = proof.verified(), label(proof.alternative)
        accepted = Accepted(
            verified.identity,
            checks.rule,
            name,
            verified.server_response,
            verified.expires_at,
            permission=_NOTHING,
            node=proof.node,
            waived=waived(checks, results) if name == UNPROVED else None,
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


def _no_parts(store: object, audit: object) -> Iterator[Problem]:
    """What was given where a part should be; a URL may hold a password, and is not repeated."""
    if store is not None and not hasattr(store, "spend"):
        yield ("store",), f"is a {type(store).__name__}; open_store makes a store of a URL"
    if audit is not None and not hasattr(audit, "journal"):
        yield ("audit",), f"is a {type(audit).__name__}; docs/audit.md says how a trail is made"


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
