"""DCMTK: its storescu against our acceptor, its storescp against our requestor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.lib import dcmtk
from tests.lib.archive import storescp
from tests.lib.certificates import Certificates
from tests.pynetdicom.support import PASSCODE, Acceptor, requestor, serving
from useridentity import Policy, Rule, Username, UsernameValidator, passcode_check
from useridentity.pynetdicom import OutcomeKind, identity_of, outcome_of
from useridentity.tls import server_context

USERNAME = ("-usr", "alice")
RIGHT = (*USERNAME, "-pwd", PASSCODE.decode())
WRONG = (*USERNAME, "-pwd", "wrong")
RESPONSE = ("-rsp",)


def policy(transport: str) -> Policy:
    """Over TLS the passcode needs no exception; without TLS it is allowed for the sake of the test."""
    plaintext: Any = "allow" if transport == "tcp" else "refuse"
    check = passcode_check(lambda name, given: (name, given) == ("alice", PASSCODE), plaintext=plaintext)
    return Policy([Rule([UsernameValidator(), check], weakest="asserted")])


@pytest.fixture(params=["tcp", "mutual tls"])
def acceptor(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[tuple[Acceptor, tuple[Any, ...]]]:
    """An acceptor, and what storescu needs to reach it."""
    cert, key = certificates.client
    mutual = request.param != "tcp"
    tls = server_context(*certificates.server, client_ca=certificates.ca) if mutual else None
    options = ("+tls", key, cert, "+cf", certificates.ca) if mutual else ()
    with serving(policy(request.param), tls=tls) as acceptor:
        yield acceptor, (*options, "127.0.0.1", acceptor.port)


@pytest.mark.parametrize("response", [(), RESPONSE], ids=["no response asked", "response asked"])
@pytest.mark.parametrize(("identity", "subject"), [(USERNAME, "username:alice"), (RIGHT, "passcode:alice")])
def test_storescu_stores_as_who_it_says_it_is(
    acceptor: tuple[Acceptor, tuple[Any, ...]], ct_path: Path, identity: Any, subject: str, response: Any
) -> None:
    guarded, peer = acceptor
    done = dcmtk.run("storescu", *identity, *response, *peer, ct_path)
    assert done.returncode == 0, done.stderr
    (event,) = guarded.served
    assert identity_of(event).subject == subject
    sent, stored = dcmread(ct_path), event.dataset
    assert (stored.SOPInstanceUID, stored.PixelData) == (sent.SOPInstanceUID, sent.PixelData)


@pytest.mark.parametrize("response", [(), RESPONSE], ids=["no response asked", "response asked"])
@pytest.mark.parametrize("identity", [(), WRONG, ("--kerberos",), ("--saml",), ("--jwt",)])
def test_storescu_is_told_that_it_was_rejected_for_good(
    acceptor: tuple[Acceptor, tuple[Any, ...]], ct_path: Path, tmp_path: Path, identity: Any, response: Any
) -> None:
    guarded, peer = acceptor
    if len(identity) == 1:
        (tmp_path / "token").write_bytes(b"token")
        identity = (*identity, tmp_path / "token")
    done = dcmtk.run("storescu", *identity, *(response if identity else ()), *peer, ct_path)
    assert done.returncode == 1
    assert "Rejected Permanent" in done.stderr
    assert "No Reason" in done.stderr
    assert guarded.served == []


def test_storescu_without_a_certificate_does_not_get_in(certificates: Certificates, ct_path: Path) -> None:
    tls = server_context(*certificates.server, client_ca=certificates.ca)
    with serving(policy("mutual tls"), tls=tls) as guarded:
        peer = ("+tla", "+cf", certificates.ca, "127.0.0.1", guarded.port)
        assert dcmtk.run("storescu", *RIGHT, *peer, ct_path).returncode == 1
        assert guarded.served == []


def test_a_passcode_over_plain_tcp_is_refused_without_an_exception(ct_path: Path) -> None:
    with serving(policy("mutual tls")) as guarded:
        done = dcmtk.run("storescu", *RIGHT, "127.0.0.1", guarded.port, ct_path)
        assert "Rejected Permanent" in done.stderr
        assert guarded.served == []


def test_echoscu_gets_through_an_unguarded_server_and_no_other() -> None:
    with serving(Policy.unguarded()) as guarded:
        assert dcmtk.run("echoscu", "127.0.0.1", guarded.port).returncode == 0
    with serving(policy("tcp")) as guarded:
        assert dcmtk.run("echoscu", "127.0.0.1", guarded.port).returncode == 1


# storescp ignores identities, as most of the installed base does


def test_an_acceptor_that_ignores_identities_has_confirmed_nothing(tmp_path: Path, ct_dataset: Dataset) -> None:
    scu = requestor(Verification, CTImageStorage)
    scu.requested_contexts[1].transfer_syntax = [ct_dataset.file_meta.TransferSyntaxUID]
    with storescp(tmp_path) as scp:
        required = scu.associate("127.0.0.1", scp.port, identity=Username("alice"))
        assert outcome_of(required).kind is OutcomeKind.NOT_CONFIRMED
        wanted = scu.associate("127.0.0.1", scp.port, identity=Username("alice"), confirmation="wanted")
        assert outcome_of(wanted).kind is OutcomeKind.ACCEPTED
        assert wanted.send_c_echo().Status == 0
        assert wanted.send_c_store(ct_dataset).Status == 0
        wanted.release()
