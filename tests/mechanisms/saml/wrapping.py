"""Signature wrapping (XSW): a genuine signed assertion somewhere in a forged document, in every place there is.

The eight permutations of Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be" (2012), and
all others: whatever element can be put into whatever other one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TypeAlias

from lxml import etree

from tests.mechanisms.saml.issuer import DS, SAML, Issuer, assertion, response

Element: TypeAlias = etree._Element

FORGED = "admin"
SIGNATURE = f"{{{DS}}}Signature"


def genuine(issuer: Issuer) -> Element:
    return etree.fromstring(issuer.sign(assertion(identifier="_genuine")))


def forged(identifier: str = "_forged") -> Element:
    """An assertion that lacks nothing but a signature."""
    return etree.fromstring(assertion(identifier=identifier, name_id=FORGED, signed_by=""))


def with_object(signature: Element, content: Element) -> Element:
    """ds:Object may hold anything, and enveloped-signature leaves it out of the digest."""
    etree.SubElement(signature, f"{{{DS}}}Object").append(content)
    return signature


def without_signature(document: Element) -> tuple[Element, Element]:
    """A copy of the document without its signature, and the signature."""
    document = copy.deepcopy(document)
    signature = document.find(SIGNATURE)
    document.remove(signature)
    return document, signature


def everywhere(host: Element, guest: Element) -> Iterator[Element]:
    """Copies of `host` with `guest` as a child of each element, at each position."""
    for number, element in enumerate(host.iter()):
        for position in range(len(element) + 1):
            document = copy.deepcopy(host)
            list(document.iter())[number].insert(position, copy.deepcopy(guest))
            yield document


def bare(issuer: Issuer) -> Iterator[Element]:
    """Documents whose root is an assertion, or was one."""
    good, host = genuine(issuer), forged()
    stripped, signature = without_signature(good)
    signed_host = forged()
    signed_host.insert(1, signature)
    yield from everywhere(host, good)  # the genuine one somewhere in the forged one
    yield from everywhere(signed_host, stripped)  # with its signature moved to the forged one
    yield from everywhere(forged("_genuine"), good)  # with its ID as well
    yield from everywhere(good, host)  # the forged one in the genuine one, its signature included
    for inner, outer in ((stripped, forged()), (forged(), stripped)):
        document = copy.deepcopy(outer)
        document.insert(1, with_object(copy.deepcopy(signature), copy.deepcopy(inner)))
        yield document
        document = copy.deepcopy(outer)
        document.insert(1, copy.deepcopy(signature))
        document[1].append(copy.deepcopy(inner))
        yield document


def in_response(issuer: Issuer) -> Iterator[Element]:
    """Documents whose root is a samlp:Response: around signed assertions, and themselves signed."""
    host = etree.fromstring(response(""))
    host.append(forged())
    good = genuine(issuer)
    stripped, signature = without_signature(good)
    signed_host = copy.deepcopy(host)
    signed_host[-1].insert(1, signature)
    yield from everywhere(host, good)
    yield from everywhere(signed_host, stripped)
    message = etree.fromstring(issuer.sign(response(assertion(signed_by=""), signed=True)))
    yield from everywhere(host, message)
    yield from everywhere(message, forged())
    yield from everywhere(message, host)
    _, message_signature = without_signature(message)
    outer = copy.deepcopy(host)
    outer.set("ID", message.get("ID"))
    outer.insert(1, message_signature)
    yield outer
    yield from everywhere(outer, message)


def in_key_info(issuer: Issuer) -> Iterator[Element]:
    """A forged assertion in the KeyInfo of a genuine one: unsigned, and any element may stand there."""
    document = genuine(issuer)
    key_info = etree.SubElement(document.find(SIGNATURE), f"{{{DS}}}KeyInfo")
    key_info.append(forged())
    yield document


FAMILIES: dict[str, Callable[[Issuer], Iterator[Element]]] = {
    "bare": bare,
    "in-response": in_response,
    "in-key-info": in_key_info,
}


def name_in(element: Element) -> str | None:
    """The NameID that somebody would read who took `element` for the assertion, or for a response with one."""
    assertion = element if element.tag == f"{{{SAML}}}Assertion" else element.find(f"{{{SAML}}}Assertion")
    return None if assertion is None else assertion.findtext(f"{{{SAML}}}Subject/{{{SAML}}}NameID")
