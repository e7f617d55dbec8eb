"""Explanations: what they say is what is decided, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from useridentity.checks import Driver
from useridentity.credential import Credential
from useridentity.decision import Accepted, Reason, Rejected
from useridentity.errors import ConfigurationError, Refused
from useridentity.facts import Facts, Proposal, Tls
from useridentity.identity import Assurance, Kind
from useridentity.policy import Policy
from useridentity.policy.explain import Explanation, Supposed, explain
from useridentity.policy.match import BreakGlass, When, Who
from useridentity.policy.rules import Assign, Grant, Rule, Unproved
from useridentity.validator import CheckContext, FunctionValidator, Verified

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CT = Supposed("CT_1", "ARCHIVE", "10.20.0.7", Tls.MUTUAL)
PERSON = Supposed("WS_1", "ARCHIVE", "10.20.0.9", Tls.SERVER, "passcode", groups=("radiology",))


def never(*_asked: object) -> Verified:
    raise AssertionError("an explanation asked a validator")


NODE = FunctionValidator("node", None, never, cpu_short=True)
STAFF = FunctionValidator("staff", 2, never, cpu_short=True)
NAMES = FunctionValidator("names", 1, never, cpu_short=True)

POLICY = Policy(
    [
        Rule([NODE], When(calling_ae_title=("CT_*",), tls=Tls.MUTUAL), "modalities"),
        Rule([STAFF, (NAMES, NODE)], When(network=(ip_network("10.0.0.0/8"),)), "people", weakest="asserted"),
    ],
    [
        Grant(("store",), Who(validator=("node",)), "modalities store"),
        Grant(("find", "get"), Who(groups=("radiology",)), "radiologists"),
    ],
)


def told(found: Explanation) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    return [(each.name, each.difference) for each in found.rules], [
        (each.name, each.difference) for each in found.grants
    ]


def test_the_deciding_rules_are_told_and_those_after_them_counted() -> None:
    found = explain(POLICY, CT, NOW)
    assert told(found) == ([("modalities", "")], [("modalities store", "")])
    assert (found.asked, found.unseen) == (("node",), (1, 1))
    assert isinstance(found.decision, Accepted)
    assert found.decision.permission.words == ("store",)
    assert found.decision.identity.kind is Kind.NODE


def test_it_is_said_why_those_before_did_not_decide() -> None:
    rules, grants = told(explain(POLICY, PERSON, NOW))
    assert rules == [("modalities", "the calling AE title 'WS_1' is not CT_*"), ("people", "")]
    assert grants == [("modalities store", "validator is staff, not node"), ("radiologists", "")]


def test_where_no_rule_matches_every_one_says_why() -> None:
    found = explain(POLICY, Supposed("CT_1", "ARCHIVE", "192.0.2.1"), NOW)
    assert [bool(difference) for _, difference in told(found)[0]] == [True, True]
    assert isinstance(found.decision, Rejected)
    found = explain(POLICY, Supposed("WS_1", "ARCHIVE", "10.20.0.9", Tls.SERVER, "passcode"), NOW)
    assert [bool(difference) for _, difference in told(found)[1]] == [True, True]
    assert isinstance(found.decision, Rejected)
    assert found.decision.reason is Reason.NOT_AUTHORISED


def test_a_bad_credential_is_refused_and_nothing_is_said_of_grants() -> None:
    assert isinstance(explain(POLICY, PERSON, NOW).decision, Accepted)
    bad = Supposed("WS_1", "ARCHIVE", "10.20.0.9", Tls.SERVER, "passcode", "bad", groups=("radiology",))
    found = explain(POLICY, bad, NOW)
    assert isinstance(found.decision, Rejected)
    assert found.decision.reason is Reason.CREDENTIAL_INVALID
    assert found.grants == ()


def test_only_the_named_validators_verify() -> None:
    both = Supposed("WS_1", "ARCHIVE", "10.20.0.9", Tls.MUTUAL, "username", groups=("radiology",))
    policy = Policy(POLICY.rules, [Grant(("find",), Who(assurance=(Assurance.ASSERTED,)))])
    assert isinstance(explain(policy, both, NOW).decision, Accepted)
    for name in ("names", "node"):
        one = Supposed("WS_1", "ARCHIVE", "10.20.0.9", Tls.MUTUAL, "username", validator=(name,))
        assert isinstance(explain(policy, one, NOW).decision, Rejected)


def test_a_certificate_that_was_not_shown_is_not_supposed_to_be_good() -> None:
    policy = Policy([Rule([NODE])])
    assert isinstance(explain(policy, CT, NOW).decision, Accepted)
    without = explain(policy, Supposed("CT_1", "ARCHIVE", "10.20.0.7", Tls.SERVER), NOW)
    assert isinstance(without.decision, Rejected)
    assert without.decision.reason is Reason.IDENTITY_REQUIRED


@dataclass(frozen=True)
class Told:
    """A validator that says of itself what its identities are, and what it looks at."""

    name: str = "idp"
    identity_type: int | None = 5
    cpu_short: bool = True
    binding: str = "none"
    assurance: Assurance | None = None

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        never(presented, facts, context)
        raise AssertionError


@pytest.mark.parametrize("tls", Tls)
def test_a_bound_credential_is_not_supposed_to_be_good_without_the_certificate(tls: Tls) -> None:
    case = Supposed("WS_1", "ARCHIVE", "10.20.0.9", tls, "jwt")
    assert isinstance(explain(Policy([Rule([Told()])]), case, NOW).decision, Accepted)
    bound = explain(Policy([Rule([Told(binding="certificate")])]), case, NOW).decision
    if tls is Tls.MUTUAL:
        assert isinstance(bound, Accepted)
    else:
        assert isinstance(bound, Rejected)
        assert bound.reason is Reason.CREDENTIAL_INVALID


def test_identities_have_the_assurance_that_their_validator_gives() -> None:
    """A plug-in's own: no grant for those who are authenticated is for them."""
    case = Supposed("WS_1", "ARCHIVE", "10.20.0.9", identity="jwt")
    for said, expected in [(None, Assurance.AUTHENTICATED), (Assurance.ASSERTED, Assurance.ASSERTED)]:
        found = explain(Policy([Rule([Told(assurance=said)])]), case, NOW).decision
        assert isinstance(found, Accepted)
        assert found.identity.assurance is expected


