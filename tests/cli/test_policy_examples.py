"""The policies of `examples/policies/`: each loads, fits the schema, and decides as its cases say."""

from __future__ import annotations

import json
import logging
import re
import shlex
import shutil
import struct
import tomllib
from io import StringIO
from pathlib import Path
from textwrap import dedent

import pytest
from jsonschema import Draft7Validator

from tests.cli.policies import Main, log_decision, main
from tests.parts import require
from useridentity.config.schema import policy_schema
from useridentity.decision import Accepted
from useridentity.identity import Assurance, Identity
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.permission import EVERYTHING
from useridentity.policy import Policy

__all__ = ["main"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"
NAMES = ["migration", "modality-fleet", "reading-room", "research", "teleradiology"]


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, main: Main) -> Path:
    """A copy of the example, with the secret files that the repository has not."""
    copy = tmp_path / str(request.param)
    shutil.copytree(EXAMPLES / request.param, copy)
    monkeypatch.chdir(copy)
    return copy


def add_secrets(folder: Path) -> None:
    """The files that an administrator makes, as the README says."""
    if folder.name == "migration":
        write_log(folder / "pacs.log")
        set_passcode(folder / "passcodes.toml", "alice", b"correct horse")
    if folder.name == "reading-room":
        require("gssapi")
        write_keytab(folder / "dicom.keytab", "EXAMPLE.ORG", "dicom", "pacs.example.org")


def write_log(path: Path) -> None:
    """What an acceptor logged in the days that the README tells of; the lines are the logger's own."""
    lines: list[str] = []
    for calling, address, times, last, assurance in [
        ("CT_1", "10.20.0.7", 412, "2027-01-11 08:12:44", Assurance.UNPROVED),
        ("US_3", "10.20.7.40", 12, "2027-01-10 17:30:02", Assurance.UNPROVED),
        ("WS_1", "10.30.0.1", 9120, "2027-01-11 08:12:45", Assurance.AUTHENTICATED),
    ]:
        message = logged(calling, address, assurance)
        lines += [f"2027-01-09 07:00:00,001 INFO {message}\n"] * (times - 1) + [f"{last},123 INFO {message}\n"]
    path.write_text("".join(lines))


def logged(calling: str, address: str, assurance: Assurance) -> str:
    decided = Accepted(Identity("x:y", "y", "x", assurance), "everybody else", "x", permission=EVERYTHING)
    written = StringIO()
    log_decision(logging.StreamHandler(written), calling, address, decided)
    return written.getvalue().strip()


def write_keytab(path: Path, realm: str, *components: str) -> None:
    """A keytab with one AES key, in the format of MIT Kerberos 5 (version 0x0502), as `ktadd` writes it."""
    counted = b"".join(struct.pack(">H", len(text)) + text.encode() for text in (realm, *components))
    key = struct.pack(">BHH", 1, 18, 32) + bytes(32)  # vno, aes256-cts-hmac-sha1-96
    entry = struct.pack(">H", len(components)) + counted + struct.pack(">II", 1, 0) + key
    path.write_bytes(b"\x05\x02" + struct.pack(">i", len(entry)) + entry)
    path.chmod(0o600)


def test_every_example_is_here() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()) == NAMES


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_an_example_decides_as_its_cases_say(folder: Path, main: Main) -> None:
    done = main("policy", "test", "policy.toml", "cases.toml")
    assert (done.code, done.err) == (0, ""), done.out
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_no_rule_of_an_example_is_without_a_case(folder: Path, main: Main) -> None:
    """A rule that no case names could be taken out, and nobody would notice."""
    cases = tomllib.loads((folder / "cases.toml").read_text())["case"]
    policy = tomllib.loads((folder / "policy.toml").read_text())
    named = {case["expect"].get(key) for case in cases for key in ("rule", "grant")}
    decided = set()
    for case in cases:
        done = main("policy", "explain", "policy.toml", *options(case), "--json")
        decided |= {json.loads(done.out).get(key) for key in ("rule", "grant")}
    assert {rule["name"] for rule in policy["authenticate"]} <= decided
    assert {grant["name"] for grant in policy["authorize"]} <= decided & named


def options(case: dict[str, object]) -> list[str]:
    """The options of `explain` that a case stands for."""
    words = {"groups": "group", "contexts": "context"}
    found: list[str] = []
    for key, value in case.items():
        if key == "claims":
            assert isinstance(value, dict)
            pairs = [f"{path}={each}" for path, values in value.items() for each in values]
            found += [part for pair in pairs for part in ("--claim", pair)]
        elif key not in ("name", "expect"):
            values = value if isinstance(value, list) else [value]
            found += [part for each in values for part in (f"--{words.get(key, key)}", str(each))]
    return found


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_an_example_fits_the_schema(folder: Path) -> None:
    text = (folder / "policy.toml").read_text()
    content = json.loads(json.dumps(tomllib.loads(text), default=str))
    assert [error.message for error in Draft7Validator(policy_schema()).iter_errors(content)] == []
    first = text.partition("\n")[0]
    assert first == "#:schema ../../../docs/policy.schema.json"
    assert (EXAMPLES / folder.name / first.split()[1]).resolve().is_file()


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_an_example_loads_with_the_files_it_names(folder: Path, main: Main) -> None:
    """As a server would load it; of `check` only the warnings depend on the day."""
    add_secrets(folder)
    policy = Policy.load("policy.toml")
    done = main("policy", "check", "policy.toml")
    assert (done.code, done.err) == (0, "")
    assert all(grant.name in done.out for grant in policy.grants)


def blocks(folder: Path, language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return [dedent(block) for block in found]


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_what_the_readme_says_to_run_runs(folder: Path, main: Main) -> None:
    add_secrets(folder)
    commands = [line for block in blocks(folder, "sh") for line in block.replace("\\\n", " ").splitlines()]
    ours = [shlex.split(line)[1:] for line in commands if line.startswith("useridentity policy ")]
    assert {command[1] for command in ours} >= {"check", "explain", "test"}
    for command in ours:
        done = main(*command)
        assert (done.code, done.err) == (0, ""), command


@pytest.mark.parametrize("folder", ["migration"], indirect=True)
def test_the_report_of_who_still_sends_none_is_that_of_the_readme(folder: Path, main: Main) -> None:
    add_secrets(folder)
    assert main("policy", "unproved", "pacs.log").out == blocks(folder, "text")[0]
