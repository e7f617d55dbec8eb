"""Who is turned away as soon as the connection is accepted is in the audit trail too, and costs next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.builders import locked
from tests.lib.rawpeer import Ending, RawPeer
from tests.pynetdicom.archive import Archive, archive, associated, trail_in
from tests.pynetdicom.support import PASSCODE, passcodes, until
from useridentity import Limits, Policy, Rule, UsernamePasscode, passcode_check
from useridentity.audit.flood import BURST
from useridentity.audit.message.build import messages
from useridentity.audit.message.style import MessageStyle
from useridentity.audit.record import Acceptor, Kind, Outcome, Requestor
from useridentity.state.limits import PenaltyLimits

ALICE = UsernamePasscode("alice", PASSCODE, plaintext="allow")


def policy(folder: Path, **limits: object) -> Policy:
    rules = [Rule([passcode_check(passcodes, plaintext="allow")])]
    return Policy(rules, limits=Limits(**limits), audit=trail_in(folder))  # type: ignore[arg-type]


def is_turned_away(running: Archive) -> int:
    """The port of a peer whose connection is closed before it has said anything."""
    with RawPeer(running.port) as peer:
        assert peer.read_pdu() is Ending.CLOSED
        return int(peer.socket.getsockname()[1])


@pytest.mark.threat("A6")
def test_a_connection_that_is_closed_for_a_penalty_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a journal that cannot be written just then, for which neither side waits; and as any other flood is."""
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.1)
    monkeypatch.setattr("useridentity.audit.journal.RETRY", 0.05)
    monkeypatch.setattr("useridentity.audit.flood.REFILL", 900.0)  # however long this takes
    with archive(policy(tmp_path, penalty=PenaltyLimits(source_free=1, shortest=900.0))) as running:
        with associated(running.port, ALICE) as assoc:
            assert assoc.is_established
        for guess in (b"1234", b"4321"):
            with associated(running.port, UsernamePasscode("alice", guess, plaintext="allow")) as assoc:
                assert assoc.is_rejected
        running.settled()
        with locked(tmp_path):
            ports = [is_turned_away(running) for _ in range(BURST + 20)]
        found = [each for each in running.records(Kind.REJECTED) if each.reason == "penalty"]
    assert [each.requestor.port for each in found] == ports[: BURST - 2]
    first = found[0]
    assert first.outcome is Outcome.REFUSED
    assert first.requestor == Requestor(address="127.0.0.1", port=ports[0])
    assert first.acceptor == Acceptor("ARCHIVE", first.acceptor.host, "127.0.0.1", running.port, first.acceptor.process)
    (message,) = messages(first, MessageStyle())
    assert message.event.value == "110113"


def test_a_connection_that_is_closed_because_others_of_its_address_wait_is_recorded(tmp_path: Path) -> None:
    with archive(policy(tmp_path, max_pending_per_peer=1)) as running:
        with RawPeer(running.port):
            until(lambda: running.server.lobby._waiting)
            port = is_turned_away(running)
        (found,) = running.settled(Kind.REJECTED)
    assert (found.reason, found.outcome, found.requestor.port) == ("capacity", Outcome.FAILED, port)
    assert "closed at accept" in found.detail
