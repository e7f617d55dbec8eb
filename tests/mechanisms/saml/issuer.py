"""A SAML issuer for tests: it signs whatever it is told to, with libxmlsec, so not with what verifies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree

from useridentity.credential import Credential, IdentityType
from useridentity.errors import Refused
from useridentity.facts import Facts, Tls
from useridentity.mechanisms.saml import SamlSettings, SamlValidator
from useridentity.validator import CheckContext, Verified

IDP = "https://idp.example.org/saml"
AUDIENCE = "urn:dicom:ARCHIVE"
NOW = datetime.now(UTC).replace(microsecond=0)  # signxml's and our own clocks agree with certificates made now
LASTING = 3600
"""Seconds from `NOW` until an assertion ends: longer than the tests run, some of which go by the real clock."""

EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
HOLDER_OF_KEY = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
SUBJECT_ID = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"
DS = "http://www.w3.org/2000/09/xmldsig#"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"

NAMESPACES = (
    f'xmlns:saml="{SAML}" xmlns:xs="http://www.w3.org/2001/XMLSchema" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)

_numbers = count(1)


def at(seconds: float) -> str:
    """An instant so many seconds from `NOW`, as SAML writes it."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def signature(
    identifier: str,
    *,
    transforms: str = f'<ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{EXC_C14N}"/>',
    method: str = RSA_SHA256,
    digest: str = SHA256,
    canonicalization: str = EXC_C14N,
    uri: str | None = None,
    references: int = 1,
    key_info: str = "",
    extra: str = "",
) -> str:
    """A signature still to be made of the element with this ID."""
    reference = (
        f'<ds:Reference URI="{f"#{identifier}" if uri is None else uri}"><ds:Transforms>{transforms}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{digest}"/><ds:DigestValue/></ds:Reference>'
    )
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{canonicalization}"/>'
        f'<ds:SignatureMethod Algorithm="{method}"/>{reference * references}</ds:SignedInfo><ds:SignatureValue/>'
        f"{key_info}{extra}</ds:Signature>"
    )


def confirmation(method: str = BEARER, attributes: str | None = None, content: str = "") -> str:
    attributes = f'NotOnOrAfter="{at(LASTING)}"' if attributes is None else attributes
    return (
        f'<saml:SubjectConfirmation Method="{method}"><saml:SubjectConfirmationData {attributes}>{content}'
        "</saml:SubjectConfirmationData></saml:SubjectConfirmation>"
    )


def attribute(name: str, *values: str, name_format: str = "") -> str:
    """An attribute; a value is text, or the XML of its content."""
    listed = "".join(f"<saml:AttributeValue>{value}</saml:AttributeValue>" for value in values)
    return f'<saml:Attribute Name="{name}"{name_format}>{listed}</saml:Attribute>'


def audience(*names: str) -> str:
    listed = "".join(f"<saml:Audience>{name}</saml:Audience>" for name in names)
    return f"<saml:AudienceRestriction>{listed}</saml:AudienceRestriction>"


AUTHENTICATION = (
    f'<saml:AuthnStatement AuthnInstant="{at(-60)}"><saml:AuthnContext><saml:AuthnContextClassRef>'
    "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>"
    "</saml:AuthnContext></saml:AuthnStatement>"
)
ATTRIBUTES = attribute(SUBJECT_ID, "Alice Archer") + attribute(ROLE, "radiologist")


