"""Attacks on SAML signatures known from the literature, on fresh assertions with good algorithms.

Each forged document would make an `admin` of somebody; the same document signed by the issuer as it
stands does (`test_the_forged_assertion_lacks_nothing_but_a_signature`).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
from lxml import etree

from tests.mechanisms.saml.issuer import (
    AUDIENCE,
    DS,
    IDP,
    NOW,
    SAML,
    Issuer,
    assertion,
    refusal,
    response,
    signature,
    validate,
    validator,
)
from tests.mechanisms.saml.wrapping import FAMILIES, FORGED, forged, genuine, name_in
from useridentity.errors import Refused
from useridentity.mechanisms.saml import SamlValidator, structure
from useridentity.mechanisms.saml.signature import verified


@pytest.fixture(scope="module", params=["assertion", "response", "either"])
def acceptor(request: pytest.FixtureRequest, issuer: Issuer) -> SamlValidator:
    return validator(issuer, form=request.param)


def test_the_forged_assertion_lacks_nothing_but_a_signature(issuer: Issuer) -> None:
    assert validate(validator(issuer), issuer.sign(assertion(name_id=FORGED))).identity.user_id == FORGED
    for unsigned in (
        response(assertion(name_id=FORGED)),
        response(assertion(name_id=FORGED, signed_by=""), signed=True),
    ):
        assert validate(validator(issuer, form="response"), issuer.sign(unsigned)).identity.user_id == FORGED


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.threat("S1")
def test_no_wrapping_of_a_genuine_assertion_is_accepted(issuer: Issuer, acceptor: SamlValidator, family: str) -> None:
    for document in FAMILIES[family](issuer):
        refusal(acceptor, etree.tostring(document))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.threat("S1")
def test_no_wrapping_gets_a_forged_name_past_the_signature_alone(issuer: Issuer, family: str) -> None:
    """The second line: had `structure` let the document pass, only signed bytes would be read all the same."""
    names = []
    for document in FAMILIES[family](issuer):
        try:
            names.append(name_in(verified(document, [issuer.certificate], NOW)))
        except Refused:
            names.append(None)
    assert FORGED not in names


def differentials(issuer: Issuer) -> Iterator[tuple[str, bytes]]:
    """Documents that two readers would read in two ways."""
    octets = issuer.sign(assertion(identifier="_genuine"))
    name = b"<saml:NameID>alice</saml:NameID>"
    yield "comment", octets.replace(b">alice<", b">admin<!--@-->alice<")
    yield "comment in the digest", octets.replace(b"<ds:DigestValue>", b"<ds:DigestValue><!--AAAA-->")
    yield "comment in the signature", octets.replace(b"<ds:SignatureValue>", b"<ds:SignatureValue><!--AAAA-->")
    yield "processing instruction", octets.replace(b">alice<", b">admin<?x alice?><")
    yield "cdata", octets.replace(b">alice<", b"><![CDATA[admin]]><")
    yield "entity", b'<!DOCTYPE x [<!ENTITY n "admin">]>' + octets.replace(b">alice<", b">&n;<")
    yield "attribute default", b'<!DOCTYPE x [<!ATTLIST x ID CDATA "_genuine">]>' + octets
    yield "second name", octets.replace(name, name.replace(b"alice", b"admin") + name)
    yield "second digest", octets.replace(b"<ds:DigestValue>", b"<ds:DigestValue>AAAA</ds:DigestValue><ds:DigestValue>")
    yield "element in the digest", octets.replace(b"<ds:DigestValue>", b"<ds:DigestValue><ds:X/>")
    yield "prefix bound anew", octets.replace(b"<saml:NameID>", b'<saml:NameID xmlns:saml="urn:x">')
    yield "other namespace", octets.replace(SAML.encode(), b"urn:oasis:names:tc:SAML:1.0:assertion")
    yield "relative namespace", octets.replace(b"<saml:NameID>", b'<saml:NameID xmlns:r="relative">')
    yield "namespaced attribute", octets.replace(b"<saml:NameID>", b'<saml:NameID xmlns:r="urn:r" r:Format="x">')
    yield (
        "utf-7",
        b'<?xml version="1.0" encoding="UTF-7"?>' + octets.replace(b"<saml:NameID>", b"+ADw-saml:NameID+AD4-"),
    )
    yield "overlong utf-8", octets.replace(b">alice<", b">\xc1\xa1dmin<")


@pytest.mark.threat("S2")
def test_no_document_with_two_readings_is_accepted(issuer: Issuer) -> None:
    assert validate(validator(issuer), issuer.sign(assertion(identifier="_genuine")))
    accepted = []
    for case, octets in differentials(issuer):
        with suppress(Refused):
            validate(validator(issuer), octets)
            accepted.append(case)
    assert not accepted


@pytest.mark.threat("S5")
def test_a_signature_of_something_else_does_not_sign_an_assertion(issuer: Issuer) -> None:
    """An issuer signs other documents too: what it signs there is no assertion."""
    other = (
        '<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_x" Version="2.0" '
        f'IssueInstant="2026-01-01T00:00:00Z">{signature("_x")}'
        f"<samlp:Extensions>{assertion(name_id=FORGED, signed_by='')}</samlp:Extensions>"
        f'<saml:NameID xmlns:saml="{SAML}">alice</saml:NameID></samlp:LogoutRequest>'
    )
    for form in ("assertion", "response", "either"):
        refusal(validator(issuer, form=form), issuer.sign(other))


@pytest.mark.threat("S6")
def test_an_issuer_speaks_for_its_own_users_only(issuer: Issuer, stranger: Issuer) -> None:
    """Key confusion: two trusted issuers, and one signs in the name of the other."""
    other = "https://other.example.org"
    ours, theirs = validator(issuer), validator(stranger, issuer=other)
    assert validate(theirs, stranger.sign(assertion(issuer=other))).identity.issuer == other
    refusal(ours, stranger.sign(assertion(issuer=IDP)))
    refusal(ours, stranger.sign(assertion(issuer=other)))
    refusal(theirs, stranger.sign(assertion(issuer=IDP)))
    refusal(theirs, issuer.sign(assertion(issuer=other)))


def test_an_assertion_for_another_service_is_of_no_use_here(issuer: Issuer) -> None:
    octets = issuer.sign(assertion())
    assert validate(validator(issuer, audience=AUDIENCE), octets)
    assert "audience" in refusal(validator(issuer, audience="urn:dicom:OTHER"), octets).detail


@pytest.mark.threat("S5")
def test_a_signature_over_a_part_signs_no_assertion(issuer: Issuer) -> None:
    """A Reference to the Conditions alone (security facts 0.2): signed, and yet says nothing of the subject."""
    document = assertion(identifier="_x", name_id=FORGED, signed_by=signature("_part"))
    document = document.replace("radiologist", '<part ID="_part"/>', 1)
    assert "Reference" in refusal(validator(issuer), issuer.sign(document)).detail


def moved(document: etree._Element, chance: random.Random) -> None:
    """Move, drop, rename or replace one element, or put one of a forged assertion somewhere."""
    elements = list(document.iter())
    element, target = chance.choice(elements[1:]), chance.choice(elements)
    action = chance.randrange(5)
    if action == 0 and target not in element.iter():
        target.insert(chance.randrange(len(target) + 1), element)
    elif action == 1:
        element.getparent().remove(element)
    elif action == 2:
        element.tag = target.tag
    else:
        evil = copy.deepcopy(chance.choice(list(forged().iter())))
        if action == 3:
            target.insert(chance.randrange(len(target) + 1), evil)
        else:
            element.getparent().replace(element, evil)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.threat("S12")
def test_whatever_is_moved_about_only_what_was_signed_is_believed(issuer: Issuer, seed: int) -> None:
    chance, acceptor = random.Random(seed), validator(issuer, form="either")
    originals = [genuine(issuer), etree.fromstring(issuer.sign(response(assertion(), signed=True)))]
    believed = {validate(acceptor, etree.tostring(original)).identity.user_id for original in originals}
    for _ in range(400):
        document = copy.deepcopy(chance.choice(originals))
        for _ in range(chance.randint(1, 3)):
            moved(document, chance)
        with suppress(Refused):
            believed.add(validate(acceptor, etree.tostring(document)).identity.user_id)
    assert believed == {"alice"}


def mutant(octets: bytes, chance: random.Random) -> bytes:
    """Octets changed, cut, doubled or swapped in up to three places."""
    changed = bytearray(octets)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(changed))
        end = min(len(changed), start + chance.randint(1, 40))
        action = chance.randrange(4)
        if action == 0:
            changed[start] = chance.randrange(256)
        elif action == 1:
            del changed[start:end]
        elif action == 2:
            changed[start:start] = changed[start:end]
        else:
            changed[start:end] = chance.choice((b"<", b">", b"&#0;", b"'", b'"', b"\xff", b"xmlns", b"<!--", b"]]>"))
        changed = changed or bytearray(b"<")
    return bytes(changed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.threat("S12")
def test_whatever_bytes_come_the_answer_is_a_refusal_or_the_truth(issuer: Issuer, seed: int) -> None:
    """Fuzzing: nothing but `Refused` comes out, and never a name that was not signed."""
    chance, acceptor = random.Random(seed), validator(issuer, form="either")
    originals = [issuer.sign(assertion()), issuer.sign(response(assertion(), signed=True))]
    refused = 0
    for _ in range(500):
        try:
            assert validate(acceptor, mutant(chance.choice(originals), chance)).identity.user_id == "alice"
        except Refused:
            refused += 1
    assert refused > 400


def test_the_schema_of_assertions_takes_in_that_of_signatures(issuer: Issuer) -> None:
    """Were the schema to load without its imports, nothing of a signature would be checked by it."""
    root = etree.fromstring(issuer.sign(assertion()))
    root.find(f".//{{{DS}}}SignatureValue").set("Vorsion", "1")
    with pytest.raises(Refused, match="schemas"):
        structure.check(root, roots=(f"{{{SAML}}}Assertion",))
