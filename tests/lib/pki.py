"""Certificates and revocation lists of every shape, as `tests.lib.certificates` has no use for them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.lib.certificates import Pair

WORDS = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
}
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
_SERIALS = itertools.count(0x1000)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Names = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Ca:
    """An authority with its key, perhaps below another one."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def root(cls, name: str = "Hospital Root", *, ends: datetime = NOW + 365 * DAY, ca: bool = True) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(_sign(_builder([("CN", name)], None, key, ends), key, ca=ca), key)

    def intermediate(
        self,
        name: str = "Hospital Nodes",
        *,
        path_length: int | None = None,
        constraints: x509.NameConstraints | None = None,
    ) -> Ca:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder([("CN", name)], self.certificate.subject, key)
        if constraints is not None:
            builder = builder.add_extension(constraints, critical=True)
        return Ca(_sign(builder, self.key, ca=True, path_length=path_length), key)

    def cross_sign(self, other: Ca) -> Ca:
        """Another authority, vouched for by this one."""
        name = other.certificate.subject.rfc4514_string().removeprefix("CN=")
        builder = _builder([("CN", name)], self.certificate.subject, other.key)
        return Ca(_sign(builder, self.key, ca=True), other.key)

    def issue(
        self,
        subject: Names = (("O", "Radiology"), ("CN", "CT_1")),
        *,
        dns: Sequence[str] = (),
        key: PrivateKey | None = None,
        ends: datetime = NOW + 30 * DAY,
        server: bool = False,
    ) -> Leaf:
        """A node's certificate, or a server's for 127.0.0.1."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self.certificate.subject, key, ends)
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        if server:
            alternatives.append(x509.IPAddress(ip_address("127.0.0.1")))
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return Leaf(_sign(builder, self.key, ca=False), key)

    def revoke(
        self,
        *leaves: Leaf,
        start: datetime = NOW - DAY,
        ends: datetime = NOW + 30 * DAY,
        name: str = "",
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> bytes:
        """A revocation list, PEM, that holds these certificates; another authority's `name` makes it a forgery."""
        issuer = _name([("CN", name)]) if name else self.certificate.subject
        builder = x509.CertificateRevocationListBuilder(issuer, start, ends)
        for leaf in leaves:
            revoked = x509.RevokedCertificateBuilder(leaf.certificate.serial_number, start).build()
            builder = builder.add_revoked_certificate(revoked)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def revoke_for_ever(self) -> bytes:
        """An empty revocation list, PEM, without a nextUpdate, which cryptography does not make."""
        tbs = x509.load_pem_x509_crl(self.revoke()).tbs_certlist_bytes
        first = tbs.index(b"\x17\x0d")  # thisUpdate, a UTCTime of 13 octets; the other one follows it
        tbs = _sequence(tbs[2 : first + 15] + tbs[first + 30 :])
        return x509.load_der_x509_crl(self._signed(tbs)).public_bytes(Encoding.PEM)

    def altered(self, certificate: x509.Certificate, old: bytes, new: bytes) -> x509.Certificate:
        """A certificate with as many other octets, which cryptography does not make, signed by this authority."""
        assert old in certificate.tbs_certificate_bytes
        assert len(old) == len(new)
        return x509.load_der_x509_certificate(self._signed(certificate.tbs_certificate_bytes.replace(old, new)))

    def _signed(self, tbs: bytes) -> bytes:
        algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
        signature = self.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
        return _sequence(tbs + algorithm + bytes([3, len(signature) + 1, 0]) + signature)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Leaf:
    """A certificate that is no authority's, with its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def write(self, folder: Path, name: str, chain: Sequence[Ca] = ()) -> Pair:
        """`name`.pem, with the chain, and `name`.key."""
        pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        pair.cert.write_bytes(self.certificate.public_bytes(Encoding.PEM) + b"".join(ca.pem for ca in chain))
        pair.key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair


def _sequence(content: bytes) -> bytes:
    """DER."""
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return b"\x30" + (length if len(content) < 0x80 else bytes([0x80 + len(length)]) + length) + content


def _name(names: Names) -> x509.Name:
    return x509.Name([x509.NameAttribute(WORDS[word], value) for word, value in names])


def _builder(
    subject: Names, issuer: x509.Name | None, key: PrivateKey, ends: datetime = NOW + 365 * DAY
) -> x509.CertificateBuilder:
    """A certificate for `key`, issued by `issuer` or, without one, by itself."""
    name, own = _name(subject), x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder(issuer or name, name, key.public_key(), next(_SERIALS))
    return builder.not_valid_before(ends - 400 * DAY).not_valid_after(ends).add_extension(own, critical=False)


def _sign(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, *, ca: bool, path_length: int | None = None
) -> x509.Certificate:
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.add_extension(issuer, critical=False).sign(key, hashes.SHA256())
