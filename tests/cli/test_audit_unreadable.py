"""A record that cannot be read, be it altered or a newer release's, is told and hides no other at the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.audit.builders import filled, opened, record, tampering
from tests.cli.conftest import HANG, Run

OF_TOMORROW = b'{"kind":"eaten"}'
"""A record of a newer release."""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return filled(tmp_path, 7)


def altered(journal: Path, body: bytes, *numbers: int) -> None:
    with tampering(journal) as database:
        changes = [(body, number) for number in numbers]
        database.executemany("UPDATE record SET body = CAST(? AS TEXT) WHERE sequence = ?", changes)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["list"], [1, 2, 3, 5, 6, 7]),
        (["list", "--json"], [1, 2, 3, 5, 6, 7]),
        (["list", "-n", "4"], [5, 6, 7]),
        (["list", "--patient", "P3"], []),
        (["export"], [1, 2, 3, 5, 6, 7]),
        (["export", "--format", "csv"], [1, 2, 3, 5, 6, 7]),
        (["show", "assoc-0"], [1, 2, 3]),
        (["show", "4"], []),
    ],
)
@pytest.mark.threat("A2")
def test_a_record_that_cannot_be_read_hides_no_other(
    run: Run, journal: Path, command: list[str], shown: list[int]
) -> None:
    """Somebody has altered it, or a newer release wrote it."""
    command = ["audit", command[0], str(journal), *command[1:]]
    before = run(*command)
    assert (before.returncode, before.stderr) == (0, "")
    altered(journal, OF_TOMORROW, 4)
    done = run(*command)
    assert done.returncode == 12
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: passed over: record 4 cannot be read: ")
    assert "`useridentity audit verify`" in line
    numbers = re.findall(r'^(?:\{"sequence":|record )?(\d+)[\t,:]', done.stdout, re.MULTILINE)
    assert [int(number) for number in numbers] == shown
    whole = re.findall(r'^(?:\{"sequence":|record )?(\d+)[\t,:]', before.stdout, re.MULTILINE)
    assert sorted([*numbers, "4"]) == whole


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"alert","time":"\xff',
        b'{"kind":"released","traffic":{"ended_by":"acceptor","octets_sent":1%s}}' % (b"0" * 400),
        b'{"kind":"released","traffic":{"ended_by":"acceptor","seconds":NaN}}',
        b"[" * 100_000,
    ],
    ids=["no UTF-8", "too large", "no number", "too deep"],
)
def test_whatever_a_record_was_altered_to_the_others_are_listed(run: Run, journal: Path, body: bytes) -> None:
    assert run("audit", "list", str(journal)).returncode == 0
    altered(journal, body, 2, 5)
    done = run("audit", "list", str(journal))
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["1", "3", "4", "6", "7"]
    assert [line[: len("warning: passed over: record 2")] for line in done.stderr.splitlines()] == [
        "warning: passed over: record 2",
        "warning: passed over: record 5",
    ]


def test_a_record_that_cannot_be_read_is_followed_by_others_and_said_once(script: str, journal: Path) -> None:
    altered(journal, OF_TOMORROW, 4, 7)
    follower = subprocess.Popen(
        [script, "audit", "follow", str(journal)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert follower.stdout is not None
        shown = [follower.stdout.readline().split("\t")[0] for _ in range(5)]
        with opened(journal.parent) as writer:
            for number in (8, 9):
                writer.append(record(number), wait=True)
                shown.append(follower.stdout.readline().split("\t")[0])
    finally:
        follower.send_signal(signal.SIGINT)
        _, told = follower.communicate(timeout=HANG)
    assert shown == ["1", "2", "3", "5", "6", "8", "9"]
    assert [line.split(" cannot")[0] for line in told.splitlines()] == [
        "warning: passed over: record 4",
        "warning: passed over: record 7",
    ]
    assert follower.returncode == 12