def test_a_bare_username_is_no_proof() -> None:
    found = explain(Policy([Rule([NAMES])]), Supposed("WS_1", "ARCHIVE", "10.20.0.9", identity="username"), NOW)
    assert isinstance(found.decision, Accepted)
    assert found.decision.identity.assurance is Assurance.ASSERTED


def test_the_day_decides_about_a_migration() -> None:
    unproved = Grant(("echo",), Who(assurance=(Assurance.UNPROVED,)))
    policy = Policy([Rule([STAFF], unproved=Unproved(date(2027, 3, 31)))], [unproved])
    last = explain(policy, Supposed("CT_1", "ARCHIVE", "10.20.0.7", on=date(2027, 3, 31)), NOW)
    assert isinstance(last.decision, Accepted)
    assert last.decision.waived is not None
    after = explain(policy, Supposed("CT_1", "ARCHIVE", "10.20.0.7", on=date(2027, 4, 1)), NOW)
    assert isinstance(after.decision, Rejected)


@pytest.mark.parametrize(
    "path", ["npi", "realm_access.roles", "subject_role[].code", 'ext."https://example.org/x".code', "a[].b[].c"]
)
def test_a_claim_is_found_where_a_rule_looks_for_it(path: str) -> None:
    policy = Policy([Rule([STAFF])], [Grant(("find",), Who(claims={path: ("123",), "other.code": ("9",)}))])
    for value, accepted in [("123", True), ("124", False)]:
        claims = {path: ("7", value), "other.code": ("9",)}
        found = explain(policy, Supposed("WS_1", "ARCHIVE", "10.20.0.9", identity="passcode", claims=claims), NOW)
        assert isinstance(found.decision, Accepted) is accepted


