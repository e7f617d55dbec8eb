"""`useridentity policy test`: a table of expectations, kept beside the policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.policies import POLICY, Done, Main, joined, main

__all__ = ["main"]

CASES = """
version = 1

[[case]]
name = "a researcher"
calling = "WS_1"
called = "PACS"
peer = "10.1.0.1"
identity = "username"
groups = ["research"]
claims = { npi = ["2"], cohort = ["P1"] }
expect.decision = "accepted"
expect.rule = "people"
expect.grant = "research"
expect.validator = "names"
expect.assurance = "asserted"
expect.emergency = "no"
expect.permits = ["find", "move"]
expect.refuses = ["store", "CTImageStorage"]
expect.moves_to = ["WS_9", "RSCH"]
expect.moves_not_to = ["LAPTOP"]
expect.reaches = [{ PatientID = "P1", ModalitiesInStudy = "CT" }]
expect.reaches_not = [{ PatientID = "P2", ModalitiesInStudy = "CT" }]

[[case]]
calling = "CT_1"
called = "PACS"
peer = "192.0.2.1"
expect = { decision = "rejected", reason = "no-rule" }
"""

TEST = ["policy", "test", "p.toml", "c.toml"]


def judged(main: Main, tmp_path: Path, cases: str, *options: str) -> Done:
    (tmp_path / "c.toml").write_text(cases)
    return main(*TEST, *options)


def test_what_is_as_expected_is_told_in_a_line(main: Main, tmp_path: Path) -> None:
    done = judged(main, tmp_path, CASES)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["ok      a researcher", "ok      case 2", "", "2 cases, none failed."]


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ('= "accepted"\nexpect.rule', '= "rejected"\nexpect.rule', "decision: expected rejected, found accepted"),
        ('rule = "people"', 'rule = "old devices"', "rule: expected old devices, found people"),
        ('grant = "research"', 'grant = "old devices"', "grant: expected old devices, found research"),
        ('validator = "names"', 'validator = "desk"', "validator: expected desk, found names"),
        ('"asserted"', '"authenticated"', "assurance: expected authenticated, found asserted"),
        ('emergency = "no"', 'emergency = "yes"', "emergency: expected yes, found no"),
        ('permits = ["find"', 'permits = ["get", "find"', "permits: expected get, found that it is not permitted"),
        ('refuses = ["store"', 'refuses = ["find"', "refuses: expected find, found that it is permitted"),
        ('to = ["WS_9"', 'to = ["CT_9"', "moves_to: expected CT_9, found that it is not permitted"),
        ('not_to = ["LAPTOP"', 'not_to = ["WS_2"', "moves_not_to: expected WS_2, found that it is permitted"),
        (
            'reaches = [{ PatientID = "P1"',
            'reaches = [{ PatientID = "P3"',
            "reaches: expected PatientID = P3, ModalitiesInStudy = CT, found that it is not in scope",
        ),
        (
            'reaches_not = [{ PatientID = "P2"',
            'reaches_not = [{ PatientID = "P1"',
            "reaches_not: expected PatientID = P1, ModalitiesInStudy = CT, found that it is in scope",
        ),
        ('"no-rule"', '"capacity"', "reason: expected capacity, found no-rule"),
        ('npi = ["2"]', 'npi = ["3"]', "reason: expected none, found not-authorised: no [[authorize]] rule matches"),
    ],
)
def test_every_expectation_can_fail(main: Main, tmp_path: Path, right: str, wrong: str, told: str) -> None:
    assert judged(main, tmp_path, CASES).code == 0
    assert right in CASES
    cases = CASES.replace(right, wrong, 1)
    if wrong.startswith('= "rejected"'):  # of which nothing else can be expected
        cases = "\n".join(line for line in cases.splitlines() if not line.startswith("expect.") or "decision" in line)
    done = judged(main, tmp_path, cases)
    assert (done.code, done.err) == (11, "")
    assert told in joined(done.out)
    assert "2 cases, 1 failed." in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_failed_case_is_found_by_its_line(main: Main, tmp_path: Path) -> None:
    done = judged(main, tmp_path, CASES.replace('rule = "people"', 'rule = "old devices"'))
    assert done.out.splitlines() == [
        "FAILED  a researcher (c.toml:4)",
        "          rule: expected old devices, found people",
        "ok      case 2",
        "",
        "2 cases, 1 failed.",
    ]


def test_scripts_get_json(main: Main, tmp_path: Path) -> None:
    done = judged(main, tmp_path, CASES.replace('rule = "people"', 'rule = "old devices"'), "--json")
    assert done.code == 11
    first, second = json.loads(done.out)
    failure = {"key": "rule", "expected": "old devices", "found": "people"}
    assert first == {"name": "a researcher", "line": 4, "ok": False, "failures": [failure]}
    assert second["ok"] is True


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("version = 1", "version = 2", "c.toml:2: version: 2 should be 1"),
        ("version = 1", "version = true", "c.toml:2: version: True should be 1"),
        ("version = 1", "", "c.toml:1: version: is missing; begin the file with version = 1"),
        ("[[case]]", "[[kase]]", 'c.toml:4: kase: unknown key; did you mean "case"?'),
        ("calling", "caling", 'c.toml:6: case[0].caling: unknown key; did you mean "calling"?'),
        ('calling = "WS_1"', "", "c.toml:4: case[0]: calling is missing"),
        ('"10.1.0.1"', '"10.1"', "c.toml:8: case[0].peer: '10.1' is no address"),
        ('"username"', '"user"', "c.toml:9: case[0].identity: 'user' is not allowed"),
        ('claims = { npi = ["2"]', 'claims = { "n pi" = ["2"]', "c.toml:11: case[0].claims: 'n pi' is no claim path"),
        ('name = "a researcher"', "name = 3", "c.toml:5: case[0].name: 3 should be a string"),
        ('name = "a researcher"', 'name = ""', "c.toml:5: case[0].name: '' should be a string"),
        ("expect.rule", "expect.rul", 'c.toml:13: case[0].expect.rul: unknown key; did you mean "rule"?'),
        ('expect.decision = "accepted"', "", "c.toml:13: case[0].expect: decision is missing"),
        ('rule = "people"', 'rule = "peple"', 'c.toml:13: case[0].expect.rule: "peple" is no rule of the policy; did'),
        ('grant = "research"', 'grant = "reserch"', 'c.toml:14: case[0].expect.grant: "reserch" is no rule of the'),
        ('"find", "move"]', '"fnd", "move"]', 'c.toml:18: case[0].expect.permits: "fnd" is no capability'),
        ('["LAPTOP"', '["LAPTOP "', "c.toml:21: case[0].expect.moves_not_to: 'LAPTOP ' would never match"),
        ('["LAPTOP"', '["WS*"', "c.toml:21: case[0].expect.moves_not_to: 'WS*' is a pattern; write out an AE title"),
        (
            '[{ PatientID = "P2"',
            '[{ PatentID = "P2"',
            "c.toml:23: case[0].expect.reaches_not: PatentID: is no attribute of patients, studies or worklist items",
        ),
        ('"no-rule"', '"no-rul"', 'c.toml:29: case[1].expect.reason: "no-rul" is no reason; did you mean "no-rule"?'),
        ('reason = "no-rule"', 'permits = ["find"]', "c.toml:29: case[1].expect.permits: means nothing where the"),
        ("expect = {", "expected = {", "c.toml:29: case[1].expected: unknown key"),
    ],
)
def test_what_is_wrong_with_the_cases_is_told_with_line_and_key(
    main: Main, tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    """A case that can never come true is no case, and one that cannot fail is none either."""
    assert judged(main, tmp_path, CASES).code == 0
    assert right in CASES
    done = judged(main, tmp_path, CASES.replace(right, wrong, 1))
    assert (done.code, done.out) == (1, "")
    assert f"error: {told}" in done.err


def test_every_problem_is_told_at_once(main: Main, tmp_path: Path) -> None:
    done = judged(main, tmp_path, CASES.replace("calling", "caling").replace('"find", "move"]', '"fnd", "mve"]'))
    assert len(done.err.splitlines()) >= 6


@pytest.mark.parametrize("cases", ["version = 1\n", "version = 1\ncase = []\n", "version = 1\ncase = 3\n"])
def test_no_case_is_no_success(main: Main, tmp_path: Path, cases: str) -> None:
    done = judged(main, tmp_path, cases)
    assert done.code == 1
    assert "no [[case]], so nothing would be tested" in done.err


def test_a_file_that_is_none_is_told(main: Main, tmp_path: Path) -> None:
    assert main(*TEST).err == "error: c.toml: cannot be read: No such file or directory\n"
    assert judged(main, tmp_path, "case = [").err.startswith("error: c.toml:1: not TOML")
    assert judged(main, tmp_path, 'version = 1\ncase = ["x"]').err == (
        "error: c.toml:2: case[0]: should be a table: [[case]]\n"
    )


def test_part_of_a_capability_is_neither_permitted_nor_refused(main: Main, tmp_path: Path) -> None:
    """Nothing may be left of what is refused, and nothing may be missing of what is permitted."""
    (tmp_path / "p.toml").write_text(POLICY.replace('"find", "move"', '"find", "move", "CTImageStorage"'))
    cases = CASES.replace('refuses = ["store", "CTImageStorage"]', 'permits = ["CTImageStorage"]')
    cases = cases.replace('expect.permits = ["find", "move"]\n', "")
    (tmp_path / "c.toml").write_text(cases)
    assert main(*TEST).code == 0
    for line in ('permits = ["store"]', 'refuses = ["store"]'):
        (tmp_path / "c.toml").write_text(cases.replace('permits = ["CTImageStorage"]', line))
        assert main(*TEST).code == 11


def test_what_a_scope_always_refuses_is_not_permitted(main: Main, tmp_path: Path) -> None:
    """The permission has the model; the scope cannot decide about its requests, and serves none of them."""
    model = '"PatientStudyOnlyQueryRetrieveInformationModelFind"'
    permitted, refused = (CASES.replace(f"{word} = [", f"{word} = [{model}, ") for word in ("permits", "refuses"))
    assert judged(main, tmp_path, refused).code == 0
    done = judged(main, tmp_path, permitted)
    assert f"permits: expected {model[1:-1]}, found that it is not permitted" in joined(done.out)
    unscoped = [line for line in POLICY.splitlines() if not line.startswith("scope")]
    (tmp_path / "p.toml").write_text("\n".join(unscoped))
    anywhere = permitted.replace('expect.reaches_not = [{ PatientID = "P2", ModalitiesInStudy = "CT" }]', "")
    assert judged(main, tmp_path, anywhere).code == 0


@pytest.mark.parametrize("model", ["move", "StudyRootQueryRetrieveInformationModelMove"])
def test_who_may_move_by_one_model_moves(main: Main, tmp_path: Path, model: str) -> None:
    """Nothing is said to be unable to move which can move in one way."""
    (tmp_path / "p.toml").write_text(POLICY.replace('"find", "move"', f'"find", "{model}"'))
    expected = CASES.replace('expect.permits = ["find", "move"]\n', "").replace(
        'expect.moves_to = ["WS_9", "RSCH"]\n', ""
    )
    assert judged(main, tmp_path, expected).code == 0
    done = judged(main, tmp_path, expected.replace('not_to = ["LAPTOP"', 'not_to = ["WS_2"'))
    assert done.code == 11
    assert "moves_not_to: expected WS_2, found that it is permitted" in joined(done.out)
    moving = judged(main, tmp_path, expected.replace('moves_not_to = ["LAPTOP"', 'moves_to = ["WS_2"'))
    assert moving.code == (0 if model == "move" else 11)
