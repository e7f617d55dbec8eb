"""Who is turned away before it has asked for anything is in the audit trail too, and costs next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.builders import locked
from tests.lib.certificates import Certificates
from tests.lib.pki import Ca, Leaf
from tests.lib.rawpeer import Ending, RawPeer
from tests.pynetdicom.archive import Archive, archive, associated, trail_in
from tests.pynetdicom.support import PASSCODE, passcodes, until
from useridentity import Limits, Policy, Rule, Username, UsernamePasscode, UsernameValidator, passcode_check
from useridentity.audit.flood import BURST
from useridentity.audit.message.build import messages
from useridentity.audit.message.style import MessageStyle
from useridentity.audit.record import Acceptor, Kind, Outcome, Requestor
from useridentity.state.limits import PenaltyLimits
from useridentity.tls import client_context, server_context

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
    assert [each.requestor.port for each in found] == ports[:BURST]
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


def test_a_failed_tls_handshake_is_recorded_and_a_connection_that_is_closed_again_is_not(
    tmp_path: Path, certificates: Certificates
) -> None:
    tls = server_context(certificates.server.cert, certificates.server.key, client_ca=certificates.ca)
    stranger = certificates.foreign_client
    with archive(Policy([Rule([UsernameValidator()])], audit=trail_in(tmp_path)), ssl_context=tls) as running:
        with RawPeer(running.port):
            pass
        context = client_context(certificates.ca, stranger.cert, stranger.key)
        with associated(running.port, Username("bob"), tls_args=(context, "127.0.0.1"), confirmation="none") as assoc:
            assert not assoc.is_established
        found = running.settled(Kind.REJECTED)
    assert [(each.reason, each.user.identity_type, each.requestor.tls) for each in found] == [
        ("tls-required", None, "none")
    ]
    assert "CERTIFICATE_VERIFY_FAILED" in found[0].detail


def test_a_tls_certificate_with_a_name_that_cannot_be_read_is_refused_and_recorded(
    tmp_path: Path, certificates: Certificates
) -> None:
    """OpenSSL verifies the octets and Python does not decode them; nothing may be decided by such a certificate."""
    root = Ca.root()
    (tmp_path / "ca.pem").write_bytes(root.pem)
    readable = root.issue(dns=["ct1.example.org"])
    broken = Leaf(root.altered(readable.certificate, b"ct1.example.org", b"\xfft1.example.org"), readable.key)
    tls = server_context(certificates.server.cert, certificates.server.key, client_ca=tmp_path / "ca.pem")
    guarded = Policy([Rule([UsernameValidator()])], audit=trail_in(tmp_path))
    with archive(guarded, ssl_context=tls) as running:
        established = []
        for name, leaf in (("readable", readable), ("broken", broken)):
            context = client_context(certificates.ca, *leaf.write(tmp_path, name))
            tls_args = (context, "127.0.0.1")
            with associated(running.port, Username("bob"), tls_args=tls_args, confirmation="none") as assoc:
                established.append(assoc.is_established)
        (found,) = running.settled(Kind.REJECTED)
    assert established == [True, False]
    assert (found.reason, found.requestor.tls, found.requestor.certificate) == ("tls-required", "mutual", "")
    assert "certificate cannot be read" in found.detail