def test_break_glass_says_what_it_needs() -> None:
    policy = Policy([Rule([STAFF])], [Grant(("find",), name="glass", break_glass=BreakGlass(claim="reason"))])
    found = explain(policy, PERSON, NOW)
    assert told(found)[1] == [("glass", "break_glass needs a reason in claim reason")]


def test_contexts_are_proposed_in_the_roles_that_are_asked_for() -> None:
    contexts = ("CTImageStorage", "MRImageStorage:scp", "1.2.840.10008.5.1.4.1.1.7:both")
    found = explain(POLICY, Supposed("CT_1", "ARCHIVE", "10.20.0.7", Tls.MUTUAL, contexts=contexts), NOW)
    ct, mr, sc = (f"1.2.840.10008.5.1.4.1.1.{number}" for number in (2, 4, 7))
    assert found.facts.contexts == (Proposal(ct), Proposal(mr, False, True), Proposal(sc, True, True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calling": "A" * 17}, "calling: 'AAAAAAAAAAAAAAAAA' is no AE title: it has more than 16 characters"),
        ({"called": "ARCHIVE "}, "called: 'ARCHIVE ' would never match: AE titles are compared without the spaces"),
        ({"called": ""}, "called: '' is no AE title: printable ASCII"),
        ({"peer": "10.20.0"}, "peer: '10.20.0' is no address; write 10.20.0.7 or fd00::7"),
        (
            {"validator": ("staf",)},
            'validator: "staf" is in no rule; did you mean "staff"? (known: names, node, staff)',
        ),
        ({"contexts": ("CTImageStrage",)}, 'contexts: "CTImageStrage" is no capability, SOP class keyword or UID'),
        ({"contexts": ("store",)}, 'contexts: "store" is several SOP classes; name one of them'),
        ({"contexts": ("CTImageStorage:scpp",)}, "contexts: \"CTImageStorage:scpp\": 'scpp' is no role; did you mean"),
        ({"claims": {"a b": ("1",)}}, "claims: 'a b' is no claim path"),
        ({"claims": {"a": ("1",), "a.b": ("1",)}}, "claims: a cannot be both a value and hold others"),
    ],
)
def test_what_makes_no_sense_is_said(change: dict[str, Any], message: str) -> None:
    sensible: dict[str, Any] = {"calling": "CT_1", "called": "ARCHIVE", "peer": "10.20.0.7", "validator": ("staff",)}
    explain(POLICY, Supposed(**sensible), NOW)
    with pytest.raises(ConfigurationError) as caught:
        explain(POLICY, Supposed(**{**sensible, **change}), NOW)
    assert caught.value.problems[0].startswith(message)


whens = st.builds(
    When,
    st.sampled_from([(), ("CT_*",), ("*_1",), ("WS_1",)]),
    st.sampled_from([("ARCHIVE",), ()]),
    st.sampled_from([(), (ip_network("10.0.0.0/8"),), (ip_network("10.20.0.7/32"),)]),
    st.sampled_from([None, None, None, *Tls]),
)
accepts = st.lists(st.sampled_from(["node", "staff", "names", "staff+node"]), min_size=1, max_size=3, unique=True)
extras: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {}, {}, {"unproved": Unproved(date(2026, 11, 30))}, {"unproved": Unproved(date(2026, 1, 1))},
        {"assign": Assign("old", ("radiology",))},
    ]
)  # fmt: skip
whos = st.builds(
    Who,
    st.sampled_from([(), ("node",), ("staff",), ("staff+node",)]),
    st.sampled_from([(), ("radiology",), ("research",)]),
    st.sampled_from([{}, {"npi": ("1",)}]),
    st.sampled_from([(), tuple(Assurance), (Assurance.UNPROVED,)]),
    st.sampled_from([(), (Kind.NODE,)]),
)
glasses = st.sampled_from([None, None, BreakGlass(group="research")])
permits = st.sampled_from([("store",), ("find", "get"), ("echo",)])
supposed = st.builds(
    Supposed,
    st.sampled_from(["CT_1", "WS_1", "MR_2"]),
    st.sampled_from(["ARCHIVE"] * 5 + ["OTHER"]),
    st.sampled_from(["10.20.0.7", "10.20.0.7", "10.9.9.9", "192.0.2.1"]),
    st.sampled_from(Tls),
    st.sampled_from(["none", "none", "username", "passcode", "passcode", "jwt"]),
    st.sampled_from(["good"] * 4 + ["bad"]),
    groups=st.sampled_from([(), ("radiology",), ("research", "radiology")]),
    claims=st.sampled_from([{}, {"npi": ("1", "2")}]),
    contexts=st.sampled_from([(), ("CTImageStorage",), ("Verification", "CTImageStorage:scp")]),
)


