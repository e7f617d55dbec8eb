"""`useridentity policy check` and `schema`, and what all commands of a policy have in common."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.policies import ASK, POLICY, RESEARCHER, Main, joined, main
from useridentity.cli.policy import english, supposed
from useridentity.cli.policy.checking import NEAR, warnings
from useridentity.config.schema import policy_schema
from useridentity.errors import ConfigurationError
from useridentity.facts import Tls
from useridentity.policy import Policy

__all__ = ["main"]


def test_a_good_policy_is_told_in_sentences(main: Main) -> None:
    done = main("policy", "check", "p.toml")
    assert (done.code, done.err) == (0, "")
    assert joined(done.out) == (
        "p.toml: no problem found. "
        "What proof an association owes; the first rule that matches decides: "
        "1. old devices: Whoever calls PACS from 10.20.7.0/24 without TLS counts as old-device in the group old. "
        "2. people: Whoever calls as WS_* or DESK_1 from 10.0.0.0/8 must be verified by names (bare username). "
        "An association that no rule matches is rejected. "
        "What they may do; the first rule that matches decides: "
        "1. old devices: Whoever was assigned an identity may use echo and store. "
        "2. research: Whoever is taken at their word, is in the group research and has npi = 1 or 2 may use find and "
        "move, C-MOVE to WS_* or RSCH at 10.9.0.0/24 only, limited to studies whose PatientID is in the claim cohort "
        "and ModalitiesInStudy is 'CT'. "
        "Whom no rule matches is rejected."
    )
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_policy_without_grants_says_what_that_means(main: Main, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(POLICY.partition("[[authenticate]]")[0] + '[[authenticate]]\naccept = ["names"]\n')
    done = main("policy", "check", "p.toml")
    warning = "there is no [[authorize]]: whoever is accepted may use all that the server offers"
    assert joined(done.out).endswith(f"warning: {warning}")
    assert json.loads(main("policy", "check", "p.toml", "--json").out)["warnings"] == [warning]
    assert "1. rule 1: Whoever calls must be verified by names (bare username)." in done.out
    done = main(*ASK, "--identity", "username")
    assert "[[authorize]]: none, so that everything is permitted" in done.out
    assert "Permitted: everything that the acceptor offers." in done.out


def test_every_problem_is_told_with_its_line(main: Main, tmp_path: Path) -> None:
    broken = (
        POLICY.replace("network = [", "netwerk = [", 1).replace('"store"', '"stroe"').replace('["names"]', '["nams"]')
    )
    (tmp_path / "p.toml").write_text(broken)
    done = main("policy", "check", "p.toml")
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("error: ")
    assert 'netwerk: unknown key; did you mean "network"?' in lines[0]
    assert '"nams" is no validator; did you mean "names"?' in lines[1]
    assert '"stroe" is no capability' in lines[2]
    for command in (["policy", "test", "p.toml", "c.toml"], ASK):
        assert main(*[*command[:2], "p.toml", *command[3:]]).err == done.err


@pytest.mark.parametrize(
    ("days", "warning"),
    [
        (-1, "unproved ended on 2026-11-21; who sends no identity is refused"),
        (0, "unproved ends today, on 2026-11-22; afterwards who sends no identity is refused"),
        (NEAR.days, "unproved ends in 30 days, on 2026-12-22; afterwards who sends no identity is refused"),
        (NEAR.days + 1, ""),
    ],
)
def test_the_end_of_a_migration_is_warned_of(main: Main, tmp_path: Path, days: int, warning: str) -> None:
    today = date(2026, 11, 22)
    text = POLICY.replace(
        'accept = ["names"]', f'accept = ["names"]\nunproved = {{ until = {today + timedelta(days)} }}'
    )
    (tmp_path / "p.toml").write_text(text.replace('["assigned"]', '["assigned", "unproved"]'))
    found = list(warnings(supposed.load(tmp_path / "p.toml"), today))
    assert found == ([f'authenticate rule "people": {warning}'] if warning else [])


def test_a_validator_that_no_rule_accepts_is_warned_of(main: Main, tmp_path: Path) -> None:
    other = '[validator.others]\ntype = "username"\n'
    (tmp_path / "p.toml").write_text(POLICY.replace("[validator.names]", f"{other}[validator.names]"))
    done = main("policy", "check", "p.toml")
    assert (done.code, joined(done.out).partition("warning: ")[2]) == (0, 'validator "others": no rule accepts it')
    (tmp_path / "p.toml").write_text(
        POLICY.replace('["names"]', '["others+names"]').replace("[validator.names]", other)
    )
    assert main("policy", "check", "p.toml").code == 1


def test_a_file_that_anybody_may_write_is_warned_of(main: Main, tmp_path: Path) -> None:
    (tmp_path / "p.toml").chmod(0o664)
    assert "warning" not in main("policy", "check", "p.toml").out
    (tmp_path / "p.toml").chmod(0o666)
    warning = "anybody on this machine may write the file, and so say who may do what; chmod o-w"
    assert joined(main("policy", "check", "p.toml").out).endswith(f"warning: {warning}")


@pytest.mark.parametrize(
    ("good", "bad", "warning"),
    [
        ("WS_*", "WS_?", 'authenticate rule "people": "WS_?" is taken literally; * is the only pattern of AE titles'),
        ("DESK_1", "DESK_[1-9]", 'authenticate rule "people": "DESK_[1-9]" is taken literally'),
        ("DESK_1", "DESK_1,DESK_2", 'authenticate rule "people": "DESK_1,DESK_2" is taken literally'),
        ("PACS", "^PACS$", 'authenticate rule "old devices": "^PACS$" is taken literally'),
        ("RSCH", "RSCH|WS", 'authorize rule "research": "RSCH|WS" is taken literally'),
    ],
)
def test_a_pattern_of_another_kind_is_warned_of(main: Main, tmp_path: Path, good: str, bad: str, warning: str) -> None:
    """It matches nobody, and leaves those who were meant to a later rule."""
    assert "warning" not in main("policy", "check", "p.toml").out
    (tmp_path / "p.toml").write_text(POLICY.replace(good, bad, 1))
    told = joined(main("policy", "check", "p.toml").out).partition("warning: ")[2]
    assert told.startswith(warning)


def test_a_warning_is_no_error(main: Main, tmp_path: Path) -> None:
    text = POLICY.replace('accept = ["names"]', 'accept = ["names"]\nunproved = { until = 2020-01-01 }')
    (tmp_path / "p.toml").write_text(text.replace('["assigned"]', '["assigned", "unproved"]'))
    done = main("policy", "check", "p.toml")
    assert done.code == 0
    warning = 'authenticate rule "people": unproved ended on 2020-01-01; who sends no identity is refused'
    assert joined(done.out).endswith(f"warning: {warning}")
    assert json.loads(main("policy", "check", "p.toml", "--json").out)["warnings"] == [warning]


def test_what_a_terminal_would_obey_is_escaped(main: Main, tmp_path: Path) -> None:
    """A name that turns the direction of writing would show a line as another."""
    (tmp_path / "p.toml").write_text(POLICY.replace('"people"', '"people\u202e"'))
    for command in (["policy", "check", "p.toml"], [*ASK, *RESEARCHER]):
        done = main(*command)
        assert done.code == 0
        assert "people\\u202e" in done.out
        assert "\u202e" not in done.out
    for option, value in (("--claim", "\x1b[31m"), ("--calling", "WS_\u202e1")):
        done = main(*ASK, option, value)
        assert done.code == 2
        assert not {"\x1b", "\u202e"} & set(done.err)


BROKEN = [
    POLICY.replace("version = 1", "version = 2"),
    POLICY.replace('type = "username"', 'tipe = "username"'),
    POLICY.replace('type = "username"', 'type = "usernames"'),
    POLICY.replace('type = "username"', 'type = "username"\nstore = "x"'),
    POLICY.replace('["names"]', '["names", "nobody"]'),
    POLICY.replace('name = "people"', 'name = "old devices"'),
    POLICY.replace("destinations", "destination"),
    POLICY.replace("PatientID", "PatientName2"),
    POLICY.replace('permit = ["echo", "store"]', "permit = []"),
    POLICY.partition("[[authenticate]]")[0],
    "version = ",
    POLICY.replace("version = 1", 'version = 1\nstate = { url = "redis://u:hunter2@127.0.0.1" }'),
    POLICY + '[audit]\njournall = "audit.db"\n',
    POLICY.replace("version = 1", "version = true"),
    'version = 1\nvalidator = 3\n[[authenticate]]\naccept = ["x"]',
    'version = 1\nvalidator.x = 3\n[[authenticate]]\naccept = ["x"]',
    "[limits]\nassociate_deadline = 3\nversion = 1",
]


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_broken_policy_is_broken_in_the_same_words_without_its_files(tmp_path: Path, number: int) -> None:
    """What stands in for validators hides no problem of the policy file itself."""
    (tmp_path / "p.toml").write_text(POLICY)
    assert [rule.name for rule in supposed.load(tmp_path / "p.toml").rules] == ["old devices", "people"]
    (tmp_path / "p.toml").write_text(BROKEN[number])
    told = []
    for load in (Policy.load, supposed.load):
        with pytest.raises(ConfigurationError) as caught:
            load(tmp_path / "p.toml")
        told.append(caught.value.problems)
    assert told[0] == told[1]
    assert "hunter2" not in str(told)


def test_nothing_in_a_problem_reaches_a_terminal_as_itself(main: Main, tmp_path: Path) -> None:
    """A path and a key may hold what turns the direction of writing, or clears the screen."""
    assert main("policy", "check", "p.toml").code == 0
    (tmp_path / "a\u202eb\x1b[2J.toml").write_text(POLICY.replace("version = 1", "version = 2"))
    done = main("policy", "check", "a\u202eb\x1b[2J.toml")
    assert done.code == 1
    assert done.err == "error: a\\u202eb\\x1b[2J.toml:2: version: 2 should be 1\n"


def test_the_schema_is_printed(main: Main) -> None:
    done = main("policy", "schema")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == policy_schema()


def test_the_schema_is_printed_for_what_can_be_loaded(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an extra its type's keys are not checked, and that is said."""
    monkeypatch.setitem(sys.modules, "useridentity.mechanisms.jwt", None)
    done = main("policy", "schema")
    assert done.code == 0
    assert done.err.startswith("warning: keys of this type are not checked: 'jwt' cannot be loaded")
    branches = json.loads(done.out)["properties"]["validator"]["additionalProperties"]["oneOf"]
    assert [each["properties"]["type"].get("enum") for each in branches[:-1]] == [
        ["username"],
        ["passcode"],
        ["kerberos"],
        ["saml"],
        ["certificate"],
    ]


