"""The association acceptor's side: settings, and the validator they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

from useridentity.credential import Credential, IdentityType
from useridentity.errors import ConfigurationError
from useridentity.facts import Facts
from useridentity.https import check_url
from useridentity.identity import Assurance, Identity
from useridentity.mechanisms.groups import local_groups
from useridentity.mechanisms.plaintext import Plaintext, check_arrival
from useridentity.mechanisms.purposes import purposes_of
from useridentity.mechanisms.saml import assertion as reading
from useridentity.mechanisms.saml.assertion import Assertion, Expected
from useridentity.mechanisms.saml.attributes import CLAIMS, ROLE, SUBJECT_ID
from useridentity.mechanisms.saml.confirmation import Binding
from useridentity.mechanisms.saml.message import Form, signed_assertion
from useridentity.mechanisms.saml.metadata import ConfiguredKeys, Keys, MetadataFile
from useridentity.mechanisms.saml.remote import remote_metadata
from useridentity.mechanisms.saml.response import make
from useridentity.mechanisms.saml.signature import ExpiredCertificates, Signer, certificates_in, read, verified
from useridentity.mechanisms.saml.xml import Element
from useridentity.mechanisms.username import presented_as
from useridentity.printable import printable
from useridentity.settings import Runtime, Seconds
from useridentity.tls.client import ClientTls
from useridentity.validator import CheckContext, Once, Verified

_FORMAT = "urn:oasis:names:tc:SAML:"
LASTING_FORMATS = (
    f"{_FORMAT}1.1:nameid-format:unspecified",
    f"{_FORMAT}1.1:nameid-format:emailAddress",
    f"{_FORMAT}1.1:nameid-format:X509SubjectName",
    f"{_FORMAT}1.1:nameid-format:WindowsDomainQualifiedName",
    f"{_FORMAT}2.0:nameid-format:kerberos",
    f"{_FORMAT}2.0:nameid-format:persistent",
)
"""NameID formats under which a user has the same name tomorrow; a transient one is useless in an audit record."""


@dataclass(frozen=True, slots=True)
class Groups:
    """External groups into local ones.

    Fields:
        map: external name to local name; what it does not name is dropped.
        attribute: the attribute that lists the external names; default: the role of XSPA and XUA, whose
            coded values are written `codeSystem|code`.
    """

    map: Mapping[str, str]
    attribute: str = ROLE


@dataclass(frozen=True, slots=True)
class SamlSettings:
    """A `[validator.NAME]` of type "saml". Durations in seconds.

    Fields:
        audience: the URI that assertions for this acceptor name. Required: an assertion for another
            service is not for us.
        metadata: the identity provider's SAML metadata: a file that is read again when it changes, or an
            https URL that is fetched again every quarter of an hour. Either this or `certificates`.
        issuer: the identity provider's entityID. May be left out where a metadata file has one provider.
        ca: PEM file with the authorities that the https certificate must come from; left out, the system's.
        certificates: its signing certificates, PEM; several while it rolls over.
        expired_certificates: "refuse" (default) or "allow" signatures by certificates that have expired.
            Many providers' certificates only carry their key, and are past their date.
        form: "assertion" (default, PS3.7 Table D.3-14), "response" (a samlp:Response) or "either".
        recipient: where given, the Recipient of the confirmation, and a Response's Destination, must be
            this. Not by default: DICOM has no URL for an acceptor.
        binding: "none" (default) takes bearer assertions, and those bound to a TLS client certificate;
            "certificate" takes only the latter, which are of no use to a thief.
        reuse: "until-expiry" (default; a workstation opens several associations with one assertion) or
            "never". An assertion whose issuer says OneTimeUse is taken once, whichever it is.
        max_lifetime: from IssueInstant to NotOnOrAfter, default an hour: what a thief has of a bearer
            assertion.
        clock_skew: how far the issuer's clock may be off, default a minute.
        max_authn_age: how long ago the user may have logged in; not limited by default.
        authn_contexts: the AuthnContextClassRef accepted; empty (default): all.
        name_id_formats: the NameID formats accepted; default: those under which names last.
        groups: see `Groups`; none by default.
        claims: further claims of the identity, by local name, and the attributes they come from.
        plaintext: "refuse" (default) an assertion that came without TLS, or "allow" it where other means
            protect the wire.
        entity_id: what this acceptor calls itself in its response; default: the audience.
        signing_key, signing_certificate: PEM; with them the response is signed, and a requestor that
            knows the certificate can tell this acceptor from another. Both or neither.
    """

    audience: str
    metadata: str | None = None
    issuer: str | None = None
    ca: Path | None = None
    certificates: tuple[Path, ...] = ()
    expired_certificates: ExpiredCertificates = "refuse"
    form: Form = "assertion"
    recipient: str | None = None
    binding: Binding = "none"
    reuse: Literal["until-expiry", "never"] = "until-expiry"
    max_lifetime: Seconds = 3600.0
    clock_skew: Seconds = 60.0
    max_authn_age: Seconds | None = None
    authn_contexts: tuple[str, ...] = ()
    name_id_formats: tuple[str, ...] = LASTING_FORMATS
    groups: Groups | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    plaintext: Plaintext = "refuse"
    entity_id: str | None = None
    signing_key: Path | None = None
    signing_certificate: Path | None = None

    def build(self, runtime: Runtime | None = None) -> SamlValidator:
        """The validator; raises `ConfigurationError` with everything that is wrong."""
        runtime = runtime or Runtime("saml", Path())
        problems = list(misuses(self))
        one = isinstance(self.certificates, str | Path)  # a misuse, said above
        keys = None if one else collected(lambda: issuer_keys(self, runtime.folder), problems)
        signer = collected(lambda: response_signer(self), problems)
        if problems or keys is None:
            raise ConfigurationError(problems)
        return SamlValidator(runtime.name, self, keys, signer)


TAKEN = frozenset({*CLAIMS, "assertion_id", "authn_context"})

T = TypeVar("T")


def misuses(settings: SamlSettings) -> Iterator[str]:
    """What a policy file cannot say and code can: it would be taken for the laxer word, or match too much."""
    for name, hint in get_type_hints(SamlSettings).items():
        value, kind = getattr(settings, name), get_origin(hint)
        if kind is Literal and value not in get_args(hint):
            yield f"{name}: is {value!r}, should be one of {', '.join(map(repr, get_args(hint)))}"
        if kind is tuple and isinstance(value, str | Path):
            yield f"{name}: is a single value, should be a tuple of them: ({str(value)!r},)"
    for name in ("audience", "issuer"):
        if getattr(settings, name) == "":
            yield f"{name}: is empty"
    for name in settings.claims:
        if name in TAKEN:
            yield f"claims.{name}: every identity has it already"


def collected(make: Callable[[], T], problems: list[str]) -> T | None:
    """What `make` makes; None after noting its problems."""
    try:
        return make()
    except ConfigurationError as error:
        problems.extend(error.problems)
        return None


def issuer_keys(settings: SamlSettings, folder: Path) -> Keys:
    """Where the issuer's keys come from; raises `ConfigurationError`."""
    if settings.metadata is not None and settings.certificates:
        raise ConfigurationError("metadata and certificates: the keys come from one of them; remove the other")
    if settings.metadata is not None and "://" in settings.metadata:
        return _from_url(settings.metadata, settings)
    if settings.ca is not None:
        raise ConfigurationError("ca: has no meaning where metadata is no https URL")
    if settings.metadata is not None:
        return MetadataFile(folder / settings.metadata, settings.issuer)
    if settings.issuer is None or not settings.certificates:
        raise ConfigurationError("metadata is missing, or else issuer with certificates")
    found = [each for path in settings.certificates for each in certificates_in(read(path), str(path))]
    return ConfiguredKeys(settings.issuer, tuple(found))


