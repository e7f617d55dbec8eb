"""What proof an association owes, and what follows from the proofs that came.

A policy is pure: `plan` turns the facts into validators to ask, `conclude` turns their answers into a
decision. Who asks them, and how long that may take, is `checks.Driver`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.facts import Facts, Tls
from useridentity.identity import Assurance, Identity
from useridentity.settings import Bytes, Network, Seconds
from useridentity.state import Store
from useridentity.state.limits import PenaltyLimits
from useridentity.validator import FunctionValidator, Validator, Verified


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


@dataclass(frozen=True, slots=True)
class When:
    """The connections a rule is for; what is left empty matches all.

    AE titles may hold `*` for any characters and no other pattern. `tls`: NONE matches plain TCP only,
    SERVER any TLS, MUTUAL a verified client certificate only.
    """

    calling_ae_title: tuple[str, ...] = ()
    called_ae_title: tuple[str, ...] = ()
    network: tuple[Network, ...] = ()
    tls: Tls | None = None

    def matches(self, facts: Facts) -> bool:
        return self.matches_but_for_tls(facts) and self._tls_suffices(facts.tls)

    def matches_but_for_tls(self, facts: Facts) -> bool:
        return (
            _any_title(self.calling_ae_title, facts.calling_ae_title)
            and _any_title(self.called_ae_title, facts.called_ae_title)
            and (not self.network or any(facts.address in network for network in self.network))
        )

    def _tls_suffices(self, tls: Tls) -> bool:
        if self.tls is Tls.SERVER:
            return tls is not Tls.NONE
        return self.tls is None or self.tls is tls


def _any_title(patterns: Iterable[str], title: str) -> bool:
    patterns = tuple(patterns)
    return not patterns or any(_title_matches(pattern, title) for pattern in patterns)


def _title_matches(pattern: str, title: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), title, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[authenticate]]` rule: the connections in `when` owe what one of `accept` verifies."""

    accept: Sequence[Validator]
    when: When = When()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Checks:
    """The validators to ask, in order, until one verifies."""

    rule: str
    validators: tuple[Validator, ...]


Result = Verified | Refused | Unavailable


class Policy:
    """The rules of an association acceptor; immutable.

    `store` keeps what must be remembered between associations (`open_store`); None for the memory of each
    server alone.
    Raises `ConfigurationError`, listing everything that is wrong, where the rules cannot work.
    """

    def __init__(
        self, authenticate: Sequence[Rule], *, limits: Limits | None = None, store: Store | None = None
    ) -> None:
        problems = [problem for index, rule in enumerate(authenticate) for problem in _problems(index, rule)]
        if not authenticate:
            problems.append("authenticate: no rule, so nobody could associate; Policy.unguarded() admits everybody")
        if problems:
            raise ConfigurationError(problems)
        self.rules = tuple(Rule(tuple(r.accept), r.when, r.name or f"rule {i + 1}") for i, r in enumerate(authenticate))
        self.limits = limits or Limits()
        self.store = store

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """The policy in a TOML file; raises `ConfigurationError` listing every problem with line and key."""
        from useridentity.config import load_policy

        return load_policy(Path(path))

    @classmethod
    def unguarded(cls) -> Policy:
        """No policy, said aloud: everybody is let in as UNPROVED, and nothing is confirmed to anybody."""
        return _Unguarded([Rule([_ANYBODY], name="unguarded")])

    def plan(self, facts: Facts) -> Rejected | Checks:
        """The validators to ask about this association, by the first rule that matches."""
        rule = next((rule for rule in self.rules if rule.when.matches(facts)), None)
        if rule is None:
            return self._no_rule(facts)
        asked = tuple(v for v in rule.accept if v.identity_type == facts.identity_type)
        if asked:
            return Checks(rule.name, asked)
        if facts.identity_type is None:
            return Rejected(Reason.IDENTITY_REQUIRED, "no user identity was sent", rule.name)
        detail = f"no validator of the rule takes User-Identity-Type {facts.identity_type}"
        return Rejected(Reason.IDENTITY_TYPE_NOT_ACCEPTED, detail, rule.name)

    def conclude(self, checks: Checks, results: Sequence[Result]) -> Decision:
        """The decision that follows from the answers, one for each validator asked."""
        answered = list(zip(checks.validators, results, strict=False))
        for validator, result in answered:
            if isinstance(result, Verified):
                return _accepted(checks.rule, validator, result)
        if not answered:
            return Rejected(Reason.VALIDATOR_UNAVAILABLE, "no validator answered", checks.rule)
        validator, result = max(answered, key=lambda pair: _weight(pair[1]))
        assert not isinstance(result, Verified)  # noqa: S101  returned above
        return Rejected(result.reason, result.detail, checks.rule, validator.name)

    def _no_rule(self, facts: Facts) -> Rejected:
        for rule in self.rules:
            if rule.when.matches_but_for_tls(facts):
                return Rejected(Reason.TLS_REQUIRED, f"the rule asks for tls = {rule.when.tls}", rule.name)
        return Rejected(Reason.NO_RULE, "no [[authenticate]] rule matches")


class _Unguarded(Policy):
    def plan(self, facts: Facts) -> Rejected | Checks:  # noqa: ARG002  nothing about a peer matters
        return Checks(self.rules[0].name, tuple(self.rules[0].accept))


def _anybody(_presented: object, facts: Facts, _context: object) -> Verified:
    name = str(facts.address)
    identity = Identity(f"unproved:{name}", name, "unproved", Assurance.UNPROVED, facts.identity_type)
    return Verified(identity, server_response=None)


_ANYBODY = FunctionValidator("anybody", None, _anybody, cpu_short=True)


def _weight(result: Result) -> int:
    """How much a negative answer tells: whose credential it is not, what is wrong with it, that nobody knows."""
    if isinstance(result, Unavailable):
        return 2
    return int(isinstance(result, Refused) and result.reason is not Reason.ISSUER_UNKNOWN)


def _accepted(rule: str, validator: Validator, verified: Verified) -> Accepted:
    return Accepted(verified.identity, rule, validator.name, verified.server_response, verified.expires_at)


def _problems(index: int, rule: Rule) -> Iterable[str]:
    where = f"authenticate[{index}]" + (f" ({rule.name})" if rule.name else "")
    if not rule.accept:
        yield f"{where}.accept: empty, so whoever it matches could never associate; name a validator"
    for word in ("calling_ae_title", "called_ae_title", "network"):
        if isinstance(getattr(rule.when, word), str):
            yield f"{where}.when.{word}: a string would be read letter by letter; give a tuple of them"
    if not isinstance(rule.when.tls, Tls | None):
        yield f"{where}.when.tls: {rule.when.tls!r} is no Tls, such as Tls.MUTUAL"
    for entry in rule.accept:
        if not isinstance(entry, Validator):
            yield (
                f"{where}.accept: {entry!r} is not a validator; wrap a function with passcode_check(...) "
                "or FunctionValidator(name, identity_type, function)"
            )
