"""The 59H: a samlp:Response with status Success, made by the acceptor and judged by the requestor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from tests.mechanisms.saml.issuer import (
    AUDIENCE,
    LASTING,
    NOW,
    SAML,
    Issuer,
    assertion,
    at,
    audience,
    validate,
    validator,
)
from useridentity.credential import Confirmation
from useridentity.errors import NotConfirmed
from useridentity.facts import Peer
from useridentity.mechanisms.saml import Saml
from useridentity.mechanisms.saml.response import judge, make
from useridentity.mechanisms.saml.signature import Signer

SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
PEER = Peer("pacs.example.org", 2762, "ARCHIVE", tls_verified=True, server_name="pacs.example.org")
ONCE = audience(AUDIENCE) + "<saml:OneTimeUse/>"


@pytest.fixture
def signer(stranger: Issuer) -> Signer:
    """The acceptor's."""
    return Signer.load(stranger.key_file, stranger.certificate_file)


def test_a_response_answers_the_assertion_and_says_success() -> None:
    root = etree.fromstring(make("urn:dicom:ARCHIVE", "_x", NOW, None))
    assert (root.tag, root.get("Version"), root.get("InResponseTo")) == (f"{{{SAMLP}}}Response", "2.0", "_x")
    assert root.get("IssueInstant") == at(0)
    assert root.findtext(f"{{{SAML}}}Issuer") == "urn:dicom:ARCHIVE"
    assert root.find(f"{{{SAMLP}}}Status/{{{SAMLP}}}StatusCode").get("Value").endswith(":Success")


def test_no_two_responses_have_the_same_id() -> None:
    made = {etree.fromstring(make("a", "_x", NOW, None)).get("ID") for _ in range(10)}
    assert len(made) == 10


def test_a_response_is_made_only_where_it_was_asked_for_and_never_holds_the_assertion(issuer: Issuer) -> None:
    octets, acceptor = issuer.sign(assertion(identifier="_x")), validator(issuer)
    assert validate(acceptor, octets).server_response == b""
    response = validate(acceptor, octets, answer=True).server_response
    assert response is not None
    assert b"Assertion" not in response
    assert b"alice" not in response
    assert judge(response, "_x", NOW, ()).issuer == AUDIENCE


def test_the_acceptor_may_have_a_name_of_its_own(issuer: Issuer) -> None:
    acceptor = validator(issuer, entity_id="urn:pacs:1")
    response = validate(acceptor, issuer.sign(assertion(identifier="_x")), answer=True).server_response
    assert response is not None
    assert judge(response, "_x", NOW, ()).issuer == "urn:pacs:1"


def test_a_signed_response_is_good_by_the_acceptors_certificate_only(signer: Signer, issuer: Issuer) -> None:
    response = make("a", "_x", NOW, signer)
    assert judge(response, "_x", NOW, [signer.certificate]).signed
    with pytest.raises(NotConfirmed, match="no key"):
        judge(response, "_x", NOW, [issuer.certificate])
    with pytest.raises(NotConfirmed, match="no key"):
        judge(response.replace(b">a<", b">b<"), "_x", NOW, [signer.certificate])
    with pytest.raises(NotConfirmed, match="not signed"):
        judge(make("a", "_x", NOW, None), "_x", NOW, [signer.certificate])


def test_an_elliptic_key_signs_too(elliptic: Issuer) -> None:
    signer = Signer.load(elliptic.key_file, elliptic.certificate_file)
    assert judge(make("a", "_x", NOW, signer), "_x", NOW, [elliptic.certificate]).signed


def test_a_response_that_is_signed_though_nobody_asked_proves_nothing(signer: Signer) -> None:
    assert not judge(make("a", "_x", NOW, signer), "_x", NOW, ()).signed


