"""Who may do what: `[[authorize]]`, and those who proved nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.lib.policies import accepted, rejected
from useridentity import (
    Accepted,
    Assign,
    Assurance,
    BreakGlass,
    Credential,
    Decision,
    Facts,
    FunctionValidator,
    Grant,
    Identity,
    Kind,
    Policy,
    Proposal,
    Reason,
    Refused,
    Rejected,
    Rule,
    Tls,
    Unproved,
    Verified,
    When,
    Who,
)
from useridentity.checks import Driver
from useridentity.permission import EVERYTHING
from useridentity.policy.match import MAX_REASON

ECHO, CT, MWL = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.31"
CREDENTIAL = Credential(5, b"token")
FACTS = Facts("CT_1", "ARCHIVE", ip_address("10.20.0.7"), 104, Tls.MUTUAL, 5, datetime(2026, 11, 22, tzinfo=UTC))
ANONYMOUS = replace(FACTS, identity_type=None, tls=Tls.SERVER)
ALICE = Identity(
    "idp#alice",
    "alice",
    "idp",
    Assurance.AUTHENTICATED,
    5,
    groups=frozenset({"radiology", "staff"}),
    claims={"npi": "123", "realm_access": {"roles": ["reader", "trainer"]}, "level": 3},
    purposes=frozenset({"TREAT", "2.16.840.1.113883.1.11.20448|TREAT"}),
)
RADIOLOGY = frozenset({"radiology"})


def answering(identity: Identity, name: str = "idp") -> FunctionValidator:
    return FunctionValidator(name, identity.identity_type, lambda *_: Verified(identity), cpu_short=True)


def decided(*grants: Grant, identity: Identity = ALICE, facts: Facts = FACTS, rule: Rule | None = None) -> Decision:
    driver = Driver(Policy([rule or Rule([answering(identity)], name="all")], grants))
    try:
        return driver.decide(facts, CREDENTIAL if facts.identity_type else None)
    finally:
        driver.close()


def test_without_any_grant_whoever_is_accepted_may_do_everything() -> None:
    decision = accepted(decided())
    assert (decision.permission, decision.grant) == (EVERYTHING, "")


def test_the_first_grant_that_matches_decides_and_no_other() -> None:
    narrow, wide = Grant(["echo"], Who(groups=("radiology",)), "narrow"), Grant(["echo", "store"], name="wide")
    decision = accepted(decided(narrow, wide))
    assert (decision.grant, decision.permission.words) == ("narrow", ("echo",))
    other = accepted(decided(narrow, wide, identity=replace(ALICE, groups=frozenset())))
    assert (other.grant, other.permission.words) == ("wide", ("echo", "store"))


@pytest.mark.threat("P5")
def test_who_no_grant_names_is_rejected() -> None:
    grant = Grant(["echo"], Who(groups=("radiology",)))
    accepted(decided(grant))
    decision = rejected(decided(grant, identity=replace(ALICE, groups=frozenset({"cardiology"}))))
    assert (decision.reason, decision.rule, decision.validator) == (Reason.NOT_AUTHORISED, "all", "idp")
    assert decision.answer == (1, 2, 1)


@pytest.mark.parametrize(
    ("who", "change"),
    [
        (Who(validator=("idp",)), None),
        (Who(groups=("cardiology", "radiology")), {"groups": frozenset({"surgery"})}),
        (Who(groups=("radiology",)), {"groups": frozenset({"radiology2", "Radiology", "radio"})}),
        (Who(claims={"npi": ("123", "124")}), {"claims": {"npi": "125"}}),
        (Who(claims={"npi": ("123",)}), {"claims": {}}),
        (Who(claims={"npi": ("123",)}), {"claims": {"npi": 123}}),
        (Who(claims={"realm_access.roles": ("reader",)}), {"claims": {"realm_access": {"roles": ["trainer"]}}}),
        (Who(claims={"realm_access.roles": ("reader",)}), {"claims": {"realm_access.roles": ["reader"]}}),
        (Who(claims={"npi": ("123",), "realm_access.roles": ("reader",)}), {"claims": {"npi": "123"}}),
        (Who(kind=(Kind.PERSON,)), {"kind": Kind.NODE}),
        (Who(purpose=("TREAT", "ETREAT")), {"purposes": frozenset({"HRESCH"})}),
        (Who(purpose=("2.16.840.1.113883.1.11.20448|TREAT",)), {"purposes": frozenset({"1.2.3|TREAT", "TREAT"})}),
        (Who(), {"assurance": Assurance.ASSERTED, "user_id": "token"}),
        (Who(), {"assurance": Assurance.ASSIGNED}),
        (Who(), {"assurance": Assurance.UNPROVED}),
        (Who(groups=("radiology",), kind=(Kind.PERSON,)), {"kind": Kind.SERVICE}),
    ],
)
@pytest.mark.threat("P5")
def test_a_grant_is_for_those_it_describes(who: Who, change: dict[str, Any] | None) -> None:
    assert accepted(decided(Grant(["echo"], who))).grant == "grant 1"
    if change is None:
        other = Rule([answering(ALICE, "idp"), answering(replace(ALICE, identity_type=4), "saml")])
        decision = decided(Grant(["echo"], who), rule=other, facts=replace(FACTS, identity_type=4))
    else:
        decision = decided(Grant(["echo"], who), identity=replace(ALICE, **change))
    assert rejected(decision).reason is Reason.NOT_AUTHORISED


@pytest.mark.parametrize("assurance", [Assurance.ASSERTED, Assurance.ASSIGNED, Assurance.UNPROVED])
@pytest.mark.threat("P5")
def test_who_proved_nothing_matches_only_where_that_is_named(assurance: Assurance) -> None:
    weak = replace(ALICE, assurance=assurance, user_id="token")
    named = Grant(["echo"], Who(assurance=(assurance,)))
    assert accepted(decided(named, identity=weak)).grant == "grant 1"
    assert rejected(decided(Grant(["echo"]), identity=weak)).reason is Reason.NOT_AUTHORISED
    assert rejected(decided(named)).reason is Reason.NOT_AUTHORISED  # and the proved are others


def test_two_identities_on_one_ae_title_get_different_permits() -> None:
    grants = Grant(["echo", "store"], Who(groups=("modalities",))), Grant(["echo", "find"], Who(groups=("radiology",)))
    ct = replace(ALICE, groups=frozenset({"modalities"}))
    assert accepted(decided(*grants)).permission.allows("find")
    assert accepted(decided(*grants, identity=ct)).permission.allows("store")
    assert not accepted(decided(*grants, identity=ct)).permission.allows("find")


# What was proposed


@pytest.mark.parametrize(
    ("contexts", "permitted"),
    [
        ((), True),
        ((Proposal(CT),), True),
        ((Proposal(MWL), Proposal(CT)), True),
        ((Proposal(MWL),), False),
        ((Proposal(CT, scu=False, scp=True),), False),
        ((Proposal(CT, scu=True, scp=True),), True),
    ],
)
def test_who_may_do_nothing_of_what_was_proposed_is_rejected(contexts: tuple[Proposal, ...], permitted: bool) -> None:
    decision = decided(Grant(["store"]), facts=replace(FACTS, contexts=contexts))
    assert isinstance(decision, Accepted) is permitted
    assert permitted or rejected(decision).reason is Reason.NOT_AUTHORISED


def test_what_may_be_used_once_is_not_used_up_by_who_is_not_authorised() -> None:
    from useridentity import Once

    once = Verified(ALICE, once=(Once(("idp", "1"), FACTS.now + timedelta(hours=1)),))
    policy = Policy([Rule([FunctionValidator("idp", 5, lambda *_: once)])], [Grant(["store"])])
    driver = Driver(policy)
    assert rejected(driver.decide(replace(FACTS, contexts=(Proposal(MWL),)), CREDENTIAL))
    accepted(driver.decide(replace(FACTS, contexts=(Proposal(CT),)), CREDENTIAL))
    assert rejected(driver.decide(FACTS, CREDENTIAL)).reason is Reason.REPLAYED
    driver.close()


# Emergencies


@pytest.mark.parametrize(
    ("break_glass", "identity", "reason"),
    [
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": "unconscious"}), "unconscious"),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": ["b", "a"]}), "a; b"),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": " \t"}), None),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": "\u200b"}), None),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": ["\x00", "--", "..."]}), None),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": "\u6025"}), "\u6025"),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": True}), None),
        (BreakGlass(claim="reason"), ALICE, None),
        (BreakGlass(group="radiology"), ALICE, "member of radiology"),
        (BreakGlass(group="emergency"), ALICE, None),
        (BreakGlass("reason", "radiology"), ALICE, "member of radiology"),
        (BreakGlass("reason", "radiology"), replace(ALICE, claims={"reason": "why"}), "why"),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": "a\nb\x1b"}), "a\\nb\\x1b"),
        (BreakGlass(claim="reason"), replace(ALICE, claims={"reason": "x" * 999}), "x" * (MAX_REASON - 1) + "…"),
    ],
)
@pytest.mark.threat("P9")
def test_an_emergency_needs_a_reason_or_a_listed_group_and_is_marked(
    break_glass: BreakGlass, identity: Identity, reason: str | None
) -> None:
    decision = decided(Grant(["find"], break_glass=break_glass, name="emergency"), identity=identity)
    if reason is None:
        assert rejected(decision).reason is Reason.NOT_AUTHORISED
    else:
        assert accepted(decision).permission.emergency == reason
        assert accepted(decision).permission.allows("find")


def test_what_is_no_emergency_is_not_marked_as_one() -> None:
    grants = Grant(["echo"]), Grant(["find"], Who(assurance=(Assurance.ASSERTED,)), break_glass=BreakGlass("reason"))
    assert accepted(decided(*grants)).permission.emergency == ""


# Devices that cannot identify themselves


DEVICES = When(network=(ip_network("10.20.0.0/16"),))
ASSIGNING = Rule([answering(ALICE)], DEVICES, "devices", Assign("ct1", ("modalities",)))
OF_DEVICES = Grant(["store"], Who(assurance=(Assurance.ASSIGNED,), groups=("modalities",)), "devices store")


def test_a_device_that_sends_no_identity_is_who_the_policy_says() -> None:
    decision = accepted(decided(OF_DEVICES, facts=ANONYMOUS, rule=ASSIGNING))
    identity = decision.identity
    assert (identity.subject, identity.user_id, identity.kind) == ("assigned:ct1", "ct1", Kind.NODE)
    assert (identity.assurance, identity.identity_type) == (Assurance.ASSIGNED, None)
    assert (decision.validator, decision.grant, decision.server_response) == ("assigned", "devices store", None)


@pytest.mark.threat("P3")
def test_who_sends_an_identity_is_never_taken_for_the_device() -> None:
    accepted(decided(OF_DEVICES, facts=ANONYMOUS, rule=ASSIGNING))
    refusing = FunctionValidator("idp", 5, _refuse, cpu_short=True)
    rule = replace(ASSIGNING, accept=[refusing])
    assert rejected(decided(OF_DEVICES, rule=rule)).reason is Reason.CREDENTIAL_INVALID
    unknown = replace(FACTS, identity_type=2)
    assert rejected(decided(OF_DEVICES, rule=rule, facts=unknown)).reason is Reason.IDENTITY_TYPE_NOT_ACCEPTED


def _refuse(*_: Any) -> Verified:
    raise Refused(Reason.CREDENTIAL_INVALID, "the certificate does not match")


MIGRATION = Unproved(until=date(2027, 3, 31))
REPORTED = Grant(["store"], Who(assurance=(Assurance.UNPROVED,)), "reported")


@pytest.mark.parametrize("without", [{"assign": Assign("ct1")}, {"unproved": MIGRATION}], ids=["assign", "unproved"])
@pytest.mark.threat("P3")
def test_who_shows_a_certificate_that_does_not_match_is_refused_and_not_let_in_otherwise(
    without: dict[str, Any],
) -> None:
    node = FunctionValidator("node", None, _refuse, cpu_short=True)
    rule = Rule([node], DEVICES, **without)
    grant = Grant(["store"], Who(assurance=(Assurance.UNPROVED, Assurance.ASSIGNED)))
    accepted(decided(grant, rule=rule, facts=ANONYMOUS))
    shown = replace(ANONYMOUS, tls=Tls.MUTUAL, peer_certificate=b"another's")
    assert rejected(decided(grant, rule=rule, facts=shown)).reason is Reason.CREDENTIAL_INVALID
    both = Rule([(answering(ALICE), node)], DEVICES, **without)
    accepted(decided(grant, rule=both, facts=ANONYMOUS))
    assert rejected(decided(grant, rule=both, facts=shown)).reason is Reason.IDENTITY_REQUIRED


# Migration


def test_who_sends_no_identity_is_let_in_for_a_while_and_what_would_have_been_refused_is_recorded() -> None:
    rule = Rule([answering(ALICE)], name="migration", unproved=MIGRATION)
    decision = accepted(decided(REPORTED, facts=ANONYMOUS, rule=rule))
    assert (decision.identity.subject, decision.identity.assurance) == ("unproved:10.20.0.7", Assurance.UNPROVED)
    assert decision.waived == Rejected(Reason.IDENTITY_REQUIRED, "no user identity was sent", "migration")
    assert (decision.server_response, decision.validator, decision.grant) == (None, "unproved", "reported")
    proved = Grant(["echo"])
    assert accepted(decided(proved, REPORTED, rule=rule)).waived is None


@pytest.mark.parametrize(
    ("now", "admitted"),
    [
        ("2027-03-31T23:59:59+00:00", True),
        ("2027-04-01T00:00:00+00:00", False),
        ("2027-04-01T01:59:59+02:00", True),
        ("2027-03-31T23:00:00-05:00", False),
    ],
)
@pytest.mark.threat("P4")
def test_the_last_day_of_a_migration_is_a_day_of_utc_and_ends_it_without_a_reload(now: str, admitted: bool) -> None:
    rule = Rule([answering(ALICE)], unproved=MIGRATION)
    decision = decided(REPORTED, facts=replace(ANONYMOUS, now=datetime.fromisoformat(now)), rule=rule)
    assert isinstance(decision, Accepted) is admitted
    assert admitted or rejected(decision).reason is Reason.IDENTITY_REQUIRED


@pytest.mark.threat("P3")
def test_a_wrong_identity_is_not_let_in_by_a_migration() -> None:
    rule = Rule([FunctionValidator("idp", 5, _refuse, cpu_short=True)], unproved=MIGRATION)
    accepted(decided(REPORTED, facts=ANONYMOUS, rule=rule))
    assert rejected(decided(REPORTED, rule=rule)).reason is Reason.CREDENTIAL_INVALID


def test_what_is_recorded_is_the_verdict_of_the_validators_there_are() -> None:
    node = FunctionValidator("node", None, _refuse, cpu_short=True)
    decision = accepted(decided(REPORTED, facts=ANONYMOUS, rule=Rule([node], name="migration", unproved=MIGRATION)))
    assert decision.waived == Rejected(Reason.CREDENTIAL_INVALID, "the certificate does not match", "migration", "node")
