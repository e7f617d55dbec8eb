"""The driver and its pools: only a complete positive answer verifies, and nobody waits for another's validator."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from types import FrameType
from typing import Any

import pytest

from tests.lib.policies import rejected
from tests.lib.threads import Hanging
from useridentity import (
    Accepted,
    Assurance,
    CheckContext,
    Credential,
    Decision,
    Facts,
    FunctionValidator,
    Identity,
    Limits,
    Once,
    Policy,
    Reason,
    Refused,
    Rejected,
    Rule,
    Tls,
    Unavailable,
    Verified,
)
from useridentity.checks import MAX_SERVER_RESPONSE, Driver
from useridentity.pool import WORKERS

HANG = 10.0  # seconds; ten times what anything here takes
SECRET = b"secret-octets-51c9"
CREDENTIAL = Credential(2, b"alice", SECRET)
FACTS = Facts("CT_1", "ARCHIVE", ip_address("127.0.0.1"), 104, Tls.NONE, 2, datetime.now(UTC))
SOONER, LATER = FACTS.now + timedelta(minutes=1), FACTS.now + timedelta(hours=1)


def alice(identity_type: int = 2) -> Identity:
    return Identity("test:alice", "alice", "test", Assurance.AUTHENTICATED, identity_type)


def verify(presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
    return Verified(alice())


def validator(function: Any, name: str = "test") -> FunctionValidator:
    return FunctionValidator(name, 2, function)


@pytest.fixture
def driver() -> Iterator[Callable[..., Driver]]:
    """Drivers with one rule that accepts these validators, closed when the test ends."""
    with ExitStack() as opened:

        def make(*functions: Any, replay: Any = None, **limits: Any) -> Driver:
            accept = [each if isinstance(each, FunctionValidator) else validator(each) for each in functions]
            policy = Policy([Rule(accept, overlap="first-verifies")], limits=Limits(**limits))
            return opened.enter_context(closing(Driver(policy, replay)))

        yield make


def decide(driver: Driver) -> Decision:
    return driver.decide(FACTS, CREDENTIAL)


def reason(driver: Driver) -> Reason:
    decision = rejected(decide(driver))
    assert SECRET.decode() not in decision.detail
    return decision.reason


def test_a_validator_that_verifies_is_believed(driver: Callable[..., Driver]) -> None:
    decision = decide(driver(verify))
    assert isinstance(decision, Accepted)
    assert (decision.identity.user_id, decision.validator, decision.rule) == ("alice", "test", "rule 1")


# Validators that are broken


class LooksVerified:
    identity = alice()
    server_response = b""
    once = ()
    expires_at = None


@pytest.mark.parametrize(
    "answer",
    [None, True, 1, "alice", (True, None), alice(), LooksVerified(), Verified, Verified(None), Verified(alice(1))],  # type: ignore[arg-type]
    ids=lambda answer: type(answer).__name__,
)
@pytest.mark.threat("T11")
def test_nothing_but_a_complete_answer_verifies(driver: Callable[..., Driver], answer: Any) -> None:
    assert reason(driver(lambda *_: answer)) is Reason.VALIDATOR_UNAVAILABLE


@pytest.mark.parametrize(
    "change",
    [
        {"server_response": "text"},
        {"server_response": bytes(MAX_SERVER_RESPONSE + 1)},
        {"expires_at": "tomorrow"},
        {"expires_at": LATER.replace(tzinfo=None)},
        {"identity": replace(alice(), expires_at=LATER.replace(tzinfo=None))},
        {"identity": replace(alice(), groups=["radiology"])},  # type: ignore[arg-type]
        {"identity": replace(alice(), assurance=Assurance.ASSERTED, user_id="bob")},
        {"identity": replace(alice(), assurance=Assurance.ASSERTED, user_id=None)},  # type: ignore[arg-type]
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_answer_that_contradicts_itself_or_the_credential_is_none(
    driver: Callable[..., Driver], change: dict[str, Any]
) -> None:
    good = Verified(replace(alice(), groups=frozenset({"radiology"})), bytes(MAX_SERVER_RESPONSE), expires_at=LATER)
    assert isinstance(decide(driver(lambda *_: good)), Accepted)
    assert reason(driver(lambda *_: replace(good, **change))) is Reason.VALIDATOR_UNAVAILABLE


def test_an_asserted_user_is_the_one_presented(driver: Callable[..., Driver]) -> None:
    asserted = replace(alice(), assurance=Assurance.ASSERTED)
    assert isinstance(decide(driver(lambda *_: Verified(asserted))), Accepted)
    assert isinstance(decide(driver(lambda *_: Verified(replace(asserted, user_id="mallory")))), Rejected)


def test_the_first_end_of_a_proof_counts_and_a_past_one_refuses(driver: Callable[..., Driver]) -> None:
    """A mechanism may say it with the identity or with the answer."""
    later, past = Verified(alice(), expires_at=LATER), FACTS.now
    decision = decide(driver(lambda *_: later))
    assert isinstance(decision, Accepted)
    assert decision.expires_at == LATER
    sooner = decide(driver(lambda *_: replace(later, identity=replace(alice(), expires_at=SOONER))))
    assert isinstance(sooner, Accepted)
    assert sooner.expires_at == SOONER
    assert reason(driver(lambda *_: replace(later, expires_at=past))) is Reason.CREDENTIAL_EXPIRED
    assert reason(driver(lambda *_: replace(later, identity=replace(alice(), expires_at=past)))) is (
        Reason.CREDENTIAL_EXPIRED
    )


@pytest.mark.parametrize(
    "error",
    [ValueError(SECRET), NotImplementedError(), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), StopIteration()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.threat("T11")
def test_a_validator_that_raises_has_not_verified(driver: Callable[..., Driver], error: BaseException) -> None:
    def fail(*_: Any) -> Verified:
        raise error

    failing = driver(fail)
    assert reason(failing) is Reason.VALIDATOR_UNAVAILABLE
    assert type(error).__name__ in str(decide(failing))


def test_a_verdict_is_passed_on(driver: Callable[..., Driver]) -> None:
    def refuse(*_: Any) -> Verified:
        raise Refused(Reason.CREDENTIAL_EXPIRED, "yesterday")

    def cannot_tell(*_: Any) -> Verified:
        raise Unavailable("the directory is down")

    assert reason(driver(refuse)) is Reason.CREDENTIAL_EXPIRED
    assert reason(driver(cannot_tell)) is Reason.VALIDATOR_UNAVAILABLE
    assert reason(driver(refuse, validator(cannot_tell, "other"))) is Reason.VALIDATOR_UNAVAILABLE
    assert isinstance(decide(driver(refuse, validator(verify, "other"))), Accepted)


def test_a_policy_that_crashes_has_not_accepted(driver: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = driver(verify)
    assert isinstance(decide(crashing), Accepted)
    monkeypatch.setattr(crashing.policy, "conclude", lambda *_: 1 / 0)
    assert reason(crashing) is Reason.VALIDATOR_UNAVAILABLE


# What may be used once


def once(*_: Any) -> Verified:
    return Verified(alice(), once=(Once(("test", "1"), FACTS.now + timedelta(hours=1)),))


def test_what_may_be_used_once_is(driver: Callable[..., Driver]) -> None:
    single = driver(once)
    assert isinstance(decide(single), Accepted)
    assert reason(single) is Reason.REPLAYED


def test_without_an_answer_from_the_replay_store_nobody_is_accepted(driver: Callable[..., Driver]) -> None:
    class Down:
        def spend(self, keys: Sequence[Once], now: datetime) -> bool:
            raise Unavailable("no disk", Reason.STATE_UNAVAILABLE)

    class Crashing:
        def spend(self, keys: Sequence[Once], now: datetime) -> bool:
            raise OSError("no disk")

    assert reason(driver(once, replay=Down())) is Reason.STATE_UNAVAILABLE
    assert reason(driver(once, replay=Crashing())).answer == Reason.STATE_UNAVAILABLE.answer


# Validators that hang


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Let go when the test ends, at the latest."""
    each = Hanging(Verified(alice()))
    yield each
    each.let_go()


