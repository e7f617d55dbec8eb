"""The foreign peers against stock pynetdicom: what they do before anything of ours takes part."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.lib import dcmtk, node
from tests.lib.certificates import Certificates
from tests.lib.pdus import associate_rq, user_identity
from tests.lib.rawpeer import RawPeer
from tests.lib.stock import Presented, StockScp, accept_with
from useridentity.tls import server_context

ALL_OCTETS = bytes(range(256))

StartScp = Callable[..., StockScp]


# DCMTK storescu


def test_storescu_sends_a_username_and_passcode_and_stores(stock_scp: StartScp, ct_path: Path) -> None:
    scp = stock_scp()
    done = dcmtk.run("storescu", "-usr", "alice", "-pwd", "secret", "127.0.0.1", scp.port, ct_path)
    assert done.returncode == 0, done.stderr
    assert scp.identities == [Presented(2, b"alice", b"secret")]
    assert scp.requests == ["C_STORE"]


def test_storescu_insists_on_the_response_it_asked_for(stock_scp: StartScp, ct_path: Path) -> None:
    answering, silent = stock_scp(accept_with(b"")), stock_scp()
    command = ("storescu", "-usr", "alice", "-rsp", "127.0.0.1")
    assert dcmtk.run(*command, answering.port, ct_path).returncode == 0
    refused = dcmtk.run(*command, silent.port, ct_path)
    assert refused.returncode == 1
    assert "Positive response requested but none received" in refused.stderr
    assert silent.requests == []


def test_storescu_shows_a_rejection(stock_scp: StartScp, ct_path: Path) -> None:
    scp = stock_scp(lambda event: (False, None))
    done = dcmtk.run("storescu", "-usr", "alice", "127.0.0.1", scp.port, ct_path)
    assert done.returncode == 1
    assert "Rejected Transient" in done.stderr


def test_storescu_speaks_mutual_tls(stock_scp: StartScp, certificates: Certificates, ct_path: Path) -> None:
    scp = stock_scp(tls=server_context(*certificates.server, client_ca=certificates.ca))
    cert, key = certificates.client
    trust = ("+cf", certificates.ca)
    done = dcmtk.run("storescu", "+tls", key, cert, *trust, "-usr", "alice", "127.0.0.1", scp.port, ct_path)
    assert done.returncode == 0, done.stderr
    assert scp.identities == [Presented(1, b"alice", b"")]
    anonymous = dcmtk.run("storescu", "+tla", *trust, "-usr", "alice", "127.0.0.1", scp.port, ct_path)
    assert anonymous.returncode == 1
    assert len(scp.identities) == 1


# dcmjs-dimse as association requestor


@pytest.mark.parametrize("identity_type", [1, 3, 4, 5])
def test_the_node_scu_sends_any_octets_and_sees_the_response(stock_scp: StartScp, identity_type: int) -> None:
    scp = stock_scp(accept_with(b"\x01\xff\x80"))
    seen = node.run_scu(scp.port, identity=node.identity(identity_type, ALL_OCTETS, respond=True))
    assert seen == {"outcome": "accepted", "serverResponse": "01ff80", "echo": 0}
    assert scp.identities == [Presented(identity_type, ALL_OCTETS, b"")]
    assert scp.requests == ["C_ECHO"]


def test_the_node_scu_sends_both_fields_and_tells_no_response_from_an_empty_one(stock_scp: StartScp) -> None:
    answering, silent = stock_scp(accept_with(b"")), stock_scp()
    credential = node.identity(2, "jürgen".encode(), ALL_OCTETS, respond=True)
    assert node.run_scu(answering.port, identity=credential)["serverResponse"] == ""
    assert node.run_scu(silent.port, identity=credential)["serverResponse"] is None
    assert answering.identities == silent.identities == [Presented(2, "jürgen".encode(), ALL_OCTETS)]


def test_the_node_scu_without_an_identity_sends_none(stock_scp: StartScp) -> None:
    scp = stock_scp()
    assert node.run_scu(scp.port)["echo"] == 0
    assert scp.identities == []


def test_the_node_scu_shows_a_rejection(stock_scp: StartScp) -> None:
    scp = stock_scp(lambda event: (False, None))
    seen = node.run_scu(scp.port, identity=node.identity(1, b"alice"))
    assert (seen["outcome"], seen["result"], seen["source"], seen["reason"]) == ("rejected", 2, 2, 1)
    assert seen["echo"] is None


def test_the_node_scu_reports_that_nobody_listens() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        seen = node.run_scu(bound.getsockname()[1])
    assert seen["outcome"] == "failed"
    assert "ECONNREFUSED" in seen["error"]


# dcmjs-dimse as association acceptor


@pytest.fixture
def associate() -> Iterator[Callable[..., Association]]:
    """Opens associations with stock pynetdicom and a username and passcode, asking for a response."""
    opened: list[Association] = []

    def open_one(scp: node.NodeScp) -> Association:
        ae = AE("STOCK")
        ae.add_requested_context(Verification)
        item = UserIdentityNegotiation()
        item.user_identity_type, item.primary_field, item.secondary_field = 2, b"alice", b"\xff\x00\x80"
        item.positive_response_requested = True
        opened.append(ae.associate("127.0.0.1", scp.port, ae_title="NODE", ext_neg=[item]))
        return opened[-1]

    yield open_one
    for association in opened:
        if association.is_established:
            association.release()


def test_the_node_scp_shows_the_identity_and_answers_it(associate: Callable[..., Association]) -> None:
    with node.scp(server_response=b"\x01\xff\x80") as scp:
        association = associate(scp)
        assert association.acceptor.user_identity.server_response == b"\x01\xff\x80"
        assert association.send_c_echo().Status == 0x0000
        association.release()
        assert scp.next_association() == {
            "calling": "STOCK",
            "called": "NODE",
            "identity": {
                "type": 2,
                "positiveResponseRequested": True,
                "primary": b"alice".hex(),
                "secondary": "ff0080",
            },
        }


def test_the_node_scp_can_stay_silent(associate: Callable[..., Association]) -> None:
    with node.scp() as scp:
        association = associate(scp)
        assert association.is_established
        assert association.acceptor.user_identity is None
        association.release()


def test_the_node_scp_rejects_as_told() -> None:
    """Read from the wire: stock pynetdicom reports a rejection that comes at once as an abort, now and then."""
    with node.scp(reject=(1, 2, 1)) as scp, RawPeer(scp.port) as peer:
        peer.send(associate_rq(user_identity(1, b"alice")))
        assert peer.read_pdu().answer == (1, 2, 1)
        assert scp.next_association()["identity"]["type"] == 1


def test_the_node_scp_listens_on_loopback_only() -> None:
    with node.scp() as scp:
        sockets = (Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()).splitlines()
        listening = [line.split()[1] for line in sockets if line.split()[3] == "0A"]  # local address, LISTEN
    assert [each for each in listening if each.endswith(f":{scp.port:04X}")] == [f"0100007F:{scp.port:04X}"]
