"""Whether a client certificate that TLS has verified before would be verified today.

OpenSSL judges a certificate in the handshake and not again. What began before the authorities or the
revocation lists were replaced, or before a list ended, is judged here: the signatures up to an authority
of its own, all dates, and the lists (RFC 5280 6.1.3 (a)). What else belongs to a path, OpenSSL has
verified in the handshake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from useridentity.errors import ConfigurationError
from useridentity.tls import PathLike

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        "client_ca of ServerTls needs cryptography: pip install 'useridentity[certificate]'"
    ) from missing

from useridentity.tls.crl import UNREADABLE, RevocationLists, authorities


@dataclass(frozen=True, slots=True)
class Trust:
    """Who issues the requestors' certificates, and what they have revoked.

    Fields:
        authorities: that are trusted.
        lists: a revocation list of each of them; None where revocation is not asked for.
    """

    authorities: tuple[x509.Certificate, ...]
    lists: RevocationLists | None

    @classmethod
    def read(cls, client_ca: PathLike, crl: PathLike | None) -> Self:
        """Of the PEM files of `tls.server_context`; raises `ConfigurationError`."""
        return cls(authorities(client_ca), RevocationLists.read(crl, client_ca) if crl is not None else None)

    def objects(self, certificate: bytes, now: datetime) -> str:
        """Why a certificate, DER, would not be verified at `now`; empty where it would be."""
        try:
            return self._objects(x509.load_der_x509_certificate(certificate), now, len(self.authorities))
        except UNREADABLE as error:  # OpenSSL reads more than others do
            return f"cannot be read: {error}"

    def _objects(self, certificate: x509.Certificate, now: datetime, above: int) -> str:
        """As `objects`, with so many authorities `above` at most: they may have signed each other."""
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return f"does not hold now: it ends {certificate.not_valid_after_utc.isoformat()}"
        name = certificate.issuer.rfc4514_string()
        found = f"cannot be verified anew: its issuer {name!r} is not in client_ca"
        for issuer in self.authorities if above >= 0 else ():
            if issued(issuer, certificate):
                found = self._objects_below(issuer, certificate, now, above)
                if not found:
                    break
        return found

    def _objects_below(self, issuer: x509.Certificate, certificate: x509.Certificate, now: datetime, above: int) -> str:
        if self.lists is not None and (objection := self.lists.objects(certificate, issuer, now)):
            return objection
        if issuer == certificate:
            return ""
        objection = self._objects(issuer, now, above - 1)
        return f"is not good: that of its issuer {objection}" if objection else ""


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether by name and signature it did (RFC 5280 6.1.3 (a) (1) and (4)); says nothing of the rest of a path."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
