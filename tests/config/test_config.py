"""A policy file: what it may say, and that everything wrong with it is said at once."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lib.policies import load, problems
from useridentity.errors import ConfigurationError
from useridentity.facts import Facts, Tls
from useridentity.policy import Checks, Limits, Policy

GOOD = """\
version = 1

[limits]
associate_deadline = "2s"
max_associate_pdu = "64KiB"
max_pending_per_peer = 4

[validator.names]
type = "username"

[[authenticate]]
name = "modalities"
when = { calling_ae_title = ["CT_*"], network = ["10.20.0.0/16"], tls = "none" }
accept = ["names"]

[[authenticate]]
accept = ["names"]
[authenticate.when]
called_ae_title = ["ARCHIVE"]
"""


def test_a_good_file_is_the_policy_it_describes(tmp_path: Path) -> None:
    policy = load(tmp_path, GOOD)
    assert policy.limits == Limits(associate_deadline=2.0, max_associate_pdu=65536, max_pending_per_peer=4)
    assert [rule.name for rule in policy.rules] == ["modalities", "rule 2"]
    now = datetime.now(UTC)
    ct = Facts("CT_1", "ANY", ip_address("10.20.1.1"), 104, Tls.NONE, 1, now)
    elsewhere = Facts("WS", "ANY", ip_address("10.20.1.1"), 104, Tls.NONE, 1, now)
    plan = policy.plan(ct)
    assert isinstance(plan, Checks)
    assert (plan.rule, plan.alternatives[0][0].name) == ("modalities", "names")
    assert not isinstance(policy.plan(elsewhere), Checks)


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("version = 1", "version = 2", "identity.toml:1: version: 2 should be 1"),
        ("version = 1", "version = true", "identity.toml:1: version: True should be 1"),
        ("version = 1", "version = 1.0", "identity.toml:1: version: 1.0 should be 1"),
        ("version = 1", "", "identity.toml:1: version: is missing; begin the file with version = 1"),
        (
            "[limits]",
            "[limit]",
            'identity.toml:3: limit: unknown key; did you mean "limits"? '
            "(known: audit, authenticate, authorize, limits, state, validator, version)",
        ),
        (
            'associate_deadline = "2s"',
            "associate_deadline = 2",
            'identity.toml:4: limits.associate_deadline: 2 should be more than nothing, with a unit: "10s" '
            "(units: ms, s, m, h, d)",
        ),
        (
            '"64KiB"',
            '"64KB"',
            "identity.toml:5: limits.max_associate_pdu: '64KB' should be more than nothing, with a unit: "
            '"256KiB" (units: B, KiB, MiB, GiB)',
        ),
        (
            "max_pending_per_peer = 4",
            "max_pending_per_peer = true",
            "identity.toml:6: limits.max_pending_per_peer: True should be a whole number, 1 or more",
        ),
        (
            'type = "username"',
            'type = "usrname"',
            "identity.toml:9: validator.names.type: 'usrname' is no validator type; did you mean \"username\"?",
        ),
        (
            'type = "username"',
            "",
            'identity.toml:8: validator.names: needs a type, such as type = "passcode"',
        ),
        (
            'accept = ["names"]\n\n',
            'accept = ["nams"]\n\n',
            'identity.toml:14: authenticate[0].accept: "nams" is no validator; did you mean "names"? (known: names)',
        ),
        (
            'accept = ["names"]\n\n',
            "accept = []\n\n",
            "identity.toml:14: authenticate[0].accept: is empty; name at least one, or leave the key out",
        ),
        (
            '["10.20.0.0/16"]',
            "[]",
            "identity.toml:13: authenticate[0].when.network: is empty; name at least one, or leave the key out",
        ),
        (
            'tls = "none"',
            "tls = false",
            "identity.toml:13: authenticate[0].when.tls: False is not allowed (known: mutual, none, server)",
        ),
        (
            "10.20.0.0/16",
            "10.20.0.1/16",
            "identity.toml:13: authenticate[0].when.network[0]: '10.20.0.1/16' is no network; write 10.20.0.0/16 or "
            "fd00::/8, without host bits",
        ),
        (
            "10.20.0.0/16",
            "::ffff:10.20.0.0/112",
            "identity.toml:13: authenticate[0].when.network[0]: ::ffff:10.20.0.0/112 is IPv4 written as IPv6 and would "
            "never match; peers are compared as IPv4",
        ),
        (
            "10.20.0.0/16",
            "fe80::%eth0/64",
            "identity.toml:13: authenticate[0].when.network[0]: fe80::%eth0/64 has a zone and would never match; peers "
            "are compared without",
        ),
        (
            '["CT_*"]',
            '"CT_*"',
            "identity.toml:13: authenticate[0].when.calling_ae_title: is a string, should be a list",
        ),
        (
            'called_ae_title = ["ARCHIVE"]',
            'called_ae = ["ARCHIVE"]',
            'identity.toml:19: authenticate[1].when.called_ae: unknown key; did you mean "called_ae_title"? '
            "(known: called_ae_title, calling_ae_title, network, tls)",
        ),
    ],
)
@pytest.mark.threat("T12")
def test_each_problem_says_where_it_is_and_what_is_allowed(tmp_path: Path, good: str, bad: str, expected: str) -> None:
    load(tmp_path, GOOD)
    assert good in GOOD
    assert any(problem.startswith(expected) for problem in problems(tmp_path, GOOD.replace(good, bad, 1)))


def test_a_mistyped_table_is_found_where_it_stands(tmp_path: Path) -> None:
    text = GOOD.replace("[validator.names]", "[validators.names]")
    assert problems(tmp_path, text)[0].startswith('identity.toml:8: validators: unknown key; did you mean "validator"?')


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("version = 1", "version = 3").replace('"2s"', '"2"').replace('"username"', '"user"')
    text = text.replace('tls = "none"', 'tls = "yes"')
    assert [problem.split(":")[1] for problem in problems(tmp_path, text)] == ["1", "4", "9", "13"]


def test_what_is_wrong_with_a_rule_hides_nothing_that_is_wrong_with_others(tmp_path: Path) -> None:
    text = """version = 1
