"""The driver: asks validators, each in its own bounded pool and under a deadline, and decides.

Nothing else in the acceptor waits for a validator. One that hangs holds its own threads and no
others; one that crashes, or answers with anything but a `Verified`, has not verified.
"""

from __future__ import annotations

import threading
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from useridentity.credential import Credential
from useridentity.decision import Accepted, Decision, Reason, Rejected
from useridentity.errors import Refused, Unavailable, described
from useridentity.facts import Facts
from useridentity.identity import Assurance, Identity
from useridentity.policy import Checks, Content, Policy, Result
from useridentity.policy.rules import label
from useridentity.pool import Pool
from useridentity.state import ReplayStore
from useridentity.state.memory import MemoryReplayStore
from useridentity.state.penalties import MAX_NAME, Penalties, account_of
from useridentity.validator import CheckContext, Validator, Verified

MAX_SERVER_RESPONSE = 56_000
"""Bytes that an A-ASSOCIATE-AC always has room for, beside the role selections of 128 contexts (PS3.8 Table 9-16)."""


class Driver:
    """Decides about associations by a policy. Safe to use from many threads.

    `penalties` are also for whoever accepts connections: `refuses_source` never waits.
    """

    def __init__(self, policy: Policy, replay: ReplayStore | None = None) -> None:
        self.policy = policy
        self.penalties = Penalties(policy.limits.penalty, policy.store.ledger if policy.store else None)
        self._replay = replay or policy.store or MemoryReplayStore()
        self._lock = threading.Lock()
        self._content = policy.content
        self._pools = _pools(self._content)

    def decide(self, facts: Facts, credential: Credential | None) -> Decision:
        """Plan, ask, conclude, and spend what may be used once; rejected unless all of it succeeds."""
        try:
            return self._decide(facts, credential)
        except Exception as error:  # noqa: BLE001  a policy or a store that crashes has not accepted
            return Rejected(Reason.VALIDATOR_UNAVAILABLE, f"the decision failed: {described(error)}")

    def _decide(self, facts: Facts, credential: Credential | None) -> Decision:
        self._follow()
        plan = self.policy.plan(facts)
        if isinstance(plan, Rejected):
            return plan
        attempt = _Attempt(self.penalties, plan.rule, credential, facts) if credential else None
        refused = attempt.refused() if attempt else None
        if refused:
            return refused
        deadline = time.monotonic() + plan.content.limits.validator_deadline
        results = plan.ask(lambda validator: self._ask(validator, credential, facts, deadline))
        decision = self.policy.conclude(plan, results)
        if attempt:
            attempt.learn(decision, _about_credential(plan, results))
        if isinstance(decision, Rejected):
            return decision
        return self._spend(decision, plan, results) or decision

    def reconsider(self, facts: Facts, accepted: Accepted) -> Decision:
        """What becomes of an association that was accepted earlier (`Policy.reconsider`).

        Its TLS client certificate is judged again, which `facts` have; its credential was not kept. A validator
        that cannot tell now changes nothing.
        """
        self._follow()
        plan = self.policy.plan(facts)
        if isinstance(plan, Rejected):
            return plan
        deadline = time.monotonic() + plan.content.limits.validator_deadline
        asked = next((each for each in plan.alternatives if label(each) == accepted.validator), ())
        for validator in (each for each in asked if each.identity_type is None):
            answer = self._ask(validator, None, facts, deadline)
            if isinstance(answer, Refused):
                return Rejected(answer.reason, answer.detail, plan.rule, accepted.validator)
            if isinstance(answer, Verified):
                accepted = _with_node(accepted, answer.identity)
        return self.policy.reconsider(facts, accepted)

    def close(self) -> None:
        """End the threads that are idle; one that hangs ends when its validator returns."""
        for pool in self._pools.values():
            pool.close()
        if self.policy.store is not None:
            self.policy.store.close()

    def _ask(self, validator: Validator, credential: Credential | None, facts: Facts, deadline: float) -> Result:
        presented = credential if validator.identity_type is not None else None

        def validate() -> Result:
            return _validate(validator, presented, facts, CheckContext(deadline))

        if validator.cpu_short:
            return validate()
        try:
            return self._pool(validator).run(validate, deadline)
        except Unavailable as unavailable:
            return unavailable

    def _pool(self, validator: Validator) -> Pool:
        """The pool of a validator; one of its own for a plan that was made before the policy was reloaded."""
        with self._lock:
            pool = self._pools.get(id(validator))
        if pool is None:
            pool = Pool(validator.name)
            pool.retire()
        return pool

    def _follow(self) -> None:
        """Do as the policy says now, after it was reloaded."""
        with self._lock:
            content = self.policy.content
            if content is self._content:
                return
            for pool in self._pools.values():
                pool.retire()
            self._content, self._pools = content, _pools(content)
            self.penalties.limits = content.limits.penalty

    def _spend(self, accepted: Accepted, plan: Checks, results: Mapping[str, Result]) -> Rejected | None:
        proof = plan.proof(results)
        once = proof.verified().once if proof else ()
        try:
            if not once or self._replay.spend(once, plan.facts.now):
                return None
        except Unavailable as unavailable:
            return Rejected(unavailable.reason, unavailable.detail, accepted.rule, accepted.validator)
        return Rejected(Reason.REPLAYED, "presented before", accepted.rule, accepted.validator, accepted.identity)


