"""`useridentity policy unproved`: who was let in without an identity, from the real lines of the real logger."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from tests.cli.policies import Main, log_decision, main
from useridentity.cli.policy import MAX_LINE
from useridentity.decision import Accepted, Reason, Rejected
from useridentity.identity import Assurance, Identity
from useridentity.permission import EVERYTHING

__all__ = ["main"]


@pytest.fixture
def acceptor_log(tmp_path: Path) -> Iterator[Callable[[str, str, Accepted | Rejected], None]]:
    """Logs a decision as an acceptor does, to log.txt."""
    handler = logging.FileHandler(tmp_path / "log.txt")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    yield partial(log_decision, handler)
    handler.close()


def accepted(assurance: Assurance) -> Accepted:
    identity = Identity("x:y", "y", "x", assurance)
    waived = Rejected(Reason.IDENTITY_REQUIRED) if assurance is Assurance.UNPROVED else None
    return Accepted(identity, "everybody", "unproved", permission=EVERYTHING, waived=waived)


def test_a_log_with_a_part_that_has_no_lines_is_read_all_the_same(
    main: Main, tmp_path: Path, acceptor_log: Callable[[str, str, Accepted | Rejected], None]
) -> None:
    """As a crash may leave one, whose end was never written."""
    with (tmp_path / "log.txt").open("a") as file:
        file.write("\0" * (2 * MAX_LINE) + "\n")
    acceptor_log("CT_1", "10.20.0.7", accepted(Assurance.UNPROVED))
    assert "1 peer sent no identity" in main("policy", "unproved", "log.txt").out


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
