"""An identity provider's issuer and signing certificates, out of SAML metadata or as configured."""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509

from useridentity.changed_file import Reread
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms.saml.signature import check_key, read
from useridentity.mechanisms.saml.structure import parser
from useridentity.mechanisms.saml.xml import DS, Element, etree, instant

MAX_METADATA = 4 * 1024 * 1024
"""Bytes. One provider has some ten thousand, a regional federation a few million."""

_MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_ROLE = f"{_MD}IDPSSODescriptor"
_CERTIFICATE = f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An issuer and its keys; several, while it rolls over from one to the next.

    `valid_until` is when its metadata says it must no longer be used, None where it does not say.
    """

    issuer: str
    certificates: tuple[x509.Certificate, ...]
    valid_until: datetime | None = None


class Keys(Protocol):
    """Where the keys of an issuer are had; asked for each assertion, so it waits a second at most."""

    @property
    def issuer(self) -> str: ...

    def current(self, now: datetime) -> Sequence[x509.Certificate]:
        """The certificates that may verify; raises `Unavailable` where there is none at this time."""


@dataclass(frozen=True, slots=True)
class ConfiguredKeys:
    """Certificates that were configured; they change with the configuration."""

    issuer: str
    certificates: tuple[x509.Certificate, ...]

    def current(self, now: datetime) -> Sequence[x509.Certificate]:  # noqa: ARG002
        return self.certificates


class MetadataFile:
    """The metadata in a file, read again once it has changed.

    Where the changed file cannot be used, that is logged and what was read before stays. Raises
    `ConfigurationError` where the file cannot be used to begin with.
    """

    def __init__(self, path: Path, issuer: str | None) -> None:
        self._path = path
        self._wanted = issuer
        self._file = Reread([path], self._read, "SAML metadata", _log)
        # Stays the one that was there when the policy was loaded.
        self.issuer = self._wanted = self._file.current().issuer

    def current(self, now: datetime) -> Sequence[x509.Certificate]:
        return usable(self._file.current(), now)

    def _read(self) -> IdentityProvider:
        return identity_provider(read(self._path), self._wanted, str(self._path))


def usable(provider: IdentityProvider, now: datetime) -> Sequence[x509.Certificate]:
    """The certificates, unless the metadata is out of date; then raises `Unavailable`."""
    if provider.valid_until is not None and now >= provider.valid_until:
        raise Unavailable(f"the metadata of {provider.issuer} was valid until {provider.valid_until:%FT%TZ}; renew it")
    return provider.certificates


def identity_provider(metadata: bytes, issuer: str | None, where: str) -> IdentityProvider:
    """The provider `issuer`, or the only one, of a metadata document; raises `ConfigurationError`."""
    entity = _entity(_parsed(metadata, where), issuer, where)
    role = entity.find(_ROLE)
    certificates = tuple(_certificate(text, where) for text in _signing(role))
    if not certificates:
        raise ConfigurationError(f"{where}: {entity.get('entityID')} has no certificate to verify signatures by")
    for certificate in certificates:
        check_key(certificate, where)
    return IdentityProvider(entity.get("entityID"), certificates, _valid_until(role, where))


def _parsed(metadata: bytes, where: str) -> Element:
    if len(metadata) > MAX_METADATA:
        raise ConfigurationError(f"{where}: {len(metadata)} bytes; SAML metadata may have {MAX_METADATA}")
    try:
        root = etree.fromstring(metadata, parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ConfigurationError(f"{where}: is not SAML metadata: {error}") from None
    if root.getroottree().docinfo.doctype:
        raise ConfigurationError(f"{where}: has a DOCTYPE, which SAML metadata has not")
    return root


def _entity(root: Element, issuer: str | None, where: str) -> Element:
    """The EntityDescriptor of the one identity provider that is meant."""
    providers = [each for each in root.iter(f"{_MD}EntityDescriptor") if each.find(_ROLE) is not None]
    chosen = [each for each in providers if issuer in (None, each.get("entityID"))]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(sorted(str(each.get("entityID")) for each in providers)) or "none"
    problem = "has not exactly one identity provider" + (f" {issuer}" if issuer else "; say which with issuer")
    raise ConfigurationError(f"{where}: {problem} (there are: {names})")


def _signing(role: Element) -> Iterator[str]:
    """The signing certificates, base64; a key without `use` is for either (SAML metadata 2.4.1.1)."""
    for key in role.iterfind(f"{_MD}KeyDescriptor"):
        if key.get("use") != "encryption":
            for certificate in key.iterfind(_CERTIFICATE):
                yield "".join(certificate.xpath("string()").split())


def _certificate(text: str, where: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise ConfigurationError(f"{where}: holds an X509Certificate that is none") from None


def _valid_until(role: Element, where: str) -> datetime | None:
    """The earliest validUntil of the role and what it stands in (SAML metadata 2.3, 2.4.1)."""
    ends = []
    for text in [each.get("validUntil") for each in [role, *role.iterancestors()]]:
        end = instant(text)
        if text is not None and end is None:
            raise ConfigurationError(f"{where}: validUntil {text!r} is no instant in UTC, such as 2027-03-31T00:00:00Z")
        ends += [end] if end else []
    return min(ends, default=None)
