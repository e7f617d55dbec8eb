"""Who the TLS client certificate says, where no user identity was sent: judged by `CertificateValidator`.

TLS has verified the certificate's chain, dates and purpose before anything is decided. What is added
here: that one particular authority issued it, what its names must be, that it holds now (a resumed TLS
session does not verify anew), and that the calling AE title is its own. Names are read one by one from
the certificate's structure; a flattened name, in which a value can look like another attribute, is
never compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from useridentity import whole_file
from useridentity.credential import Credential
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused
from useridentity.facts import Facts, Tls
from useridentity.identity import Assurance, Identity, Kind
from useridentity.mechanisms.groups import local_groups
from useridentity.printable import printable
from useridentity.settings import Runtime, nearest
from useridentity.validator import CheckContext, Verified

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import NameOID

    from useridentity.tls.crl import UNREADABLE
    from useridentity.tls.trust import issued
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "certificates need cryptography: pip install 'useridentity[certificate]'", name=missing.name
    ) from missing

ATTRIBUTES = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "serialNumber": NameOID.SERIAL_NUMBER,
}
"""Attributes of the subject's distinguished name, by the words of RFC 4514 3 and, for the last, X.520."""

ALTERNATIVES: Mapping[str, type[x509.DNSName | x509.UniformResourceIdentifier | x509.RFC822Name]] = {
    "DNS": x509.DNSName,
    "URI": x509.UniformResourceIdentifier,
    "email": x509.RFC822Name,
}
"""Kinds of subjectAltName (RFC 5280 4.2.1.6), by OpenSSL's words."""

NAMES = (*ATTRIBUTES, *ALTERNATIVES)


def names(certificate: x509.Certificate, word: str) -> tuple[str, ...]:
    """The values that a certificate has for one of `NAMES`, in its order."""
    if word in ATTRIBUTES:
        return tuple(str(each.value) for each in certificate.subject.get_attributes_for_oid(ATTRIBUTES[word]))
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value.get_values_for_type(ALTERNATIVES[word]))


@dataclass(frozen=True, slots=True)
class CertificateValidator:
    """Association acceptor: a node that holds the key to its certificate.

    Fields:
        authorities: certificates of the authority that issues the nodes' directly; several while it rolls
            over from one to the next, all of one name.
        subject: what names a certificate must have, by the words of `NAMES`; compared exactly.
        ae_title: the name that must be the calling AE title; empty: any title may be used.
        user_id: the name that the node goes by; a certificate must have exactly one of it.
        groups: local groups by the subject's OU.
        name: what rules, logs and audit records call it; the issuer of its identities.
    """

    authorities: tuple[x509.Certificate, ...]
    subject: Mapping[str, str] = field(default_factory=dict, hash=False)
    ae_title: str = ""
    user_id: str = "CN"
    groups: Mapping[str, str] = field(default_factory=dict, hash=False)
    name: str = field(default="certificate", kw_only=True)
    identity_type: int | None = field(default=None, init=False)
    assurance: Assurance = field(default=Assurance.AUTHENTICATED, init=False)
    cpu_short: bool = field(default=True, init=False)

    @property
    def issuers(self) -> frozenset[str]:
        """Whose certificates it judges."""
        return frozenset(each.subject.rfc4514_string() for each in self.authorities)

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        """The node, AUTHENTICATED; raises `Refused` where there is no certificate, or another than the policy asks."""
        if presented is not None:
            detail = f"type {presented.identity_type} was presented, this is a check of the TLS client certificate"
            raise Refused(Reason.IDENTITY_TYPE_NOT_ACCEPTED, detail)
        if facts.tls is not Tls.MUTUAL or not facts.peer_certificate:
            raise Refused(Reason.IDENTITY_REQUIRED, "the requestor showed no TLS client certificate")
        try:
            certificate = x509.load_der_x509_certificate(facts.peer_certificate)
            self._check(certificate, facts)
            identity = self._identity(certificate)
        except UNREADABLE as error:
            raise _refusal(f"cannot be read: {error}") from None
        return Verified(identity, expires_at=identity.expires_at)

    def _check(self, certificate: x509.Certificate, facts: Facts) -> None:
        issuer = next((each for each in self.authorities if issued(each, certificate)), None)
        if issuer is None:
            raise _refusal(f"was issued by {certificate.issuer.rfc4514_string()!r}, not by this validator's issuer")
        _check_dates(issuer, facts.now, "its issuer's certificate")
        _check_dates(certificate, facts.now, "it")
        for word, value in self.subject.items():
            if value not in names(certificate, word):
                raise _refusal(f"has {word} {_shown(names(certificate, word))}, the policy asks for {value!r}")
        if self.ae_title and facts.calling_ae_title not in names(certificate, self.ae_title):
            own = _shown(names(certificate, self.ae_title))
            raise _refusal(f"has {self.ae_title} {own}, the calling AE title is {facts.calling_ae_title!r}")

    def _identity(self, certificate: x509.Certificate) -> Identity:
        found = names(certificate, self.user_id)
        if len(found) != 1 or not found[0].isprintable() or not found[0]:
            raise _refusal(f"has {self.user_id} {_shown(found)}; exactly one is needed, in print, to name the node by")
        return Identity(
            subject=f"{self.name}:{found[0]}",
            user_id=found[0],
            issuer=self.name,
            assurance=Assurance.AUTHENTICATED,
            kind=Kind.NODE,
            groups=local_groups(names(certificate, "OU"), self.groups),
            claims=_claims(certificate),
            expires_at=certificate.not_valid_after_utc,
            presented=printable(certificate.subject.rfc4514_string()),
        )


