"""A hundred thousand records to a real receiver, with kill -9 of either side while they are on their way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.audit.builders import opened
from tests.audit.forwarding import event_ids
from tests.audit.test_forward_receivers import ROOT, tls_table
from tests.lib.certificates import Certificates
from tests.lib.rsyslog import Rsyslog, rsyslog

COUNT = 100_000
MESSAGE = 1150  # octets, about
HANG = 400.0  # seconds; it takes a tenth of it


@contextmanager
def filling(folder: Path, table: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes on until `COUNT` records are in the journal and forwarded; killed when the block ends."""
    command = [sys.executable, "-m", "tests.audit.forwarding", "fill", str(folder), table, str(COUNT)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def await_part(receiver: Rsyslog, part: float) -> None:
    """Return once the receiver has about so much of it."""
    deadline, file = time.monotonic() + HANG, receiver.folder / "received"
    while not file.exists() or file.stat().st_size < part * COUNT * MESSAGE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def received(receiver: Rsyslog) -> set[str]:
    with (receiver.folder / "received").open("rb") as file:
        return {event.decode() for line in file for event in re.findall(rb"; event ([0-9a-f-]{36})", line)}


@pytest.mark.threat("F2")
def test_a_hundred_thousand_records_arrive_whoever_is_killed(tmp_path: Path, certificates: Certificates) -> None:
    """The sender, the receiver, then both; every record that was on the sender's disk is received, by its event id."""
    with rsyslog(tmp_path / "rsyslog", certificates) as receiver:
        table = json.dumps(tls_table(receiver, certificates))
        with filling(tmp_path, table):
            await_part(receiver, 0.2)
        with filling(tmp_path, table):
            await_part(receiver, 0.4)
            receiver.kill()
            receiver.start()
            await_part(receiver, 0.6)
            receiver.kill()
        receiver.start()
        with filling(tmp_path, table) as sender:
            assert sender.wait(HANG) == 0
        with opened(tmp_path) as journal:
            sent = event_ids(journal)
        assert len(sent) >= COUNT
        assert not set(sent) - received(receiver)
