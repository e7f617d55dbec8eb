"""An authority that issues certificates to nodes, and whose key you hold."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

VALIDITY = timedelta(days=1)
"""Of a certificate, before and after now: no test takes longer, and clocks differ."""

LOOPBACK = ("127.0.0.1", "::1")


class Pair(NamedTuple):
    """PEM files: a certificate, and the private key to it."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """An authority with a new key (P-256). Needs the extra `certificate`.

    Two with the same `name` are one that is real and one that passes itself off for it.

    Fields:
        name: its CN.
    """

    name: str = "an authority of a test"
    _key: Any = field(init=False, repr=False, compare=False)
    _certificate: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        import_module("useridentity.mechanisms.certificate")  # which names the extra if it is missing
        key = _new_key()
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_certificate", _signed(self.name, "", key, self.name, key, authority=True))

    def write(self, path: Path) -> Path:
        """Write its own certificate to a file, for `client_ca` and the `issuer` of a policy; the path."""
        path.write_bytes(_pem(self._certificate))
        return path

    def node(self, folder: Path, name: str, organization: str = "") -> Pair:
        """`name`.pem and `name`.key in `folder`, for a requestor of this CN and O."""
        return _write(folder, name, self._issue(name, organization, server=False))

    def server(self, folder: Path, name: str = "server") -> Pair:
        """`name`.pem and `name`.key in `folder`, for an acceptor on loopback."""
        return _write(folder, name, self._issue(name, "", server=True))

    def _issue(self, name: str, organization: str, *, server: bool) -> tuple[Any, Any]:
        key = _new_key()
        return _signed(name, organization, key, self.name, self._key, server=server), key


def der_of(certificate: Path) -> bytes:
    """The first certificate of a PEM file, DER: what an assertion or a token is bound to."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _signed(
    name: str,
    organization: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    *,
    authority: bool = False,
    server: bool = False,
) -> Any:
    """A certificate (RFC 5280 4.2.1: what OpenSSL asks of one for this purpose, and nothing else)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(_named(issuer), _named(name, organization), key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALIDITY)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if server:
        addresses = [x509.IPAddress(ip_address(each)) for each in LOOPBACK]
        builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str, organization: str = "") -> Any:
    from cryptography import x509

    names = {x509.NameOID.ORGANIZATION_NAME: organization, x509.NameOID.COMMON_NAME: name}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in names.items() if value])


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    found: bytes = certificate.public_bytes(Encoding.PEM)
    return found


def _write(folder: Path, name: str, issued: tuple[Any, Any]) -> Pair:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    certificate, key = issued
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.cert.write_bytes(_pem(certificate))
    with os.fdopen(os.open(pair.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair
