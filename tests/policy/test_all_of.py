"""All of several validators: "idp+node" is accepted only where both verify, and each is asked once and for its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from tests.lib.policies import accepted, rejected
from useridentity import (
    Assurance,
    CheckContext,
    Credential,
    Decision,
    Facts,
    FunctionValidator,
    Identity,
    Kind,
    Once,
    PenaltyLimits,
    Policy,
    Reason,
    Refused,
    Rejected,
    Rule,
    Tls,
    Unavailable,
    Verified,
)
from useridentity.checks import Driver

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACTS = Facts("CT_1", "ARCHIVE", ip_address("10.20.0.7"), 104, Tls.MUTUAL, 2, NOW, b"certificate")
ANONYMOUS = replace(FACTS, identity_type=None)
RIGHT, WRONG = Credential(2, b"alice", b"right"), Credential(2, b"alice", b"wrong")
ALICE = Identity("staff:alice", "alice", "staff", Assurance.AUTHENTICATED, 2)
NODE = Identity("node:ct1", "ct1", "node", Assurance.AUTHENTICATED, kind=Kind.NODE)
SOONER, LATER = NOW + timedelta(minutes=1), NOW + timedelta(hours=1)
INVALID = Refused(Reason.CREDENTIAL_INVALID, "no")


class Watched:
    """A validator that writes down what it is asked; it answers with, or raises, what it was given."""

    def __init__(self, name: str, identity_type: int | None, answer: Verified | Exception | None = None) -> None:
        self.name, self.identity_type, self.cpu_short = name, identity_type, True
        self.asked: list[Credential | None] = []
        self.answer = answer or Verified(ALICE if identity_type else NODE)

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        self.asked.append(presented)
        if isinstance(self.answer, Exception):
            raise self.answer
        if presented is not None and presented.secondary_field == b"wrong":
            raise INVALID
        return self.answer


Make = Callable[..., Driver]


@pytest.fixture
def driver() -> Iterator[Make]:
    """Drivers with one rule that accepts these alternatives, closed when the test ends."""
    with ExitStack() as opened:

        def make(*accept: Any) -> Driver:
            policy = Policy([Rule(accept, name="people", overlap="first-verifies")])
            return opened.enter_context(closing(Driver(policy)))

        yield make


@pytest.fixture
def staff() -> Watched:
    return Watched("staff", 2)


@pytest.fixture
def node() -> Watched:
    return Watched("node", None)


def reason(decision: Decision) -> Reason:
    return rejected(decision).reason


def test_both_verify_and_the_user_is_the_58hs_and_the_node_the_certificates(
    driver: Make, staff: Watched, node: Watched
) -> None:
    for pair in ((staff, node), (node, staff)):
        decision = accepted(driver(pair).decide(FACTS, RIGHT))
        assert (decision.identity, decision.node) == (ALICE, NODE)
        assert decision.validator == f"{pair[0].name}+{pair[1].name}"


def test_the_certificates_validator_is_not_shown_the_credential(driver: Make, staff: Watched, node: Watched) -> None:
    accepted(driver((staff, node)).decide(FACTS, RIGHT))
    assert (staff.asked, node.asked) == ([RIGHT], [None])


@pytest.mark.parametrize("negative", [INVALID, Unavailable("down"), ValueError()], ids=lambda each: type(each).__name__)
@pytest.mark.threat("P1")
def test_one_that_does_not_verify_is_enough_to_reject(
    driver: Make, staff: Watched, node: Watched, negative: Exception
) -> None:
    both = driver((staff, node))
    accepted(both.decide(FACTS, RIGHT))
    node.answer = negative
    expected = Reason.CREDENTIAL_INVALID if negative is INVALID else Reason.VALIDATOR_UNAVAILABLE
    assert reason(both.decide(FACTS, RIGHT)) is expected
    node.answer, staff.answer = Verified(NODE), negative
    assert reason(both.decide(FACTS, RIGHT)) is expected


@pytest.mark.threat("P1")
def test_without_a_58h_a_certificate_alone_is_not_both(driver: Make, staff: Watched, node: Watched) -> None:
    both = driver((staff, node))
    accepted(both.decide(FACTS, RIGHT))
    assert reason(both.decide(ANONYMOUS, None)) is Reason.IDENTITY_REQUIRED
    assert node.asked == [None]  # of the first association only


def test_a_refusal_settles_it_though_another_cannot_tell(driver: Make, node: Watched) -> None:
    """Otherwise who shows no certificate would be told to come back while the directory is down."""
    badge = Watched("badge", None, INVALID)
    node.answer = Unavailable("down")
    assert reason(driver((node, badge)).decide(ANONYMOUS, None)) is Reason.VALIDATOR_UNAVAILABLE
    policy = Policy([Rule([(node, badge)])])
    plan = policy.plan(ANONYMOUS)
    assert not isinstance(plan, Rejected)
    assert reason(policy.conclude(plan, {"node": Unavailable("down"), "badge": INVALID})) is Reason.CREDENTIAL_INVALID


def test_the_first_alternative_of_which_all_verify_decides(driver: Make, staff: Watched, node: Watched) -> None:
    """The weaker one comes second, and what it grants can be less."""
    either = driver((staff, node), staff)
    assert accepted(either.decide(FACTS, RIGHT)).validator == "staff+node"
    node.answer = INVALID
    decision = accepted(either.decide(FACTS, RIGHT))
    assert (decision.validator, decision.node) == ("staff", None)


def test_a_validator_is_asked_once_however_many_alternatives_name_it(
    driver: Make, staff: Watched, node: Watched
) -> None:
    """A ticket that is single-use would be its own replay."""
    other = Watched("other", None, INVALID)
    accepted(driver((staff, other), (staff, node), staff).decide(FACTS, RIGHT))
    assert (len(staff.asked), len(node.asked), len(other.asked)) == (1, 1, 1)
    staff.answer = INVALID
    staff.asked.clear()
    assert reason(driver((staff, node), staff).decide(FACTS, RIGHT)) is Reason.CREDENTIAL_INVALID
    assert len(staff.asked) == 1


def test_what_either_says_may_be_used_once_is(driver: Make, staff: Watched, node: Watched) -> None:
    staff.answer = Verified(ALICE, once=(Once(("idp", "1"), LATER),))
    node.answer = Verified(NODE, once=(Once(("ca", "1"), LATER),))
    both = driver((staff, node), staff)
    accepted(both.decide(FACTS, RIGHT))
    staff.answer = Verified(ALICE, once=(Once(("idp", "2"), LATER),))
    assert reason(both.decide(FACTS, RIGHT)) is Reason.REPLAYED  # the certificate's was used up with the first
    node.answer = Verified(NODE)
    accepted(both.decide(FACTS, RIGHT))  # nothing was used up by what was refused
    assert reason(both.decide(FACTS, RIGHT)) is Reason.REPLAYED


def test_the_proof_ends_with_the_first_of_them_and_the_answer_is_the_58hs(
    driver: Make, staff: Watched, node: Watched
) -> None:
    staff.answer = Verified(ALICE, b"ticket", expires_at=LATER)
    node.answer = Verified(NODE, b"of no use", expires_at=SOONER)
    decision = accepted(driver((node, staff)).decide(FACTS, RIGHT))
    assert (decision.expires_at, decision.server_response) == (SOONER, b"ticket")


@pytest.mark.threat("P1")
def test_each_answers_for_its_own_type(driver: Make, staff: Watched, node: Watched) -> None:
    """A certificate's validator that answers with a user of the 58H would be two proofs of one."""
    both = driver((staff, node))
    accepted(both.decide(FACTS, RIGHT))
    node.answer = Verified(ALICE)
    assert reason(both.decide(FACTS, RIGHT)) is Reason.VALIDATOR_UNAVAILABLE
    node.answer, staff.answer = Verified(NODE), Verified(NODE)
    assert reason(both.decide(FACTS, RIGHT)) is Reason.VALIDATOR_UNAVAILABLE


