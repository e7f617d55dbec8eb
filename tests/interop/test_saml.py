"""Assertions of issuers that are not ours, npm saml and pysaml2; and xmlsec1 as a second opinion on signatures."""

from __future__ import annotations

import base64
import json
import subprocess
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from tests.lib.processes import served_by
from tests.mechanisms.saml.issuer import (
    AUDIENCE,
    IDP,
    NOW,
    ROLE,
    SUBJECT_ID,
    Issuer,
    make_issuer,
    validate,
    validator,
)
from tests.mechanisms.saml.wrapping import FAMILIES
from tests.parts import NODE_FOLDER, require
from useridentity.errors import Refused
from useridentity.facts import Peer
from useridentity.mechanisms.saml import Groups, Saml
from useridentity.mechanisms.saml.signature import verified
from useridentity.mechanisms.saml.structure import parse

HANG = 30.0  # seconds; ten times what node or pysaml2 takes on a busy machine
ASSERTION_ID = "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"
RESPONSE_ID = "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response"

Issue = Callable[..., bytes]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return make_issuer(tmp_path_factory.mktemp("saml"), "idp")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return make_issuer(tmp_path_factory.mktemp("saml"), "stranger")


def now() -> dict[str, Any]:
    """The acceptor's clock, which for these issuers is the real one."""
    return {"now": datetime.now(UTC)}


@pytest.fixture(scope="module")
def npm(issuer: Issuer) -> Iterator[Issue]:
    """npm saml's assertions, with these changes of its options."""
    node = require("node")
    require("saml")
    options = {
        "issuer": IDP,
        "audiences": AUDIENCE,
        "lifetimeInSeconds": 300,
        "nameIdentifier": "alice",
        "recipient": AUDIENCE,
        "signatureAlgorithm": "rsa-sha256",
        "digestAlgorithm": "sha256",
        "attributes": {SUBJECT_ID: "Alice Archer", ROLE: ["radiologist", "admin"]},
        "cert": issuer.certificate_file.read_text(),
        "key": issuer.key_file.read_text(),
    }
    with served_by(node, str(NODE_FOLDER / "saml.js")) as process:
        assert process.stdin
        assert process.stdout

        def issue(**changes: Any) -> bytes:
            process.stdin.write(json.dumps(options | changes) + "\n")
            process.stdin.flush()
            return base64.b64decode(json.loads(process.stdout.readline())["assertion"])

        yield issue


def test_what_npm_saml_issues_is_accepted(issuer: Issuer, npm: Issue) -> None:
    acceptor = validator(issuer, recipient=AUDIENCE, groups=Groups({"radiologist": "radiology"}))
    identity = validate(acceptor, npm(), **now()).identity
    assert (identity.subject, identity.display_name) == (f"{IDP}#alice", "Alice Archer")
    assert identity.claims["role"] == ("radiologist", "admin")
    assert identity.groups == {"radiology"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"audiences": "urn:dicom:OTHER"}, "another audience"),
        ({"audiences": None}, "no AudienceRestriction"),
        ({"issuer": "urn:other"}, "another issuer"),
        ({"lifetimeInSeconds": -120}, "ended"),
        ({"lifetimeInSeconds": 86400}, "max_lifetime"),
        ({"lifetimeInSeconds": None}, "required"),
        ({"recipient": "urn:dicom:OTHER"}, "another recipient"),
        ({"signatureAlgorithm": "rsa-sha1"}, "signature algorithm"),
        ({"digestAlgorithm": "sha1"}, "digest algorithm"),
        ({"nameIdentifierFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}, "name_id_formats"),
    ],
)
def test_what_npm_saml_issues_otherwise_is_refused(
    issuer: Issuer, npm: Issue, changes: dict[str, Any], why: str
) -> None:
    acceptor = validator(issuer, recipient=AUDIENCE)
    assert validate(acceptor, npm(), **now())
    with pytest.raises(Refused, match=why):
        validate(acceptor, npm(**changes), **now())


