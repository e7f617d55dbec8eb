"""Certificate revocation lists (RFC 5280 5) as an administrator must know of them before OpenSSL uses them.

OpenSSL verifies with them. It says nothing of a list that is missing or about to end until every
certificate is refused for it, so that is found here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from useridentity.errors import ConfigurationError

try:
    from cryptography import x509
except ModuleNotFoundError as missing:
    raise ConfigurationError("revocation lists need cryptography: pip install 'useridentity[certificate]'") from missing

WARNED = 0.25
"""The part of a list's life that is left when its end is warned of: lists are issued for a day or for a
month, and renewed well before."""

_PEM_LIST = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RevocationLists:
    """The lists in one file, at least one for each authority trusted.

    Fields:
        path: of the file.
        lists: in its order.
        authorities: that are trusted, and may themselves have been revoked by another.
        ends_at: when the first of them ends; from then on its authority's certificates are refused.
        warn_at: when that should be said.
    """

    path: Path
    lists: tuple[x509.CertificateRevocationList, ...]
    authorities: tuple[x509.Certificate, ...]
    ends_at: datetime
    warn_at: datetime

    @classmethod
    def read(cls, path: str | os.PathLike[str], ca: str | os.PathLike[str]) -> Self:
        """The lists in the PEM file `path` for the authorities in the PEM file `ca`.

        Raises `ConfigurationError` with all that is wrong; a list that has ended is not: it refuses.
        """
        path = Path(path)
        lists, authorities = _lists(path), tuple(_authorities(Path(ca)))
        problems = [problem for authority in authorities if (problem := _missing(authority, lists))]
        lives = [(each.last_update_utc, end) for each in lists if (end := each.next_update_utc) is not None]
        if len(lives) < len(lists):
            problems.append("a list has no nextUpdate (RFC 5280 5.1.2.5), so nobody could tell that it is old")
        if problems:
            raise ConfigurationError(f"crl {path}: {problem}" for problem in problems)
        warn_at = min(end - (end - start) * WARNED for start, end in lives)
        return cls(path, lists, authorities, min(end for _, end in lives), warn_at)

    def revoke(self, certificate: bytes) -> bool:
        """Whether one of the lists holds this certificate, DER, or an authority above it as far as those are known.

        For the certificates of associations that began before: OpenSSL judges those of new ones.
        """
        parsed = x509.load_der_x509_certificate(certificate)
        for _ in range(len(self.authorities) + 1):  # authorities may have signed each other
            if self._hold(parsed):
                return True
            issuer = next((each for each in self.authorities if each.subject == parsed.issuer), parsed)
            if issuer == parsed:
                return False
            parsed = issuer
        return False

    def _hold(self, certificate: x509.Certificate) -> bool:
        return any(
            each.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
            for each in self.lists
            if each.issuer == certificate.issuer
        )

    def warning(self, now: datetime) -> str:
        """What to say of their end, empty while it is far."""
        if now >= self.ends_at:
            return f"crl {self.path}: ended {self.ends_at.isoformat()}; certificates are refused until it is replaced"
        if now >= self.warn_at:
            return f"crl {self.path}: ends {self.ends_at.isoformat()}, and certificates are refused from then on"
        return ""


def _lists(path: Path) -> tuple[x509.CertificateRevocationList, ...]:
    try:
        blocks = _PEM_LIST.findall(path.read_bytes())
        lists = tuple(x509.load_pem_x509_crl(block) for block in blocks)
    except OSError as error:
        raise ConfigurationError(f"crl {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"crl {path}: not a usable revocation list: {error}") from error
    if not lists:
        raise ConfigurationError(
            f"crl {path}: holds no PEM revocation list (-----BEGIN X509 CRL-----); "
            f"`openssl crl -inform DER -in {path} -out PEM` makes one of a binary one"
        )
    return lists


def _authorities(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: not a usable PEM certificate: {error}") from error


def _missing(authority: x509.Certificate, lists: tuple[x509.CertificateRevocationList, ...]) -> str:
    """What is wrong where no list is this authority's own: all that it issued would be refused."""
    name = authority.subject.rfc4514_string()
    own = [each for each in lists if each.issuer == authority.subject]
    if not own:
        return f"no list of {name!r}, so all its certificates would be refused"
    if not any(_signed(each, authority) for each in own):
        return f"the list of {name!r} is not signed by it"
    return ""


def _signed(revoked: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # TypeError is the answer
    except (TypeError, ValueError):
        return False