def _from_url(url: str, settings: SamlSettings) -> Keys:
    if settings.issuer is None:
        raise ConfigurationError("issuer is missing: say whose metadata the URL gives")
    return remote_metadata(settings.issuer, check_url(url), ClientTls(settings.ca))


def response_signer(settings: SamlSettings) -> Signer | None:
    """Who signs responses, None where nobody does; raises `ConfigurationError`."""
    key, certificate = settings.signing_key, settings.signing_certificate
    if key is not None and certificate is not None:
        return Signer.load(key, certificate)
    if key is not None or certificate is not None:
        raise ConfigurationError("signing_key and signing_certificate: give both, or neither")
    return None


class SamlValidator:
    """Association acceptor: a user for whom a trusted issuer signed an assertion (PS3.15 B.7).

    Made by `SamlSettings.build`. Safe to use from many threads; it waits at most for metadata
    over https, and only with an assertion that says it is from that issuer.
    """

    identity_type: int | None = IdentityType.SAML
    assurance = Assurance.AUTHENTICATED
    cpu_short = False

    def __init__(self, name: str, settings: SamlSettings, keys: Keys, signer: Signer | None = None) -> None:
        self.name = name
        self._settings = settings
        self._keys = keys
        self._signer = signer
        self._expected = _expected(settings, keys.issuer)

    @property
    def issuers(self) -> frozenset[str]:
        """Whose assertions it judges."""
        return frozenset({self._keys.issuer})

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        """The subject of the assertion, AUTHENTICATED.

        Raises `Refused` where the assertion is not good, and `Unavailable` where the issuer's keys are not
        known at this time.
        """
        credential = presented_as(IdentityType.SAML, presented)
        check_arrival("an assertion", facts, self._settings.plaintext)
        element = self._signed(credential.primary_field, facts.now)
        assertion = reading.read(element, self._expected, facts)
        ends = assertion.ends + self._expected.clock_skew
        single_use = assertion.single_use or self._settings.reuse == "never"
        return Verified(
            self._identity(assertion, ends),
            server_response=self._response(assertion, credential, facts.now),
            once=(Once(("saml", self._keys.issuer, assertion.id), ends, assertion.issued),) if single_use else (),
            expires_at=ends,
        )

    def _signed(self, octets: bytes, now: datetime) -> Element:
        settings = self._settings
        # Not before there is something to verify; and the same for both signatures of a response.
        certificates = cache(partial(self._keys.current, now))

        def verify(element: Element) -> Element:
            return verified(element, certificates(), now, settings.expired_certificates)

        return signed_assertion(octets, settings.form, verify, self._keys.issuer, settings.recipient)

    def _identity(self, assertion: Assertion, ends: datetime) -> Identity:
        found, groups = assertion.attributes, self._settings.groups
        names = {**CLAIMS, **self._settings.claims}
        claims: dict[str, object] = {name: found[source] for name, source in names.items() if source in found}
        claims |= {"assertion_id": assertion.id, "authn_context": assertion.authn_context}
        return Identity(
            # With its issuer's fragment escaped, so that no two issuers' users have the same subject.
            subject=f"{self._keys.issuer.replace('#', '%23')}#{assertion.name_id}",
            user_id=assertion.name_id,
            issuer=self._keys.issuer,
            assurance=Assurance.AUTHENTICATED,
            identity_type=IdentityType.SAML,
            display_name=", ".join(found.get(SUBJECT_ID, ())),
            groups=local_groups(found.get(groups.attribute, ()), groups.map) if groups else frozenset(),
            claims=MappingProxyType(claims),
            purposes=purposes_of(_codes(found.get(CLAIMS["purpose_of_use"], ()))),
            expires_at=ends,
            presented=printable(assertion.name_id),
        )

    def _response(self, assertion: Assertion, credential: Credential, now: datetime) -> bytes:
        """Signing costs as much as all the rest, so it is done where somebody asked for it."""
        if not credential.positive_response_requested:
            return b""
        return make(self._settings.entity_id or self._settings.audience, assertion.id, now, self._signer)


def _codes(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Coding systems and codes of an attribute's values, which are `codeSystem|code` or a code alone."""
    for value in values:
        system, _, code = value.rpartition("|")
        yield system, code


def _expected(settings: SamlSettings, issuer: str) -> Expected:
    groups = [settings.groups.attribute] if settings.groups else []
    age = settings.max_authn_age
    return Expected(
        issuer=issuer,
        audience=settings.audience,
        recipient=settings.recipient,
        binding=settings.binding,
        max_lifetime=timedelta(seconds=settings.max_lifetime),
        clock_skew=timedelta(seconds=settings.clock_skew),
        name_id_formats=settings.name_id_formats,
        authn_contexts=settings.authn_contexts,
        max_authn_age=None if age is None else timedelta(seconds=age),
        attributes=frozenset({SUBJECT_ID, *CLAIMS.values(), *settings.claims.values(), *groups}),
    )
