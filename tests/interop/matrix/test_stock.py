"""The matrix against stock pynetdicom."""

from collections.abc import Callable

import pytest

from tests.cli.requestor.conftest import Command
from tests.interop.matrix.cells import CellsOfArchives
from tests.lib.certificates import Certificates
from tests.lib.stock import StockScp, accept_with
from useridentity.tls import server_context


class TestStock(CellsOfArchives):
    acceptor = "stock pynetdicom"


@pytest.mark.parametrize("mutual", [False, True], ids=["TCP", "mutual TLS"])
def test_a_response_to_types_1_and_2_that_its_handler_adds_by_hand_confirms(
    command: Command, stock_scp: Callable[..., StockScp], certificates: Certificates, mutual: bool
) -> None:
    """It sends none of its own accord."""
    tls = server_context(*certificates.server, client_ca=certificates.ca) if mutual else None
    silent, answering = stock_scp(tls=tls), stock_scp(accept_with(b""), tls=tls)
    cert, key = certificates.client
    who = ("--identity", "username:alice", *(("--ca", certificates.ca, "--cert", cert, "--key", key) if mutual else ()))
    assert command("echo", "127.0.0.1", silent.port, *who).code == 6
    assert command("echo", "127.0.0.1", answering.port, *who).code == 0
    assert answering.requests == ["C_ECHO"]
