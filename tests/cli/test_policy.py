"""`useridentity policy check|explain|schema|unproved` as an administrator runs them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import EntryPoint, EntryPoints
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.policies import POLICY, Main, joined, main
from useridentity import log, plugins
from useridentity.cli.policy import english, supposed
from useridentity.cli.policy.checking import NEAR, warnings
from useridentity.decision import Accepted, Reason, Rejected
from useridentity.errors import ConfigurationError
from useridentity.facts import Facts, Tls
from useridentity.identity import Assurance, Identity
from useridentity.mechanisms.username import UsernameValidator
from useridentity.permission import EVERYTHING
from useridentity.policy import Policy
from useridentity.schema import policy_schema
from useridentity.settings import Runtime

__all__ = ["main"]

ASK = [
    "policy",
    "explain",
    "p.toml",
    "--on",
    "2026-11-22",
    "--calling",
    "WS_1",
    "--called",
    "PACS",
    "--peer",
    "10.1.0.1",
]
RESEARCHER = ["--identity", "username", "--group", "research", "--claim", "npi=2"]


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
    assert "There is no [[authorize]]: whoever is accepted may use all that the server offers." in joined(done.out)
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


def test_a_warning_is_no_error(main: Main, tmp_path: Path) -> None:
    text = POLICY.replace('accept = ["names"]', 'accept = ["names"]\nunproved = { until = 2020-01-01 }')
    (tmp_path / "p.toml").write_text(text.replace('["assigned"]', '["assigned", "unproved"]'))
    done = main("policy", "check", "p.toml")
    assert done.code == 0
    warning = 'authenticate rule "people": unproved ended on 2020-01-01; who sends no identity is refused'
    assert joined(done.out).endswith(f"warning: {warning}")
    assert json.loads(main("policy", "check", "p.toml", "--json").out)["warnings"] == [warning]


def test_the_deciding_rules_are_shown_and_why_the_others_did_not(main: Main) -> None:
    done = main(
        *ASK, *RESEARCHER, "--context", "CTImageStorage", "--context", "StudyRootQueryRetrieveInformationModelFind:both"
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "WS_1 at 10.1.0.1 calls PACS without TLS, and sends a username, on 2026-11-22.",
        "",
        "[[authenticate]]",
        "  - old devices: the address 10.1.0.1 is not in 10.20.7.0/24",
        "  > people decides",
        "      asks for names",
        "",
        "[[authorize]]",
        "  - old devices: assurance is asserted, not assigned",
        "  > research decides",
        "",
        "Accepted as names:somebody, asserted.",
        "Permitted: find and move.",
        "C-MOVE to: WS_* or RSCH at 10.9.0.0/24.",
        "Limited to studies whose PatientID is in the claim cohort and ModalitiesInStudy",
        "is 'CT'.",
        "Context CTImageStorage: refused (user-rejection).",
        "Context StudyRootQueryRetrieveInformationModelFind: accepted, requestor as SCU.",
        "On the wire: A-ASSOCIATE-AC; with a 59H if a positive response was requested,",
        "with a server response of length 0.",
        "",
        "No credential was looked at: it is supposed to be good for the validators asked,",
        "or as the options say.",
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "Rejected, identity-required: no user identity was sent"),
        (["--identity", "jwt"], "Rejected, identity-type-not-accepted"),
        (["--identity", "username"], "Rejected, not-authorised: no [[authorize]] rule matches names:somebody"),
        ([*RESEARCHER, "--credential", "bad"], "Rejected, credential-invalid: names is supposed to refuse"),
        ([*RESEARCHER, "--peer", "192.0.2.1"], "none decides"),
    ],
)
def test_a_rejection_shows_its_answer(main: Main, options: list[str], told: str) -> None:
    assert "Accepted as names:somebody" in main(*ASK, *RESEARCHER).out
    done = main(*ASK, *options)
    assert done.code == 0
    assert told in joined(done.out)
    assert (
        "On the wire: A-ASSOCIATE-RJ (1,2,1): rejected-permanent, by the service provider (ACSE), no reason given."
        in joined(done.out)
    )


def test_scripts_get_json(main: Main) -> None:
    found = json.loads(main(*ASK, *RESEARCHER, "--json", "--context", "CTImageStorage:both").out)
    assert found["decision"] == "rejected"
    assert found["answer"] == [1, 2, 1]
    find, other = (f"{root}RootQueryRetrieveInformationModelFind" for root in ("Study", "Patient"))
    found = json.loads(main(*ASK, *RESEARCHER, "--json", "--context", f"{find}:both", "--context", f"{other}:scp").out)
    uid = "1.2.840.10008.5.1.4.1.2.{}.1"
    assert found["contexts"] == [
        {"abstract_syntax": uid.format(2), "roles": ["SCU"]},
        {"abstract_syntax": uid.format(1), "roles": []},
    ]
    assert {key: found[key] for key in ("decision", "rule", "grant", "permits", "assurance")} == {
        "decision": "accepted",
        "rule": "people",
        "grant": "research",
        "permits": ["find", "move"],
        "assurance": "asserted",
    }
    assert found["authenticate"][0] == {
        "name": "old devices",
        "difference": "the address 10.1.0.1 is not in 10.20.7.0/24",
    }
    assert json.loads(main("policy", "check", "p.toml", "--json").out)["authorize"][0]["name"] == "old devices"


@pytest.mark.parametrize(
    ("sent", "type_", "wire"),
    [
        ("username", 'type = "username"', "with a server response of length 0"),
        ("passcode", 'type = "passcode"\nstore = "file:x"', "with a server response of length 0"),
        ("jwt", 'type = "jwt"\nissuer = "https://i"\naudience = "a"', "with a server response of length 0"),
        (
            "kerberos",
            'type = "kerberos"\nservice = "dicom@h"\nkeytab = "k"',
            "with the KRB_AP_REP to the ticket as its",
        ),
        ("saml", 'type = "saml"\nmetadata = "m.xml"\naudience = "a"', "with a samlp:Response as its server response"),
        ("none", 'type = "certificate"\nissuer = "ca.pem"', "A-ASSOCIATE-AC without a 59H, as no 58H was sent"),
    ],
)
def test_the_answer_is_that_of_the_identity_type(main: Main, tmp_path: Path, sent: str, type_: str, wire: str) -> None:
    """PS3.7 D.3.3.7.2. The files that the types name are nowhere."""
    rule = f'version = 1\n[validator.one]\n{type_}\n[[authenticate]]\naccept = ["one"]\n'
    (tmp_path / "p.toml").write_text(rule)
    done = main(*ASK, "--identity", sent, "--tls", "mutual")
    assert done.code == 0
    assert wire in joined(done.out)


@dataclass(frozen=True)
class DoorSettings:
    """What another package's validator may have."""

    def build(self, runtime: Runtime) -> UsernameValidator:
        return UsernameValidator(runtime.name)


