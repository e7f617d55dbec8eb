"""What a document must look like before any cryptography is done with it.

Everything here is an allow-list: what is not named is refused. A document that passes has one reading:
no markup that parsers, canonicalisation or libraries treat differently, one assertion, at most one
signature for each element that may bear one, over exactly that element, with transforms that cost nothing.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from functools import cache
from importlib.resources import files

from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.mechanisms.saml.xml import (
    ASSERTION,
    DS,
    EXC_C14N,
    RESPONSE,
    SAML,
    SIGNATURE,
    XSI,
    Element,
    children,
    etree,
)

MAX_SIZE = 65_535
"""Bytes: the Primary-field-length has 16 bits (PS3.7 Table D.3-14)."""
MAX_ELEMENTS = 2_000
"""An XUA assertion has some sixty; each costs time in every pass over the document."""
MAX_DEPTH = 32
"""Levels of elements; an XUA role in a signed samlp:Response is at nine."""
MAX_ATTRIBUTES = 64
"""Of one element; XML libraries compare each with each. SAML's have up to six."""
MAX_NAMESPACES = 200
"""Namespace declarations: canonicalisation looks through those in scope for every element."""
MAX_PREFIXES = 16
"""In an InclusiveNamespaces PrefixList, which canonicalisation walks for every element."""

SIGNATURE_METHODS = frozenset(
    f"http://www.w3.org/2001/04/xmldsig-more#{name}"
    for name in ("rsa-sha256", "rsa-sha384", "rsa-sha512", "ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512")
) | frozenset(f"http://www.w3.org/2007/05/xmldsig-more#sha{bits}-rsa-MGF1" for bits in (256, 384, 512))
"""RSA PKCS#1 v1.5, RSA-PSS and ECDSA over SHA-2 (RFC 9231); no SHA-1, no MAC, no DSA."""

DIGEST_METHODS = frozenset(
    {
        "http://www.w3.org/2001/04/xmlenc#sha256",
        "http://www.w3.org/2001/04/xmldsig-more#sha384",
        "http://www.w3.org/2001/04/xmlenc#sha512",
    }
)

TRANSFORMS = [f"{DS}enveloped-signature", EXC_C14N]
"""All that SAML core 5.4.4 allows, without the canonicalisation that keeps comments, and in that order."""

_SIGNATURE_PARTS = ("Signature", "SignedInfo", "SignatureValue", "CanonicalizationMethod", "SignatureMethod")
_REFERENCE_PARTS = ("Reference", "Transforms", "Transform", "DigestMethod", "DigestValue")
_KEY_PARTS = ("KeyInfo", "KeyName", "KeyValue", "RSAKeyValue", "Modulus", "Exponent")
_X509_PARTS = (
    "X509Data",
    "X509Certificate",
    "X509SubjectName",
    "X509SKI",
    "X509IssuerSerial",
    "X509IssuerName",
    "X509SerialNumber",
)
_DS_ELEMENTS = frozenset(_SIGNATURE_PARTS + _REFERENCE_PARTS + _KEY_PARTS + _X509_PARTS)
"""Not among them: Object and Manifest, which hold what a signature seems to cover; RetrievalMethod, which
fetches; HMACOutputLength and XPath, which weaken what is covered."""

_FORBIDDEN = frozenset(
    f"{{{SAML}}}{name}"
    for name in ("Advice", "EncryptedAssertion", "EncryptedID", "EncryptedAttribute", "AssertionIDRef", "BaseID")
)
_XML_ENC = ("http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#")
_SCHEMA_HINTS = (f"{{{XSI}}}schemaLocation", f"{{{XSI}}}noNamespaceSchemaLocation")

_DECLARATION = re.compile(
    r"""<\?xml\s+version=["']1\.0["'](?:\s+encoding=["'][Uu][Tt][Ff]-8["'])?(?:\s+standalone=["'](?:yes|no)["'])?\s*\?>"""
)
_NCNAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,254}")
"""An xs:ID of ASCII letters: no identity provider uses others, and they compare in one way only."""


