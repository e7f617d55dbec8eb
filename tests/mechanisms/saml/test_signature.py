"""By whom a document must be signed."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest
import xmlsec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.mechanisms.saml.issuer import (
    DS,
    NOW,
    Issuer,
    assertion,
    make_issuer,
    refusal,
    signature,
    validate,
    validator,
)
from useridentity.errors import ConfigurationError, Refused
from useridentity.mechanisms.saml.signature import Signer, verified
from useridentity.mechanisms.saml.structure import parse


def test_an_assertion_is_good_by_its_issuers_key_only(issuer: Issuer, stranger: Issuer) -> None:
    document = assertion()
    assert validate(validator(issuer), issuer.sign(document))
    assert "no key of the issuer" in refusal(validator(issuer), stranger.sign(document)).detail


def test_an_assertion_that_is_not_signed_is_refused(issuer: Issuer) -> None:
    unsigned = assertion(signed_by="")
    assert validate(validator(issuer), issuer.sign(assertion()))
    assert "not signed" in refusal(validator(issuer), unsigned.encode()).detail


def test_while_keys_roll_over_either_is_good(issuer: Issuer, stranger: Issuer, elliptic: Issuer) -> None:
    files = (issuer.certificate_file, stranger.certificate_file, elliptic.certificate_file)
    acceptor = validator(issuer, certificates=files)
    for signer in (issuer, stranger):
        assert validate(acceptor, signer.sign(assertion()))


@pytest.mark.threat("S4")
def test_what_a_signature_says_about_its_key_is_not_looked_at(issuer: Issuer, stranger: Issuer) -> None:
    """A certificate in the document trusts nobody, and the right one by a wrong key does not help."""
    for named in (issuer, stranger):
        encoded = base64.b64encode(named.certificate.public_bytes(Encoding.DER)).decode()
        certificate = f"<ds:X509Data><ds:X509Certificate>{encoded}</ds:X509Certificate></ds:X509Data>"
        document = assertion(signed_by=signature("ASSERTION", key_info=f"<ds:KeyInfo>{certificate}</ds:KeyInfo>"))
        assert validate(validator(issuer), issuer.sign(document))
        assert "no key of the issuer" in refusal(validator(issuer), stranger.sign(document)).detail


def test_a_key_value_in_a_signature_is_not_looked_at_either(issuer: Issuer) -> None:
    value = "<ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue>"
    octets = issuer.sign(assertion())
    known = octets.replace(
        b"</ds:SignatureValue>",
        f"</ds:SignatureValue><ds:KeyInfo><ds:KeyValue>{value}</ds:KeyValue></ds:KeyInfo>".encode(),
    )
    assert validate(validator(issuer), octets)
    assert validate(validator(issuer), known)


@pytest.mark.parametrize(
    "document",
    [
        assertion(signed_by=signature("_part")).replace("radiologist", '<part ID="_part"/>'),
        assertion(identifier="_x", signed_by="").replace("radiologist", signature("_x")),
    ],
    ids=["of a part", "in a part"],
)
def test_a_signature_that_holds_elsewhere_signs_no_assertion(issuer: Issuer, document: str) -> None:
    """The second line: `structure` lets neither pass."""
    good = parse(issuer.sign(assertion()))
    assert verified(good, [issuer.certificate], NOW).get("ID") == good.get("ID")
    with pytest.raises(Refused, match="no key of the issuer"):
        verified(parse(issuer.sign(document)), [issuer.certificate], NOW)


@pytest.mark.threat("S3")
def test_a_mac_by_the_certificate_is_refused(issuer: Issuer) -> None:
    """The key that verifies is public: who could make it a secret key could sign."""
    method = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
    root = etree.fromstring(assertion(signed_by=signature("ASSERTION", method=method)).encode())
    xmlsec.tree.add_ids(root, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_binary_data(xmlsec.constants.KeyDataHmac, issuer.certificate_file.read_bytes())
    context.sign(root.find(f"{{{DS}}}Signature"))
    assert "signature algorithm" in refusal(validator(issuer), etree.tostring(root)).detail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b">alice<", b">admin<"),
        (b"radiologist", b"admin"),
        (b"<ds:DigestValue>", b"<ds:DigestValue>A"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>A"),
        (b"rsa-sha256", b"rsa-sha512"),
        (b"rsa-sha256", b"ecdsa-sha256"),
        (b"xmlenc#sha256", b"xmlenc#sha512"),
    ],
)
def test_what_was_changed_after_it_was_signed_is_refused(issuer: Issuer, before: bytes, after: bytes) -> None:
    octets = issuer.sign(assertion())
    assert before in octets
    assert validate(validator(issuer), octets)
    assert refusal(validator(issuer), octets.replace(before, after, 1))


@pytest.mark.parametrize("element", ["SignatureValue", "DigestValue"])
@pytest.mark.parametrize("content", ["", "=", "AAAA", " "])
def test_a_value_that_is_none_is_refused(issuer: Issuer, element: str, content: str) -> None:
    root = etree.fromstring(issuer.sign(assertion()))
    root.find(f".//{{{DS}}}{element}").text = content
    assert refusal(validator(issuer), etree.tostring(root))


def test_a_certificate_that_has_expired_is_good_only_where_that_is_allowed(folder: Path) -> None:
    old = make_issuer(folder, "old", days=(-10, -1))
    octets = old.sign(assertion())
    assert validate(validator(old, expired_certificates="allow"), octets)
    assert "valid today" in refusal(validator(old), octets).detail


@pytest.mark.parametrize("options", [{"bits": 1024}, {"curve": ec.SECP256K1()}, {"curve": ec.SECP224R1()}])
def test_a_key_that_is_too_weak_is_refused_at_load(folder: Path, options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="2048"):
        validator(make_issuer(folder, "weak", **options))


def test_a_file_without_certificates_is_refused_at_load(issuer: Issuer, folder: Path) -> None:
    for path, why in ((issuer.key_file, "holds no PEM certificate"), (folder / "none.pem", "No such file")):
        with pytest.raises(ConfigurationError, match=why):
            validator(issuer, certificates=(path,))


@pytest.mark.threat("S14")
def test_no_document_reaches_the_log(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """signxml logs what it canonicalises at DEBUG, which is how an assertion would end up in a log."""
    caplog.set_level(logging.DEBUG)
    validate(validator(issuer), issuer.sign(assertion(name_id="SECRET")))
    assert "SECRET" not in caplog.text


def test_a_signer_needs_its_own_certificate(issuer: Issuer, stranger: Issuer) -> None:
    assert Signer.load(issuer.key_file, issuer.certificate_file)
    with pytest.raises(ConfigurationError, match="not the key of"):
        Signer.load(issuer.key_file, stranger.certificate_file)
    with pytest.raises(ConfigurationError, match="no unencrypted PEM private key"):
        Signer.load(issuer.certificate_file, issuer.certificate_file)


def test_a_signer_shows_no_key(issuer: Issuer) -> None:
    assert "key" not in repr(Signer.load(issuer.key_file, issuer.certificate_file)).partition("certificate")[0]
