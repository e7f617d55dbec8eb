"""What cannot work, or opens more than was meant, is an error when the policy is made; its twin without it is not."""

# mypy: disable-error-code="arg-type, dict-item"
# since wrong arguments are what is tested

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from tests.lib.policies import problems_in_code as problems
from useridentity import (
    Assign,
    Assurance,
    BreakGlass,
    ConfigurationError,
    Destination,
    FunctionValidator,
    Grant,
    Kind,
    Policy,
    Rule,
    Tls,
    Unproved,
    UsernameValidator,
    When,
    Who,
)
from useridentity.scope import Scope


def validator(name: str, identity_type: int | None = 2, issuers: frozenset[str] | None = None) -> Any:
    class Made(FunctionValidator):
        pass

    made = Made(name, identity_type, lambda *_: None)
    Made.issuers = issuers  # type: ignore[attr-defined]
    return made


STAFF, IDP, NODE = validator("staff"), validator("idp", 5, frozenset({"a"})), validator("node", None, frozenset({"ca"}))
NAMES, BADGE = validator("names", 1), validator("badge", None, frozenset({"door"}))
OTHER_IDP, SAME_IDP = validator("other", 5, frozenset({"b"})), validator("same", 5, frozenset({"a", "c"}))
OPEN_IDP = validator("open", 5)
CT = When(("CT_*",))
LAN, WARD = (ip_network("10.0.0.0/8"),), (ip_network("10.20.0.0/16"),)
MIGRATION = Unproved(until=date(2027, 3, 31))
UNPROVED, ASSIGNED = Who(assurance=(Assurance.UNPROVED,)), Who(assurance=(Assurance.ASSIGNED,))


# Alternatives


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (
            [(STAFF, NODE)],
            [(STAFF, IDP)],
            'an association carries one identity (PS3.7 D.3.3.7), "staff" and "idp" need',
        ),
        ([(STAFF, NODE)], [(STAFF, NODE, IDP)], "an association carries one identity"),
        ([(STAFF, NODE)], [(STAFF, STAFF)], "an association carries one identity"),
        ([(NODE, BADGE)], [(NODE, NODE)], '"node+node" names a validator twice'),
        ([STAFF], [()], "an alternative without validators would let anybody in"),
        ([(STAFF, NODE), STAFF], [STAFF, (STAFF, NODE)], '"staff+node" is never reached: "staff" suffices'),
        ([STAFF], [STAFF, STAFF], '"staff" is never reached: "staff" suffices'),
        ([(STAFF, NODE)], [(STAFF, NODE), (NODE, STAFF)], '"node+staff" is never reached: "staff+node" suffices'),
        ([IDP, OTHER_IDP], [IDP, SAME_IDP], '"idp" and "same" may take the same credential'),
        ([IDP, OTHER_IDP], [IDP, OPEN_IDP], '"idp" and "open" may take the same credential'),
        ([NODE, BADGE], [NODE, validator("any", None)], '"node" and "any" may take the same credential'),
        ([(IDP, NODE), (IDP, BADGE)], [(IDP, NODE), (SAME_IDP, NODE)], '"idp+node" and "same+node" may take the same'),
        ([(IDP, NODE), (OTHER_IDP, NODE)], [(IDP, NODE), SAME_IDP], '"idp+node" and "same" may take the same'),
        ([STAFF], [STAFF, NAMES], '"names" takes a username at its word beside validators that prove who it is'),
        ([(NAMES, NODE)], [(NAMES, NODE), NODE], '"names+node" takes a username at its word'),
        ([STAFF], [validator("unproved")], '"unproved" is what identities without a validator are called'),
        ([STAFF], [validator("assigned", None)], '"assigned" is what identities without a validator are called'),
        ([STAFF], [validator("a+b")], "'a+b' is no name for a validator"),
        ([STAFF], [validator("")], "'' is no name for a validator"),
        ([STAFF], [validator("a\nb")], "'a\\nb' is no name for a validator"),
        ([STAFF], "staff", "accept: is no list of validators"),
    ],
)
@pytest.mark.threat("P6")
def test_alternatives_that_cannot_be_told_apart_or_reached_are_errors(good: Any, bad: Any, expected: str) -> None:
    Policy([Rule(good)])
    assert any(expected in each and each.startswith("authenticate[0].accept: ") for each in problems([Rule(bad)]))


def test_what_opens_more_is_allowed_where_it_is_said() -> None:
    Policy([Rule([IDP, SAME_IDP], overlap="first-verifies")])
    Policy([Rule([STAFF, NAMES], weakest="asserted")])
    assert "weakest" in problems([Rule([STAFF, NAMES], overlap="first-verifies")])[0]
    assert "'yes' is not allowed; write 'asserted'" in problems([Rule([STAFF], weakest="yes")])[0]


