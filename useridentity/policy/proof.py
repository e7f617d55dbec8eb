"""What is asked about an association, and what the answers prove."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from useridentity.decision import Reason, Rejected
from useridentity.errors import Refused, Unavailable
from useridentity.facts import Facts
from useridentity.identity import Identity
from useridentity.policy.content import Content
from useridentity.policy.rules import UNPROVED, Alternative, label
from useridentity.validator import Validator, Verified

Result = Verified | Refused | Unavailable


@dataclass(frozen=True, slots=True)
class Checks:
    """What to ask: the first of `alternatives` whose validators all verify is accepted.

    `facts` and `content` are those of the plan, so that a policy reloaded meanwhile changes nothing for it.
    """

    rule: str
    alternatives: tuple[Alternative, ...]
    facts: Facts
    content: Content = field(repr=False)

    def ask(self, answer: Callable[[Validator], Result]) -> dict[str, Result]:
        """The answers by the validators' names, up to the first alternative that verifies; each is asked once."""
        results: dict[str, Result] = {}
        for alternative in self.alternatives:
            # The certificate first: who has none gets no guess at a passcode, and no ticket is used up.
            for validator in sorted(alternative, key=lambda each: each.identity_type is not None):
                if validator.name not in results:
                    results[validator.name] = answer(validator)
                if not isinstance(results[validator.name], Verified):
                    break
            else:
                break
        return results

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


def refusal(checks: Checks, results: Mapping[str, Result]) -> Rejected:
    """The answer that says most about why no alternative was proved."""
    verdicts = [found for each in checks.alternatives if (found := _verdict(each, results)) is not None]
    if not verdicts:
        return Rejected(Reason.VALIDATOR_UNAVAILABLE, "no validator answered", checks.rule)
    validator, result = max(verdicts, key=lambda verdict: _weight(verdict[1]))
    return Rejected(result.reason, result.detail, checks.rule, validator.name)


def waived(checks: Checks, results: Mapping[str, Result]) -> Rejected:
    """What would have been decided about somebody who was let in as UNPROVED."""
    others = tuple(each for each in checks.alternatives if label(each) != UNPROVED)
    if others:
        return refusal(replace(checks, alternatives=others), results)
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
