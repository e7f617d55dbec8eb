"""An identity provider of the tests' own, and patience with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lib.certificates import Certificates
from tests.lib.rawpeer import HANG
from tests.mechanisms.https_server import HttpsServer, https_server
from useridentity.mechanisms import fetched, https


@pytest.fixture(name="idp_server")
def _idp_server(certificates: Certificates) -> Iterator[HttpsServer]:
    """An https server whose certificate is for localhost."""
    with https_server(certificates.server) as server:
        yield server


@pytest.fixture(name="patient")
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a fetch waits for it: on a busy machine even one that does nothing may take its second."""
    monkeypatch.setattr(fetched, "MAX_WAIT", HANG)
    monkeypatch.setattr(https, "REQUEST_SECONDS", HANG)
