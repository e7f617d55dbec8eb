"""Rules on whole principals: what matches, what a user is called, what a rule may not say."""

from __future__ import annotations

import pytest

from useridentity.errors import ConfigurationError
from useridentity.mechanisms.kerberos.principals import GroupRules, PrincipalRules, own_realm

RULES = PrincipalRules(
    [
        {"match": "jsmith@OLD.EXAMPLE.ORG", "user_id": "john.smith"},
        {"match": "*/admin@EXAMPLE.ORG", "user_id": "admin:*"},
        {"match": "*/*@EXAMPLE.ORG", "user_id": "*-on-*"},
        {"match": "*@EXAMPLE.ORG", "user_id": "*"},
        {"match": "*@PARTNERS.ORG"},
    ]
)


@pytest.mark.parametrize(
    ("principal", "user_id"),
    [
        ("alice@EXAMPLE.ORG", "alice"),
        ("alice@PARTNERS.ORG", "alice@PARTNERS.ORG"),
        ("alice/admin@EXAMPLE.ORG", "admin:alice"),
        ("host/ct1.example.org@EXAMPLE.ORG", "host-on-ct1.example.org"),
        ("jsmith@OLD.EXAMPLE.ORG", "john.smith"),
    ],
)
def test_the_first_rule_that_matches_names_the_user(principal: str, user_id: str) -> None:
    assert RULES.user_id(principal) == user_id


@pytest.mark.parametrize(
    "principal",
    [
        "alice@EXAMPLE.NET",
        "alice@example.org",
        "alice@EXAMPLEXORG",  # a dot is a dot
        "alice@EVIL.EXAMPLE.ORG",
        "alice@EXAMPLE.ORG.EVIL",
        "alice@EXAMPLE.ORG\n",
        "@EXAMPLE.ORG",
        "alice",
        "",
        "alice/admin@PARTNERS.ORG",
        "mallory@jsmith@OLD.EXAMPLE.ORG",
        "alice@EVIL\\@PARTNERS.ORG",  # a realm with a quoted @ in it, as MIT Kerberos writes it
        "alice\\@PARTNERS.ORG@EVIL.ORG",
        "mallory\\/x@PARTNERS.ORG",
    ],
)
@pytest.mark.threat("K7")
def test_whoever_no_rule_matches_as_a_whole_is_nobody(principal: str) -> None:
    assert RULES.user_id(principal) is None


def test_without_rules_the_plain_users_of_the_services_realm_keep_their_whole_name() -> None:
    rules = own_realm("dicom/pacs.example.org@EXAMPLE.ORG")
    assert rules.user_id("alice@EXAMPLE.ORG") == "alice@EXAMPLE.ORG"
    assert rules.user_id("alice@OTHER.ORG") is None
    assert rules.user_id("host/pacs.example.org@EXAMPLE.ORG") is None


def test_a_principal_is_in_the_groups_of_every_rule_that_matches_it() -> None:
    rules = GroupRules({"*@EXAMPLE.ORG": ("staff",), "alice@EXAMPLE.ORG": ("radiology", "research")})
    assert rules.groups("alice@EXAMPLE.ORG") == {"staff", "radiology", "research"}
    assert rules.groups("bob@EXAMPLE.ORG") == {"staff"}
    assert rules.groups("alice@OTHER.ORG") == frozenset()


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({}, "has nothing"),
        ({"user_id": "x"}, "has user_id"),
        ({"match": "*@R", "user": "*"}, "has match, user"),
        ({"match": "alice"}, "a realm written out"),
        ({"match": "alice@"}, "a realm written out"),
        ({"match": "@R"}, "a realm written out"),
        ({"match": "*@*"}, "a realm written out"),
        ({"match": "*@*.ORG"}, "a realm written out"),
        ({"match": "alice@R", "user_id": "*"}, "more \\* than"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        PrincipalRules([rule])


def test_every_problem_of_every_rule_is_told() -> None:
    with pytest.raises(ConfigurationError) as error:
        PrincipalRules([{"match": "a"}, {"match": "b@R"}, {"match": "c"}])
    assert [problem[:13] for problem in error.value.problems] == ["principals[0]", "principals[2]"]


def test_a_group_rule_names_its_realm_too() -> None:
    with pytest.raises(ConfigurationError, match=r"groups: .*a realm written out"):
        GroupRules({"*@*": ("everybody",)})