# Penalties

FREE = PenaltyLimits().account_free


def attempts(driver: Driver, presented: Callable[[int], Credential], count: int = FREE + 2) -> list[Reason]:
    """What becomes of so many, a second from each other."""
    seconds = (timedelta(seconds=number) for number in range(count))
    return [reason(driver.decide(replace(FACTS, now=NOW + after), presented(n))) for n, after in enumerate(seconds)]


@pytest.mark.threat("P2")
def test_wrong_passcodes_beside_a_right_certificate_are_penalised(driver: Make, node: Watched) -> None:
    staff = Watched("staff", 2, INVALID)
    both = driver((staff, node))
    found = attempts(both, lambda number: Credential(2, b"alice", b"wrong %d" % number))
    assert found[0] is Reason.CREDENTIAL_INVALID
    assert found[-1] is Reason.PENALTY


@pytest.mark.threat("P2")
def test_a_wrong_certificate_costs_the_account_nothing_and_gives_no_guess(driver: Make, staff: Watched) -> None:
    node = Watched("node", None, INVALID)
    both = driver((staff, node))
    assert set(attempts(both, lambda _: RIGHT)) == {Reason.CREDENTIAL_INVALID}
    assert set(attempts(both, lambda number: Credential(2, b"alice", b"%d" % number))) == {Reason.CREDENTIAL_INVALID}
    assert staff.asked == []
    node.answer = Verified(NODE)
    accepted(both.decide(FACTS, RIGHT))


def test_a_right_passcode_that_may_do_nothing_is_no_guess(staff: Watched) -> None:
    from useridentity import Grant, Who

    other = Watched("file", 2, INVALID)
    policy = Policy(
        [Rule([other, staff], overlap="first-verifies")], [Grant(["echo"], Who(groups=("radiology",)), "radiologists")]
    )
    driver = Driver(policy)
    assert set(attempts(driver, lambda _: RIGHT)) == {Reason.NOT_AUTHORISED}
    driver.close()


def test_function_validators_work_in_pairs_too(driver: Make) -> None:
    """With threads of their own, which the watched do without."""
    user = FunctionValidator("user", 2, lambda presented, facts, context: Verified(ALICE))
    cert = FunctionValidator("cert", None, lambda presented, facts, context: Verified(NODE))
    assert accepted(driver((user, cert)).decide(FACTS, RIGHT)).validator == "user+cert"