def test_the_script_does_it_all(run: Run, tmp_path: Path) -> None:
    """As installed, without a terminal; a log comes on standard input."""
    (tmp_path / "p.toml").write_text(POLICY)
    done = run("policy", "check", "p.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("p.toml: no problem found.")
    done = run("policy", "unproved", "-", given='association outcome="accepted" assurance="unproved" calling="CT_1"\n')
    assert "1 peer sent no identity, in 1 association; 0 had one." in done.stdout
    assert run("policy").returncode == 2
    for command in ("check", "explain", "test", "schema", "unproved"):
        assert command in run("policy", "--help").stdout


def test_a_narrow_terminal_has_it_all_within_its_width(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, main("policy", "check", "p.toml").out.splitlines())) <= 50


def test_a_sentence_for_every_rule_of_every_kind() -> None:
    """What the examples leave out."""
    from useridentity.policy import Grant
    from useridentity.policy.match import BreakGlass, When, Who
    from useridentity.policy.rules import Rule, Unproved

    rule = Rule(when=When(tls=Tls.SERVER), unproved=Unproved(date(2027, 3, 31)))
    assert (
        english.rule(rule) == "Whoever calls over TLS or, without an identity, gets in unproved until 2027-03-31 (UTC)."
    )
    grant = Grant(("find",), Who(purpose=("TREAT",)), break_glass=BreakGlass("reason", "on call"))
    assert english.grant(grant) == (
        "Whoever is authenticated and states the purpose TREAT may use find; each time an emergency, which needs a "
        "reason in the claim reason or the group on call."
    )


def test_an_output_that_is_not_utf8_or_full_is_no_traceback(run: Run, script: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(POLICY.replace('name = "research"', 'name = "R\u00f6ntgen"'))
    assert "R\u00f6ntgen" in run("policy", "check", "p.toml").stdout
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    check = [script, "policy", "check", "p.toml"]
    done = subprocess.run(check, cwd=tmp_path, env=ascii_only, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"R\\xf6ntgen" in done.stdout
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(check, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, b"error: cannot write: No space left on device")
