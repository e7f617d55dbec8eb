"""Certificate revocation lists (RFC 5280 5) as an administrator must know of them before OpenSSL uses them.

OpenSSL verifies with them. It says nothing of a list that is missing or about to end until every
certificate is refused for it, so that is found here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from useridentity import whole_file
from useridentity.errors import ConfigurationError

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
except ModuleNotFoundError as missing:
    raise ConfigurationError("revocation lists need cryptography: pip install 'useridentity[certificate]'") from missing

WARNED = 0.25
"""The part of a list's life that is left when its end is warned of: lists are issued for a day or for a
month, and renewed well before."""

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for a certificate or list that it cannot read in full, some of it only when asked."""

_PEM_LIST = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RevocationLists:
    """The lists in one file, at least one for each authority trusted.

    Fields:
        path: of the file.
        lists: in its order.
        signed: those that each authority has signed.
        ends_at: when an authority is left without a list that holds; its certificates are refused from then on.
        warn_at: when that should be said.
    """

    path: Path
    lists: tuple[x509.CertificateRevocationList, ...]
    signed: Mapping[x509.Certificate, tuple[x509.CertificateRevocationList, ...]]
    ends_at: datetime
    warn_at: datetime

    @classmethod
    def read(cls, path: str | os.PathLike[str], ca: str | os.PathLike[str]) -> Self:
        """The lists in the PEM file `path` for the authorities in the PEM file `ca`.

        Raises `ConfigurationError` with all that is wrong; a list that has ended is not: it refuses.
        """
        path = Path(path)
        lists = _lists(path)
        try:
            signed = {each: tuple(one for one in lists if _signed(one, each)) for each in authorities(ca)}
            problems = (*_missing(signed, lists), *_forged(signed, lists), *_partial(lists), *_outside_time(lists))
        except UNREADABLE as error:  # OpenSSL reads more than others do
            raise ConfigurationError(
                f"crl {path}: something in it, or in {os.fspath(ca)}, cannot be read: {error}"
            ) from error
        if problems:
            raise ConfigurationError(f"crl {path}: {problem}" for problem in dict.fromkeys(problems))
        lives = [(each.last_update_utc, _end(each)) for each in _last_to_end(signed, lists)]
        warn_at = min(end - (end - start) * WARNED for start, end in lives)
        return cls(path, lists, signed, min(end for _, end in lives), warn_at)

    @property
    def ends(self) -> list[datetime]:
        """When each list ends, the first one first: what OpenSSL verifies by changes then."""
        return sorted({_end(each) for each in self.lists})

    def objects(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> str:
        """Why a certificate that `issuer`, one of the authorities, has issued does not hold; empty where it does.

        Of several lists that hold the newest counts, as for OpenSSL: an authority's old one may stay in the file.
        """
        current = [each for each in self.signed[issuer] if now < _end(each)]
        if not current:
            return f"cannot be judged: the revocation list of {issuer.subject.rfc4514_string()!r} has ended"
        newest = max(current, key=lambda each: each.last_update_utc)
        revoked = newest.get_revoked_certificate_by_serial_number(certificate.serial_number)
        return "has been revoked" if revoked is not None else ""

    def warning(self, now: datetime) -> str:
        """What to say of their end, empty while it is far."""
        if now >= self.ends_at:
            return f"crl {self.path}: ended {self.ends_at.isoformat()}; certificates are refused until it is replaced"
        if now >= self.warn_at:
            return f"crl {self.path}: ends {self.ends_at.isoformat()}, and certificates are refused from then on"
        return ""


def _lists(path: Path) -> tuple[x509.CertificateRevocationList, ...]:
    try:
        blocks = _PEM_LIST.findall(whole_file.content(path))
        lists = tuple(x509.load_pem_x509_crl(block) for block in blocks)
    except OSError as error:
        raise ConfigurationError(f"crl {path}: {error.strerror}") from error
    except UNREADABLE as error:
        raise ConfigurationError(f"crl {path}: not a usable revocation list: {error}") from error
    if not lists:
        raise ConfigurationError(
            f"crl {path}: holds no PEM revocation list (-----BEGIN X509 CRL-----); "
            f"`openssl crl -inform DER -in {path} -out PEM` makes one of a binary one"
        )
    return lists


def authorities(path: str | os.PathLike[str]) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file; raises `ConfigurationError` where it has none."""
    try:
        return tuple(x509.load_pem_x509_certificates(whole_file.content(path)))
    except (OSError, *UNREADABLE) as error:
        raise ConfigurationError(f"{os.fspath(path)}: not a usable PEM certificate: {error}") from error


_List = x509.CertificateRevocationList
_Signed = Mapping[x509.Certificate, tuple[_List, ...]]


def _missing(signed: _Signed, lists: tuple[_List, ...]) -> Iterator[str]:
    """Authorities without a list of their own: all that they issued would be refused."""
    for authority, own in signed.items():
        if any(each.issuer == authority.subject for each in lists):
            if not own:
                yield _not_its_own(authority.subject)
        else:
            name = authority.subject.rfc4514_string()
            yield f"no list of {name!r}, so all its certificates would be refused"


def _forged(signed: _Signed, lists: tuple[_List, ...]) -> Iterator[str]:
    """Lists that only bear an authority's name: OpenSSL may choose such a one, and then refuses everybody."""
    genuine = [each for own in signed.values() for each in own]
    names = {authority.subject for authority in signed}
    for each in lists:
        if each.issuer in names and each not in genuine:
            yield _not_its_own(each.issuer)


def _not_its_own(name: x509.Name) -> str:
    return f"a list of {name.rfc4514_string()!r} is not signed by it"


def _partial(lists: tuple[_List, ...]) -> Iterator[str]:
    """Lists of some certificates only: delta, indirect, of one purpose, or who knows which (RFC 5280 5.2).

    OpenSSL takes a delta list for a newer list of all: whom the complete one revokes would be accepted.
    """
    for each in lists:
        for kind in _kinds(each):
            yield f"the list of {each.issuer.rfc4514_string()!r} is no complete list of all certificates ({kind})"


def _kinds(revoked: _List) -> list[str]:
    try:
        return [type(one.value).__name__ for one in revoked.extensions if one.critical or isinstance(one.value, _PARTS)]
    except UNREADABLE as error:
        return [str(error)]


_PARTS = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)