def _refusal(problem: str) -> Refused:
    return Refused(Reason.CREDENTIAL_INVALID, f"the TLS client certificate {problem}")


def _shown(values: tuple[str, ...]) -> str:
    return ", ".join(map(repr, values)) or "none"


def _check_dates(certificate: x509.Certificate, now: datetime, which: str) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        ends = certificate.not_valid_after_utc.isoformat()
        raise Refused(Reason.CREDENTIAL_EXPIRED, f"the TLS client certificate does not hold now: {which} ends {ends}")


def _claims(certificate: x509.Certificate) -> dict[str, object]:
    """What an audit record needs to find the very certificate again, and all its names."""
    found = {word: list(values) for word in NAMES if (values := names(certificate, word))}
    return {
        **found,
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "sha256": certificate.fingerprint(SHA256()).hex(),
    }


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """`type = "certificate"` in a policy file.

    Fields:
        issuer: PEM file with the certificate of the authority that issues the nodes' directly, so the
            intermediate where there is one; with both the old and the new while it rolls over.
        subject: what the certificate must say: `{ O = "Radiology" }`; by the words of `NAMES`.
        ae_title: the name that must be the calling AE title: "CN", "DNS", ...; left out, a node may
            call itself what it likes.
        user_id: the name that becomes the identity's; "CN", which every certificate of a node has.
        groups: the subject's OU to local group name; what it does not name is dropped.
    """

    issuer: Path
    subject: Mapping[str, str] = field(default_factory=dict)
    ae_title: str | None = None
    user_id: str = "CN"
    groups: Mapping[str, str] = field(default_factory=dict)

    def build(self, runtime: Runtime) -> CertificateValidator:
        """The validator; raises `ConfigurationError` with every problem found."""
        problems = list(self._problems())
        issuers: tuple[x509.Certificate, ...] = ()
        try:
            issuers = read_issuers(runtime.folder / self.issuer)
        except ConfigurationError as error:
            problems += [f"issuer: {problem}" for problem in error.problems]
        if problems:
            raise ConfigurationError(problems)
        return CertificateValidator(
            issuers, self.subject, self.ae_title or "", self.user_id, self.groups, name=runtime.name
        )

    def _problems(self) -> Iterator[str]:
        words = [("subject", word) for word in self.subject] + [("user_id", self.user_id)]
        if self.ae_title is not None:
            words.append(("ae_title", self.ae_title))
        for key, word in words:
            if word not in NAMES:
                yield f'{key}: "{word}" is no name of a certificate{nearest(word, NAMES)}'


def read_issuers(path: Path) -> tuple[x509.Certificate, ...]:
    """The authority in a PEM file; raises `ConfigurationError` unless it holds certificates of one authority."""
    try:
        issuers = tuple(x509.load_pem_x509_certificates(whole_file.content(path)))
        problems = [problem for issuer in issuers if (problem := _authority_problem(issuer))]
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: not a usable PEM certificate: {error}") from error
    if len({issuer.subject for issuer in issuers}) > 1:
        problems.append("holds several authorities, whose nodes could share a name; give each a validator of its own")
    if problems:
        raise ConfigurationError(f"{path}: {problem}" for problem in problems)
    return issuers


def _authority_problem(certificate: x509.Certificate) -> str:
    name = certificate.subject.rfc4514_string()
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return f"{name!r} is no authority: it has no basicConstraints (RFC 5280 4.2.1.9)"
    return "" if constraints.ca else f"{name!r} is no authority: its basicConstraints say CA:FALSE"
