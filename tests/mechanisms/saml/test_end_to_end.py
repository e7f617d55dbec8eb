"""Assertions over real associations: the adapter on both sides, TLS, and a policy file."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from pynetdicom import evt

from tests.lib import dcmtk
from tests.lib.certificates import Certificates
from tests.mechanisms.saml.issuer import (
    AUDIENCE,
    DS,
    HOLDER_OF_KEY,
    IDP,
    LASTING,
    ROLE,
    Issuer,
    assertion,
    at,
    attribute,
    audience,
    confirmation,
    validator,
)
from tests.mechanisms.saml.test_metadata import entity, key
from tests.pynetdicom.support import Acceptor, echo, requestor, serving
from useridentity import Identity, Policy, Rule
from useridentity.mechanisms.saml import Saml
from useridentity.pynetdicom import identity_of, outcome_of
from useridentity.pynetdicom.requestor import Outcome, OutcomeKind
from useridentity.tls import client_context, server_context

POLICY = f"""
version = 1

[validator.federation]
type = "saml"
audience = "{AUDIENCE}"
metadata = "idp.xml"
groups = {{ map = {{ radiologist = "radiology" }} }}
signing_key = "pacs.key"
signing_certificate = "pacs.pem"

[[authenticate]]
accept = ["federation"]
"""

ONCE = audience(AUDIENCE) + "<saml:OneTimeUse/>"


@pytest.fixture
def tls(certificates: Certificates) -> ssl.SSLContext:
    """The acceptor's side; asks for a client certificate without insisting."""
    return server_context(*certificates.server, client_ca=certificates.ca, client_certificate="optional")


def associate(
    acceptor: Acceptor, octets: bytes, certificates: Certificates, trusted: Path | None = None, **tls: Any
) -> tuple[Outcome, int | None]:
    """How an association with this assertion ended, and the status of a C-ECHO on it."""
    provider = Saml(octets, peers=["localhost"], acceptor=[trusted] if trusted else ())
    context = client_context(certificates.ca, **tls)
    assoc = requestor().associate("127.0.0.1", acceptor.port, tls_args=(context, "localhost"), identity=provider)
    status = echo(assoc) if assoc.is_established else None
    if assoc.is_established:
        assoc.release()
    return outcome_of(assoc), status


@pytest.mark.threat("S8")
def test_a_policy_file_lets_good_assertions_in_and_no_bad_one(
    tmp_path: Path, certificates: Certificates, tls: ssl.SSLContext, issuer: Issuer, stranger: Issuer
) -> None:
    (tmp_path / "idp.xml").write_text(entity(key(issuer)))
    (tmp_path / "pacs.key").write_bytes(stranger.key_file.read_bytes())
    (tmp_path / "pacs.pem").write_bytes(stranger.certificate_file.read_bytes())
    (tmp_path / "identity.toml").write_text(POLICY)
    seen: list[Identity | None] = []

    def on_echo(event: evt.Event) -> int:
        seen.append(identity_of(event))
        return 0x0000

    good = issuer.sign(assertion(attributes=attribute(ROLE, "radiologist", "admin")))
    once = issuer.sign(assertion(name_id="bob", restriction=ONCE))
    with serving(Policy.load(tmp_path / "identity.toml"), tls=tls, handlers=[(evt.EVT_C_ECHO, on_echo)]) as acceptor:

        def outcome(octets: bytes) -> tuple[OutcomeKind, int | None]:
            outcome, status = associate(acceptor, octets, certificates, stranger.certificate_file)
            return outcome.kind, status

        assert outcome(good) == outcome(good) == (OutcomeKind.CONFIRMED, 0)
        assert outcome(once) == (OutcomeKind.CONFIRMED, 0)
        assert outcome(once) == (OutcomeKind.REJECTED, None)
        for bad in (stranger.sign(assertion()), issuer.sign(assertion(ends=-100)), good.replace(b"alice", b"admin")):
            assert outcome(bad) == (OutcomeKind.REJECTED, None)
    assert [(who.subject, who.groups) for who in seen] == [
        (f"{IDP}#alice", {"radiology"}),
        (f"{IDP}#alice", {"radiology"}),
        (f"{IDP}#bob", frozenset({"radiology"})),
    ]


def test_the_acceptor_is_known_by_its_signature(
    certificates: Certificates, tls: ssl.SSLContext, issuer: Issuer, stranger: Issuer
) -> None:
    signed = validator(issuer, signing_key=stranger.key_file, signing_certificate=stranger.certificate_file)
    for policy, kind in ((Policy([Rule([signed])]), OutcomeKind.CONFIRMED), (None, OutcomeKind.NOT_CONFIRMED)):
        with serving(policy or Policy([Rule([validator(issuer)])]), tls=tls) as acceptor:
            octets = issuer.sign(assertion(restriction=ONCE))
            outcome, _ = associate(acceptor, octets, certificates, stranger.certificate_file)
            assert outcome.kind is kind
            if outcome.confirmation:
                assert (outcome.confirmation.acceptor, outcome.confirmation.mutual) == (AUDIENCE, True)


def test_an_acceptor_that_knows_nothing_of_saml_confirms_nothing(issuer: Issuer, stock_scp: Any) -> None:
    provider = Saml(issuer.sign(assertion()), peers=["127.0.0.1"], plaintext="allow")
    scp = stock_scp()
    assoc = requestor().associate("127.0.0.1", scp.port, identity=provider)
    assert outcome_of(assoc).kind is OutcomeKind.NOT_CONFIRMED
    assert not assoc.is_established


@pytest.mark.threat("S8")
def test_a_bound_assertion_serves_the_node_it_is_bound_to_and_no_other(
    certificates: Certificates, tls: ssl.SSLContext, issuer: Issuer
) -> None:
    der = load_pem_x509_certificates(certificates.client.cert.read_bytes())[0].public_bytes(Encoding.DER)
    holder = (
        f'<ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>{base64.b64encode(der).decode()}'
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    )
    octets = issuer.sign(assertion(confirmations=confirmation(HOLDER_OF_KEY, f'NotOnOrAfter="{at(LASTING)}"', holder)))
    thief = certificates.authority.issue("saml-thief", "thief.example.org")
    with serving(Policy([Rule([validator(issuer, binding="certificate")])]), tls=tls) as acceptor:

        def with_certificate(cert: Path, key: Path) -> OutcomeKind:
            return associate(acceptor, octets, certificates, cert=cert, key=key)[0].kind

        assert with_certificate(*certificates.client) is OutcomeKind.CONFIRMED
        assert with_certificate(*thief) is OutcomeKind.REJECTED
        assert associate(acceptor, octets, certificates)[0].kind is OutcomeKind.REJECTED


def test_dcmtk_sends_an_assertion(issuer: Issuer, tmp_path: Path, ct_path: Path) -> None:
    """`storescu --saml FILE` sends the file as it is; `-rsp` asks for the response."""
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(issuer.sign(assertion()) + b"\n")
    bad.write_bytes(issuer.sign(assertion(ends=-100)))
    with serving(Policy([Rule([validator(issuer, plaintext="allow")])])) as acceptor:

        def sent(file: Path) -> int:
            options = ("--saml", file, "-rsp", "-aec", "ARCHIVE", "127.0.0.1", acceptor.port, ct_path)
            return dcmtk.run("storescu", *options).returncode

        assert sent(good) == 0
        assert sent(bad) != 0