[validator.staff]
type = "passcode"
store = "file:none.toml"
[validator.names]
type = "username"
[[authenticate]]
when = { network = ["10.0.0.0/8"] }
accept = ["names"]
unproved = { until = 2030-01-01 }
[[authenticate]]
accept = ["staff"]
[[authorize]]
name = "first"
who = { validator = ["nmaes"] }
permit = ["eco"]
[[authorize]]
name = "all"
permit = ["echo"]
[[authorize]]
name = "late"
permit = ["echo"]
"""
    told = [each.partition("identity.toml:")[2] for each in problems(tmp_path, text)]
    expected = [
        "validator.staff",
        "10: authenticate[0].unproved: needs an [[authorize]]",
        'authorize[0].who.validator: "nmaes" is accepted by no rule; did you mean "names"?',
        'authorize[0].permit: "eco" is no capability',
        'authorize[2]: is never reached: "all"',
    ]
    assert [what for what in expected if not any(what in each for each in told)] == []
    assert len(told) == len(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version = 1\nversion = 2", "not TOML"),
        ("version = 1\n[[authenticate", "not TOML"),
        ("", "no [[authenticate]] rule"),
        ("version = 1\nauthenticate = 3", "no [[authenticate]] rule"),
        ("version = 1\nauthenticate = [1]", "authenticate[0]: should be a table"),
        ("version = 1\nvalidator = 3", "should be tables"),
        ("version = 1\nlimits = 3", "is a number, should be a table"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_a_reason(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.toml: cannot be read: No such file"):
        Policy.load(tmp_path / "missing.toml")
    for end in (b'M\xfcller"\n', b"M\xc3"):  # the second is cut off within a character
        (tmp_path / "latin.toml").write_bytes(b'\xef\xbb\xbf# \xc3\xbc\r\n\r\nname = "' + end)
        with pytest.raises(ConfigurationError, match=r"latin\.toml:3: not UTF-8; TOML files are UTF-8"):
            Policy.load(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("good", "bad", "key"),
    [
        ('"memory:"', r'"memory:\u0000"', "identity.toml:4: state.url"),
        ('"CT_*"', r'"CT_*\u0000"', "identity.toml:10: authenticate[0].when.calling_ae_title[0]"),
        ('"modalities"', r'"modalities\u0000"', "identity.toml:9: authenticate[0].name"),
        ('"10.20.0.0/16"', r'"10.20.0.0/16\u0000"', "identity.toml:10: authenticate[0].when.network[0]"),
    ],
)
@pytest.mark.threat("T12")
def test_a_nul_in_any_string_is_refused(tmp_path: Path, good: str, bad: str, key: str) -> None:
    limits = GOOD[GOOD.index("[limits]") : GOOD.index("[validator")]
    text = GOOD.replace(limits, '[state]\nurl = "memory:"\n')
    load(tmp_path, text)
    assert good in text
    assert any(
        problem.startswith(f"{key}: has the control character U+0000")
        for problem in problems(tmp_path, text.replace(good, bad, 1))
    )


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Windows' editors write one."""
    text = (tmp_path / "identity.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert text
    assert len(Policy.load(tmp_path / "identity.toml").rules) == 2
    assert problems(tmp_path, "\ufeff" + GOOD.replace("version = 1", "version = 2"))[0].startswith("identity.toml:1: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("authorize = []", "authorize: should be tables"),
        ("authorize = 3", "authorize: should be tables"),
        ("authorize = [1]", "authorize[0]: should be a table"),
        ("[[authorize]]", "authorize[0]: permit is missing"),
        ("[[authorize]]\npermit = []", "authorize[0].permit: is empty"),
        ('[[authorize]]\npermit = "echo"', "authorize[0].permit: is a string, should be a list"),
        ('[[authorize]]\npermit = ["echo"]\nwho = 3', "authorize[0].who: is a number, should be a table"),
    ],
)
def test_grants_of_another_shape_are_refused_with_a_reason(tmp_path: Path, text: str, expected: str) -> None:
    """An empty list must not be read as no [[authorize]] at all, which permits everything."""
    authenticate = '[validator.names]\ntype = "username"\n\n[[authenticate]]\naccept = ["names"]\n'
    load(tmp_path, f"version = 1\n{authenticate}")
    top, below = (text, "") if "[[" not in text else ("", text)
    assert any(expected in each for each in problems(tmp_path, f"version = 1\n{top}\n{authenticate}\n{below}\n"))


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ('"1h"', '"61m"', "limits.associate_deadline: '61m' is too much; \"1h\" is the most"),
        ('"1h"', '"200000d"', "limits.associate_deadline: '200000d' is too much"),
        ('"1h"', f'"{"9" * 400}s"', 's\' is too much; "1h" is the most'),
        ('"1h"', '"\u0661\u0660s"', "should be more than nothing, with a unit"),
        ('"36500d"', '"36501d"', "limits.max_association: '36501d' is too much; \"36500d\" is the most"),
        ('"1024GiB"', '"1025GiB"', "limits.max_associate_pdu: '1025GiB' is too much; \"1024GiB\" is the most"),
        ('"1024GiB"', f'"{"9" * 400}GiB"', "GiB' is too much"),
        ("2147483647", "2147483648", "max_pending: 2147483648 should be a whole number, 1 or more, 2147483647 at most"),
    ],
)
def test_amounts_have_a_most_beyond_which_servers_would_fail(
    tmp_path: Path, good: str, bad: str, expected: str
) -> None:
    limits = (
        'associate_deadline = "1h"\nmax_association = "36500d"\n'
        'max_associate_pdu = "1024GiB"\nmax_pending = 2147483647\n'
    )
    text = f'version = 1\n[limits]\n{limits}[validator.v]\ntype = "username"\n[[authenticate]]\naccept = ["v"]\n'
    assert load(tmp_path, text).limits.associate_deadline == 3600
    found = problems(tmp_path, text.replace(good, bad))
    assert len(found) == 1
    assert expected in found[0]


