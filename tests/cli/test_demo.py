"""`useridentity demo`, run as a newcomer runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import require

COMMAND = [str(Path(sys.executable).with_name("useridentity")), "demo"]


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    """The table's rows; wide enough that nothing is folded."""
    require("storescu")
    done = subprocess.run(
        COMMAND,
        env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]


@pytest.mark.parametrize(
    ("sent", "decided", "why", "saw", "through"),
    [
        ("no identity", "rejected", "identity-required", "rejected (1,2,1)", "nothing"),
        ("username alice", "accepted", "names:alice (asserted)", "accepted, identity confirmed", "C-ECHO"),
        ("alice and the right passcode", "accepted", "staff:alice (authenticated)", "accepted, identity", "C-STORE"),
        ("alice and a wrong passcode", "rejected", "credential-invalid: wrong passcode", "(1,2,1)", "nothing"),
        ("mallory, who is unknown", "rejected", "credential-invalid: unknown user", "(1,2,1)", "nothing"),
        ("identity type 9", "rejected", "identity-type-not-accepted", "rejected (1,2,1)", "nothing"),
        ("a truncated identity", "rejected", "malformed", "rejected (1,2,1)", "nothing"),
        ("DCMTK storescu, right", "accepted", "staff:alice", "accepted, identity confirmed", "C-STORE"),
        ("DCMTK storescu, wrong", "rejected", "credential-invalid", "Rejected Permanent", "nothing"),
    ],
)
def test_each_peer_gets_what_the_policy_says(
    rows: list[list[str]], sent: str, decided: str, why: str, saw: str, through: str
) -> None:
    row = next(row for row in rows if row[0].startswith(sent))
    assert row[1] == decided
    assert why in row[2]
    assert saw in row[3]
    assert through in row[4]