GOOD = make("a", "_x", NOW, None)
WRONG = {
    "another-assertion": (GOOD.replace(b'"_x"', b'"_y"'), "InResponseTo"),
    "no-assertion": (GOOD.replace(b' InResponseTo="_x"', b""), "InResponseTo"),
    "old": (GOOD.replace(at(0).encode(), at(-61).encode()), "IssueInstant"),
    "of-tomorrow": (GOOD.replace(at(0).encode(), at(61).encode()), "IssueInstant"),
    "failure": (GOOD.replace(b":Success", b":AuthnFailed"), "AuthnFailed"),
    "failure-with-a-success-in-it": (
        GOOD.replace(b"status:Success", b"status:Responder").replace(
            b"/></samlp:Status>",
            b'><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:StatusCode>'
            b"</samlp:Status>",
        ),
        "Responder",
    ),
    "no-status": (GOOD.replace(b"samlp:Status>", b"samlp:Statue>"), "schemas"),
    "assertion": (assertion(signed_by="").encode(), "not Response"),
    "not-xml": (b"yes", "not XML"),
    "comment": (GOOD + b"<!-- -->", "comment"),
}


@pytest.mark.parametrize(("octets", "why"), WRONG.values(), ids=WRONG)
def test_a_response_that_says_something_else_confirms_nothing(octets: bytes, why: str) -> None:
    assert judge(GOOD, "_x", NOW, ())
    with pytest.raises(NotConfirmed, match=why):
        judge(octets, "_x", NOW, ())


def confirmed(provider: Saml, response: bytes | None) -> Confirmation:
    with provider.offer(PEER) as offer:
        return offer.confirm(response)


@pytest.mark.threat("S10")
def test_a_response_of_a_peer_that_ignored_echoed_or_emptied_it_confirms_nothing(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(identifier="_x"))
    provider = Saml(octets, peers=["pacs.example.org"])
    assert confirmed(provider, make("urn:a", "_x", datetime.now(UTC), None)).acceptor == "urn:a"
    for answer, why in ((None, "no server response"), (b"", "empty"), (octets, "sent the assertion back")):
        with pytest.raises(NotConfirmed, match=why):
            confirmed(provider, answer)


def test_only_a_signed_response_to_an_assertion_for_one_use_is_mutual(
    issuer: Issuer, stranger: Issuer, signer: Signer
) -> None:
    response = make("urn:a", "_x", datetime.now(UTC), signer)
    for restriction, acceptor, mutual in (
        (ONCE, [stranger.certificate_file], True),
        (audience(AUDIENCE), [stranger.certificate_file], False),
        (ONCE, [], False),
    ):
        octets = issuer.sign(assertion(identifier="_x", restriction=restriction))
        provider = Saml(octets, peers=["pacs.example.org"], acceptor=acceptor)
        assert confirmed(provider, response).mutual is mutual


@pytest.mark.threat("S10")
def test_an_assertion_for_one_use_that_is_sent_again_proves_nothing(
    issuer: Issuer, stranger: Issuer, signer: Signer
) -> None:
    """An impostor who heard the first answer could give it again."""
    octets = issuer.sign(assertion(identifier="_x", restriction=ONCE))
    provider = Saml(octets, peers=["pacs.example.org"], acceptor=[stranger.certificate_file])
    response = make("urn:a", "_x", datetime.now(UTC), signer)
    assert confirmed(provider, response).mutual
    assert not confirmed(provider, response).mutual


def test_both_sides_agree(issuer: Issuer, stranger: Issuer, tmp_path: Path) -> None:
    """Offer, validation and confirmation, as they meet on an association."""
    file = tmp_path / "assertion.xml"
    file.write_bytes(b"\n" + issuer.sign(assertion(restriction=ONCE)) + b"\n")
    acceptor = validator(issuer, signing_key=stranger.key_file, signing_certificate=stranger.certificate_file)
    with Saml(file, peers=["pacs.*"], acceptor=[stranger.certificate_file]).offer(PEER) as offer:
        octets = offer.credential.primary_field
        verified = validate(acceptor, octets, answer=True, now=datetime.now(UTC))
        confirmation = offer.confirm(verified.server_response)
    assert (confirmation.acceptor, confirmation.mutual) == (AUDIENCE, True)
    assert verified.once[0].key == ("saml", "https://idp.example.org/saml", verified.identity.claims["assertion_id"])
    assert verified.expires_at is not None
    assert verified.expires_at - datetime.now(UTC) < timedelta(seconds=LASTING + 61)
