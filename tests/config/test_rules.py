"""The tables of rules in a policy file: what they mean, and every problem with line, key and what is allowed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.lib.certificates import Certificates
from tests.lib.policies import load, problems
from useridentity import (
    Assign,
    Assurance,
    BreakGlass,
    Destination,
    Facts,
    Kind,
    Tls,
    Unproved,
    Who,
)
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.policy import Checks
from useridentity.policy.rules import label

GOOD = """\
version = 1

[validator.names]
type = "username"

[validator.staff]
type = "passcode"
store = "file:passcodes.toml"
plaintext = "allow"

[validator.node]
type = "certificate"
issuer = "ca.pem"

[[authenticate]]
name = "devices"
when = { calling_ae_title = ["CT_*"], network = ["10.20.0.0/16"], tls = "none" }
assign = { user = "ct", groups = ["modalities"], kind = "node" }

[[authenticate]]
name = "people"
when = { tls = "server" }
accept = ["staff+node", "staff", "names"]
weakest = "asserted"
unproved = { mode = "report", until = 2027-03-31 }

[[authorize]]
name = "devices store"
who = { validator = ["assigned"], groups = ["modalities"], assurance = ["assigned"] }
permit = ["echo", "store"]

[[authorize]]
name = "emergency"
who = { validator = ["staff+node"], claims = { npi = ["123"], "a.b" = ["x"] }, kind = ["person"], purpose = ["TREAT"] }
permit = ["echo", "find", "move"]
destinations = ["WS_*", { ae_title = "WS_1", address = "10.0.0.5" }]
break_glass = { claim = "reason", group = "emergency" }

[[authorize]]
name = "research"
who = { groups = ["research"] }
permit = ["echo", "find"]
scope = { PatientID = "{claims.cohort}" }

