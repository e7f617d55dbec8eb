"""Rules and grants that are never reached, because those before them take all that they would."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import ip_network

import pytest

from tests.lib.policies import problems_in_code as problems
from useridentity import (
    Assurance,
    BreakGlass,
    FunctionValidator,
    Grant,
    Kind,
    Policy,
    Rule,
    Tls,
    Unproved,
    When,
    Who,
)
from useridentity.settings import Network

STAFF = FunctionValidator("staff", 2, lambda *_: None)  # type: ignore[arg-type]
IDP = FunctionValidator("idp", 5, lambda *_: None)  # type: ignore[arg-type]
CT = When(("CT_*",))
LAN, WARD = (ip_network("10.0.0.0/8"),), (ip_network("10.20.0.0/16"),)
MIGRATION = Unproved(until=date(2027, 3, 31))
UNPROVED = Who(assurance=(Assurance.UNPROVED,))


ANY_4, ANY_6 = ip_network("0.0.0.0/0"), ip_network("::/0")
TLS_PARTS = [When(CT.calling_ae_title, tls=tls) for tls in Tls]
HALVES = tuple(ip_network(each) for each in ("10.0.0.0/9", "10.128.0.0/9"))


@pytest.mark.parametrize(
    ("before", "last", "names"),
    [
        ([When()], When(), ["r0"]),
        ([When()], CT, ["r0"]),
        ([CT], When(("CT_1",)), ["r0"]),
        ([When(("C*",))], When(("CT_*1", "CX")), ["r0"]),
        ([When(("*A*",))], When(("BA*", "*AB")), ["r0"]),
        ([When(("A*",)), When(("B*",))], When(("AX", "BY*")), ["r0", "r1"]),
        ([When(network=LAN)], When(network=WARD), ["r0"]),
        ([When(network=HALVES[:1]), When(network=HALVES[1:])], When(network=LAN), ["r0", "r1"]),
        ([When(network=HALVES[:1]), When(network=HALVES[1:])], When(network=WARD), ["r0"]),
        ([When(network=(ANY_4,)), When(network=(ANY_6,))], When(), ["r0", "r1"]),
        ([When(tls=Tls.SERVER)], When(tls=Tls.MUTUAL), ["r0"]),
        ([When(tls=Tls.NONE), When(tls=Tls.SERVER)], CT, ["r0", "r1"]),
        (
            [When(("A*",), network=HALVES[:1]), When(("A*",), network=HALVES[1:])],
            When(("AB*",), network=LAN),
            ["r0", "r1"],
        ),
        (TLS_PARTS[:0:-1], When(("CT_1",), tls=Tls.SERVER), ["r0", "r1"]),
    ],
)
def test_a_rule_that_is_never_reached_is_an_error_that_names_those_before_it(
    before: list[When], last: When, names: list[str]
) -> None:
    rules = [Rule([STAFF], when, f"r{index}") for index, when in enumerate([*before, last])]
    Policy(rules[:-1])
    which = " and ".join(f'"{name}"' for name in names)
    expected = f"authenticate[{len(before)}]: is never reached: {which} before it takes all of its connections"
    assert problems(rules) == [expected]


def test_a_large_policy_is_looked_through() -> None:
    """Each title against every pattern, or every example of every grant, would take minutes at each reload."""
    rules = [Rule([STAFF], When(tuple(f"A{number}_{each}*" for each in range(30)))) for number in range(300)]
    values = tuple(map(str, range(10)))
    whos = [Who(groups=values, claims={"a": values, f"b{number}": values}) for number in range(300)]
    policy = Policy(rules, [Grant(["echo"], who) for who in whos])
    assert (len(policy.rules), len(policy.grants)) == (300, 300)


def test_a_rule_without_a_name_is_called_as_logs_call_it() -> None:
    everywhere, devices = Rule([STAFF]), Rule([STAFF], When(("CT_1",)))
    assert [rule.name for rule in Policy([devices, everywhere]).rules] == ["rule 1", "rule 2"]
    assert problems([everywhere, devices])[0].startswith('authenticate[1]: is never reached: "rule 1" before it')


@pytest.mark.parametrize(
    ("before", "last"),
    [
        ([CT], When(("C*",))),
        ([When(("CT_*",))], When(("CT*",))),
        ([When(("*A*",))], When(("*B*",))),
        ([When(("A*B",))], When(("A*",))),
        ([When(("a*",))], When(("A*",))),
        ([When(network=WARD)], When(network=LAN)),
        ([When(network=HALVES[:1])], When(network=LAN)),
        ([When(network=(ANY_4,))], When()),
        ([When(network=LAN)], When(network=(ip_network("fd00::/8"),))),
        ([When(tls=Tls.MUTUAL)], When(tls=Tls.SERVER)),
        ([When(("A*",), network=HALVES[:1]), When(("B*",), network=HALVES[1:])], When(("AB*",), network=LAN)),
        ([When(("CT_*",), ("ARCHIVE",))], When(("CT_1",))),
    ],
    ids=repr,
)
def test_a_rule_that_some_connection_gets_to_is_none(before: list[When], last: When) -> None:
    Policy([Rule([STAFF], when) for when in [*before, last]])


# Grants


A, B = ("a",), ("b",)


@pytest.mark.parametrize(
    ("before", "last"),
    [
        ([Who()], Who(groups=A)),
        ([Who(groups=("a", "b"))], Who(groups=B)),
        ([Who(groups=A), Who(groups=B)], Who(groups=("a", "b"))),
        ([Who(validator=("staff",)), Who(validator=("idp",))], Who(groups=A)),
        ([Who(kind=(Kind.PERSON,)), Who(kind=(Kind.NODE, Kind.SERVICE))], Who()),
        ([Who(claims={"x": A})], Who(claims={"x": A, "y.z": B})),
        ([Who(claims={"x[].y": ("a", "b")})], Who(claims={"x[].y": B})),
        ([Who(claims={"x[].y": A})], Who(claims={"x[].y": A, "x[].z": B})),
        ([Who(purpose=A)], Who(purpose=A, groups=B)),
        ([Who(assurance=(Assurance.ASSERTED, Assurance.AUTHENTICATED))], Who()),
        ([], Who(validator=("unproved",))),
    ],
    ids=repr,
)
def test_a_grant_that_is_never_reached_is_an_error(before: list[Who], last: Who) -> None:
    rules = [Rule([STAFF, IDP], unproved=MIGRATION)]
    named = Grant(["echo"], UNPROVED, "unproved")
    grants = [Grant(["echo"], who, f"g{index}") for index, who in enumerate(before)]
    Policy(rules, [*grants, named])
    found = problems(rules, [*grants, Grant(["echo"], last), named])
    expected = "is never reached: " if before else "matches nobody"
    assert [each.split(":")[0].removesuffix(".who") for each in found] == [f"authorize[{len(before)}]"]
    assert expected in found[0]


@pytest.mark.parametrize(
    ("before", "last"),
    [
        ([Who(groups=A)], Who(groups=("a", "b"))),
        ([Who(groups=A, kind=(Kind.PERSON,))], Who(groups=A)),
        ([Who(validator=("staff",))], Who()),
        ([Who(claims={"x": A})], Who(claims={"y": A})),
        ([Who(claims={"x": A, "y": A})], Who(claims={"x": A})),
        ([Who(claims={"x.y": A})], Who(claims={"x": A})),
        ([Who(claims={"x[]": A})], Who(claims={"x": A})),
        ([Who()], Who(assurance=(Assurance.AUTHENTICATED, Assurance.ASSERTED))),
        ([Who(purpose=A)], Who(purpose=B)),
    ],
    ids=repr,
)
def test_a_grant_that_somebody_gets_to_is_none(before: list[Who], last: Who) -> None:
    Policy([Rule([STAFF, IDP])], [Grant(["echo"], who) for who in [*before, last]])


def test_an_emergency_before_the_same_grant_is_reached_and_after_it_is_not() -> None:
    emergency, usual = Grant(["echo"], Who(groups=A), "e", break_glass=BreakGlass("r")), Grant(["echo"], Who(groups=A))
    Policy([Rule([STAFF])], [emergency, usual])
    assert "is never reached" in problems([Rule([STAFF])], [usual, emergency])[0]
    assert "is never reached" in problems([Rule([STAFF])], [emergency, replace(emergency, name="f")])[0]


def test_a_thousand_networks_are_checked_in_a_moment() -> None:
    """Ten times what it takes: the borders of networks must not be tried against each other one by one."""
    import time

    networks: list[Network] = [ip_network(f"10.{n // 250}.{n % 250}.0/24") for n in range(1000)]
    began = time.monotonic()
    Policy([*(Rule([STAFF], When(network=(each,))) for each in networks), Rule([STAFF])])
    assert time.monotonic() - began < 20