def parse(octets: bytes) -> Element:
    """The root element of a document that has no markup but elements; raises `Refused` (MALFORMED)."""
    _check_text(octets)
    try:
        # The encoding is ours, whatever a declaration says: the text was read as UTF-8 above.
        root = etree.fromstring(octets, parser())
    except etree.XMLSyntaxError as error:
        # Without the message, which quotes the document.
        raise _malformed(f"not well-formed XML (line {error.lineno}, libxml2 error {error.code})") from None
    _check_nodes(root)
    return root


def parser() -> Element:
    """The one parser; it resolves nothing, fetches nothing and drops nothing."""
    return etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, collect_ids=False
    )


def check(root: Element, *, roots: tuple[str, ...], assertions: tuple[int, ...] = (1,)) -> None:
    """Refuse a document that is not one of the `roots`, and anything in it that is not allowed.

    `assertions` are the numbers of assertions it may hold, at any depth. Raises `Refused` (CREDENTIAL_INVALID).
    """
    if root.tag not in roots:
        raise _wrong(f"the document is {_short(root.tag)}, not {' or '.join(map(_short, roots))}")
    tags = Counter(element.tag for element in root.iter())
    if tags[ASSERTION] not in assertions:
        raise _wrong(f"{tags[ASSERTION]} assertions in one document")
    _check_elements(tags)
    _check_identifiers(root)
    for signature in root.iter(SIGNATURE):
        _check_signature(signature)
    _check_schema(root)


def signature_of(element: Element) -> Element | None:
    """The signature of an element that passed `check`, None where it has none."""
    found = children(element, "Signature", DS)
    return found[0] if found else None


def _check_text(octets: bytes) -> None:
    if not 0 < len(octets) <= MAX_SIZE:
        raise _malformed(f"{len(octets)} bytes; a document has 1 to {MAX_SIZE}")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"no UTF-8 at byte {error.start}") from None
    declaration = _DECLARATION.match(text)
    body = text[declaration.end() :] if declaration else text
    if not body.lstrip(" \t\r\n").startswith("<"):
        raise _malformed("not XML: it does not begin with an element")
    if "<?" in body:
        raise _malformed("a processing instruction, or an XML declaration that is not for version 1.0 in UTF-8")
    if "<!" in body:
        raise _malformed("a DOCTYPE, a comment or a CDATA section")
    if body.count("<") > 2 * MAX_ELEMENTS:
        raise _malformed(f"more than {MAX_ELEMENTS} elements")
    if body.count("xmlns") > MAX_NAMESPACES:
        raise _malformed(f"more than {MAX_NAMESPACES} namespace declarations")


def _check_nodes(root: Element) -> None:
    waiting = [(root, 1)]
    while waiting:
        element, depth = waiting.pop()
        if not isinstance(element.tag, str):
            raise _malformed("a node that is no element")
        if depth > MAX_DEPTH or len(element.attrib) > MAX_ATTRIBUTES:
            raise _malformed(f"more than {MAX_DEPTH} levels, or {MAX_ATTRIBUTES} attributes of one element")
        waiting.extend((each, depth + 1) for each in element)


def _check_elements(tags: Counter[str]) -> None:
    for tag in tags:
        namespace, _, name = tag[1:].partition("}")
        if tag in _FORBIDDEN or namespace in _XML_ENC:
            raise _wrong(f"{name} is not accepted: encrypted and unsigned parts have no place here")
        if namespace == DS and name not in _DS_ELEMENTS:
            raise _wrong(f"ds:{name} is not accepted")


def _check_identifiers(root: Element) -> None:
    """Every ID, whatever a library takes for one, is a name and there once."""
    seen: set[str] = set()
    for element in root.iter():
        for name, value in element.items():
            if name in _SCHEMA_HINTS:
                raise _wrong("xsi:schemaLocation, which asks the reader to fetch")
            if name.rpartition("}")[2].lower() != "id":
                continue
            if not _NCNAME.fullmatch(value) or value in seen:
                raise _wrong("an ID that is no name, or is there twice")
            seen.add(value)