def test_each_wrong_element_of_a_list_is_told(tmp_path: Path) -> None:
    told = problems(tmp_path, GOOD.replace('["10.20.0.0/16"]', '["10.1/16", "10.0.0.0/8", "x", 3]'))
    assert [each.split(": ")[1] for each in told] == [f"authenticate[0].when.network[{index}]" for index in (0, 2, 3)]


@pytest.mark.parametrize("table", ["authenticate", "authorize"])
def test_a_rule_in_single_brackets_is_told_to_want_double_ones(tmp_path: Path, table: str) -> None:
    text = GOOD + '[[authorize]]\nwho = { assurance = ["asserted"] }\npermit = ["echo"]\n'
    load(tmp_path, text)
    text = text[: text.index("[[authenticate]]")] if table == "authenticate" else text[: text.index("[[authorize]]")]
    told = problems(tmp_path, f"{text}[{table}]\npermit = 1\n")
    assert any(f"{table}: is one table; rules stand in double brackets, [[{table}]]" in each for each in told)


CLAIMS = GOOD + '[[authorize]]\nwho = { assurance = ["asserted"], claims = { npi = ["1"] } }\npermit = ["echo"]\n'


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("{ npi = [] }", "authorize[0].who.claims.npi: is empty; name at least one, or leave the key out"),
        ("{}", "authorize[0].who.claims: is empty; name at least one, or leave the key out"),
        (
            '{ realm.role = ["1"] }',
            "authorize[0].who.claims.realm: is a table, should be a list; a key with a dot of its own stands in quotes",
        ),
    ],
)
def test_claims_that_would_be_anybodys_or_mean_another_path_are_refused(
    tmp_path: Path, bad: str, expected: str
) -> None:
    load(tmp_path, CLAIMS)
    load(tmp_path, CLAIMS.replace("{ npi", '{ "realm.role"'))
    (problem,) = problems(tmp_path, CLAIMS.replace('{ npi = ["1"] }', bad))
    assert problem == f"identity.toml:21: {expected}"


