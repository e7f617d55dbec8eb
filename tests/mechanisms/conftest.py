"""An identity provider of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lib.certificates import Certificates
from tests.mechanisms.https_server import HttpsServer, https_server


@pytest.fixture(name="idp_server")
def _idp_server(certificates: Certificates) -> Iterator[HttpsServer]:
    """An https server whose certificate is for localhost."""
    with https_server(certificates.server) as server:
        yield server
