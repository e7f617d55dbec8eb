"""What a policy plans and concludes, without any connection."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest

from useridentity.decision import CONGESTED, REFUSED, UNDECIDED, Accepted, Reason, Rejected
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.facts import Facts, Tls, peer_address
from useridentity.identity import Assurance, Identity
from useridentity.policy import Checks, Policy, Rule, When
from useridentity.validator import FunctionValidator, Verified

ALICE = Identity("staff:alice", "alice", "staff", Assurance.AUTHENTICATED, 2)
FACTS = Facts("CT_1", "ARCHIVE", ip_address("10.20.0.7"), 11112, Tls.MUTUAL, 2, datetime(2026, 11, 22, tzinfo=UTC))


def validator(identity_type: int | None = 2, name: str = "staff") -> FunctionValidator:
    return FunctionValidator(name, identity_type, lambda _presented, _facts, _context: Verified(ALICE))


def planned(when: When, facts: Facts = FACTS) -> Rejected | Checks:
    return Policy([Rule([validator()], when, "rule")]).plan(facts)


@pytest.mark.parametrize(
    ("when", "unmatched"),
    [
        (When(calling_ae_title=("CT_*",)), replace(FACTS, calling_ae_title="MR_1")),
        (When(calling_ae_title=("CT_1",)), replace(FACTS, calling_ae_title="CT_11")),
        (When(calling_ae_title=("*_1",)), replace(FACTS, calling_ae_title="CT_2")),
        (When(called_ae_title=("ARCHIVE",)), replace(FACTS, called_ae_title="archive")),
        (When(network=(ip_network("10.20.0.0/16"),)), replace(FACTS, address=ip_address("10.21.0.7"))),
        (When(network=(ip_network("10.20.0.0/16"),)), replace(FACTS, address=ip_address("fd00::7"))),
    ],
)
def test_a_rule_is_for_the_connections_it_describes(when: When, unmatched: Facts) -> None:
    assert isinstance(planned(when), Checks)
    assert planned(when, unmatched) == Rejected(Reason.NO_RULE, "no [[authenticate]] rule matches")


@pytest.mark.parametrize("pattern", ["CT?1", "CT[_]1", "C.*", "(CT_1)", "CT_1|", "[A-Z]*"])
def test_only_the_asterisk_is_a_pattern(pattern: str) -> None:
    assert isinstance(planned(When(calling_ae_title=("CT*1",))), Checks)
    assert isinstance(planned(When(calling_ae_title=(pattern,))), Rejected)


@pytest.mark.parametrize(
    ("wanted", "given", "matches"),
    [
        (Tls.NONE, Tls.NONE, True),
        (Tls.NONE, Tls.SERVER, False),
        (Tls.SERVER, Tls.NONE, False),
        (Tls.SERVER, Tls.SERVER, True),
        (Tls.SERVER, Tls.MUTUAL, True),
        (Tls.MUTUAL, Tls.SERVER, False),
        (Tls.MUTUAL, Tls.MUTUAL, True),
    ],
)
def test_tls_is_at_least_what_the_rule_asks_for(wanted: Tls, given: Tls, matches: bool) -> None:
    plan = planned(When(tls=wanted), replace(FACTS, tls=given))
    assert isinstance(plan, Checks) is matches
    assert matches or (isinstance(plan, Rejected) and plan.reason is Reason.TLS_REQUIRED)


@pytest.mark.threat("T7")
def test_an_ipv4_mapped_peer_is_judged_as_ipv4() -> None:
    when = When(network=(ip_network("10.20.0.0/16"),))
    assert isinstance(planned(when, replace(FACTS, address=peer_address("::ffff:10.20.0.7"))), Checks)
    assert isinstance(planned(when, replace(FACTS, address=peer_address("::ffff:10.21.0.7"))), Rejected)
    assert peer_address("fe80::1%eth0") == ip_address("fe80::1")


@pytest.mark.threat("T6")
def test_the_first_matching_rule_decides_and_no_other() -> None:
    narrow = Rule([validator(1, "names")], When(calling_ae_title=("CT_*",)), "narrow")
    wide = Rule([validator(2)], name="wide")
    other = Rule([validator(2)], When(calling_ae_title=("CT_1",)), "other")
    plan = Policy([narrow, wide]).plan(FACTS)
    assert isinstance(plan, Rejected)
    assert (plan.reason, plan.rule) == (Reason.IDENTITY_TYPE_NOT_ACCEPTED, "narrow")
    assert isinstance(Policy([other, narrow]).plan(FACTS), Checks)


@pytest.mark.threat("T1")
def test_no_identity_is_refused_unless_a_validator_takes_connections_without_one() -> None:
    anonymous = replace(FACTS, identity_type=None)
    plan = planned(When(), anonymous)
    assert isinstance(plan, Rejected)
    assert plan.reason is Reason.IDENTITY_REQUIRED
    assert isinstance(Policy([Rule([validator(None, "node")])]).plan(anonymous), Checks)


@pytest.mark.parametrize("identity_type", [0, 1, 3, 6, 255])
@pytest.mark.threat("T2")
def test_a_type_no_validator_claims_is_refused(identity_type: int) -> None:
    assert isinstance(planned(When()), Checks)
    plan = planned(When(), replace(FACTS, identity_type=identity_type))
    assert isinstance(plan, Rejected)
    assert (plan.reason, plan.answer) == (Reason.IDENTITY_TYPE_NOT_ACCEPTED, REFUSED)


def test_any_validator_of_the_rule_may_verify() -> None:
    first, second = validator(name="first"), validator(name="second")
    policy = Policy([Rule([first, second], name="people", overlap="first-verifies")])
    plan = policy.plan(FACTS)
    assert isinstance(plan, Checks)
    decision = policy.conclude(
        plan, {"first": Refused(Reason.CREDENTIAL_INVALID, "no such user"), "second": Verified(ALICE)}
    )
    assert isinstance(decision, Accepted)
    assert (decision.identity, decision.rule, decision.validator) == (ALICE, "people", "second")


def test_one_that_cannot_tell_outweighs_one_that_refuses() -> None:
    """Otherwise a user of a directory that is down would be told to go away for good."""
    policy = Policy([Rule([validator(name="file"), validator(name="directory")], overlap="first-verifies")])
    plan = policy.plan(FACTS)
    assert isinstance(plan, Checks)
    refused, down = Refused(Reason.CREDENTIAL_INVALID, "no such user"), Unavailable("down")
    assert policy.conclude(plan, {"file": refused, "directory": down}) == Rejected(
        Reason.VALIDATOR_UNAVAILABLE, "down", "rule 1", "directory"
    )
    assert policy.conclude(plan, {"file": refused, "directory": refused}) == Rejected(
        Reason.CREDENTIAL_INVALID, "no such user", "rule 1", "file"
    )


def test_the_verdict_of_the_issuers_own_validator_is_the_one_reported() -> None:
    """Several issuers side by side: all but one say that the credential is not theirs."""
    policy = Policy([Rule([validator(name="ours"), validator(name="theirs")], overlap="first-verifies")])
    plan = policy.plan(FACTS)
    assert isinstance(plan, Checks)
    foreign, expired = Refused(Reason.ISSUER_UNKNOWN, "not ours"), Refused(Reason.CREDENTIAL_EXPIRED, "yesterday")
    assert isinstance(policy.conclude(plan, {"ours": foreign, "theirs": Verified(ALICE)}), Accepted)
    assert policy.conclude(plan, {"ours": foreign, "theirs": expired}) == Rejected(
        Reason.CREDENTIAL_EXPIRED, "yesterday", "rule 1", "theirs"
    )
    assert policy.conclude(plan, {"ours": foreign, "theirs": foreign}) == Rejected(
        Reason.ISSUER_UNKNOWN, "not ours", "rule 1", "ours"
    )


def test_no_answer_at_all_is_no_acceptance() -> None:
    policy = Policy([Rule([validator()])])
    plan = policy.plan(FACTS)
    assert isinstance(plan, Checks)
    assert isinstance(policy.conclude(plan, {"staff": Verified(ALICE)}), Accepted)
    assert isinstance(policy.conclude(plan, {}), Rejected)


def test_an_unguarded_policy_admits_everybody_as_unproved_and_confirms_nobody() -> None:
    policy = Policy.unguarded()
    plan = policy.plan(FACTS)
    assert isinstance(plan, Checks)
    verified = plan.alternatives[0][0].validate(None, FACTS, None)  # type: ignore[arg-type]
    decision = policy.conclude(plan, {"unproved": verified})
    assert isinstance(decision, Accepted)
    assert decision.identity.assurance is Assurance.UNPROVED
    assert decision.server_response is None


def test_a_policy_that_could_admit_nobody_is_an_error() -> None:
    Policy([Rule([validator()])])
    with pytest.raises(ConfigurationError, match="unguarded"):
        Policy([])
    with pytest.raises(ConfigurationError, match="name a validator"):
        Policy([Rule([])])
    with pytest.raises(ConfigurationError, match="passcode_check"):
        Policy([Rule([lambda _name, _passcode: True])])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "when",
    [When(calling_ae_title="CT_*"), When(called_ae_title="A*"), When(network="*"), When(tls="mutual")],  # type: ignore[arg-type]
)
def test_a_word_where_a_tuple_is_due_is_an_error_and_not_a_pattern_for_all(when: When) -> None:
    Policy([Rule([validator()], When(("CT_*",), ("A*",), (ip_network("10.0.0.0/8"),), Tls.MUTUAL))])
    with pytest.raises(ConfigurationError, match=r"authenticate\[0\]\.when"):
        Policy([Rule([validator()], when)])


def test_every_reason_answers_with_a_rejection_of_the_standard() -> None:
    """PS3.8 Table 9-21; whatever is wrong with an identity looks the same on the wire."""
    allowed = {REFUSED, UNDECIDED, CONGESTED, (1, 1, 2), (1, 1, 3), (1, 1, 7), (1, 2, 2)}
    assert {reason.answer for reason in Reason} == allowed
    about_identity = [r for r in Reason if r.word.startswith(("identity", "credential")) or r is Reason.REPLAYED]
    assert {reason.answer for reason in about_identity} == {REFUSED}