def test_what_npm_saml_issues_by_another_key_is_refused(issuer: Issuer, stranger: Issuer, npm: Issue) -> None:
    other = {"cert": stranger.certificate_file.read_text(), "key": stranger.key_file.read_text()}
    assert validate(validator(stranger), npm(**other), **now())
    with pytest.raises(Refused, match="no key of the issuer"):
        validate(validator(issuer), npm(**other), **now())


def test_what_npm_saml_encrypts_is_refused(issuer: Issuer, npm: Issue) -> None:
    public = issuer.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    encrypted = npm(encryptionPublicKey=public, encryptionCert=issuer.certificate_file.read_text())
    assert b"EncryptedAssertion" in encrypted
    assert validate(validator(issuer), npm(), **now())
    with pytest.raises(Refused, match="not Assertion"):
        validate(validator(issuer), encrypted, **now())


@pytest.fixture(scope="module")
def pysaml2(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Issue:
    """pysaml2's identity provider: a samlp:Response, its parts signed as asked."""
    xmlsec1 = require("xmlsec1")
    require("saml2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies', while they are imported
        from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
        from saml2.config import IdPConfig
        from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
        from saml2.server import Server
        from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256
    folder = tmp_path_factory.mktemp("pysaml2")
    (folder / "sp.xml").write_text(
        '<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" '
        f'entityID="{AUDIENCE}"><md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        '<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        f'Location="{AUDIENCE}" index="1"/></md:SPSSODescriptor></md:EntityDescriptor>'
    )
    config = {
        "entityid": IDP,
        "xmlsec_binary": xmlsec1,
        "key_file": str(issuer.key_file),
        "cert_file": str(issuer.certificate_file),
        "metadata": {"local": [str(folder / "sp.xml")]},
        "service": {
            "idp": {
                "endpoints": {
                    "single_sign_on_service": [(f"{IDP}/sso", "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST")]
                },
                "policy": {
                    "default": {
                        "lifetime": {"minutes": 5},
                        "name_form": "urn:oasis:names:tc:SAML:2.0:attrname-format:uri",
                    }
                },
            }
        },
    }
    server = Server(config=IdPConfig().load(config))

    def issue(**changes: Any) -> bytes:
        options = {
            "identity": {"eduPersonAffiliation": ["radiologist"], "displayName": "Alice Archer"},
            "in_response_to": "_request",
            "destination": AUDIENCE,
            "sp_entity_id": AUDIENCE,
            "name_id": NameID(format=NAMEID_FORMAT_PERSISTENT, text="alice"),
            "authn": {"class_ref": PASSWORDPROTECTEDTRANSPORT, "authn_auth": IDP},
            "sign_assertion": True,
            "sign_response": False,
            "sign_alg": SIG_RSA_SHA256,
            "digest_alg": DIGEST_SHA256,
        }
        return str(server.create_authn_response(**(options | changes))).encode()

    return issue


AFFILIATION = "urn:oid:1.3.6.1.4.1.5923.1.1.1.1"


def bare(response: bytes) -> bytes:
    """The assertion of a response, by itself."""
    return bytes(etree.tostring(etree.fromstring(response).find("{urn:oasis:names:tc:SAML:2.0:assertion}Assertion")))


def test_what_pysaml2_issues_is_accepted_bare(issuer: Issuer, pysaml2: Issue) -> None:
    acceptor = validator(issuer, recipient=AUDIENCE, groups=Groups({"radiologist": "radiology"}, AFFILIATION))
    identity = validate(acceptor, bare(pysaml2()), **now()).identity
    assert identity.subject == f"{IDP}#alice"
    assert identity.groups == {"radiology"}
    assert str(identity.claims["authn_context"]).endswith(":PasswordProtectedTransport")


@pytest.mark.parametrize(("assertion", "response"), [(True, False), (False, True), (True, True)])
def test_what_pysaml2_issues_is_accepted_whole(issuer: Issuer, pysaml2: Issue, assertion: bool, response: bool) -> None:
    octets = pysaml2(sign_assertion=assertion, sign_response=response)
    identity = validate(validator(issuer, form="response", recipient=AUDIENCE), octets, **now()).identity
    assert identity.user_id == "alice"


def test_what_pysaml2_issues_otherwise_is_refused(issuer: Issuer, stranger: Issuer, pysaml2: Issue) -> None:
    acceptor = validator(issuer, form="response", recipient=AUDIENCE)
    octets = pysaml2()
    assert validate(acceptor, octets, **now())
    unsigned = pysaml2(sign_assertion=False, sign_response=False)
    sha1 = pysaml2(
        sign_alg="http://www.w3.org/2000/09/xmldsig#rsa-sha1", digest_alg="http://www.w3.org/2000/09/xmldsig#sha1"
    )
    for bad in (unsigned, sha1, octets.replace(b"alice", b"admin"), pysaml2(destination="urn:other")):
        with pytest.raises(Refused):
            validate(acceptor, bad, **now())
    with pytest.raises(Refused, match="no key of the issuer"):
        validate(validator(stranger, form="response"), octets, **now())


def xmlsec1_accepts(octets: bytes, certificate: Path, file: Path, *ids: str) -> bool:
    """Whether xmlsec1 verifies the first signature of the document by this certificate."""
    file.write_bytes(octets)
    command = [require("xmlsec1"), "--verify", *(ids or ASSERTION_ID), "--pubkey-cert-pem", str(certificate), str(file)]
    return subprocess.run(command, capture_output=True, timeout=HANG, check=False).returncode == 0


def test_xmlsec1_verifies_what_we_sign(issuer: Issuer, stranger: Issuer, npm: Issue, tmp_path: Path) -> None:
    """The 59H of an acceptor with a key."""
    acceptor = validator(issuer, signing_key=stranger.key_file, signing_certificate=stranger.certificate_file)
    response = validate(acceptor, npm(), answer=True, **now()).server_response
    file = tmp_path / "response.xml"
    assert response
    assert xmlsec1_accepts(response, stranger.certificate_file, file, *RESPONSE_ID)
    assert not xmlsec1_accepts(response, issuer.certificate_file, file, *RESPONSE_ID)
    assert not xmlsec1_accepts(response.replace(b"Success", b"success"), stranger.certificate_file, file, *RESPONSE_ID)


def test_xmlsec1_and_we_agree_on_signatures(issuer: Issuer, stranger: Issuer, npm: Issue, tmp_path: Path) -> None:
    """Where the document is of the allowed structure, nothing but the signature is left to disagree about."""
    octets, file = npm(), tmp_path / "assertion.xml"
    tags = [b"alice", b"<DigestValue>", b"<SignatureValue>"]
    cases = [(octets, issuer), (octets, stranger), *((octets.replace(tag, tag + b"A"), issuer) for tag in tags)]
    assert all(tag in octets for tag in tags)
    for document, holder in cases:
        try:
            verified(parse(document), [holder.certificate], NOW)
            ours = True
        except Refused:
            ours = False
        assert xmlsec1_accepts(document, holder.certificate_file, file) is ours


def test_xmlsec1_alone_would_accept_what_we_refuse(issuer: Issuer, tmp_path: Path) -> None:
    """The attacks are real: a signature that holds, found somewhere in a document that says something else."""
    fooled = 0
    for number, document in enumerate(FAMILIES["bare"](issuer)):
        if number % 30 == 0:
            fooled += xmlsec1_accepts(etree.tostring(document), issuer.certificate_file, tmp_path / "forged.xml")
    assert fooled > 0


def test_a_provider_of_ours_sends_what_npm_saml_issues(issuer: Issuer, npm: Issue) -> None:
    peer = Peer("127.0.0.1", 2762, "ARCHIVE", tls_verified=True, server_name="pacs.example.org")
    with Saml(npm, peers=["pacs.example.org"]).offer(peer) as offer:
        answered = validate(validator(issuer), offer.credential.primary_field, answer=True, **now())
        assert offer.confirm(answered.server_response).acceptor == AUDIENCE
