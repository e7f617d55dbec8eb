"""Values of policies made in code are held to what a file could say; for rules see `tests.policy.test_problems`."""

# mypy: disable-error-code="arg-type, dict-item, list-item"
# since wrong arguments are what is tested

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from ipaddress import ip_network
from math import inf, nan
from typing import Any

import pytest

from tests.lib.policies import problems_in_code
from useridentity import (
    Assign,
    Assurance,
    BreakGlass,
    ConfigurationError,
    Destination,
    FunctionValidator,
    Grant,
    Limits,
    PenaltyLimits,
    Policy,
    Rule,
    Scope,
    Unproved,
    UsernameValidator,
    When,
    Who,
)

STAFF = FunctionValidator("staff", 2, lambda *_: None)
LAN = (ip_network("10.0.0.0/8"),)


def limited(**limits: Any) -> Policy:
    return Policy([Rule([STAFF])], limits=Limits(**limits))


def penalized(**penalty: Any) -> PenaltyLimits:
    return PenaltyLimits(**penalty)


def told(make: Callable[..., object], **arguments: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        make(**arguments)
    return list(caught.value.problems)


HOUR, CENTURY, MANY = 3600, 36500 * 86400, 2**31 - 1


@pytest.mark.parametrize(
    ("make", "key", "most", "expected"),
    [
        (
            limited,
            "max_pending",
            MANY,
            "limits.max_pending: {} should be a whole number above zero, 2147483647 at most",
        ),
        (
            limited,
            "associate_deadline",
            HOUR,
            "limits.associate_deadline: {} should be a number above zero, 3600 at most",
        ),
        (limited, "tls_handshake", HOUR, "limits.tls_handshake: {} should be a number above zero, 3600 at most"),
        (
            limited,
            "validator_deadline",
            HOUR,
            "limits.validator_deadline: {} should be a number above zero, 3600 at most",
        ),
        (
            limited,
            "max_association",
            CENTURY,
            "limits.max_association: {} should be a number above zero, 3153600000 at most",
        ),
        (
            limited,
            "max_associate_pdu",
            2**40,
            "limits.max_associate_pdu: {} should be a whole number above zero, 1099511627776 at most",
        ),
        (penalized, "account_free", MANY, "account_free: {} should be a whole number above zero, 2147483647 at most"),
        (penalized, "longest", CENTURY, "longest: {} should be a number above zero, 3153600000 at most"),
    ],
)
def test_a_number_in_code_is_bounded_as_in_a_file(
    make: Callable[..., object], key: str, most: int, expected: str
) -> None:
    make(**{key: most})
    for value in (0, -1, most + 1, 10**400, nan, inf, True, "5s", None, [5]):
        assert told(make, **{key: value}) == [expected.format(repr(value))]
    if "whole" in expected:
        assert told(make, **{key: 1.5}) == [expected.format(1.5)]


def test_limits_of_another_kind_are_refused() -> None:
    limited(max_pending=1, associate_deadline=1, penalty=PenaltyLimits(exempt=LAN))
    assert told(limited, penalty=None) == ["limits.penalty: None should be a PenaltyLimits"]
    assert told(penalized, exempt=("10.0.0.0/8",)) == ["exempt: '10.0.0.0/8' should be IPv4Network or IPv6Network"]
    assert told(penalized, shortest=9.0, longest=1.0) == [
        "shortest is 9 s and longest 1 s; delays double from one to the other"
    ]
    for limits in ({"max_pending": 4}, {}, 0, "", PenaltyLimits(), Limits):
        assert told(Policy, authenticate=[Rule([STAFF])], limits=limits) == [f"limits: {limits!r} should be a Limits"]


def test_what_is_no_store_and_no_trail_is_refused_and_not_repeated() -> None:
    Policy([Rule([STAFF])], store=None, audit=None)
    assert told(Policy, authenticate=[Rule([STAFF])], store="redis://u:hunter2@h", audit="audit.db") == [
        "store: is a str; open_store makes a store of a URL",
        "audit: is a str; docs/audit.md says how a trail is made",
    ]


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ({}, {"permit": None}, "permit: None should be a list or a tuple"),
        ({}, {"permit": "echo"}, "permit: a string would be read letter by letter; give a list of them"),
        ({}, {"permit": ["echo", 5]}, "permit: 5 should be a str"),
        ({}, {"permit": ["echo", "a\0"]}, "permit: has the control character U+0000 as its character 2; take it out"),
        (
            {"destinations": ("WS_1",)},
            {"destinations": "WS_1"},
            "destinations: a string would be read letter by letter",
        ),
        (
            {"destinations": ["WS_1"]},
            {"destinations": {"WS_1": "10.0.0.5"}},
            "destinations: {'WS_1': '10.0.0.5'} should",
        ),
        ({"destinations": ["WS_1"]}, {"destinations": ["WS_1 "]}, "destinations: 'WS_1 ' would never match"),
        (
            {"destinations": ["WS_1"]},
            {"destinations": ["WS_1", None]},
            "destinations: None should be Destination or str",
        ),
        (
            {"destinations": [Destination("A")]},
            {"destinations": [Destination(5)]},
            "destinations.ae_title: 5 should be",
        ),
        (
            {"destinations": [Destination("A", LAN[0])]},
            {"destinations": [Destination("A", "10.0.0.0/8")]},
            "destinations.network: '10.0.0.0/8' should be IPv4Network or IPv6Network",
        ),
    ],
)
def test_a_grant_is_made_of_what_its_permission_needs(good: dict[str, Any], bad: dict[str, Any], expected: str) -> None:
    words = ["echo", *(["move"] if "destinations" in good else [])]
    Policy([Rule([STAFF])], [Grant(**{"permit": words, **good})])
    (problem,) = told(Grant, **{"permit": words, **bad})
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (Grant(["echo"]), None, "authorize[0]: None should be a Grant"),
        (Grant(["find"], scope=Scope.of({"PatientID": "P"})), Grant(["find"], scope=Scope({})), "authorize[0].scope: "),
        (
            Grant(["find"], scope=Scope({"PatientID": ("ab",)})),
            Grant(["find"], scope=Scope({"PatientID": "ab"})),
            "authorize[0].scope.terms.PatientID: a string would be read letter by letter",
        ),
        (
            Grant(["find"], scope=Scope({"PatientID": ("P",)})),
            Grant(["find"], scope=Scope({"PatentID": ("P",)})),
            "authorize[0].scope: PatentID: is no attribute",
        ),
        (
            Grant(["find"], scope=Scope({"PatientID": ("P",)})),
            Grant(["find"], scope=Scope({"PatientID": ("P*",)})),
            "authorize[0].scope: PatientID: 'P*' has a wildcard",
        ),
        (Grant(["echo"], name="a"), Grant(["echo"], name="a\n"), "authorize[0].name: has the control character U+000A"),
        (Grant(["echo"], Who(groups=("a",))), Grant(["echo"], Who(groups=("",))), "authorize[0].who.groups: is empty"),
        (
            Grant(["echo"], break_glass=BreakGlass(group="a")),
            Grant(["echo"], break_glass=BreakGlass(group="a\0")),
            "authorize[0].break_glass.group: has the control character U+0000",
        ),
    ],
)
def test_a_grant_says_what_a_file_could(good: Grant, bad: Any, expected: str) -> None:
    Policy([Rule([STAFF])], [good])
    (problem,) = problems_in_code([Rule([STAFF])], [bad])
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (None, "authenticate[0]: None should be a Rule"),
        (Rule([UsernameValidator]), "authenticate[0].accept: <class "),
        (Rule([FunctionValidator(5, 2, len)]), "authenticate[0].accept: 5 is no name for a validator"),
        (
            Rule([FunctionValidator("a", 256, len)]),
            "authenticate[0].accept: 256 is no User-Identity-Type: an octet, or",
        ),
        (Rule([FunctionValidator("a", "2", len)]), "authenticate[0].accept: '2' is no User-Identity-Type"),
        (Rule([STAFF], name="a\0"), "authenticate[0].name: has the control character U+0000"),
        (
            Rule([STAFF], When(network=(ip_network("fe80::%eth0/64"),))),
            "authenticate[0].when.network: fe80::%eth0/64 has a zone and would never match; peers are compared without",
        ),
    ],
)
def test_a_rule_says_what_a_file_could(bad: Any, expected: str) -> None:
    Policy([Rule([STAFF, FunctionValidator("a", 255, len)], When(network=(ip_network("fe80::/64"),)), name="a")])
    (problem,) = problems_in_code([bad])
    assert problem.startswith(expected)


def test_what_is_left_out_may_be_empty() -> None:
    """The default of a name is no name that somebody gave."""
    unproved = Grant(["echo"], Who(assurance=(Assurance.UNPROVED,)), name="")
    Policy([Rule([STAFF], name="", unproved=Unproved(date(2030, 1, 1)))], [unproved])
    assigned = Grant(["echo"], Who(assurance=(Assurance.ASSIGNED,)))
    (problem,) = problems_in_code([Rule([STAFF], When(network=LAN), assign=Assign(""))], [assigned])
    assert problem == "authenticate[0].assign.user: is empty, should be a string"
