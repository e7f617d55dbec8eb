"""What is no identity of any type that exists."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from useridentity import wire
from useridentity.cli.demo.part import Attempt, Part
from useridentity.cli.demo.peers import HOST, PATIENCE, associate
from useridentity.credential import Credential
from useridentity.pynetdicom import AE
from useridentity.testing import Sends


@contextmanager
def broken(folder: Path) -> Iterator[Part]:  # noqa: ARG001  nothing to keep
    """A type that does not exist, and a sub-item that is not well formed."""
    yield Part(
        (
            Attempt("type 9, which is none", associate(Sends(Credential(9, b"alice")))),
            Attempt("a truncated identity", _truncated),
        )
    )


def _truncated(port: int) -> str:
    """A 58H sub-item that ends before its own fields do."""
    whole = wire.decode(_request()).with_credential(Credential(1, b"alice"))
    primary = whole.rindex(b"alice")
    claims_too_much = whole[: primary - 1] + bytes([200]) + whole[primary:]
    try:
        with socket.create_connection((HOST, port), PATIENCE) as peer:
            peer.sendall(claims_too_much)
            answer = peer.recv(16)
    except OSError as error:
        return f"nothing: {error}"
    if len(answer) == 10 and answer[0] == 3:
        return f"rejected ({','.join(map(str, answer[7:]))})"
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
