"""The signed assertion out of a primary field: the field itself, or in a samlp:Response (SAML core 3.3.3)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Literal

from onelogin.saml2.response import OneLogin_Saml2_Response  # type: ignore[import-untyped]
from onelogin.saml2.settings import OneLogin_Saml2_Settings  # type: ignore[import-untyped]
from onelogin.saml2.utils import OneLogin_Saml2_ValidationError as ValidationError  # type: ignore[import-untyped]

from useridentity.errors import Refused
from useridentity.mechanisms.saml.assertion import check_issuer
from useridentity.mechanisms.saml.conditions import wrong
from useridentity.mechanisms.saml.structure import check, parse, signature_of
from useridentity.mechanisms.saml.xml import ASSERTION, RESPONSE, Element, child, children, etree

Form = Literal["assertion", "response", "either"]
"""What the primary field holds: PS3.7 Table D.3-14 says an assertion; some clients send the whole Response."""

_ROOTS = {"assertion": (ASSERTION,), "response": (RESPONSE,), "either": (ASSERTION, RESPONSE)}

Verify = Callable[[Element], Element]
"""An element with a signature in, the same element parsed from the signed bytes out; raises `Refused`."""


def signed_assertion(octets: bytes, form: Form, verify: Verify, issuer: str, recipient: str | None) -> Element:
    """The assertion, from signed bytes only; raises `Refused`."""
    root = parse(octets)
    check(root, roots=_ROOTS[form])
    return _alone(root, verify, issuer) if root.tag == ASSERTION else _in_response(root, verify, issuer, recipient)


def _alone(assertion: Element, verify: Verify, issuer: str) -> Element:
    """What is not signed by the issuer may still name another one: then no key here could verify it."""
    check_issuer(child(assertion, "Issuer"), issuer)
    if signature_of(assertion) is None:
        raise wrong("the assertion is not signed")
    return verify(assertion)


def _in_response(response: Element, verify: Verify, issuer: str, recipient: str | None) -> Element:
    """Every signature must hold; the assertion must bear one, or stand in a Response that does."""
    _check_claimed_issuers(response, issuer)
    signed = signature_of(response) is not None
    if signed:
        response = verify(response)
    assertion = child(response, "Assertion")
    if assertion is None:
        raise wrong("the assertion is not a child of the response")
    _check_response(response, issuer, recipient)
    if signature_of(assertion) is None and signed:
        return assertion
    # By itself, with the namespaces it inherits: as an assertion that was sent bare.
    return _alone(parse(etree.tostring(assertion, encoding="utf-8", with_tail=False)), verify, issuer)


def _check_claimed_issuers(response: Element, issuer: str) -> None:
    """Unsigned as yet: what says it is another issuer's is refused as that, without any key. Signed, they are
    looked at again."""
    for element in (response, child(response, "Assertion")):
        if element is not None and children(element, "Issuer"):
            check_issuer(child(element, "Issuer"), issuer)


def _check_response(response: Element, issuer: str, recipient: str | None) -> None:
    if response.get("Version") != "2.0":
        raise wrong("not a SAML 2.0 response")
    if children(response, "Issuer"):
        check_issuer(child(response, "Issuer"), issuer)
    if recipient is not None and response.get("Destination", recipient) != recipient:
        raise wrong("the response is for another destination")
    _second_opinion(response)


def _second_opinion(response: Element) -> None:
    """python3-saml's reading of the message: its status, and which elements are signed.

    All its transforms were allow-listed before, so there is nothing that libxmlsec would execute.
    """
    octets = etree.tostring(response, encoding="utf-8")
    try:
        message = OneLogin_Saml2_Response(_SETTINGS, base64.b64encode(octets))
        message.check_status()
        message.process_signed_elements()
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> Refused:
    return wrong(f"python3-saml refuses the response (its error {error.code})")


_SETTINGS = OneLogin_Saml2_Settings(
    {
        "strict": True,
        "sp": {"entityId": "urn:dicom", "assertionConsumerService": {"url": "https://dicom.invalid/"}},
        "security": {"rejectDeprecatedAlgorithm": True},
    },
    sp_validation_only=True,
)
"""What its constructor demands; nothing that is asked of it here looks at audience or URL."""
