"""Which credentials are sent, to whom, and that none is sent where it cannot or may not be."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from pynetdicom import build_role, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.lib.certificates import Certificates
from tests.lib.rawpeer import HANG
from tests.pynetdicom.fake_acceptor import FakeAcceptor, associate_ac, server_response
from tests.pynetdicom.support import PASSCODE, Acceptor, requestor
from useridentity import (
    ConfigurationError,
    Confirmation,
    Credential,
    CredentialUnavailable,
    Username,
    UsernamePasscode,
    wire,
)
from useridentity.pynetdicom import OutcomeKind, identity_of, outcome_of
from useridentity.tls import client_context, server_context

Accept = Callable[..., Acceptor]

CONFIRMING = associate_ac(server_response())


class Fixed:
    """A provider of one credential, whatever it is; any answer confirms it."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential

    def offer(self, peer: object) -> Any:
        return nullcontext(self)

    def confirm(self, server_response: bytes | None) -> Confirmation:
        return Confirmation()


def sent(provider: Any, **arguments: Any) -> wire.Associate:
    """The request as it arrived at an acceptor that confirmed it."""
    with FakeAcceptor(CONFIRMING) as acceptor:
        assoc = requestor().associate("127.0.0.1", acceptor.port, identity=provider, **arguments)
        assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
        assoc.abort()
    (request,) = acceptor.requests
    return wire.decode(request)


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port whose listener must not see a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


# What is sent


@pytest.mark.parametrize("passcode", [b"right", "right", lambda: b"right", lambda: "right"])
def test_a_passcode_may_be_octets_text_or_asked_for(passcode: Any) -> None:
    credential = sent(UsernamePasscode("alice", passcode, plaintext="allow")).credential
    assert credential == Credential(2, b"alice", b"right", True)


def test_an_empty_passcode_is_sent_as_one() -> None:
    assert sent(UsernamePasscode("alice", b"", plaintext="allow")).credential == Credential(2, b"alice", b"", True)


@pytest.mark.parametrize("identity_type", [0, 1, 3, 4, 5, 6, 255])
def test_any_type_is_sent_as_its_provider_says(identity_type: int) -> None:
    octets = bytes(range(256))
    assert sent(Fixed(Credential(identity_type, octets))).credential == Credential(identity_type, octets, b"", True)


def test_a_provider_is_asked_afresh_for_each_association(accept: Accept) -> None:
    tokens = iter([b"wrong", PASSCODE])
    provider = UsernamePasscode("alice", lambda: next(tokens), plaintext="allow")
    acceptor, scu = accept(), requestor()
    first = scu.associate("127.0.0.1", acceptor.port, identity=provider)
    assert outcome_of(first).kind is OutcomeKind.REJECTED
    second = scu.associate("127.0.0.1", acceptor.port, identity=provider)
    assert outcome_of(second).kind is OutcomeKind.CONFIRMED
    second.release()


def test_an_identity_goes_with_other_negotiation() -> None:
    role = build_role(CTImageStorage, scu_role=True, scp_role=True)
    request = sent(Username("alice"), ext_neg=[role], max_pdu=32768)
    assert request.credential == Credential(1, b"alice", b"", True)
    assert CTImageStorage.encode() in request.without_identity()
    assert struct.pack(">I", 32768) in request.without_identity()


def test_all_arguments_of_associate_work_as_in_pynetdicom(accept: Accept) -> None:
    seen: list[str] = []
    acceptor = accept(require_called_aet=True)
    assoc = requestor().associate(
        "127.0.0.1", acceptor.port, [*requestor(CTImageStorage).requested_contexts], "ARCHIVE",
        16384, [], ("127.0.0.9", 0), None, [(evt.EVT_ESTABLISHED, lambda event, note: seen.append(note), ["noted"])],
        identity=Username("alice"),
    )  # fmt: skip
    assert assoc.is_established
    assert [context.abstract_syntax for context in assoc.accepted_contexts] == [CTImageStorage]
    assert acceptor.server.active_associations[0].requestor.address == "127.0.0.9"
    assert seen == ["noted"]
    assoc.release()


def test_an_identity_of_pynetdicoms_own_still_goes_its_own_way(accept: Accept) -> None:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field = 1, b"alice"
    assoc = requestor().associate("127.0.0.1", accept().port, ext_neg=[item])
    assert outcome_of(assoc).kind is OutcomeKind.ACCEPTED
    assoc.release()


def test_eight_threads_never_mix_their_identities(accept: Accept) -> None:
    seen: list[tuple[str, str]] = []

    def on_echo(event: evt.Event) -> int:
        seen.append((identity_of(event).user_id, event.assoc.requestor.address))
        return 0

    acceptor = accept(handlers=[(evt.EVT_C_ECHO, on_echo)], maximum_associations=20)
    scu, together = requestor(), threading.Barrier(8)

    def call(number: int) -> None:
        for _ in range(5):
            together.wait(HANG)
            assoc = scu.associate(
                "127.0.0.1",
                acceptor.port,
                identity=Username(f"user{number}"),
                bind_address=(f"127.2.0.{number + 1}", 0),
            )
            assert assoc.send_c_echo().Status == 0
            assoc.release()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert sorted(seen) == sorted([(f"user{n}", f"127.2.0.{n + 1}") for n in range(8)] * 5)


# What is not sent


