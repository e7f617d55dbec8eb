"""A policy for the tests of `useridentity policy`, and the command line without a process of its own."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest

from useridentity import cli, log
from useridentity.decision import Accepted, Rejected
from useridentity.facts import Facts, Tls

POLICY = """
version = 1

[validator.names]
type = "username"

[[authenticate]]
name = "old devices"
when = { called_ae_title = ["PACS"], network = ["10.20.7.0/24"], tls = "none" }
assign = { user = "old-device", groups = ["old"] }

[[authenticate]]
name = "people"
when = { calling_ae_title = ["WS_*", "DESK_1"], network = ["10.0.0.0/8"] }
accept = ["names"]

[[authorize]]
name = "old devices"
who = { assurance = ["assigned"] }
permit = ["echo", "store"]

[[authorize]]
name = "research"
who = { assurance = ["asserted"], groups = ["research"], claims = { npi = ["1", "2"] } }
permit = ["find", "move"]
destinations = ["WS_*", { ae_title = "RSCH", address = "10.9.0.0/24" }]
scope = { PatientID = "{claims.cohort}", Modality = ["CT"] }
""".replace(", Modality", ", ModalitiesInStudy")

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


class Done(NamedTuple):
    code: int
    out: str
    err: str


Main = Callable[..., Done]


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command line in this process, in a folder with p.toml and 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "p.toml").write_text(POLICY)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["useridentity", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        shown = capsys.readouterr()
        return Done(int(left.value.code or 0) if not isinstance(left.value.code, str) else 1, shown.out, shown.err)

    return run


def joined(text: str) -> str:
    """What was printed, as if on one line."""
    return " ".join(text.split())


def log_decision(handler: logging.Handler, calling: str, address: str, decided: Accepted | Rejected) -> None:
    """As the acceptor PACS does, to this handler."""
    facts = Facts(calling, "PACS", ip_address(address), 50000, Tls.NONE, None, datetime.now(UTC))
    level = log.LOGGER.level
    log.LOGGER.addHandler(handler)
    log.LOGGER.setLevel(logging.INFO)
    try:
        log.decision(facts, decided, time.monotonic())
    finally:
        log.LOGGER.setLevel(level)
        log.LOGGER.removeHandler(handler)
