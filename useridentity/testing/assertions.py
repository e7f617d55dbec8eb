"""An issuer of SAML 2.0 assertions (SAML core 2.3.3) whose key you hold."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from useridentity.mechanisms.saml.signature import Signer

LIFETIME = timedelta(minutes=5)
VALIDITY = timedelta(days=1)
"""Of the certificate, before and after now: no test takes longer, and clocks differ."""

_METADATA = """\
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID={issuer}>
<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>\
<ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
</md:IDPSSODescriptor></md:EntityDescriptor>
"""

_KEY = """\
<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{certificate}\
</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"""

_ASSERTION = """\
<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_{identifier}" Version="2.0" \
IssueInstant="{issued}"><saml:Issuer>{issuer}</saml:Issuer>\
<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="placeholder"/>\
<saml:Subject><saml:NameID>{subject}</saml:NameID>\
<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:{method}">\
<saml:SubjectConfirmationData NotOnOrAfter="{end}">{held}</saml:SubjectConfirmationData>\
</saml:SubjectConfirmation></saml:Subject>\
<saml:Conditions NotBefore="{issued}" NotOnOrAfter="{end}"><saml:AudienceRestriction>\
<saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>{once}</saml:Conditions>\
<saml:AuthnStatement AuthnInstant="{issued}"><saml:AuthnContext><saml:AuthnContextClassRef>\
urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>\
</saml:AuthnContext></saml:AuthnStatement>{attributes}</saml:Assertion>"""


@dataclass(frozen=True, slots=True)
class AssertionIssuer:
    """An identity provider with a new RSA key and a self-signed certificate. Needs the extra `saml`.

    Two with the same `issuer` are one that is real and one that passes itself off for it.

    Fields:
        issuer: its entityID.
        audience: whom its assertions are for, as in the policy.
    """

    issuer: str = "urn:idp"
    audience: str = "urn:dicom:ARCHIVE"
    _signer: Signer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        import_module("useridentity.mechanisms.saml")  # which names the extra if it is missing
        object.__setattr__(self, "_signer", _new_signer())

    def assertion(
        self,
        subject: str = "alice",
        *,
        audience: str = "",
        issued: datetime | None = None,
        single_use: bool = False,
        attributes: Mapping[str, Iterable[str]] | None = None,
        holder: bytes = b"",
    ) -> bytes:
        """A signed assertion, good for five minutes from `issued` (aware; default now).

        `audience` instead of the issuer's own; `single_use` says OneTimeUse (SAML core 2.5.1.5);
        `attributes` are values by name. For whoever bears it or, with `holder`, a TLS client certificate (DER),
        for who holds the key to that (SAML profiles 3.1).
        """
        from useridentity.mechanisms.saml.xml import etree

        begin = (issued or datetime.now(UTC)).astimezone(UTC)
        text = _ASSERTION.format(
            identifier=uuid4().hex,
            issuer=escape(self.issuer),
            subject=escape(subject),
            audience=escape(audience or self.audience),
            issued=_instant(begin),
            end=_instant(begin + LIFETIME),
            method="holder-of-key" if holder else "bearer",
            held=_KEY.format(certificate=b64encode(holder).decode()) if holder else "",
            once="<saml:OneTimeUse/>" if single_use else "",
            attributes=_statement(attributes or {}),
        )
        return self._signer.sign(etree.fromstring(text))

    def write_metadata(self, path: Path) -> Path:
        """Write the metadata to a file, for the `metadata` of a policy; the path."""
        from cryptography.hazmat.primitives.serialization import Encoding

        certificate = b64encode(self._signer.certificate.public_bytes(Encoding.DER)).decode()
        path.write_text(_METADATA.format(issuer=quoteattr(self.issuer), certificate=certificate), "utf-8")
        return path


def _instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _statement(attributes: Mapping[str, Iterable[str]]) -> str:
    listed = "".join(
        f"<saml:Attribute Name={quoteattr(name)}>"
        + "".join(f"<saml:AttributeValue>{escape(value)}</saml:AttributeValue>" for value in values)
        + "</saml:Attribute>"
        for name, values in attributes.items()
    )
    return f"<saml:AttributeStatement>{listed}</saml:AttributeStatement>" if listed else ""


def _new_signer() -> Signer:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa

    from useridentity.mechanisms.saml.signature import Signer

    key = rsa.generate_private_key(65_537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an identity provider of a test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    validity = builder.not_valid_before(now - VALIDITY).not_valid_after(now + VALIDITY)
    return Signer(key, validity.sign(key, hashes.SHA256()))
