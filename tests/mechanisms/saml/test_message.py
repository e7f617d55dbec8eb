"""A whole samlp:Response, where it is configured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mechanisms.saml.issuer import (
    IDP,
    LASTING,
    Issuer,
    assertion,
    at,
    confirmation,
    refusal,
    response,
    signature,
    validate,
    validator,
)
from useridentity.decision import Reason

RECIPIENT = "urn:dicom:ARCHIVE"
BOTH = {"content": assertion(), "signed": True}
MESSAGE = {"content": assertion(signed_by=""), "signed": True}
ASSERTION = {"content": assertion(), "signed": False}


@pytest.mark.parametrize("parts", [BOTH, MESSAGE, ASSERTION], ids=["both", "message", "assertion"])
def test_a_response_is_accepted_where_it_or_its_assertion_is_signed(issuer: Issuer, parts: dict[str, Any]) -> None:
    octets = issuer.sign(response(**parts))
    for form in ("response", "either"):
        assert validate(validator(issuer, form=form), octets).identity.user_id == "alice"


def test_a_response_is_refused_where_an_assertion_is_asked_for_and_the_reverse(issuer: Issuer) -> None:
    bare, whole = issuer.sign(assertion()), issuer.sign(response(assertion()))
    assert "not Assertion" in refusal(validator(issuer), whole).detail
    assert "not Response" in refusal(validator(issuer, form="response"), bare).detail


def test_a_response_without_any_signature_is_refused(issuer: Issuer) -> None:
    unsigned = response(assertion(signed_by="")).encode()
    assert "not signed" in refusal(validator(issuer, form="response"), unsigned).detail


def test_every_signature_must_hold(issuer: Issuer, stranger: Issuer) -> None:
    """A good signature does not make up for a bad one, whichever is the inner one."""
    acceptor, document = validator(issuer, form="response"), response(assertion(), signed=True)
    assert validate(acceptor, issuer.sign(document))
    for inner, outer in ((issuer, stranger), (stranger, issuer), (stranger, stranger)):
        assert "no key of the issuer" in refusal(acceptor, sign_both(document, inner, outer)).detail


OTHER = "https://other.example.org/saml"
ANOTHER_ISSUERS = {
    "message": response(assertion(signed_by="", issuer=OTHER), signed=True, issuer=OTHER),
    "both": response(assertion(issuer=OTHER), signed=True, issuer=OTHER),
    "assertion": response(assertion(issuer=OTHER), issuer=OTHER),
    "without its issuer": response(assertion(issuer=OTHER), signed=True, issuer=OTHER).replace(
        f"<saml:Issuer>{OTHER}</saml:Issuer>", "", 1
    ),
}


@pytest.mark.parametrize("document", ANOTHER_ISSUERS.values(), ids=ANOTHER_ISSUERS)
def test_a_response_of_another_issuer_is_refused_as_that(issuer: Issuer, stranger: Issuer, document: str) -> None:
    """Not as one with a bad signature: another validator of the rule may have its keys."""
    acceptor = validator(issuer, form="response")
    assert validate(acceptor, issuer.sign(document.replace(OTHER, IDP)))
    assert refusal(acceptor, stranger.sign(document)).reason is Reason.ISSUER_UNKNOWN


def sign_both(document: str, inner: Issuer, outer: Issuer) -> bytes:
    """The assertion signed by one, the message by another."""
    start, end = document.index("<saml:Assertion"), document.index("</samlp:Response>")
    signed = inner.sign(document[start:end]).decode()
    return outer.sign(document[:start] + signed + document[end:], only_first=True)


WRONG = {
    "no-success": (response(assertion(), signed=True, status="AuthnFailed"), "refuses the response"),
    "another-issuer": (response(assertion(), signed=True, issuer="urn:x"), "another issuer"),
    "saml-1": (response(assertion(), signed=True).replace('"2.0" Issue', '"1.1" Issue', 1), "SAML 2.0 response"),
    "nothing-in-it": (response("", signed=True), "0 assertions"),
    "two-assertions": (response(assertion() + assertion(), signed=True), "2 assertions"),
    "assertion-elsewhere": (
        response("", signed=True).replace(
            "<samlp:Status>", f"<samlp:Extensions>{assertion()}</samlp:Extensions><samlp:Status>"
        ),
        "not a child",
    ),
    "encrypted-assertion": (
        response(
            assertion() + '<saml:EncryptedAssertion><e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#">'
            "<e:CipherData><e:CipherValue>AAAA</e:CipherValue></e:CipherData></e:EncryptedData>"
            "</saml:EncryptedAssertion>",
            signed=True,
        ),
        "not accepted",
    ),
    "signature-of-the-status": (
        response(assertion()).replace("<samlp:Status>", f"{signature('_status')}<samlp:Status ID='_status'>"),
        "Reference",
    ),
}


@pytest.mark.parametrize(("document", "why"), WRONG.values(), ids=WRONG)
def test_a_signed_response_that_says_something_else_is_refused(issuer: Issuer, document: str, why: str) -> None:
    acceptor = validator(issuer, form="response")
    assert validate(acceptor, issuer.sign(response(assertion(), signed=True)))
    assert why in refusal(acceptor, issuer.sign(document)).detail


def test_a_response_for_another_destination_is_refused(issuer: Issuer) -> None:
    acceptor = validator(issuer, form="response", recipient=RECIPIENT)
    ours = confirmation(attributes=f'NotOnOrAfter="{at(LASTING)}" Recipient="{RECIPIENT}"')
    for destination, good in (("", True), (f' Destination="{RECIPIENT}"', True), (' Destination="urn:x"', False)):
        octets = issuer.sign(response(assertion(confirmations=ours), signed=True, more=destination))
        if good:
            assert validate(acceptor, octets)
        else:
            assert "another destination" in refusal(acceptor, octets).detail


def test_namespaces_that_an_assertion_inherits_are_kept(issuer: Issuer) -> None:
    """An issuer may declare `xs` on the Response, and sign the assertion with it in the PrefixList."""
    exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
    listed = (
        '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
        f'<ds:Transform Algorithm="{exclusive}"><ec:InclusiveNamespaces xmlns:ec="{exclusive}" PrefixList="xs"/>'
        "</ds:Transform>"
    )
    inner = assertion(signed_by=signature("ASSERTION", transforms=listed)).replace(
        ' xmlns:xs="http://www.w3.org/2001/XMLSchema"', ""
    )
    typed = inner.replace("<saml:AttributeValue>radiologist", '<saml:AttributeValue xsi:type="xs:string">radiologist')
    identity = validate(validator(issuer, form="response"), issuer.sign(response(typed))).identity
    assert identity.claims["role"] == ("radiologist",)
