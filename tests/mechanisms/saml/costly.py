"""Documents of at most 64 KiB made to cost as much time as they can: an unauthenticated peer may send any of them.

Those signed by the issuer get past the signature, so that all that follows has to cope as well.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.mechanisms.saml.issuer import (
    ENVELOPED,
    EXC_C14N,
    Issuer,
    assertion,
    attribute,
    confirmation,
    response,
    signature,
)

LIMIT = 65_535  # bytes; the most that the primary field holds

XSLT = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet version="1.0" '
    'xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/"><x:call-template name="t"><x:with-param '
    'name="n" select="1000000"/></x:call-template></x:template><x:template name="t"><x:param name="n"/><x:if '
    'test="$n > 0"><x:call-template name="t"><x:with-param name="n" select="$n - 1"/></x:call-template></x:if>'
    "</x:template></x:stylesheet></ds:Transform>"
)


def filled(start: bytes, piece: Callable[[int], bytes], end: bytes) -> bytes:
    """As many pieces as fit."""
    pieces: list[bytes] = []
    size = len(start) + len(end)
    while size + len(piece(len(pieces))) <= LIMIT:
        pieces.append(piece(len(pieces)))
        size += len(pieces[-1])
    return start + b"".join(pieces) + end


def around(document: bytes, mark: bytes) -> tuple[bytes, bytes]:
    before, _, after = document.partition(mark)
    return before, after


def costly(issuer: Issuer) -> dict[str, bytes]:
    """Each by what is many in it."""
    mark, forged = b"MARK", assertion(name_id="MARK").encode()
    start, end = around(forged, mark)
    in_tag = around(forged.replace(b"<saml:NameID>", b"<saml:NameID MARK>"), mark)
    in_info = around(assertion(signed_by=signature("ASSERTION", transforms="MARK")).encode(), mark)
    in_references = around(forged.replace(b"</ds:SignedInfo>", b"MARK</ds:SignedInfo>"), mark)
    reference = b'<ds:Reference URI=""><ds:DigestMethod Algorithm="a"/><ds:DigestValue/></ds:Reference>'
    entity = b'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">'
    levels = b"".join(b'<!ENTITY a%d "%s">' % (n + 1, b"&a%d;" % n * 10) for n in range(9))
    prefixes = " ".join(f"p{number}" for number in range(9000))
    listed = (
        f'<ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{EXC_C14N}"><ec:InclusiveNamespaces '
        f'xmlns:ec="{EXC_C14N}" PrefixList="{prefixes}"/></ds:Transform>'
    )
    names = " ".join(f'xmlns:n{number}="u:{number}"' for number in range(180))
    declared = f"<a {names}>{''.join(f'<n{number % 180}:a/>' for number in range(1700))}</a>"
    return {
        "text": filled(start, lambda _: b"a", end),
        "character references": filled(start, lambda _: b"&#65;", end),
        "elements": filled(start, lambda _: b"<a/>", end),
        "elements, as many as are allowed": start + b"<a/>" * 1900 + end,
        "depth": filled(b"", lambda _: b"<a>", b""),
        "attributes": filled(in_tag[0], lambda n: b'a%d=""' % n + b" ", in_tag[1]),
        "attributes, as many as are allowed": filled(
            start, lambda _: b"<a " + b" ".join(b'a%d=""' % n for n in range(64)) + b"/>", end
        ),
        "the same attribute": filled(in_tag[0], lambda _: b'a="" ', in_tag[1]),
        "identifiers": filled(start, lambda n: b'<a ID="_%d"/>' % n, end),
        "identifiers, as many as are allowed": start + b"".join(b'<a ID="_%d"/>' % n for n in range(1900)) + end,
        "namespaces": filled(in_tag[0], lambda n: b'xmlns:n%d="u" ' % n, in_tag[1]),
        "namespaces, as many as are allowed": start
        + b"<a %s>" % b" ".join(b'xmlns:n%d="u%d"' % (n, n) for n in range(190))
        + b"<n1:a/>" * 1800
        + b"</a>"
        + end,
        "transforms": filled(in_info[0], lambda _: f'<ds:Transform Algorithm="{ENVELOPED}"/>'.encode(), in_info[1]),
        "xslt": XSLT.encode().join(in_info),
        "references": filled(in_references[0], lambda _: reference, in_references[1]),
        "prefixes": assertion(signed_by=signature("ASSERTION", transforms=listed)).encode(),
        "entities": entity + levels + b"]>" + start + b"&a9;" + end,
        "signatures": filled(start, lambda _: signature("_x").encode(), end),
        "assertions": filled(start, lambda _: assertion(signed_by="").encode(), end),
        "signature value": forged.replace(
            b"<ds:SignatureValue/>", b"<ds:SignatureValue>%s</ds:SignatureValue>" % (b"A" * 60_000)
        ),
        "key": forged.replace(
            b"<ds:SignatureValue/>",
            b"<ds:SignatureValue>AAAA</ds:SignatureValue><ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>%s"
            b"</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>"
            % (b"A" * 60_000),
        ),
        "signed: attributes": issuer.sign(
            assertion(attributes="".join(attribute(f"urn:{n}", "v") for n in range(450)))
        ),
        "signed: values": issuer.sign(assertion(attributes=attribute("urn:x", *["v"] * 900))),
        "signed: text": issuer.sign(assertion(attributes=attribute("urn:x", "v" * 60_000))),
        "signed: confirmations": issuer.sign(assertion(confirmations=confirmation("urn:x") * 300 + confirmation())),
        "signed: namespaces": issuer.sign(assertion(attributes=attribute("urn:x", declared))),
        "signed: response": issuer.sign(
            response(assertion(attributes="".join(attribute(f"urn:{n}", "v") for n in range(400))), signed=True)
        ),
    }
