"""What an assertion says of its subject: the attributes of XSPA and IHE XUA (ITI-40 3.40.4.1.2), and others by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from useridentity.mechanisms.saml.conditions import wrong
from useridentity.mechanisms.saml.xml import Element, children

Values = tuple[str, ...]

SUBJECT_ID = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
"""The user's name in plain text, for people to read."""

ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"

CLAIMS: Mapping[str, str] = {
    "organization": "urn:oasis:names:tc:xspa:1.0:subject:organization",
    "organization_id": "urn:oasis:names:tc:xspa:1.0:subject:organization-id",
    "role": ROLE,
    "purpose_of_use": "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse",
    "home_community_id": "urn:ihe:iti:xca:2010:homeCommunityId",
    "npi": "urn:oasis:names:tc:xspa:1.0:subject:npi",
    "provider_identifier": "urn:ihe:iti:xua:2017:subject:provider-identifier",
    "patient_id": "urn:oasis:names:tc:xacml:2.0:resource:resource-id",
    "consent_document_id": "urn:ihe:iti:bppc:2007:docid",
    "consent_policy": "urn:ihe:iti:xua:2012:acp",
}
"""The claims that every identity has where its assertion has them, and the attributes they come from."""

_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:"
_FORMATS = (None, f"{_FORMAT}unspecified", f"{_FORMAT}uri", f"{_FORMAT}basic")


def attributes(assertion: Element, wanted: Collection[str]) -> dict[str, Values]:
    """The values of the `wanted` attributes that are there; all others are not looked at.

    An attribute of another NameFormat is another attribute. Raises `Refused` where a wanted one is there
    twice, or has a value that cannot be read.
    """
    found: dict[str, Values] = {}
    for statement in children(assertion, "AttributeStatement"):
        for attribute in children(statement, "Attribute"):
            name = attribute.get("Name")
            if name not in wanted or attribute.get("NameFormat") not in _FORMATS:
                continue
            if name in found:
                raise wrong(f"attribute {name} is there twice; have the issuer send one with several values")
            found[name] = tuple(_value(each, name) for each in children(attribute, "AttributeValue"))
    return found


def _value(value: Element, name: str) -> str:
    """Text, or an HL7 coded value (CE) or identifier (II) as `codeSystem|code`, `root|extension`."""
    coded = value[0] if len(value) == 1 else value
    if len(coded):
        raise wrong(f"attribute {name} has a value that is neither text nor an HL7 code")
    if "code" in coded.attrib:
        text = f"{coded.get('codeSystem', '')}|{coded.get('code')}"
    elif "root" in coded.attrib:
        text = f"{coded.get('root')}|{coded.get('extension', '')}"
    else:
        text = (coded.text or "").strip()
    if not text.isprintable():
        raise wrong(f"attribute {name} has a value with control characters")
    return text