def _outside_time(lists: tuple[_List, ...]) -> Iterator[str]:
    now = datetime.now(UTC)
    for each in lists:
        name, start = each.issuer.rfc4514_string(), each.last_update_utc
        if each.next_update_utc is None:
            yield f"the list of {name!r} has no nextUpdate (RFC 5280 5.1.2.5), so nobody could tell that it is old"
        if start > now:
            yield (
                f"the list of {name!r} holds from {start.isoformat()} on, now is {now.isoformat(timespec='seconds')}: "
                "certificates would be refused until then; is the clock right?"
            )


def _last_to_end(signed: _Signed, lists: tuple[_List, ...]) -> list[_List]:
    """Of each authority the list that holds longest; of authorities that are not trusted themselves by their name."""
    names = {authority.subject for authority in signed}
    others: dict[x509.Name, list[_List]] = {}
    for each in lists:
        if each.issuer not in names:
            others.setdefault(each.issuer, []).append(each)
    return [max(own, key=_end) for own in (*signed.values(), *others.values())]


def _end(revoked: _List) -> datetime:
    assert revoked.next_update_utc is not None  # noqa: S101  `read` takes no other
    return revoked.next_update_utc


def _signed(revoked: _List, authority: x509.Certificate) -> bool:
    if revoked.issuer != authority.subject:
        return False
    try:
        return revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # TypeError is the answer
    except (TypeError, ValueError):
        return False
