"""The demo's peers: one that plays by the rules, one that does not, and DCMTK where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from useridentity import wire
from useridentity.cli.demo.acceptor import PASSCODE
from useridentity.credential import Confirmation, Credential, CredentialProvider, Offer
from useridentity.facts import Peer
from useridentity.mechanisms.passcode import UsernamePasscode
from useridentity.mechanisms.username import Username
from useridentity.pynetdicom import AE, Outcome, outcome_of

PATIENCE = 10.0
"""Seconds a peer waits for an answer before it calls the archive silent."""

WRONG = b"wrong horse battery"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One peer: what it sends, in words, and how; `run(port)` returns what it saw, in words."""

    sent: str
    run: Callable[[int], str]


def attempts(folder: Path) -> Iterator[Attempt]:
    """Every attempt of the demonstration."""
    yield Attempt("no identity", _associate(None))
    yield Attempt("username alice", _associate(Username("alice")))
    yield Attempt("alice and the right passcode", _associate(UsernamePasscode("alice", PASSCODE, plaintext="allow")))
    yield Attempt("alice and a wrong passcode", _associate(UsernamePasscode("alice", WRONG, plaintext="allow")))
    yield Attempt("mallory, who is unknown", _associate(UsernamePasscode("mallory", WRONG, plaintext="allow")))
    yield Attempt("identity type 9, which does not exist", _associate(_Anything(Credential(9, b"alice"))))
    yield Attempt("a truncated identity, as raw bytes", _truncated)
    if shutil.which("storescu"):
        yield Attempt("DCMTK storescu, right passcode", _storescu(folder, PASSCODE))
        yield Attempt("DCMTK storescu, wrong passcode", _storescu(folder, WRONG))


def _associate(identity: CredentialProvider | None) -> Callable[[int], str]:
    """Associate as a well-behaved application does, then C-ECHO and C-STORE."""

    def run(port: int) -> str:
        ae = AE("WORKSTATION")
        ae.add_requested_context(Verification)
        ae.add_requested_context(CTImageStorage)
        assoc = ae.associate("127.0.0.1", port, identity=identity)
        if assoc.is_established:
            assoc.send_c_echo()
            assoc.send_c_store(dcmread(_ct_image()))
            assoc.release()
        return _saw(outcome_of(assoc))

    return run


def _saw(outcome: Outcome) -> str:
    return f"{outcome.kind.value} {_triple(outcome.answer)}" if outcome.answer else outcome.kind.value


def _triple(answer: Iterable[int]) -> str:
    return f"({','.join(map(str, answer))})"


@dataclass(frozen=True, slots=True)
class _Anything:
    """A provider, and its own offer, of whatever credential it is given."""

    credential: Credential = field(repr=False)

    def offer(self, peer: Peer) -> nullcontext[Offer]:  # noqa: ARG002  shown to anybody
        return nullcontext(self)

    def confirm(self, server_response: bytes | None) -> Confirmation:  # noqa: ARG002  never accepted
        return Confirmation()


def _truncated(port: int) -> str:
    """A 58H sub-item that ends before its own fields do; then a C-ECHO request as if it had been accepted."""
    whole = wire.decode(_request()).with_credential(Credential(1, b"alice"))
    primary = whole.rindex(b"alice")
    claims_too_much = whole[: primary - 1] + bytes([200]) + whole[primary:]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
        peer.sendall(claims_too_much)
        answer = peer.recv(16)
    if len(answer) == 10 and answer[0] == 3:
        return f"rejected {_triple(answer[7:])}"
    return "aborted" if answer[:1] == b"\x07" else f"PDU {answer.hex()}"


def _request() -> bytes:
    """An A-ASSOCIATE-RQ without an identity."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "RAW", "ARCHIVE"
    context = build_context(Verification)
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16382
    implementation.implementation_class_uid = AE().implementation_class_uid
    request.user_information = [length, implementation]
    return bytes(A_ASSOCIATE_RQ(request).encode())


def _storescu(folder: Path, passcode: bytes) -> Callable[[int], str]:
    """DCMTK's storescu, which takes the passcode on the command line and nowhere else."""

    def run(port: int) -> str:
        identity = ["-usr", "alice", "-pwd", passcode.decode(), "-rsp"]
        command = ["storescu", *identity, "127.0.0.1", str(port), _ct_image()]
        done = subprocess.run(  # noqa: S603  our own arguments
            command,
            cwd=folder,
            env={**os.environ, "TCP_NODELAY": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = [line.removeprefix("F: ") for line in done.stderr.splitlines()]
        return next((line for line in said if line.startswith("Result:")), "accepted, identity confirmed")

    return run


def _ct_image() -> str:
    """The CT image that pydicom brings along."""
    path = get_testdata_file("CT_small.dcm", download=False)
    if not isinstance(path, str):
        raise FileNotFoundError("pydicom came without its CT_small.dcm")
    return path
