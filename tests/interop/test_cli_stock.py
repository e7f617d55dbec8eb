"""Every command against stock pynetdicom and DCMTK's storescp, who know of no policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynetdicom
import pytest
from pydicom import Dataset, dcmread
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.cli.requestor.conftest import Command, _own_configuration, command
from tests.interop.test_dcmtk import storescp
from tests.lib.archive import free_port
from tests.lib.certificates import Certificates
from tests.lib.stock import StockScp, _serving, accept_with
from useridentity.tls import server_context

__all__ = ["_own_configuration", "command", "storescp"]

StartScp = Callable[..., StockScp]

KEYS = ("-k", "StudyInstanceUID=1.2.3")


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "mutual tls"])
def test_an_identity_that_stock_answers_is_confirmed_and_stored_as(
    command: Command, stock_scp: StartScp, certificates: Certificates, ct_path: Path, tls: bool
) -> None:
    context = server_context(*certificates.server, client_ca=certificates.ca) if tls else None
    scp = stock_scp(accept_with(b""), tls=context)
    cert, key = certificates.client
    options = ("--ca", certificates.ca, "--cert", cert, "--key", key) if tls else ()
    assert command("echo", "127.0.0.1", scp.port, *options, "--identity", "username:alice").code == 0
    assert command("store", "127.0.0.1", scp.port, ct_path, *options, "--identity", "username:alice").code == 0
    assert scp.requests == ["C_ECHO", "C_STORE"]
    assert [each.primary_field for each in scp.identities] == [b"alice", b"alice"]


def test_a_rejection_by_stock_is_transient_and_said_so(command: Command, stock_scp: StartScp) -> None:
    assert command("echo", "127.0.0.1", stock_scp(accept_with(b"")).port, "--identity", "username:alice").code == 0
    refusing = stock_scp(lambda _event: (False, None))
    done = command("echo", "127.0.0.1", refusing.port, "--identity", "username:alice")
    assert done.code == 5
    assert "rejected transient, by the ACSE, no reason given (2,2,1)" in done.err
    assert "the acceptor refused this identity" in done.err


@pytest.fixture
def stock_archive(ct_dataset: Dataset) -> Iterator[tuple[int, int]]:
    """Stock pynetdicom's answers to C-FIND, C-GET and C-MOVE: one CT image. Its port, and where it moves to."""
    workstation = free_port()

    def find(event: evt.Event) -> Iterator[Any]:
        yield 0xFF00, ct_dataset

    def get(event: evt.Event) -> Iterator[Any]:
        yield 1
        yield 0xFF00, ct_dataset

    def move(event: evt.Event) -> Iterator[Any]:
        yield "127.0.0.1", workstation
        yield from get(event)

    ae = pynetdicom.AE("STOCK")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    ae.add_requested_context(CTImageStorage)
    with _serving(ae, None, [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get), (evt.EVT_C_MOVE, move)]) as port:
        yield port, workstation


def test_stock_is_asked_and_what_it_has_comes_by_get_and_by_move(
    command: Command, stock_archive: tuple[int, int], ct_dataset: Dataset, tmp_path: Path
) -> None:
    port, workstation = stock_archive
    peer = ("127.0.0.1", port)
    found = command("find", *peer, *KEYS, "--columns", "PatientID", "--json")
    assert (found.code, found.json["PatientID"]) == (0, "1CT1")
    got = command("get", *peer, *KEYS, "--output", "got", "--json")
    assert (got.code, got.json["completed"]) == (0, 1), got.err
    here = ("--receive", workstation, "--to", "WS_1", "--output", "moved", "--json")
    moved = command("move", *peer, *KEYS, *here)
    assert (moved.code, moved.json["completed"]) == (0, 1), moved.err
    for folder, files in (("got", got.json["files"]), ("moved", moved.json["files"])):
        (name,) = files
        assert dcmread(tmp_path / folder / name).PixelData == ct_dataset.PixelData


def test_storescp_takes_files_and_confirms_nobody(command: Command, storescp: int, ct_path: Path) -> None:
    assert command("echo", "127.0.0.1", storescp).code == 0
    assert command("store", "127.0.0.1", storescp, ct_path).code == 0
    assert command("store", "127.0.0.1", storescp, ct_path, "--identity", "username:alice").code == 6
    wanted = ("--identity", "username:alice", "--confirmation", "wanted", "--json")
    done = command("store", "127.0.0.1", storescp, ct_path, *wanted)
    assert (done.code, done.json["stored"]) == (0, 1)


def test_storescp_refuses_what_it_does_not_do(command: Command, storescp: int) -> None:
    """It takes no context to query or retrieve on, though for `get` those to store on."""
    for name in ("find", "get"):
        done = command(name, "127.0.0.1", storescp, *KEYS)
        assert (done.code, done.out) == (8, ""), name
        assert "took no presentation context for Study Root Query/Retrieve Information Model" in done.err