@pytest.mark.parametrize("password", ["hunter2", "e"])
def test_a_password_in_the_file_is_repeated_nowhere_and_hides_no_other_problem(tmp_path: Path, password: str) -> None:
    url = f"redis://u:{password}@h"
    load(tmp_path, GOOD)
    bad = (
        GOOD.replace("version = 1", f'version = "{url}"').replace('"2s"', f'"{url}"').replace('tls = "none"', "tls = 1")
    )
    told = problems(tmp_path, f"{bad}\n[stat]\n")
    assert not any(f":{password}@" in each or "hunter2" in each for each in told)
    expected = [
        "version: holds a password in clear",
        "version: '...' should be 1",
        "limits.associate_deadline: holds a password in clear",
        "limits.associate_deadline: '...' should be more than nothing",
        "authenticate[0].when.tls: 1 is not allowed",
        'stat: unknown key; did you mean "state"?',
    ]
    assert [what for what in expected if not any(what in each for each in told)] == []


def test_a_private_key_in_the_file_is_repeated_nowhere(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\\nMIIEvQ\\n-----END PRIVATE KEY-----"
    load(tmp_path, GOOD)
    told = problems(tmp_path, GOOD.replace("version = 1", f'version = "{key}"'))
    assert [each.partition(": version: ")[2][:12] for each in told] == ["holds a priv", "'...' should"]
