"""Who may present an assertion."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.mechanisms.saml.issuer import (
    DS,
    HOLDER_OF_KEY,
    LASTING,
    Issuer,
    assertion,
    at,
    confirmation,
    make_issuer,
    refusal,
    validate,
    validator,
)
from useridentity.facts import Tls

RECIPIENT = "urn:dicom:ARCHIVE"
ENDS = f'NotOnOrAfter="{at(LASTING)}"'

WRONG = {
    "none": ("", "there is none"),
    "no-data": ('<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/>', "Data"),
    "no-end": (confirmation(attributes=""), "NotOnOrAfter"),
    "expired": (confirmation(attributes=f'NotOnOrAfter="{at(-61)}"'), "expired"),
    "has-a-begin": (confirmation(attributes=f'{ENDS} NotBefore="{at(-1)}"'), "NotBefore"),
    "another-address": (confirmation(attributes=f'{ENDS} Address="192.0.2.8"'), "another address"),
    "no-address": (confirmation(attributes=f'{ENDS} Address="here"'), "another address"),
    "sender-vouches": (confirmation("urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"), "sender-vouches"),
    "unknown": (confirmation("urn:x"), "not accepted"),
}


@pytest.mark.parametrize(("confirmations", "why"), WRONG.values(), ids=WRONG)
def test_an_assertion_is_refused_where_no_confirmation_holds(issuer: Issuer, confirmations: str, why: str) -> None:
    acceptor = validator(issuer)
    assert validate(acceptor, issuer.sign(assertion()))
    assert why in refusal(acceptor, issuer.sign(assertion(confirmations=confirmations))).detail


def test_one_confirmation_that_holds_is_enough(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(confirmations=confirmation("urn:x") + confirmation()))
    assert validate(validator(issuer), octets)


def test_the_address_in_a_confirmation_is_the_requestors(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(confirmations=confirmation(attributes=f'{ENDS} Address="192.0.2.7"')))
    assert validate(validator(issuer), octets)


def test_a_configured_recipient_is_compared_whole(issuer: Issuer) -> None:
    acceptor = validator(issuer, recipient=RECIPIENT)

    def sent_to(recipient: str) -> bytes:
        return issuer.sign(assertion(confirmations=confirmation(attributes=f"{ENDS} {recipient}")))

    assert validate(acceptor, sent_to(f'Recipient="{RECIPIENT}"'))
    for other in ("", f'Recipient="{RECIPIENT}2"', f'Recipient="x{RECIPIENT}"', 'Recipient=""'):
        assert "another recipient" in refusal(acceptor, sent_to(other)).detail


@pytest.fixture(scope="module")
def node(folder: Path) -> Issuer:
    """A requestor with a TLS client certificate."""
    return make_issuer(folder, "node")


def der(holder: Issuer) -> bytes:
    return holder.certificate.public_bytes(Encoding.DER)


def bound_to(holder: Issuer, attributes: str = ENDS) -> str:
    encoded = base64.encodebytes(der(holder)).decode()  # in lines, as many issuers write it
    key_info = f'<ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{encoded}</ds:X509Certificate>'
    return confirmation(HOLDER_OF_KEY, attributes, f"{key_info}</ds:X509Data></ds:KeyInfo>")


@pytest.mark.parametrize("binding", ["none", "certificate"])
def test_a_bound_assertion_is_good_with_its_client_certificate_only(
    issuer: Issuer, node: Issuer, stranger: Issuer, binding: str
) -> None:
    octets, acceptor = issuer.sign(assertion(confirmations=bound_to(node))), validator(issuer, binding=binding)
    assert validate(acceptor, octets, tls=Tls.MUTUAL, peer_certificate=der(node))
    assert "showed no" in refusal(acceptor, octets).detail
    assert "not the one" in refusal(acceptor, octets, tls=Tls.MUTUAL, peer_certificate=der(stranger)).detail


def test_a_bearer_assertion_is_refused_where_a_certificate_is_asked_for(issuer: Issuer, node: Issuer) -> None:
    octets = issuer.sign(assertion())
    known: dict[str, Any] = {"tls": Tls.MUTUAL, "peer_certificate": der(node)}
    assert validate(validator(issuer), octets, **known)
    assert "binding" in refusal(validator(issuer, binding="certificate"), octets, **known).detail


@pytest.mark.parametrize(
    ("attributes", "why"),
    [(f'NotBefore="{at(61)}"', "not valid yet"), (f'NotOnOrAfter="{at(-61)}"', "expired")],
    ids=["early", "late"],
)
def test_a_bound_assertion_has_its_time_too(issuer: Issuer, node: Issuer, attributes: str, why: str) -> None:
    known: dict[str, Any] = {"tls": Tls.MUTUAL, "peer_certificate": der(node)}
    good = bound_to(node, f'NotBefore="{at(59)}" NotOnOrAfter="{at(61)}"')
    assert validate(validator(issuer), issuer.sign(assertion(confirmations=good)), **known)
    bad = issuer.sign(assertion(confirmations=bound_to(node, attributes)))
    assert why in refusal(validator(issuer), bad, **known).detail


def test_a_certificate_that_is_none_binds_to_nobody(issuer: Issuer, node: Issuer) -> None:
    broken = bound_to(node).replace("<ds:X509Certificate>", "<ds:X509Certificate>!!!")
    known: dict[str, Any] = {"tls": Tls.MUTUAL, "peer_certificate": der(node)}
    assert validate(validator(issuer), issuer.sign(assertion(confirmations=bound_to(node))), **known)
    assert "not the one" in refusal(validator(issuer), issuer.sign(assertion(confirmations=broken)), **known).detail
