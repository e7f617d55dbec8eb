"""What docs/policy-tools.md says to run runs, and prints what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.policies import Main, main
from useridentity.mechanisms.passcode_file import set_passcode

__all__ = ["main"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "policy-tools.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(main: Main, tmp_path: Path) -> Path:
    """What a reader has after copying the files of the document."""
    set_passcode(tmp_path / "passcodes.toml", "alice", b"correct horse")
    (tmp_path / "identity.toml").write_text(blocks("toml")[0])
    (tmp_path / "cases.toml").write_text(blocks("toml cases")[0])
    (tmp_path / "pacs.log").write_text("")
    return tmp_path


def test_every_command_prints_what_is_shown(folder: Path, main: Main) -> None:
    text = DOCUMENT.read_text()
    shown = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(shown) == 4
    for command, output in shown:
        line, _, otherwise = command.replace("\\\n", " ").partition(" > ")
        done = main(*shlex.split(line)[1:])
        assert done.err == ""
        if otherwise:
            assert output == f"exit code {done.code}\n"
        else:
            assert done.out == output


def test_every_command_runs(folder: Path, main: Main) -> None:
    commands = [block.replace("\\\n", " ").partition(" > ")[0] for block in blocks("sh")]
    assert {shlex.split(command)[2] for command in commands} == {"check", "explain", "test", "unproved"}
    for command in commands:
        assert main(*shlex.split(command)[1:]).code in (0, 11), command


def test_every_option_and_every_expectation_is_told() -> None:
    from dataclasses import fields

    from useridentity.cli.policy.cases import Expected
    from useridentity.policy.explain import Supposed

    text = DOCUMENT.read_text()
    options = {"groups": "group", "claims": "claim", "contexts": "context"}
    for each in fields(Supposed):
        assert f"`--{options.get(each.name, each.name)}" in text, each.name
    for each in fields(Expected):
        assert f"`{each.name}`" in text, each.name