def _check_signature(signature: Element) -> None:
    owner = signature.getparent()
    if owner is None or owner.tag not in (ASSERTION, RESPONSE):
        raise _wrong("a signature that is not a child of the assertion or the response")
    if len(children(owner, "Signature", DS)) != 1:
        raise _wrong("two signatures of one element")
    if [_local(each) for each in signature] not in (_SIGNATURE, [*_SIGNATURE, "KeyInfo"]):
        raise _wrong("a signature that is not SignedInfo, SignatureValue and perhaps KeyInfo")
    if [_local(each) for each in signature[0]] != ["CanonicalizationMethod", "SignatureMethod", "Reference"]:
        raise _wrong("SignedInfo without exactly one method of each kind and one Reference")
    canonicalization, method, reference = signature[0]
    _check_algorithm(canonicalization, [EXC_C14N], "canonicalisation")
    _check_algorithm(method, SIGNATURE_METHODS, "signature")
    if len(method):
        raise _wrong("a SignatureMethod with parameters")
    _check_reference(reference, owner)


_SIGNATURE = ["SignedInfo", "SignatureValue"]


def _check_reference(reference: Element, owner: Element) -> None:
    if reference.get("URI") != "#" + owner.get("ID", ""):
        raise _wrong("a Reference to something else than the element that bears the signature")
    if [_local(each) for each in reference] != ["Transforms", "DigestMethod", "DigestValue"]:
        raise _wrong("a Reference without exactly Transforms, DigestMethod and DigestValue")
    transforms, method, _ = reference
    if [each.get("Algorithm") for each in transforms] != TRANSFORMS or len(transforms[0]):
        raise _wrong("transforms other than enveloped-signature and exclusive canonicalisation, in that order")
    _check_algorithm(transforms[1], [EXC_C14N], "canonicalisation")
    _check_algorithm(method, DIGEST_METHODS, "digest")
    if len(method):
        raise _wrong("a DigestMethod with parameters")


def _check_algorithm(element: Element, allowed: frozenset[str] | list[str], what: str) -> None:
    algorithm = element.get("Algorithm", "")
    if algorithm not in allowed:
        raise _wrong(f"{what} algorithm {algorithm[:80]!r} is not accepted")
    for parameter in element:
        prefixes = (parameter.get("PrefixList") or "").split()
        if parameter.tag != f"{{{EXC_C14N}}}InclusiveNamespaces" or len(prefixes) > MAX_PREFIXES or len(parameter):
            raise _wrong(f"a parameter of the {what} that is not a PrefixList of at most {MAX_PREFIXES}")
    if len(element) > 1:
        raise _wrong(f"two parameters of the {what}")


def _check_schema(root: Element) -> None:
    """By the OASIS schemas, but for the content of attribute values, which is anybody's.

    XUA types its roles and purposes of use by HL7's schema (ITI-40), which validation would miss.
    """
    document = copy.deepcopy(root)
    for value in list(document.iter(f"{{{SAML}}}AttributeValue")):
        value.clear(keep_tail=True)
    schema = _schema()
    if not schema.validate(document):
        error = schema.error_log.last_error
        raise _wrong(f"not valid by the SAML 2.0 schemas ({error.type_name if error else 'no detail'})")


@cache
def _schema() -> Element:
    """The protocol schema, which takes in those of assertions and signatures; python3-saml carries them."""
    with (files("onelogin.saml2") / "schemas" / "saml-schema-protocol-2.0.xsd").open("rb") as file:
        return etree.XMLSchema(etree.parse(file, base_url=file.name))


def _local(element: Element) -> str:
    """The name of an element of the signature namespace, else all of its tag."""
    namespace, _, name = element.tag[1:].partition("}")
    return name if namespace == DS else str(element.tag)


def _short(tag: str) -> str:
    return tag.rpartition("}")[2][:80]


def _malformed(detail: str) -> Refused:
    return Refused(Reason.MALFORMED, f"SAML: {detail}")


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CREDENTIAL_INVALID, f"SAML: {detail}")
