"""What a validator and a provider are told of a connection, as tests need it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import ip_address

from useridentity.credential import Credential
from useridentity.facts import Facts, Peer, Tls
from useridentity.validator import CheckContext


def facts(tls: Tls = Tls.SERVER, identity_type: int | None = 2) -> Facts:
    """An association requested over `tls` from loopback."""
    return Facts(
        calling_ae_title="WORKSTATION",
        called_ae_title="ARCHIVE",
        address=ip_address("127.0.0.1"),
        port=50_000,
        tls=tls,
        identity_type=identity_type,
        now=datetime.now(UTC),
    )


def peer(*, tls_verified: bool = True, address: str = "pacs.example.org") -> Peer:
    """An acceptor that is about to be called."""
    return Peer(address=address, port=2762, ae_title="ARCHIVE", tls_verified=tls_verified)


def context() -> CheckContext:
    """Ten seconds to decide."""
    return CheckContext(time.monotonic() + 10)


def credential(identity_type: int, primary_field: bytes, secondary_field: bytes = b"") -> Credential:
    """A 58H as it arrives."""
    return Credential(identity_type, primary_field, secondary_field)
