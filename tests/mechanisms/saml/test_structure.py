"""What a document must look like before any cryptography is done with it.

Each document here is properly signed, as it stands, by the issuer that the acceptor trusts: nothing but
its structure speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from tests.mechanisms.saml.issuer import (
    ATTRIBUTES,
    DS,
    ENVELOPED,
    EXC_C14N,
    Issuer,
    assertion,
    attribute,
    confirmation,
    refusal,
    signature,
    validate,
    validator,
)
from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.mechanisms.saml import structure

TRANSFORM = f'<ds:Transform Algorithm="{ENVELOPED}"/>'
C14N = f'<ds:Transform Algorithm="{EXC_C14N}"/>'
XPATH = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>'
    "not(ancestor-or-self::*[local-name()='Subject'])</ds:XPath></ds:Transform>"
)
XSLT = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet '
    'xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="@*|node()"><xsl:copy>'
    '<xsl:apply-templates select="@*|node()"/></xsl:copy></xsl:template></xsl:stylesheet></ds:Transform>'
)


def prefixes(number: int) -> str:
    listed = " ".join(f"p{index}" for index in range(number))
    return (
        f'<ds:Transform Algorithm="{EXC_C14N}"><ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="{listed}"/>'
        "</ds:Transform>"
    )


def signed_so(**options: Any) -> str:
    return assertion(signed_by=signature("ASSERTION", **options))


def test_an_assertion_with_a_prefix_list_is_accepted(issuer: Issuer) -> None:
    """Microsoft's and Shibboleth's issuers write one."""
    assert validate(validator(issuer), issuer.sign(signed_so(transforms=TRANSFORM + prefixes(16))))


def test_a_document_may_have_a_declaration_and_white_space_around(issuer: Issuer) -> None:
    octets = issuer.sign(assertion())
    for first in (b'<?xml version="1.0"?>', b"<?xml version='1.0' encoding='utf-8' standalone='no' ?>\n", b"\n "):
        assert validate(validator(issuer), first + octets + b"\r\n")


SIGNED = {
    "no-enveloped-transform": (signed_so(transforms=C14N), "transforms"),
    "no-canonicalisation": (signed_so(transforms=TRANSFORM), "transforms"),
    "three-transforms": (signed_so(transforms=TRANSFORM + C14N + C14N), "transforms"),
    "xpath-that-hides-the-subject": (signed_so(transforms=XPATH + TRANSFORM + C14N), "XPath"),
    "canonicalisation-with-comments": (signed_so(transforms=TRANSFORM + C14N.replace("#", "#WithComments")), "transf"),
    "inclusive-canonicalisation": (
        signed_so(transforms=TRANSFORM + '<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'),
        "transforms",
    ),
    "signed-info-inclusive": (signed_so(canonicalization="http://www.w3.org/2006/12/xml-c14n11"), "canonicalisation"),
    "prefix-list-too-long": (signed_so(transforms=TRANSFORM + prefixes(17)), "PrefixList"),
    "rsa-sha1": (signed_so(method=f"{DS}rsa-sha1"), "signature algorithm"),
    "sha1-digest": (signed_so(digest=f"{DS}sha1"), "digest algorithm"),
    "md5-digest": (signed_so(digest="http://www.w3.org/2001/04/xmldsig-more#md5"), "digest algorithm"),
    "whole-document": (signed_so(uri=""), "Reference"),
    "two-references": (signed_so(references=2), "one Reference"),
    "an-object": (signed_so(extra="<ds:Object/>"), "Object"),
    "a-retrieval": (signed_so(key_info='<ds:KeyInfo><ds:RetrievalMethod URI="http://x/"/></ds:KeyInfo>'), "Retrieval"),
    "id-with-other-letters": (assertion(identifier="_\u00e4"), "ID"),
    "id-twice": (assertion(identifier="_x", attributes=attribute("a", '<y ID="_x"/>')), "ID"),
    "id-of-another-kind-twice": (assertion(identifier="_x", attributes=attribute("a", '<y Id="_x"/>')), "ID"),
    "xml-id-twice": (assertion(identifier="_x", attributes=attribute("a", '<y xml:id="_x"/>')), "ID"),
    "namespaced-id-twice": (
        assertion(identifier="_x", attributes=attribute("a", '<y xmlns:z="urn:z" z:id="_x"/>')),
        "ID",
    ),
    "advice": (assertion().replace("</saml:Conditions>", "</saml:Conditions><saml:Advice/>"), "Advice"),
    "encrypted-attribute": (
        assertion(
            attributes='<saml:EncryptedAttribute><e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#">'
            "<e:CipherData><e:CipherValue>AAAA</e:CipherValue></e:CipherData></e:EncryptedData>"
            "</saml:EncryptedAttribute>"
        ),
        "not accepted",
    ),
    "encrypted-data-in-a-value": (
        assertion(attributes=attribute("a", '<e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"/>')),
        "EncryptedData",
    ),
    "manifest-in-a-value": (assertion(attributes=attribute("a", f'<m:Manifest xmlns:m="{DS}"/>')), "Manifest"),
    "schema-location": (
        assertion().replace(" Version", ' xsi:schemaLocation="urn:x http://192.0.2.1/x.xsd" Version'),
        "schemaLocation",
    ),
    "not-by-the-schema": (assertion(extra="<saml:Subject/>"), "schemas"),
    "unknown-attribute": (assertion().replace(" Version", ' Vorsion="2.0" Version'), "schemas"),
    "another-root": (f'<x xmlns="urn:x">{assertion()}</x>', "not Assertion"),
}


@pytest.mark.parametrize(("document", "why"), SIGNED.values(), ids=SIGNED)
@pytest.mark.threat("S3")
def test_a_signed_document_of_another_structure_is_refused(issuer: Issuer, document: str, why: str) -> None:
    assert validate(validator(issuer), issuer.sign(signed_so()))
    refused = refusal(validator(issuer), issuer.sign(document))
    assert refused.reason is Reason.CREDENTIAL_INVALID
    assert why in refused.detail


LIST = f'<ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="a"/>'

CHANGED = {
    "other-order": ((TRANSFORM + C14N, C14N + TRANSFORM), "transforms"),
    "xslt": ((TRANSFORM + C14N, XSLT + TRANSFORM + C14N), "transforms"),
    "two-prefix-lists": ((C14N, prefixes(1).replace("<ec:", LIST + "<ec:", 1)), "two parameters"),
    "no-id": ((" ID=", " Id="), "Reference"),
    "id-that-is-no-name": (("_x", "a b"), "ID"),
}


@pytest.mark.parametrize(("change", "why"), CHANGED.values(), ids=CHANGED)
def test_what_nobody_can_sign_is_refused_before_its_signature_is_looked_at(
    issuer: Issuer, change: tuple[str, str], why: str
) -> None:
    octets = issuer.sign(assertion(identifier="_x"))
    assert validate(validator(issuer), octets)
    assert why in refusal(validator(issuer), octets.replace(change[0].encode(), change[1].encode())).detail


def test_an_encrypted_subject_is_refused(issuer: Issuer) -> None:
    encrypted = (
        '<saml:EncryptedID><e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:CipherData>'
        "<e:CipherValue>AAAA</e:CipherValue></e:CipherData></e:EncryptedData></saml:EncryptedID>"
    )
    octets = issuer.sign(assertion().replace("<saml:NameID>alice</saml:NameID>", encrypted))
    assert "not accepted" in refusal(validator(issuer), octets).detail


@pytest.mark.parametrize("place", ["before the issuer", "after the subject", "in a value", "in the subject"])
def test_a_signature_in_another_place_is_refused(issuer: Issuer, place: str) -> None:
    made = signature("_x")
    unsigned = assertion(identifier="_x", signed_by="")
    documents = {
        "before the issuer": unsigned.replace("<saml:Issuer>", f"{made}<saml:Issuer>"),
        "after the subject": unsigned.replace("</saml:Subject>", f"</saml:Subject>{made}"),
        "in a value": unsigned.replace(ATTRIBUTES, attribute("a", made)),
        "in the subject": unsigned.replace(confirmation(), confirmation(content=made)),
    }
    assert validate(validator(issuer), issuer.sign(unsigned.replace("</saml:Issuer>", f"</saml:Issuer>{made}")))
    why = "not a child of" if place.startswith("in ") else "schemas"
    assert why in refusal(validator(issuer), issuer.sign(documents[place])).detail


def test_two_signatures_of_one_assertion_are_refused(issuer: Issuer) -> None:
    document = assertion(
        identifier="_x", signed_by=signature("_x") + signature("_x").replace("<ds:Signature ", "<ds:Signature ")
    )
    assert "two signatures" in refusal(validator(issuer), issuer.sign(document)).detail


def test_two_signed_infos_are_refused(issuer: Issuer) -> None:
    octets = issuer.sign(assertion())
    root = etree.fromstring(octets)
    info = root.find(f".//{{{DS}}}SignedInfo")
    info.addnext(etree.fromstring(etree.tostring(info)))
    assert validate(validator(issuer), octets)
    assert "SignedInfo" in refusal(validator(issuer), etree.tostring(root)).detail


@pytest.mark.parametrize("parameter", [f"{{{DS}}}KeyName", f"{{{EXC_C14N}}}InclusiveNamespaces"])
@pytest.mark.parametrize("method", ["SignatureMethod", "DigestMethod"])
def test_a_method_with_parameters_is_refused(issuer: Issuer, method: str, parameter: str) -> None:
    """HMACOutputLength once cut a MAC to nothing (CVE-2009-0217)."""
    root = etree.fromstring(issuer.sign(assertion()))
    etree.SubElement(root.find(f".//{{{DS}}}{method}"), parameter).set("PrefixList", "")
    assert "parameter" in refusal(validator(issuer), etree.tostring(root)).detail


@pytest.mark.parametrize("node", [etree.Comment("x"), etree.ProcessingInstruction("x"), etree.Entity("x")])
def test_a_node_that_is_no_element_is_malformed_however_it_got_there(node: etree._Element) -> None:
    """The second line: no text that passes the first has such a node."""
    root = etree.fromstring("<a><b/></a>")
    structure._check_nodes(root)
    root[0].append(node)
    with pytest.raises(Refused, match="no element"):
        structure._check_nodes(root)


MALFORMED = {
    "nothing": lambda octets: b"",
    "too-much": lambda octets: octets + b" " * 65536,
    "not-xml": lambda octets: b"alice",
    "base64": lambda octets: b"PHNhbWw6QXNzZXJ0aW9u",
    "cut-short": lambda octets: octets[:-1],
    "two-documents": lambda octets: octets + octets,
    "latin-1": lambda octets: octets.replace(b"alice", b"al\xeece"),
    "utf-16": lambda octets: octets.decode().encode("utf-16"),
    "byte-order-mark": lambda octets: b"\xef\xbb\xbf" + octets,
    "nul": lambda octets: octets + b"\0",
    "declared-latin-1": lambda octets: b'<?xml version="1.0" encoding="ISO-8859-1"?>' + octets,
    "declared-utf-7": lambda octets: b'<?xml version="1.0" encoding="UTF-7"?>' + octets,
    "xml-1.1": lambda octets: b'<?xml version="1.1"?>' + octets,
    "doctype": lambda octets: b"<!DOCTYPE a>" + octets,
    "internal-entity": lambda octets: b'<!DOCTYPE a [<!ENTITY e "x">]>' + octets.replace(b"alice", b"&e;"),
    "undeclared-entity": lambda octets: octets.replace(b"alice", b"&e;"),
    "external-entity": lambda octets: (
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + octets.replace(b"alice", b"&e;")
    ),
    "comment-in-the-name": lambda octets: octets.replace(b"alice", b"alice<!-- -->.evil"),
    "comment-after": lambda octets: octets + b"<!-- -->",
    "processing-instruction-in-the-name": lambda octets: octets.replace(b"alice", b"al<?x?>ice"),
    "processing-instruction-before": lambda octets: b'<?xml-stylesheet href="x"?>' + octets,
    "declaration-twice": lambda octets: b'<?xml version="1.0"?><?xml version="1.0"?>' + octets,
    "cdata": lambda octets: octets.replace(b"alice", b"<![CDATA[alice]]>"),
    "attribute-twice": lambda octets: octets.replace(b" Version", b' ID="_y" Version', 1),
    "prefix-undeclared": lambda octets: octets.replace(b"saml:NameID", b"soml:NameID"),
    "too-deep": lambda octets: octets.replace(b"alice", b"<a>" * 40 + b"</a>" * 40),
    "far-too-deep": lambda octets: octets.replace(b"alice", b"<a>" * 400 + b"</a>" * 400),
    "too-many-elements": lambda octets: octets.replace(b"alice", b"<a/>" * 4001),
    "too-many-attributes": lambda octets: octets.replace(
        b"<saml:NameID", b"<saml:NameID " + b" ".join(b'a%d=""' % index for index in range(65))
    ),
    "too-many-namespaces": lambda octets: octets.replace(
        b"<saml:NameID", b"<saml:NameID " + b" ".join(b'xmlns:a%d="urn:a"' % index for index in range(201))
    ),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.threat("S2")
def test_what_is_not_plain_xml_in_utf_8_is_malformed(issuer: Issuer, change: Callable[[bytes], bytes]) -> None:
    octets = issuer.sign(assertion())
    assert validate(validator(issuer), octets)
    assert refusal(validator(issuer), change(octets)).reason is Reason.MALFORMED


@pytest.mark.threat("S14")
def test_no_part_of_a_document_is_quoted_in_a_refusal(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(name_id="SECRET")).replace(b"</saml:NameID>", b"</saml:SECRET>")
    assert "SECRET" not in str(refusal(validator(issuer), octets))


def test_every_allowed_signature_method_can_be_verified(issuer: Issuer, elliptic: Issuer) -> None:
    for method in structure.SIGNATURE_METHODS:
        signer = elliptic if "ecdsa" in method else issuer
        for digest in structure.DIGEST_METHODS:
            assert validate(validator(signer), signer.sign(signed_so(method=method, digest=digest)))
