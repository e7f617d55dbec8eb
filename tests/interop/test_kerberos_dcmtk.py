"""DCMTK storescu with a Kerberos ticket in a file, against a policy and a real KDC.

It sends the file's octets as they are and judges no answer, so that one file serves one association.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lib import dcmtk
from tests.pynetdicom.support import Acceptor, serving
from useridentity.policy import Policy, Rule
from useridentity.pynetdicom import identity_of


@pytest.fixture
def hospital(shared_hospital: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    shared_hospital.settle(monkeypatch, tmp_path)
    return shared_hospital


@pytest.fixture
def acceptor(hospital: Any) -> Iterator[Acceptor]:
    """Takes tickets for the hospital's service."""
    with serving(Policy([Rule([hospital.validator()])])) as running:
        yield running


def store(acceptor: Acceptor, ticket: Path, ct_path: Path, *options: str) -> int:
    """The return code of storescu."""
    return dcmtk.run("storescu", "-kt", ticket, *options, "127.0.0.1", acceptor.port, ct_path).returncode


@pytest.mark.parametrize("options", [(), ("-rsp",)])
@pytest.mark.parametrize("framing", ["raw", "gss"])
def test_storescu_stores_with_a_ticket_once(
    hospital: Any, acceptor: Acceptor, tmp_path: Path, ct_path: Path, framing: str, options: tuple[str, ...]
) -> None:
    ticket = tmp_path / "ticket.bin"
    ticket.write_bytes(hospital.ticket(framing=framing).primary_field)
    assert store(acceptor, ticket, ct_path, *options) == 0
    assert [identity_of(event).subject for event in acceptor.served] == ["alice@HOSPITAL.TEST"]
    assert store(acceptor, ticket, ct_path, *options) == 1
    assert len(acceptor.served) == 1


def test_storescu_with_a_ticket_for_another_service_is_rejected(
    hospital: Any, acceptor: Acceptor, tmp_path: Path, ct_path: Path
) -> None:
    ticket = tmp_path / "ticket.bin"
    ticket.write_bytes(hospital.ticket("dicom@ris.hospital.test").primary_field)
    assert store(acceptor, ticket, ct_path) == 1
    assert not acceptor.served


def test_storescu_without_mutual_authentication_may_not_ask_for_a_response(
    hospital: Any, acceptor: Acceptor, tmp_path: Path, ct_path: Path
) -> None:
    one, other = tmp_path / "one.bin", tmp_path / "other.bin"
    for ticket in (one, other):
        ticket.write_bytes(hospital.ticket(mutual="none").primary_field)
    assert store(acceptor, one, ct_path) == 0
    assert store(acceptor, other, ct_path, "-rsp") == 1