[[authorize]]
name = "others"
who = { assurance = ["unproved", "asserted"] }
permit = ["echo"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Path:
    """Where the files are that the policy names."""
    made = tmp_path_factory.mktemp("policy")
    (made / "ca.pem").write_bytes(Path(certificates.ca).read_bytes())
    set_passcode(made / "passcodes.toml", "alice", b"correct horse")
    return made


@pytest.fixture(scope="module", autouse=True)
def _good_is_good(folder: Path) -> None:
    """The file that all others here differ from by one defect."""
    load(folder, GOOD)


def test_rules_say_what_may_be_accepted(folder: Path) -> None:
    devices, people = load(folder, GOOD).rules
    assert (devices.name, devices.alternatives) == ("devices", ())
    assert devices.assign == Assign("ct", ("modalities",), Kind.NODE)
    assert devices.when.network == (ip_network("10.20.0.0/16"),)
    assert [label(each) for each in people.alternatives] == ["staff+node", "staff", "names"]
    assert people.alternatives[0][0] is people.alternatives[1][0]
    assert people.unproved == Unproved(until=date(2027, 3, 31), mode="report")
    assert (people.weakest, people.overlap, people.when.tls) == ("asserted", None, Tls.SERVER)


def test_grants_say_who_may_do_what(folder: Path) -> None:
    devices, emergency, research, others = load(folder, GOOD).grants
    assert devices.who == Who(("assigned",), ("modalities",), assurance=(Assurance.ASSIGNED,))
    assert emergency.who == Who(
        ("staff+node",), claims={"npi": ("123",), "a.b": ("x",)}, kind=(Kind.PERSON,), purpose=("TREAT",)
    )
    assert emergency.break_glass == BreakGlass("reason", "emergency")
    assert emergency.permission.destinations == (
        Destination("WS_*"),
        Destination("WS_1", ip_network("10.0.0.5/32")),
    )
    assert emergency.permission.words == ("echo", "find", "move")
    assert research.permission.scope is not None
    assert others.who.assurance == (Assurance.UNPROVED, Assurance.ASSERTED)


def test_spaces_around_the_plus_mean_nothing(folder: Path) -> None:
    policy = load(folder, GOOD.replace('"staff+node", "staff"', '"staff + node", "staff"'))
    assert label(policy.rules[1].alternatives[0]) == "staff+node"


def test_both_are_asked_where_both_are_named(folder: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    plan = load(folder, GOOD).plan(Facts("WS_1", "ARCHIVE", ip_address("10.1.0.1"), 104, Tls.MUTUAL, 2, now))
    assert isinstance(plan, Checks)
    assert (plan.rule, [label(each) for each in plan.alternatives]) == ("people", ["staff+node", "staff"])


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (
            '"staff+node"',
            '"staff+nod"',
            'identity.toml:23: authenticate[1].accept: "nod" is no validator; did you mean "node"? '
            "(known: names, node, staff)",
        ),
        (
            '"staff+node"',
            '"staff+"',
            'identity.toml:23: authenticate[1].accept: "" is no validator (known: names, node',
        ),
        (
            '"staff+node"',
            '"staff+names"',
            'identity.toml:23: authenticate[1].accept: "staff+names": an association carries one identity',
        ),
        (
            '"staff+node", "staff"',
            '"staff", "staff+node"',
            'identity.toml:23: authenticate[1].accept: "staff+node" is never reached: "staff" suffices and comes',
        ),
        (
            'weakest = "asserted"',
            'weakest = "assertd"',
            "identity.toml:24: authenticate[1].weakest: 'assertd' is not allowed; did you mean \"asserted\"? "
            "(known: asserted)",
        ),
        (
            'weakest = "asserted"\n',
            "",
            'identity.toml:23: authenticate[1].accept: "names" takes a username at its word beside validators',
        ),
        (
            'weakest = "asserted"',
            "weakest = true",
            "identity.toml:24: authenticate[1].weakest: True is not allowed (known: asserted)",
        ),
        (
            "until = 2027-03-31",
            'until = "2027-03-31"',
            "identity.toml:25: authenticate[1].unproved.until: '2027-03-31' should be a date, without quotes or time: "
            "2027-03-31",
        ),
        (
            "until = 2027-03-31",
            "until = 2027-03-31T10:00:00Z",
            "identity.toml:25: authenticate[1].unproved.until: 2027-03-31 10:00:00+00:00 has a time and should be",
        ),
        (", until = 2027-03-31", "", "identity.toml:25: authenticate[1].unproved: until is missing"),
        (
            'mode = "report"',
            'mode = "repot"',
            "identity.toml:25: authenticate[1].unproved.mode: 'repot' is not allowed; did you mean \"report\"?",
        ),
        (
            'assign = { user = "ct"',
            'assign = { usr = "ct"',
            'identity.toml:18: authenticate[0].assign.usr: unknown key; did you mean "user"? (known: groups,',
        ),
        (
            '"CT_*"], network = ["10.20.0.0/16"]',
            '"CT_*"]',
            "identity.toml:18: authenticate[0].assign: would make anybody this user",
        ),
        (
            '"CT_*"',
            '"CT_0123456789ABCDE"',
            "identity.toml:17: authenticate[0].when.calling_ae_title[0]: 'CT_0123456789ABCDE' has 18 characters and "
            "would never match; AE titles have 16",
        ),
        ('name = "people"', 'name = "devices"', 'identity.toml:21: authenticate[1].name: "devices" names 2 rules'),
        (
            'permit = ["echo", "store"]',
            'permit = ["echo", "stor"]',
            'identity.toml:30: authorize[0].permit: "stor" is no capability, SOP class keyword or UID; did you mean '
            '"store"? (known: commit, echo, find, get, move',
        ),
        (
            "destinations = [",
            "destination = [",
            'identity.toml:36: authorize[1].destination: unknown key; did you mean "destinations"?',
        ),
        (
            'destinations = ["WS_*", { ae_title = "WS_1", address = "10.0.0.5" }]\n',
            "",
            'identity.toml:35: authorize[1].permit: "move" without destinations would send studies anywhere',
        ),
        (
            'address = "10.0.0.5"',
            'address = "ws1.example.org"',
            "identity.toml:36: authorize[1].destinations[1].address: 'ws1.example.org' is no network",
        ),
        (
            '"WS_*", {',
            "7, {",
            "identity.toml:36: authorize[1].destinations[0]: is a number, should be a table",
        ),
        *(
            ('"WS_*", {', f"{title}, {{", f"identity.toml:36: authorize[1].destinations[0]: {told}")
            for title, told in (
                ('""', "'' is no AE title"),
                ('"WS_1 "', "'WS_1 ' would never match"),
                (r'"WS\\1"', r"'WS\\1' is no AE title"),
            )
        ),
        (
            'validator = ["staff+node"]',
            'validator = ["node+staff"]',
            'identity.toml:34: authorize[1].who.validator: "node+staff" is accepted by no rule',
        ),
        (
            'kind = ["person"]',
            'kind = ["persn"]',
            "identity.toml:34: authorize[1].who.kind[0]: 'persn' is not allowed; did you mean \"person\"? "
            "(known: node, person, service)",
        ),
        (
            'npi = ["123"]',
            'npi = "123"',
            "identity.toml:34: authorize[1].who.claims.npi: is a string, should be a list",
        ),
        ('"a.b" = ["x"]', '"a..b" = ["x"]', "identity.toml:34: authorize[1].who.claims.a..b: 'a..b' is no claim path"),
        (
            'break_glass = { claim = "reason", group = "emergency" }',
            "break_glass = {}",
            "identity.toml:37: authorize[1].break_glass: needs a claim that holds the reason, or the group",
        ),
        ("PatientID =", "PatientId =", "identity.toml:43: authorize[2].scope: "),
        (
            'who = { groups = ["research"] }',
            'who = { kind = ["node", "person", "service"] }\npermit = ["echo"]\n\n[[authorize]]',
            'identity.toml:44: authorize[3]: is never reached: "research" before it takes everybody it is for',
        ),
        (
            'assurance = ["unproved", "asserted"]',
            'assurance = ["asserted"]',
            "identity.toml:25: authenticate[1].unproved: needs an [[authorize]] that says what those may do who prove "
            'nothing: who = { assurance = ["unproved"] }',
        ),
        ('when = { tls = "server" }\n', "", ""),
    ],
)
@pytest.mark.threat("T12")
def test_each_problem_of_a_rule_says_where_it_is_and_what_is_allowed(
    folder: Path, good: str, bad: str, expected: str
) -> None:
    assert good in GOOD
    changed = GOOD.replace(good, bad, 1)
    if expected:
        assert any(each.startswith(expected) for each in problems(folder, changed)), problems(folder, changed)
    else:
        load(folder, changed)


