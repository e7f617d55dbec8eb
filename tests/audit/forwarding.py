"""A process with a journal and a forwarder: `python -m tests.audit.forwarding WHAT FOLDER SETTING [COUNT]`.

"send" appends COUNT records and forwards until its input ends; "fill" appends until there are COUNT and ends once all
are forwarded; "full" forwards to a file on a disk that fills up;
"cable" forwards over a cable that is pulled out for a while. SETTING is a sink's table in JSON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.audit.builders import opened, record
from tests.lib import threads
from tests.lib.certificates import make_certificates
from tests.lib.rsyslog import rsyslog
from useridentity.audit.forward import Forwarder
from useridentity.audit.journal import Journal
from useridentity.audit.record import Kind, Record
from useridentity.audit.sinks import AT_ONCE, Confirm, Sink, open_sink, syslog_tls

HANG = 30.0  # seconds; what is awaited takes a tenth of it
AT_A_TIME = 1000  # records; the journal holds ten times as many for a disk that is busy
HERE, THERE = "10.9.0.1", "10.9.0.2"


class Listed:
    """A sink that keeps what it gets, and fails as it is told to."""

    def __init__(self, name: str = "list", batch: int = 10, confirm_after: Confirm = AT_ONCE) -> None:
        self.name, self.batch, self.confirm_after = name, batch, confirm_after
        self.received: list[Record] = []
        self.tried: list[float] = []
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def send(self, records: Sequence[Record]) -> int:
        self.gate.wait(HANG)
        self.tried.append(time.monotonic())
        if failures := self.failures:  # which a test may replace
            raise failures.pop(0)
        self.received += records
        return sum(made.detail == "refused" for made in records)

    def confirm(self) -> None:
        if failures := self.failures:  # which a test may replace
            raise failures.pop(0)

    def close(self) -> None:
        """Nothing is open."""

    @property
    def events(self) -> list[str]:
        return [made.event_id for made in self.received]


@contextmanager
def forwarding(journal: Journal, sink: Sink, longest_pause: float = 0.2) -> Iterator[Forwarder]:
    """A forwarder that tries again soon, until the block ends."""
    forwarder = Forwarder(journal, sink, longest_pause=longest_pause)
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop(HANG)


until = partial(threads.until, within=HANG)


def takes_datagrams(port: int) -> bool:
    """Whether somebody has the port; rsyslog binds it just after those of TCP."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text("ascii")


def append(journal: Journal, count: int, **changes: Any) -> None:
    """Records of their own event ids, the last of them on disk when this returns, however busy the disk is."""
    before, made = journal.last, [record(number, **changes) for number in range(count)]
    for each in made:
        journal.append(each, wait=False)
    until(lambda: journal.last > before and made[-1].event_id in event_ids(journal, before))


def event_ids(journal: Journal, after: int = 0) -> list[str]:
    """Of every record in the journal, in order, above a number."""
    found: list[str] = []
    while entries := journal.read(after, 1000):
        found += [made.event_id for _, made in entries]
        after = entries[-1][0]
    return found


def send(folder: Path, setting: dict[str, Any], count: str = "0") -> None:
    with opened(folder) as journal, forwarding(journal, open_sink(setting, folder)):
        append(journal, int(count))
        print("appended", flush=True)
        sys.stdin.read()


def fill(folder: Path, setting: dict[str, Any], count: str) -> None:
    """Associations accepted; killed at any time and run again, it goes on where it was."""
    with opened(folder) as journal, forwarding(journal, open_sink(setting, folder)) as forwarder:
        while journal.last < int(count):
            append(journal, AT_A_TIME, kind=Kind.ACCEPTED, operation=None, studies=())
        while forwarder.counters.queued:
            time.sleep(0.01)


def full(folder: Path, setting: dict[str, Any]) -> None:
    """The disk of the journal, or that of the file of JSON lines, is full for a while."""
    disk = folder / "small" if (folder / "small").exists() else folder
    sink = open_sink(setting, folder)
    with opened(folder) as journal, forwarding(journal, sink) as forwarder:
        append(journal, 20)
        until(lambda: forwarder.counters.queued == 0)
        with (disk / "junk").open("wb", buffering=0) as junk, suppress(OSError):
            while True:
                os.write(junk.fileno(), bytes(512))
        for number in range(20):
            journal.append(record(number, detail="x" * 1000), wait=False)
        until(lambda: journal.failure or forwarder.counters.problem)
        problem = journal.failure or forwarder.counters.problem
        (disk / "junk").unlink()
        append(journal, 20)
        until(lambda: forwarder.counters.queued == 0)
        lines = (folder / setting["url"].removeprefix("jsonl:")).read_text().splitlines()
        received = [json.loads(line)["event_id"] for line in lines]
        print(json.dumps({"problem": problem, "journal": event_ids(journal), "received": received}))


def cable(folder: Path, setting: dict[str, Any]) -> None:
    """rsyslog in a network namespace of its own, at the other end of a veth pair; run in a fresh namespace."""
    syslog_tls.SECONDS = 1.0
    with subprocess.Popen(["unshare", "-n", "sleep", "1000"]) as other:
        try:
            _plug_in(other.pid)
            _pull_out_and_plug_in(folder, setting, other.pid)
        finally:
            other.kill()


def _plug_in(other: int) -> None:
    until(lambda: os.readlink(f"/proc/{other}/ns/net") != os.readlink("/proc/self/ns/net"))
    inside = f"nsenter -t {other} -n"
    for command in (
        "ip link add here type veth peer name there",
        f"ip link set there netns {other}",
        f"ip address add {HERE}/24 dev here",
        "ip link set here up",
        f"{inside} ip address add {THERE}/24 dev there",
        f"{inside} ip link set there up",
    ):
        subprocess.run(command.split(), check=True)


def _pull_out_and_plug_in(folder: Path, setting: dict[str, Any], other: int) -> None:
    made = make_certificates(folder)
    certificates = replace(made, server=made.authority.issue("there", THERE))
    client = certificates.client
    table = {"ca": str(certificates.ca), "cert": str(client.cert), "key": str(client.key), **setting}
    with rsyslog(folder / "rsyslog", certificates, "ossl", THERE, "nsenter", "-t", str(other), "-n") as receiver:
        sink = open_sink({"url": receiver.tls_url, **table}, folder)
        with opened(folder) as journal, forwarding(journal, sink) as forwarder:
            append(journal, 300)
            until(lambda: len(receiver.received) > 50)
            subprocess.run(["ip", "link", "set", "here", "down"], check=True)
            began = time.monotonic()
            append(journal, 300)
            journalled = time.monotonic() - began
            until(lambda: forwarder.counters.problem)
            pulled = forwarder.counters
            subprocess.run(["ip", "link", "set", "here", "up"], check=True)
            until(lambda: set(event_ids(journal)) <= set(received_events(receiver.received)))
            outcome = {"journalled": journalled, "problem": pulled.problem, "queued": pulled.queued}
            print(json.dumps(outcome | {"journal": event_ids(journal), "received": received_events(receiver.received)}))


def received_events(messages: list[str]) -> list[str]:
    """The event ids of syslog messages; a kill may have left the first half of one before the next."""
    return [event for message in messages for event in re.findall(r"; event ([0-9a-f-]{36})", message)]


if __name__ == "__main__":
    _, what, where, setting, *rest = sys.argv
    acts: dict[str, Callable[..., None]] = {"send": send, "fill": fill, "full": full, "cable": cable}
    acts[what](Path(where), json.loads(setting), *rest)