def test_a_hanging_validator_is_given_up_at_the_deadline(driver: Callable[..., Driver], hanging: Hanging) -> None:
    assert reason(driver(hanging, validator_deadline=0.05)) is Reason.TIMED_OUT


@pytest.mark.threat("T11")
def test_a_hanging_validator_starves_no_other(driver: Callable[..., Driver], hanging: Hanging) -> None:
    def choose(presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        return verify(presented, facts, context)

    accept = [validator(hanging, "hangs"), validator(choose, "works")]
    both = Driver(Policy([Rule(accept, overlap="first-verifies")]))
    hangs, works = (both._pools[id(each)] for each in both.policy.rules[0].accept)
    deadline = time.monotonic() + 0.05
    for _ in range(WORKERS):
        with pytest.raises(Unavailable):
            hangs.run(hanging, deadline)
    assert isinstance(works.run(lambda: verify(CREDENTIAL, FACTS, CheckContext(0)), time.monotonic() + HANG), Verified)
    both.close()


def test_a_validator_whose_threads_all_hang_is_not_asked_until_one_returns(
    driver: Callable[..., Driver], hanging: Hanging
) -> None:
    stuck = driver(hanging, validator_deadline=0.05)
    (pool,) = stuck._pools.values()
    while pool._overdue < WORKERS:  # a busy machine may not start a thread in time, and then nothing hangs
        assert reason(stuck) is Reason.TIMED_OUT
    for _ in range(WORKERS):
        assert hanging.entered.acquire(timeout=HANG)
    assert reason(stuck) is Reason.VALIDATOR_UNAVAILABLE
    assert not hanging.entered.acquire(blocking=False)
    hanging.let_go()
    deadline = time.monotonic() + HANG
    while not isinstance(decide(stuck), Accepted):
        assert time.monotonic() < deadline


def test_a_pool_forgets_what_it_was_asked(driver: Callable[..., Driver]) -> None:
    def refuse(presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        raise Refused(Reason.CREDENTIAL_INVALID, "no")

    for function in (verify, refuse):
        asked = driver(function)
        credential = Credential(2, b"alice", bytes([len(SECRET)]) * 40)
        asked.decide(FACTS, credential)
        deadline = time.monotonic() + HANG
        while [each for each in gc.get_referrers(credential) if not isinstance(each, FrameType)]:
            assert time.monotonic() < deadline, "an idle thread still holds its last task"
