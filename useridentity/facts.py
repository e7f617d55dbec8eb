"""What is known of a connection before anybody has proved anything; nothing here is secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


class Tls(Enum):
    """How far the transport is secured."""

    NONE = "none"
    SERVER = "server"
    """TLS; the requestor showed no certificate."""
    MUTUAL = "mutual"
    """TLS; the requestor's certificate was verified."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context that was proposed and that the association acceptor supports.

    Fields:
        abstract_syntax: its UID.
        scu, scp: the roles that the requestor asks for (PS3.7 D.3.3.4); SCU where it says nothing.
    """

    abstract_syntax: str
    scu: bool = True
    scp: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the acceptor's decision may use, beside the credential itself.

    Fields:
        calling_ae_title, called_ae_title: as the requestor sent them, without padding; a peer's
            own words, so they select a rule and prove nothing.
        address: the peer's, IPv4-mapped IPv6 addresses as IPv4.
        port: the peer's TCP port.
        tls: how far the connection is secured.
        peer_certificate: the verified TLS client certificate, DER; empty without one.
        contexts: what was proposed and this acceptor supports, in order; empty where that is unknown.
        identity_type: of the 58H sub-item, None where there was none.
        now: the time of the request, aware.
    """

    calling_ae_title: str
    called_ae_title: str
    address: IPv4Address | IPv6Address
    port: int
    tls: Tls
    identity_type: int | None
    now: datetime
    peer_certificate: bytes = field(default=b"", repr=False)
    contexts: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """The association acceptor, as the requestor knows it before connecting.

    `tls_verified` is true where the connection will be TLS, with the certificate's chain and name
    both checked; only then may a secret travel.
    """

    address: str
    port: int
    ae_title: str
    tls_verified: bool
    server_name: str = ""


@lru_cache(maxsize=1024)  # an association asks several times, and peers come again
def peer_address(text: str) -> IPv4Address | IPv6Address:
    """A socket's peer address, its zone dropped and IPv4-mapped IPv6 unmapped."""
    address = ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address
