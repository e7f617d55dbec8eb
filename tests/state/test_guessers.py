"""Guessers on real connections: an acceptor in a process of its own, a passcode file, and what they cost it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lib.pdus import associate_rq, user_identity
from tests.lib.rawpeer import Ending, Pdu, PduType, RawPeer
from tests.parts import require

ROOT = Path(__file__).parent.parent.parent
HANG = 60.0  # seconds; ten times what an acceptor needs to end
PASSCODE = b"right horse battery"
FREE = 5
CHECK = 0.5  # seconds of processor time that one passcode may cost on a slow machine; it is a tenth of that
CLOSED = 0.002  # and one connection that is closed at accept; it is a twentieth of that

POLICY = f"""\
version = 1

[limits]
max_pending_per_peer = 64

[limits.penalty]
source_free = {FREE}
account_free = {FREE}
shortest = "10m"
exempt = ["127.9.0.0/16"]

[validator.staff]
type = "passcode"
store = "file:passcodes.toml"
plaintext = "allow"

[[authenticate]]
accept = ["staff"]
"""


class Site:
    """The acceptor's process."""

    def __init__(self, folder: Path) -> None:
        from useridentity.mechanisms.passcode_file import set_passcode

        for name in ("alice", "bob"):
            set_passcode(folder / "passcodes.toml", name, PASSCODE)
        (folder / "policy.toml").write_text(POLICY)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.state.acceptor", str(folder / "policy.toml")], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def log_in(self, source: str, name: str, passcode: bytes) -> tuple[int, ...] | None:
        """How this is rejected: its answer, nothing where the connection is closed; None where it is accepted."""
        with RawPeer(self.port, source=source) as peer:
            try:
                peer.send(associate_rq(user_identity(2, name.encode(), passcode)))
                answer = peer.read_pdu()
            except OSError:
                return ()
        if not isinstance(answer, Pdu):
            assert answer is Ending.CLOSED
            return ()
        return None if answer.type is PduType.ASSOCIATE_AC else answer.answer

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    require("argon2")
    made = Site(tmp_path)
    yield made
    made.process.communicate(timeout=HANG)


Answers = Counter[tuple[int, ...] | None]


def guess(site: Site, times: int, source: Callable[[int], str], name: Callable[[int], str]) -> Answers:
    """The answers to so many guesses."""
    return Counter(site.log_in(source(n), name(n), b"guess %d" % n) for n in range(times))


def served_meanwhile(site: Site, attack: Callable[[], Answers]) -> Answers:
    """The answers to an attack, during which another user and an exempt network must be served every time."""
    refused, over = [], threading.Event()

    def others() -> None:
        while not over.wait(0.05):
            for source, name in (("127.0.0.1", "bob"), ("127.9.0.1", "alice")):
                answer = site.log_in(source, name, PASSCODE)
                if answer is not None:
                    refused.append((source, answer))

    thread = threading.Thread(target=others)
    thread.start()
    try:
        answers = attack()
    finally:
        over.set()
        thread.join(HANG)
    assert refused == []
    return answers


def test_ten_thousand_guesses_from_one_address_are_closed_at_accept_and_cost_little(site: Site) -> None:
    times = 10_000
    before = site.processor_seconds()
    assert guess(site, times, lambda _: "127.0.0.66", lambda n: f"user{n % 7}") == {
        (1, 2, 1): FREE + 1,
        (): times - FREE - 1,
    }
    assert site.processor_seconds() - before < (FREE + 1) * CHECK + times * CLOSED
    assert site.log_in("127.0.0.1", "alice", PASSCODE) is None


def test_guesses_at_one_user_from_many_addresses_are_refused_unseen_and_others_are_served(site: Site) -> None:
    times = 1_000  # `test_guessing` makes ten thousand, without connections
    assert site.log_in("127.0.0.7", "alice", PASSCODE) is None

    def attack() -> Answers:
        return guess(site, times, lambda n: f"127.1.{n // 250}.{n % 250 + 1}", lambda _: "alice")

    assert served_meanwhile(site, attack) == {(1, 2, 1): FREE + 1, (2, 3, 2): times - FREE - 1}
    assert site.log_in("127.0.0.7", "alice", PASSCODE) is None, "where alice was before"
    assert site.log_in("127.0.0.8", "alice", PASSCODE) == (2, 3, 2), "where alice never was"
