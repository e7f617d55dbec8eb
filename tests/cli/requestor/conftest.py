"""The requestor's commands, run in this process against acceptors that are real."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.pynetdicom.support import PASSCODE, Acceptor, serving, usual_policy
from useridentity import cli


@dataclass(frozen=True)
class Done:
    """How a command ended: exit code, standard output and error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of their own, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("USERIDENTITY_PASSCODE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


_application = cache(lambda make=cli._application: get_command(make()))
"""To make it from the annotations takes longer than most commands."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs `useridentity` with these arguments."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["useridentity", *map(str, arguments)])
        monkeypatch.setattr(cli, "_application", _application)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    before = logging.getLogger("useridentity").handlers[:]
    yield run
    logging.getLogger("useridentity").handlers = before


@pytest.fixture
def passcode_file(tmp_path: Path) -> Path:
    """Alice's passcode, for her eyes only."""
    path = tmp_path / "alice.passcode"
    path.write_bytes(PASSCODE + b"\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def acceptor() -> Iterator[Acceptor]:
    """Takes alice by her name, or with her passcode."""
    with serving(usual_policy()) as running:
        yield running


@pytest.fixture
def profiles(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the profiles file in its usual place."""

    def write(text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "config" / "useridentity" / "profiles.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    return write