def test_the_longest_credential_that_fits_is_sent_and_one_byte_more_is_not(nobody: int) -> None:
    free = sent(Fixed(Credential(5, b""))).free
    assert len(sent(Fixed(Credential(5, bytes(free)))).credential.primary_field) == free
    with pytest.raises(CredentialUnavailable, match=f"{free + 1} bytes.* room for {free} "):
        requestor().associate("127.0.0.1", nobody, identity=Fixed(Credential(5, bytes(free + 1))))


def test_other_negotiation_leaves_less_room(nobody: int) -> None:
    free = sent(Fixed(Credential(5, b""))).free
    with pytest.raises(CredentialUnavailable, match="room for"):
        requestor().associate(
            "127.0.0.1", nobody, identity=Fixed(Credential(5, bytes(free))),
            ext_neg=[build_role(CTImageStorage, scp_role=True)],
        )  # fmt: skip


def locked() -> bytes:
    raise OSError("the keyring is locked")


UNSENDABLE = {
    "no name": Username(""),
    "a name that is none": Username("alice\n"),
    "a name too long": Username("a" * 300),
    "a passcode too long": UsernamePasscode("alice", bytes(65_500), plaintext="allow"),
    "a passcode that cannot be had": UsernamePasscode("alice", locked, plaintext="allow"),
    "a passcode without TLS": UsernamePasscode("alice", PASSCODE),
    "a second field for a type that has none": Fixed(Credential(5, b"token", b"more")),
    "a type beyond one octet": Fixed(Credential(256, b"token")),
}


@pytest.mark.parametrize("provider", UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_cannot_or_may_not_be_sent_raises_before_connecting(nobody: int, provider: Any) -> None:
    with pytest.raises(CredentialUnavailable) as raised:
        requestor().associate("127.0.0.1", nobody, identity=provider)
    assert PASSCODE.decode() not in str(raised.value)


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


@pytest.mark.threat("T20")
def test_a_passcode_needs_tls_with_chain_and_name_verified(
    nobody: int, accept: Accept, certificates: Certificates
) -> None:
    provider, scu = UsernamePasscode("alice", PASSCODE), requestor()
    acceptor = accept(tls=server_context(*certificates.server))
    verified = (client_context(certificates.ca), "127.0.0.1")
    assoc = scu.associate("127.0.0.1", acceptor.port, identity=provider, tls_args=verified)
    assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
    assoc.release()
    neither = unverified()
    neither.verify_mode = ssl.CERT_NONE
    for context in (unverified(), neither):
        with pytest.raises(CredentialUnavailable, match="verified"):
            scu.associate("127.0.0.1", nobody, identity=provider, tls_args=(context, "127.0.0.1"))


def test_a_passcode_does_not_reach_an_acceptor_with_another_name_or_authority(
    accept: Accept, certificates: Certificates
) -> None:
    acceptor = accept(tls=server_context(*certificates.server))
    provider, scu = UsernamePasscode("alice", PASSCODE), requestor()
    for trusted, name in ((certificates.ca, "other.example.org"), (certificates.foreign_ca, "127.0.0.1")):
        assoc = scu.associate("127.0.0.1", acceptor.port, identity=provider, tls_args=(client_context(trusted), name))
        assert outcome_of(assoc).kind is OutcomeKind.UNREACHABLE
    assert acceptor.events == []


def test_a_provider_that_offers_nothing_is_not_taken_for_none(nobody: int) -> None:
    class Broken:
        def offer(self, peer: object) -> Any:
            return nullcontext(None)

    with pytest.raises(ConfigurationError, match="not an offer"):
        requestor().associate("127.0.0.1", nobody, identity=Broken())


def test_arguments_that_contradict_each_other_are_told_together(nobody: int) -> None:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field = 1, b"bob"
    with pytest.raises(ConfigurationError) as raised:
        requestor().associate(
            "127.0.0.1", nobody, identity=b"alice", confirmation="maybe", ext_neg=[item]  # type: ignore[arg-type]
        )  # fmt: skip
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["confirmation", "identity", "ext_neg"]


def test_a_requestor_without_contexts_is_told_so_and_leaves_nothing_behind(nobody: int) -> None:
    ae = requestor()
    ae.requested_contexts = []
    with pytest.raises(RuntimeError, match="presentation context"):
        ae.associate("127.0.0.1", nobody, identity=Username("alice"))


# Who cannot be reached


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assoc = requestor().associate("127.0.0.1", port, identity=Username("alice"))
    assert outcome_of(assoc).kind is OutcomeKind.UNREACHABLE
    assert not assoc.is_established


def test_an_acceptor_that_is_silent_where_tls_is_due_does_not_hold_the_caller(certificates: Certificates) -> None:
    tls = (client_context(certificates.ca), "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assoc = requestor(acse_timeout=0.3).associate("127.0.0.1", port, identity=Username("alice"), tls_args=tls)
    assert outcome_of(assoc).kind is OutcomeKind.UNREACHABLE


def test_an_acceptor_without_tls_is_unreachable_by_tls(accept: Accept, certificates: Certificates) -> None:
    tls = (client_context(certificates.ca), "127.0.0.1")
    assoc = requestor().associate("127.0.0.1", accept().port, identity=Username("alice"), tls_args=tls)
    assert outcome_of(assoc).kind is OutcomeKind.UNREACHABLE