def test_a_problem_hides_no_other_of_its_rule(folder: Path) -> None:
    """Whoever mends all that is told is not told more the next time."""
    rule, grant = (
        ('calling_ae_title = ["CT_*"], network', 'calling_ae_title = ["CT_* "], networks'),
        (
            'permit = ["echo", "find", "move"]\ndestinations = ["WS_*", {',
            'permit = ["finds"]\ndestinations = ["WS_*", 3, {',
        ),
    )
    text = GOOD.replace(*rule).replace('accept = ["staff+node"', 'weakst = "asserted"\naccept = ["staf+node"')
    text = (
        text.replace(*grant)
        .replace('kind = ["person"]', 'kind = ["people"]')
        .replace('"{claims.cohort}" }', "3 }\nwhom = 1")
    )
    load(folder, GOOD)
    found = [each.split(": ")[1] for each in problems(folder, text)]
    assert found == [
        "authenticate[0].when.networks", "authenticate[0].when.calling_ae_title[0]",
        "authenticate[1].weakst", "authenticate[1].accept",
        "authorize[1].who.kind[0]", "authorize[1].permit", "authorize[1].destinations[1]",
        "authorize[2].scope", "authorize[2].whom",
    ]  # fmt: skip


def test_problems_of_all_tables_come_at_once_by_their_lines(folder: Path) -> None:
    """Those within a rule, those between rules, and those of files."""
    text = GOOD
    for good, bad in (
        ("ca.pem", "missing.pem"),
        ('tls = "none"', 'tls = "non"'),
        ('"staff+node", "staff", "names"', '"staf"'),
        ('"store"]', '"stor"]'),
        ('[[authorize]]\nname = "research"', '[[authorize]]\nname = "emergency"'),
        ("PatientID", "PatientName"),
    ):
        assert good in text
        text = text.replace(good, bad, 1)
    found = problems(folder, text)
    lines = [int(each.split(":")[1]) for each in found]
    assert lines == sorted(lines)
    assert {11, 17, 23, 30} <= set(lines)
    assert any("names 2 rules" in each for each in found)


# Secrets


@pytest.mark.parametrize(
    ("good", "bad", "key"),
    [
        ('url = "redis://dicom@127.0.0.1"', 'url = "redis://dicom:s3cret@127.0.0.1"', "state.url"),
        ('url = "redis://dicom@127.0.0.1"', 'url = "redis://:s3cret@127.0.0.1/0"', "state.url"),
        ('"file:passcodes.toml"', '"ldaps://x:s3cret@ldap.example.org"', "validator.staff.store"),
        ('"10.20.0.0/16"', '"https://x:s3cret@example.org"', "authenticate[0].when.network[0]"),
        ('"ca.pem"', '"-----BEGIN PRIVATE KEY-----s3cret"', "validator.node.issuer"),
    ],
)
@pytest.mark.threat("P7")
def test_a_secret_in_the_file_is_an_error_that_does_not_repeat_it(folder: Path, good: str, bad: str, key: str) -> None:
    text = GOOD.replace("version = 1\n", 'version = 1\n\n[state]\nurl = "redis://dicom@127.0.0.1"\n')
    load(folder, text)
    assert good in text
    found = problems(folder, text.replace(good, bad))
    assert [each for each in found if f": {key}: holds a " in each and " in clear; take it out" in each]
    assert "s3cret" not in "\n".join(found)