def _with_node(accepted: Accepted, node: Identity) -> Accepted:
    return replace(accepted, identity=node) if accepted.node is None else replace(accepted, node=node)


def _pools(content: Content) -> dict[int, Pool]:
    """One for each validator that may wait, by its id; the content keeps them alive."""
    asked = (each for rule in content.rules for alternative in rule.alternatives for each in alternative)
    return {id(each): Pool(each.name) for each in asked if not each.cpu_short}


class _Attempt:
    """One credential, and what its being right or wrong means for the next."""

    def __init__(self, penalties: Penalties, rule: str, credential: Credential, facts: Facts) -> None:
        self._penalties = penalties
        self._rule = rule
        self._account = account_of(credential)
        self._digest = penalties.digest(credential, rule)
        self._from = facts.address
        self._now = facts.now

    def refused(self) -> Rejected | None:
        """Why a passcode is not even looked at."""
        if self._account is None:
            return None
        if self._penalties.just_failed(self._from, self._digest, self._now):
            return Rejected(Reason.CREDENTIAL_INVALID, "the same was refused a moment ago", self._rule)
        if self._penalties.refuses_account(self._account, self._from, self._now):
            return Rejected(Reason.PENALTY, "too many wrong passcodes for this account", self._rule)
        return None

    def learn(self, decision: Decision, results: Sequence[Result]) -> None:
        """Forgive what was right; charge what was wrong, certainly so where no validator could not tell.

        `results` are those about the credential: what was wrong with a certificate is no guess at a passcode.
        """
        if any(isinstance(each, Verified) for each in results):
            if self._account is not None:
                self._penalties.succeeded(self._from, self._account, self._now)
        elif any(isinstance(each, Refused) and each.reason is Reason.CREDENTIAL_INVALID for each in results):
            certain = isinstance(decision, Rejected) and decision.reason is Reason.CREDENTIAL_INVALID
            self._penalties.failed(self._from, self._account, self._digest, self._now, certain=certain)


def _about_credential(plan: Checks, results: Mapping[str, Result]) -> list[Result]:
    """The answers of the validators that judged the 58H."""
    asked = {each.name: each for alternative in plan.alternatives for each in alternative}
    return [result for name, result in results.items() if asked[name].identity_type is not None]


def _validate(validator: Validator, credential: Credential | None, facts: Facts, context: CheckContext) -> Result:
    try:
        return _judged(validator.validate(credential, facts, context), validator, credential, facts)
    except Refused as verdict:
        # Made anew, as below: a traceback would hold the credential for as long as the verdict lives.
        return Refused(verdict.reason, verdict.detail)
    except Unavailable as verdict:
        return Unavailable(verdict.detail, verdict.reason)
    except BaseException as error:  # noqa: BLE001  a validator that crashes, or whose answer does, has not verified
        return Unavailable(f"the validator raised {described(error)}")


def _judged(answer: object, validator: Validator, credential: Credential | None, facts: Facts) -> Result:
    if not isinstance(answer, Verified) or not isinstance(answer.identity, Identity):
        return Unavailable(f"the validator returned {type(answer).__name__}, not Verified")
    problem = _contradiction(answer, validator, credential)
    return Unavailable(f"the validator's answer {problem}") if problem else _in_time(answer, facts)


def _contradiction(answer: Verified, validator: Validator, credential: Credential | None) -> str:
    """What of an answer cannot be, or cannot be sent; empty where nothing is wrong."""
    identity, response = answer.identity, answer.server_response
    if identity.identity_type != validator.identity_type:
        return "is for another identity type than the validator's"
    if identity.assurance is Assurance.ASSERTED and credential and not _is_named(identity.user_id, credential):
        return "asserts another user than the one presented"
    if not isinstance(identity.groups, frozenset):
        return "has groups that are no frozenset"
    if response is not None and not (isinstance(response, bytes) and len(response) <= MAX_SERVER_RESPONSE):
        return f"has a server response that is no bytes, at most {MAX_SERVER_RESPONSE} of them"
    if any(not isinstance(end, datetime) or end.utcoffset() is None for end in _ends(answer)):
        return "has an expires_at that is no aware datetime"
    return ""


def _is_named(user_id: str, credential: Credential) -> bool:
    """Whether a bare username names this user, whatever the width its characters were sent in (RFC 8265 3.4)."""
    presented = credential.primary_field.decode("utf-8", "replace")
    if presented == user_id or len(presented) > MAX_NAME:
        return presented == user_id
    return unicodedata.normalize("NFKC", presented) == unicodedata.normalize("NFKC", user_id)


def _ends(answer: Verified) -> list[datetime]:
    return [end for end in (answer.expires_at, answer.identity.expires_at) if end is not None]


def _in_time(answer: Verified, facts: Facts) -> Result:
    """The answer, ending when the first of its ends comes; refused where that is past."""
    end = min(_ends(answer), default=None)
    if end is not None and end <= facts.now:
        return Refused(Reason.CREDENTIAL_EXPIRED, "the proof had ended when it was given")
    return replace(answer, expires_at=end)