@pytest.mark.threat("P6")
def test_two_validators_of_one_name_are_an_error_in_whatever_rules_they_are() -> None:
    rules = [Rule([STAFF], CT), Rule([replace(STAFF, name="other")])]
    Policy(rules)
    Policy([Rule([STAFF], CT), Rule([STAFF])])
    assert 'several validators are called "staff"' in problems([Rule([STAFF], CT), Rule([validator("staff", 5)])])[0]


# Shape


@pytest.mark.parametrize(
    ("rules", "grants", "expected"),
    [
        (Rule([STAFF]), (), "authenticate: Rule("),
        ([STAFF], (), "authenticate[0]: validator.<locals>.Made("),
        ([Rule([STAFF])], Grant(["echo"]), "authorize: Grant("),
        ([Rule([STAFF])], [Who()], "authorize[0]: Who("),
        ([Rule([STAFF], "CT_1")], (), "authenticate[0].when: 'CT_1' should be a When"),
        ([Rule([STAFF], When(CT))], (), "authenticate[0].when.calling_ae_title: When("),
        (
            [Rule([STAFF], When(network=("10.0.0.0/8",)))],
            (),
            "authenticate[0].when.network: '10.0.0.0/8' should be IPv4",
        ),
        ([Rule([STAFF], When(tls="mutual"))], (), "authenticate[0].when.tls: 'mutual' should be a Tls"),
        ([Rule([STAFF], When(network=LAN), assign="ct")], (), "authenticate[0].assign: 'ct' should be an Assign"),
        (
            [Rule([STAFF], unproved=Unproved("2027-03-31"))],
            (),
            "authenticate[0].unproved.until: '2027-03-31' should be",
        ),
        ([Rule([STAFF], unproved=Unproved(date(2027, 3, 31), "silently"))], (), "authenticate[0].unproved.mode: "),
        (
            [Rule([STAFF])],
            [Grant(["echo"], Who(assurance=("asserted",)))],
            "authorize[0].who.assurance: 'asserted' should",
        ),
        (
            [Rule([STAFF])],
            [Grant(["echo"], Who(kind=Kind.NODE))],
            "authorize[0].who.kind: <Kind.NODE: 'node'> should be",
        ),
        ([Rule([STAFF])], [Grant(["echo"], Who(claims=["a"]))], "authorize[0].who.claims: ['a'] should be a mapping"),
        ([Rule([STAFF])], [Grant(["echo"], Who(claims={"a": (1,)}))], "authorize[0].who.claims.a: 1 should be a str"),
        ([Rule([STAFF])], [Grant(["echo"], Who(claims={1: ("a",)}))], "authorize[0].who.claims: 1 should be a str"),
        (
            [Rule([STAFF])],
            [Grant(["echo"], break_glass="why")],
            "authorize[0].break_glass: 'why' should be a BreakGlass",
        ),
    ],
)
def test_what_is_of_another_kind_than_it_should_be_is_an_error(rules: Any, grants: Any, expected: str) -> None:
    """In code, where nothing else has looked: a word that is no `Tls` would be compared, and match nobody or all."""
    found = problems(rules, grants)
    assert any(each.startswith(expected) for each in found), found


# Rules


@pytest.mark.parametrize("title", ["CT?1", "*", "CT*", "A" * 16, "A*" * 16, "a B", "*_" * 8])
def test_titles_that_could_be_are_taken(title: str) -> None:
    Policy([Rule([STAFF], When((title,), (title,)))], [Grant(["move"], destinations=[title])])


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "A" * 17 + "*", "A\\B", "M\u00dcLLER", "A\tB", " CT", "CT "])
def test_titles_that_could_not_be_are_errors(title: str) -> None:
    for key, when in (("calling_ae_title", When((title,))), ("called_ae_title", When((), (title,)))):
        assert [each.split(": ")[0] for each in problems([Rule([STAFF], when)])] == [f"authenticate[0].when.{key}"]
    for place in (title, Destination(title)):
        with pytest.raises(ConfigurationError) as caught:
            Policy([Rule([STAFF])], [Grant(["move"], destinations=[place])])
        assert len(caught.value.problems) == 1
        assert "destinations" in caught.value.problems[0]