class Asked:
    """A validator that says what somebody supposes, by the way that a real one is asked."""

    cpu_short = True

    def __init__(self, name: str, identity_type: int | None) -> None:
        self.name = name
        self.identity_type = identity_type
        self.supposed = CT

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        answer = self.supposed.answer(self, facts)
        if isinstance(answer, Refused):
            raise answer
        assert isinstance(answer, Verified)
        return answer


@contextmanager
def driving(policy: Policy) -> Iterator[Driver]:
    driver = Driver(policy)
    try:
        yield driver
    finally:
        driver.close()


def policies(data: st.DataObject, asked: dict[str, Asked]) -> Policy:
    """A policy of as many of the drawn rules as can stand together."""

    def accepted(names: list[str]) -> list[Any]:
        found = [tuple(asked[part] for part in name.split("+")) for name in names]
        return [each if len(each) > 1 else each[0] for each in found]

    below = Grant(("echo",), Who(assurance=(Assurance.UNPROVED, Assurance.ASSIGNED)), "below")
    rules: list[Rule] = []
    grants: list[Grant] = [below] if data.draw(st.booleans()) else []
    for number in range(data.draw(st.integers(1, 3))):
        names, when, extra = data.draw(accepts), data.draw(whens), data.draw(extras)
        rule = Rule(accepted(names), when, f"rule {number}", weakest="asserted", **extra)
        rules += [rule] if stand([*rules, rule], [below]) else []
    for number in range(data.draw(st.integers(0, 3)) if grants else 0):
        grant = Grant(data.draw(permits), data.draw(whos), f"grant {number}", break_glass=data.draw(glasses))
        grants = [grant, *grants] if stand(rules, [grant, *grants]) else grants
    assume(stand(rules, grants))
    return Policy(rules, grants)


def stand(rules: list[Rule], grants: list[Grant]) -> bool:
    try:
        Policy(rules, grants)
    except ConfigurationError:
        return False
    return True


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_what_is_explained_is_what_a_server_decides(data: st.DataObject) -> None:
    """For any policy and any association: the same decision, and the named rules are those that decided."""
    asked = {each.name: each for each in (Asked("node", None), Asked("staff", 2), Asked("names", 1))}
    policy = policies(data, asked)
    case = data.draw(supposed)
    for each in asked.values():
        each.supposed = case
    found = explain(policy, case, NOW)
    credential = None if found.facts.identity_type is None else Credential(found.facts.identity_type, b"somebody")
    with driving(policy) as driver:
        decided = driver.decide(found.facts, credential)
    assert repr(decided) == repr(found.decision)
    if isinstance(decided, Accepted):
        assert (found.rules[-1].name, found.rules[-1].difference) == (decided.rule, "")
        assert not policy.grants or (found.grants[-1].name, found.grants[-1].difference) == (decided.grant, "")
    assert all(each.difference for each in (*found.rules[:-1], *found.grants[:-1]))