def test_a_validator_of_another_package_is_asked_for_its_type(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = EntryPoint("door", f"{__name__}:DoorSettings", plugins.VALIDATORS)
    monkeypatch.setattr(plugins, "entry_points", lambda **_group: EntryPoints([door]))
    (tmp_path / "p.toml").write_text(POLICY.replace('type = "username"', 'type = "door"', 1))
    assert "Accepted as names:somebody, asserted." in main(*ASK, *RESEARCHER).out


def test_wrong_options_are_all_told(main: Main) -> None:
    done = main(*ASK, "--tls", "mutal", "--claim", "npi", "--on", "2026", "--kind", "human")
    assert (done.code, done.out) == (2, "")
    assert [line.partition(": ")[2].partition(":")[0] for line in done.err.splitlines()] == [
        "--claim",
        "--on",
        "--tls",
        "--kind",
    ]
    done = main(*ASK, "--validator", "nams", "--context", "CTImageStrage", "--peer", "10.1")
    assert done.code == 2
    assert sorted(line.split(":")[1] for line in done.err.splitlines()) == [" --context", " --peer", " --validator"]


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


def test_no_keytab_and_no_key_is_needed_to_explain(main: Main, tmp_path: Path) -> None:
    text = POLICY.replace(
        '[validator.desk]\ntype = "username"', '[validator.desk]\ntype = "passcode"\nstore = "file:x"'
    )
    (tmp_path / "p.toml").write_text(
        text.replace('accept = ["names"]', 'accept = ["desk"]').replace('["asserted"]', '["authenticated"]')
    )
    assert main("policy", "check", "p.toml").code == 1
    done = main(*ASK, "--identity", "passcode", "--tls", "server")
    assert "asks for desk" in done.out
    assert "tls-required: desk looks at nothing that comes without TLS" in joined(
        main(*ASK, "--identity", "passcode").out
    )


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


@pytest.fixture
def acceptor_log(tmp_path: Path) -> Callable[[str, str, Accepted | Rejected], None]:
    """Logs a decision as an acceptor does, to log.txt."""
    handler = logging.FileHandler(tmp_path / "log.txt")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def record(calling: str, address: str, decided: Accepted | Rejected) -> None:
        facts = Facts(calling, "PACS", ip_address(address), 50000, Tls.NONE, None, datetime.now(UTC))
        log.LOGGER.addHandler(handler)
        level = log.LOGGER.level
        log.LOGGER.setLevel(logging.INFO)
        try:
            log.decision(facts, decided, time.monotonic())
        finally:
            log.LOGGER.setLevel(level)
            log.LOGGER.removeHandler(handler)
            handler.close()

    return record


def accepted(assurance: Assurance) -> Accepted:
    identity = Identity("x:y", "y", "x", assurance)
    waived = Rejected(Reason.IDENTITY_REQUIRED) if assurance is Assurance.UNPROVED else None
    return Accepted(identity, "everybody", "unproved", permission=EVERYTHING, waived=waived)


def test_who_still_sends_none_is_read_from_the_log(
    main: Main, tmp_path: Path, acceptor_log: Callable[[str, str, Accepted | Rejected], None]
) -> None:
    """The real lines of the real logger, among others."""
    for _ in range(3):
        acceptor_log("CT_1", "10.20.0.7", accepted(Assurance.UNPROVED))
    acceptor_log("MR_1", "fd00::7", accepted(Assurance.UNPROVED))
    acceptor_log('X" assurance="unproved', "10.20.0.8", accepted(Assurance.AUTHENTICATED))
    acceptor_log("NEW\x1b[31m", "10.20.0.9", accepted(Assurance.UNPROVED))
    acceptor_log("CT_3", "10.20.0.3", Rejected(Reason.NO_RULE, 'association outcome="accepted" assurance="unproved"'))
    with (tmp_path / "log.txt").open("a") as file:
        file.write("something else\nassociation outcome=\nassociation outcome=nonsense\n")
    done = main("policy", "unproved", "log.txt")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[:5] for line in lines[:4]] == [
        ["calling", "address", "called", "rule", "times"],
        ["CT_1", "10.20.0.7", "PACS", "everybody", "3"],
        ["MR_1", "fd00::7", "PACS", "everybody", "1"],
        ["NEW\\x1b[31m", "10.20.0.9", "PACS", "everybody", "1"],
    ]
    assert lines[1][5].startswith(f"{datetime.now():%Y-%m}")
    assert "3 peers sent no identity, in 5 associations; 1 had one." in done.out
    found = json.loads(main("policy", "unproved", "log.txt", "--json").out)
    assert [each["calling"] for each in found["unproved"]] == ["CT_1", "MR_1", "NEW\x1b[31m"]
    assert {each["waived"] for each in found["unproved"]} == {"identity-required"}
    assert found["proved"] == 1