def test_a_network_that_no_peer_is_in_is_an_error() -> None:
    """Peers are compared as IPv4, and a rule that never matches would leave them to the next."""
    plain, mapped = ip_network("10.0.0.0/8"), ip_network("::ffff:10.0.0.0/104")
    told = f"{mapped} is IPv4 written as IPv6 and would never match; peers are compared as IPv4"

    Policy([Rule([STAFF], When(network=(plain,)))], [Grant(["move"], destinations=[Destination("WS_1", plain)])])
    assert problems([Rule([STAFF], When(network=(mapped,)))]) == [f"authenticate[0].when.network: {told}"]
    with pytest.raises(ConfigurationError) as caught:
        Grant(["move"], destinations=[Destination("WS_1", mapped)])
    assert caught.value.problems == (f"destinations.network: {told}",)


def test_names_are_used_once() -> None:
    Policy([Rule([STAFF], CT, "a"), Rule([STAFF], name="b")], [Grant(["echo"], name="a")])
    assert '"rule 2" names 2 rules' in problems([Rule([STAFF], CT, "rule 2"), Rule([STAFF])])[0]
    found = problems([Rule([STAFF], CT, "a"), Rule([STAFF], name="a")], [Grant(["echo"], name="b")] * 2)
    assert [each.split(":")[0] for each in found[:4]] == [
        f"{table}[{index}].name" for table in ("authenticate", "authorize") for index in (0, 1)
    ]


# Those who prove nothing


@pytest.mark.parametrize(
    ("good", "bad", "key", "expected"),
    [
        (
            Rule([STAFF], When(network=LAN), assign=Assign("ct")),
            Rule([STAFF], CT, assign=Assign("ct")),
            "authenticate[0].assign",
            "would make anybody this user",
        ),
        (
            Rule([STAFF], When(tls=Tls.MUTUAL), assign=Assign("ct")),
            Rule([STAFF], When(tls=Tls.SERVER), assign=Assign("ct")),
            "authenticate[0].assign",
            "would make anybody this user",
        ),
        (
            Rule((), When(network=LAN), assign=Assign("ct")),
            Rule((), When(network=LAN), assign=Assign("")),
            "authenticate[0].assign.user",
            "is empty",
        ),
        (
            Rule([STAFF], When(network=LAN), unproved=MIGRATION),
            Rule([STAFF], When(network=LAN), unproved=MIGRATION, assign=Assign("ct")),
            "authenticate[0].unproved",
            "is never reached: assign takes everybody",
        ),
        (
            Rule([NODE], When(network=LAN), unproved=MIGRATION),
            Rule([NODE], When(network=LAN, tls=Tls.MUTUAL), unproved=MIGRATION),
            "authenticate[0].unproved",
            "is never reached: each peer shows a certificate",
        ),
        (Rule([STAFF], unproved=MIGRATION), Rule([], unproved=MIGRATION), "authenticate[0].accept", "name a validator"),
        (
            Rule([STAFF], unproved=MIGRATION),
            Rule([STAFF], unproved=Unproved(until=datetime(2027, 3, 31))),
            "authenticate[0].unproved.until",
            "should be a date",
        ),
    ],
)
def test_letting_in_without_an_identity_has_to_be_meant(good: Rule, bad: Rule, key: str, expected: str) -> None:
    grants = [Grant(["echo"], Who(assurance=(Assurance.UNPROVED, Assurance.ASSIGNED)))]
    Policy([good], grants)
    assert any(each.startswith(f"{key}: ") and expected in each for each in problems([bad], grants))


@pytest.mark.threat("P5")
def test_those_who_prove_nothing_need_a_grant_that_names_them() -> None:
    migrating, assigning = Rule([STAFF], CT, unproved=MIGRATION), Rule([STAFF], When(network=LAN), assign=Assign("x"))
    Policy([migrating], [Grant(["echo"], UNPROVED)])
    Policy([assigning], [Grant(["echo"], ASSIGNED)])
    for rule, key in ((migrating, "authenticate[0].unproved"), (assigning, "authenticate[0].assign")):
        for grants in ([], [Grant(["echo"])], [Grant(["echo"], Who(assurance=(Assurance.ASSERTED,)))]):
            assert any(each.startswith(f"{key}: needs an [[authorize]]") for each in problems([rule], grants))


# Grants