def assertion(
    *,
    identifier: str | None = None,
    version: str = "2.0",
    issued: float | str = 0,
    begins: float | None = -5,
    ends: float | None = LASTING,
    issuer: str = IDP,
    name_id: str = "alice",
    name_format: str = "",
    conditions: str | None = None,
    restriction: str | None = None,
    confirmations: str | None = None,
    authentication: str = AUTHENTICATION,
    attributes: str = ATTRIBUTES,
    before_subject: str = "",
    signed_by: str | None = None,
    extra: str = "",
) -> str:
    """An assertion with the signature that is still to be made; each part can be replaced."""
    identifier = identifier or f"_assertion{next(_numbers)}"
    restriction = audience(AUDIENCE) if restriction is None else restriction
    begin = "" if begins is None else f' NotBefore="{at(begins)}"'
    end = "" if ends is None else f' NotOnOrAfter="{at(ends)}"'
    if conditions is None:
        conditions = f"<saml:Conditions{begin}{end}>{restriction}</saml:Conditions>"
    signed = signature(identifier) if signed_by is None else signed_by.replace("ASSERTION", identifier)
    statement = f"<saml:AttributeStatement>{attributes}</saml:AttributeStatement>" if attributes else ""
    issue_instant = issued if isinstance(issued, str) else at(issued)
    return (
        f'<saml:Assertion {NAMESPACES} ID="{identifier}" Version="{version}" IssueInstant="{issue_instant}">'
        f"<saml:Issuer>{issuer}</saml:Issuer>{signed}{before_subject}"
        f"<saml:Subject><saml:NameID{name_format}>{name_id}</saml:NameID>"
        f"{confirmation() if confirmations is None else confirmations}</saml:Subject>"
        f"{conditions}{authentication}{statement}{extra}</saml:Assertion>"
    )


def response(content: str, *, signed: bool = False, issuer: str = IDP, status: str = "Success", more: str = "") -> str:
    """A samlp:Response around an assertion."""
    identifier = f"_response{next(_numbers)}"
    return (
        f'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" {NAMESPACES} ID="{identifier}" '
        f'Version="2.0" IssueInstant="{at(0)}"{more}><saml:Issuer>{issuer}</saml:Issuer>'
        f"{signature(identifier) if signed else ''}<samlp:Status>"
        f'<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:{status}"/></samlp:Status>{content}'
        "</samlp:Response>"
    )


@dataclass(frozen=True)
class Issuer:
    """A key, its certificate (PEM file), and the signatures it makes."""

    key_pem: bytes
    certificate: x509.Certificate
    certificate_file: Path
    key_file: Path

    def sign(self, document: str, *, only_first: bool = False) -> bytes:
        """Make the signatures that the document has templates of, the innermost first; or only the outermost."""
        root = etree.fromstring(document.encode())
        xmlsec.tree.add_ids(root, ["ID"])
        templates = list(root.iter(f"{{{DS}}}Signature"))
        for template in templates[:1] if only_first else reversed(templates):
            context = xmlsec.SignatureContext()
            context.key = xmlsec.Key.from_memory(self.key_pem, xmlsec.constants.KeyDataFormatPem)
            context.sign(template)
        return bytes(etree.tostring(root))


def make_issuer(folder: Path, name: str, **options: Any) -> Issuer:
    """A new key and certificate; `days` (from, to) is its validity, `bits` or `curve` its key."""
    curve = options.get("curve")
    key = ec.generate_private_key(curve) if curve else rsa.generate_private_key(65537, options.get("bits", 2048))
    first, last = options.get("days", (-1, 30))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=first))
        .not_valid_after(NOW + timedelta(days=last))
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key_pem)
    return Issuer(key_pem, certificate, certificate_file, key_file)


def facts(**changes: Any) -> Facts:
    """What is known of a requestor that came over TLS without a certificate."""
    known: dict[str, Any] = {
        "calling_ae_title": "WORKSTATION",
        "called_ae_title": "ARCHIVE",
        "address": ip_address("192.0.2.7"),
        "port": 50000,
        "tls": Tls.SERVER,
        "identity_type": 4,
        "now": NOW,
    }
    return Facts(**{**known, **changes})


def validator(trusted: Issuer, /, **settings: Any) -> SamlValidator:
    """An acceptor that trusts this issuer's key."""
    chosen: dict[str, Any] = {
        "audience": AUDIENCE,
        "issuer": IDP,
        "certificates": (trusted.certificate_file,),
        **settings,
    }
    return SamlSettings(**chosen).build()


def validate(acceptor: SamlValidator, octets: bytes, *, answer: bool = False, **changes: Any) -> Verified:
    """The acceptor's answer to this primary field."""
    presented = Credential(IdentityType.SAML, octets, positive_response_requested=answer)
    return acceptor.validate(presented, facts(**changes), CheckContext(deadline=float("inf")))


def refusal(acceptor: SamlValidator, octets: bytes, **changes: Any) -> Refused:
    """How the acceptor refuses this primary field; fails where it does not."""
    with pytest.raises(Refused) as caught:
        validate(acceptor, octets, **changes)
    return caught.value