def test_a_log_without_any_is_told_so(main: Main, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"\xff\xfe nothing\n")
    assert main("policy", "unproved", "log.txt").out == "0 peers sent no identity, in 0 associations; 0 had one.\n"
    done = main("policy", "unproved", "missing.txt")
    assert (done.code, done.err) == (1, "error: missing.txt: No such file or directory\n")


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
    from useridentity.match import BreakGlass, When, Who
    from useridentity.policy import Grant
    from useridentity.rules import Rule, Unproved

    rule = Rule(when=When(tls=Tls.SERVER), unproved=Unproved(date(2027, 3, 31)))
    assert (
        english.rule(rule) == "Whoever calls over TLS or, without an identity, gets in unproved until 2027-03-31 (UTC)."
    )
    grant = Grant(("find",), Who(purpose=("TREAT",)), break_glass=BreakGlass("reason", "on call"))
    assert english.grant(grant) == (
        "Whoever is authenticated and states the purpose TREAT may use find; each time an emergency, which needs a "
        "reason in the claim reason or the group on call."
    )


@pytest.mark.parametrize(
    "option",
    [
        "calling",
        "called",
        "peer",
        "tls",
        "identity",
        "credential",
        "validator",
        "group",
        "claim",
        "kind",
        "context",
        "on",
    ],
)
def test_an_option_without_anything_is_wrong_and_not_left_out(main: Main, option: str) -> None:
    """A variable of a script that is empty must not be read as the default."""
    assert main(*ASK, *RESEARCHER).code == 0
    done = main(*ASK, f"--{option}", "")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: --{option}: ")


def test_a_sop_class_is_proposed_in_one_way(main: Main) -> None:
    """Role selection is negotiated for a SOP class and not for a context (PS3.7 D.3.3.4)."""
    assert main(*ASK, "--context", "CTImageStorage:scp", "--context", "CTImageStorage:scp").code == 0
    done = main(*ASK, "--context", "CTImageStorage", "--context", "CTImageStorage:scp")
    assert done.code == 2
    assert (
        done.err == 'error: --context: "CTImageStorage:scp" is proposed in another role before; write :both for both\n'
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