@pytest.mark.parametrize(
    ("good", "bad", "key", "expected"),
    [
        (
            Grant(["find", "StudyRootQueryRetrieveInformationModelMove"], destinations=["WS_*"]),
            Grant(["find"], destinations=["WS_*"]),
            "destinations",
            'nothing of permit moves studies; permit "move", or leave the destinations out',
        ),
        (
            Grant(["move"], destinations=["WS_*"]),
            Grant(["move"]),
            "permit",
            '"move" without destinations would send studies anywhere; list the AE titles: destinations = ["WS_*"]',
        ),
        (
            Grant(["StudyRootQueryRetrieveInformationModelMove"], destinations=["WS_*"]),
            Grant(["echo", "StudyRootQueryRetrieveInformationModelMove"]),
            "permit",
            "without destinations",
        ),
        (
            Grant(["echo"], Who(validator=("staff", "idp+node"))),
            Grant(["echo"], Who(validator=("idp+nodes",))),
            "who.validator",
            '"idp+nodes" is accepted by no rule; did you mean "idp+node"? (known: idp+node, node, staff)',
        ),
        (
            Grant(["echo"], Who(validator=("node",))),
            Grant(["echo"], Who(validator=("idp",))),
            "who.validator",
            '"idp" is accepted by no rule',
        ),
        (Grant(["echo"], Who(groups=("a",))), Grant(["echo"], Who(groups="ab")), "who.groups", "letter by letter"),
        (
            Grant(["echo"], Who(claims={"npi": ("1",)})),
            Grant(["echo"], Who(claims={"npi": "1"})),
            "who.claims.npi",
            "letter by letter",
        ),
        (
            Grant(["echo"], Who(claims={"a.b[].c": ("1",)})),
            Grant(["echo"], Who(claims={"a..b": ("1",)})),
            "who.claims.a..b",
            "is no claim path",
        ),
        (
            Grant(["echo"], break_glass=BreakGlass("reason")),
            Grant(["echo"], break_glass=BreakGlass()),
            "break_glass",
            "needs a claim that holds the reason",
        ),
        (
            Grant(["echo"], break_glass=BreakGlass("why.reason")),
            Grant(["echo"], break_glass=BreakGlass("why..")),
            "break_glass.claim",
            "is no claim path",
        ),
    ],
)
def test_grants_that_cannot_work_are_errors(good: Grant, bad: Grant, key: str, expected: str) -> None:
    rules = [Rule([STAFF, (IDP, NODE), NODE])]
    Policy(rules, [good])
    assert any(each.startswith(f"authorize[0].{key}: ") and expected in each for each in problems(rules, [bad]))


# What always gives the same assurance, and problems beside others

TAKING = UsernameValidator()


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (Who(assurance=(Assurance.ASSERTED,)), Who()),
        (Who(assurance=(Assurance.AUTHENTICATED, Assurance.ASSERTED)), Who(assurance=(Assurance.ASSIGNED,))),
        (Who(("username",), assurance=(Assurance.ASSERTED,)), Who(("username",))),
        (Who(assurance=(Assurance.ASSERTED,)), Who(assurance=(Assurance.UNPROVED,))),
    ],
)
def test_a_grant_for_an_assurance_that_nothing_gives_matches_nobody(good: Who, bad: Who) -> None:
    Policy([Rule([TAKING])], [Grant(["echo"], good)])
    Policy([Rule([NAMES])], [Grant(["echo"], replace(bad, validator=()))])  # which does not say what it gives
    assert problems([Rule([TAKING])], [Grant(["echo"], bad)]) == [
        'authorize[0].who: matches nobody: what accepts them gives another assurance; name that: "asserted"'
    ]


@pytest.mark.parametrize("everywhere", [["0.0.0.0/0"], ["::/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["10.0.0.0/8", "::/0"]])
def test_devices_are_not_told_by_a_network_of_everybody(everywhere: list[str]) -> None:
    grant = Grant(["echo"], ASSIGNED)
    Policy([Rule([], When(network=WARD), assign=Assign("old"))], [grant])
    network = tuple(map(ip_network, everywhere))
    Policy([Rule([], When(network=network, tls=Tls.MUTUAL), assign=Assign("old"))], [grant])
    told = problems([Rule([], When(network=network), assign=Assign("old"))], [grant])
    assert told[0].startswith("authenticate[0].assign: would make anybody this user")


@pytest.mark.parametrize(
    "word", ["ups", "print", "PatientStudyOnlyQueryRetrieveInformationModelFind", "MediaCreationManagement"]
)
def test_what_a_scope_always_refuses_is_not_permitted_under_one(word: str) -> None:
    served = ["echo", "store", "commit", "worklist", "mpps", "find", "get"]
    scope = Scope.of({"PatientID": "P1"})
    Policy([Rule([STAFF])], [Grant([*served, word])])
    Policy([Rule([STAFF])], [Grant(served, scope=scope)])
    assert problems([Rule([STAFF])], [Grant([*served, word], scope=scope)]) == [
        f'authorize[0].scope: under a scope "{word}" is always refused; permit it in a grant without'
    ]
