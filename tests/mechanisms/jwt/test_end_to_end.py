"""Tokens over real associations: the adapter on both sides, TLS, a policy file, and DCMTK as a stranger."""

from __future__ import annotations

import ssl
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from pynetdicom import evt

from tests.lib import dcmtk
from tests.lib.certificates import Certificates
from tests.mechanisms.jwt.issuer import AUDIENCE, ISSUER, Draft, jwk, validator, write_keys
from tests.pynetdicom.support import Acceptor, echo, requestor, serving
from useridentity import CredentialUnavailable, Identity, Policy, Rule
from useridentity.mechanisms.jwt import Jwt, JwtFile, JwtValidator
from useridentity.pynetdicom import identity_of, outcome_of
from useridentity.pynetdicom.requestor import OutcomeKind
from useridentity.tls import client_context, server_context

OTHER_ISSUER = "https://other.example.org"

POLICY = f"""
version = 1

[validator.idp]
type = "jwt"
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
jwks = "jwks.json"
reuse = "never"
groups = {{ claim = "realm_access.roles", map = {{ radiologist = "radiology" }} }}

[[authenticate]]
accept = ["idp"]
"""


@pytest.fixture
def tls(certificates: Certificates) -> ssl.SSLContext:
    """The acceptor's side; asks for a client certificate without insisting."""
    return server_context(*certificates.server, client_ca=certificates.ca, client_certificate="optional")


def associate(
    acceptor: Acceptor, token: bytes, certificates: Certificates, **tls: Any
) -> tuple[OutcomeKind, int | None]:
    """How an association with this token ended, and the status of a C-ECHO on it."""
    context = client_context(certificates.ca, **tls)
    provider = Jwt(token, peers=["localhost"])
    assoc = requestor().associate("127.0.0.1", acceptor.port, tls_args=(context, "localhost"), identity=provider)
    status = echo(assoc) if assoc.is_established else None
    if assoc.is_established:
        assoc.release()
    return outcome_of(assoc).kind, status


@pytest.mark.threat("J8")
def test_a_policy_file_lets_a_good_token_in_once_and_no_bad_one(
    tmp_path: Path, certificates: Certificates, tls: ssl.SSLContext
) -> None:
    write_keys(tmp_path, jwk())
    (tmp_path / "identity.toml").write_text(POLICY)
    seen: list[Identity | None] = []

    def on_echo(event: evt.Event) -> int:
        seen.append(identity_of(event))
        return 0x0000

    good = Draft(claims={"realm_access": {"roles": ["radiologist", "admin"]}}).token()
    with serving(Policy.load(tmp_path / "identity.toml"), tls=tls, handlers=[(evt.EVT_C_ECHO, on_echo)]) as acceptor:
        assert associate(acceptor, good, certificates) == (OutcomeKind.CONFIRMED, 0)
        assert associate(acceptor, good, certificates) == (OutcomeKind.REJECTED, None)
        for bad in (Draft(which=1, claims={"jti": "2"}), Draft(claims={"aud": "other", "jti": "3"})):
            assert associate(acceptor, bad.token(), certificates) == (OutcomeKind.REJECTED, None)
        assert associate(acceptor, Draft(claims={"jti": "4"}).token(), certificates) == (OutcomeKind.CONFIRMED, 0)
    assert [(who.subject, who.groups) for who in seen] == [
        (f"{ISSUER}#alice", {"radiology"}),
        (f"{ISSUER}#alice", frozenset()),
    ]


@pytest.mark.threat("J8")
def test_a_bound_token_serves_the_node_it_is_bound_to_and_no_other(
    tmp_path: Path, certificates: Certificates, tls: ssl.SSLContext
) -> None:
    der = load_pem_x509_certificates(certificates.client.cert.read_bytes())[0].public_bytes(Encoding.DER)
    thumbprint = urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()
    token = Draft(claims={"cnf": {"x5t#S256": thumbprint}}).token()
    thief = certificates.authority.issue("thief", "thief.example.org")
    with serving(Policy([Rule([validator(tmp_path, binding="certificate")])]), tls=tls) as acceptor:

        def with_certificate(cert: Path, key: Path) -> OutcomeKind:
            return associate(acceptor, token, certificates, cert=cert, key=key)[0]

        assert with_certificate(*certificates.client) is OutcomeKind.CONFIRMED
        assert with_certificate(*thief) is OutcomeKind.REJECTED
        assert associate(acceptor, token, certificates)[0] is OutcomeKind.REJECTED


def side_by_side(folder: Path) -> list[JwtValidator]:
    """Two issuers, who call their keys the same."""
    (folder / "other").mkdir()
    return [validator(folder), validator(folder / "other", jwk(which=1), name="other", issuer=OTHER_ISSUER)]


@pytest.mark.threat("J6")
def test_several_issuers_stand_side_by_side(tmp_path: Path, certificates: Certificates, tls: ssl.SSLContext) -> None:
    """Each token is judged by its own issuer's keys, and by no other's."""
    with serving(Policy([Rule(side_by_side(tmp_path))]), tls=tls) as acceptor:
        assert associate(acceptor, Draft().token(), certificates)[0] is OutcomeKind.CONFIRMED
        other = Draft(claims={"iss": OTHER_ISSUER}, which=1)
        assert associate(acceptor, other.token(), certificates)[0] is OutcomeKind.CONFIRMED
        other.which = 0
        assert associate(acceptor, other.token(), certificates)[0] is OutcomeKind.REJECTED


def test_a_token_is_not_sent_where_tls_is_not_verified(tmp_path: Path) -> None:
    with serving(Policy([Rule([validator(tmp_path, plaintext="allow")])])) as acceptor:
        allowed = Jwt(Draft().token(), peers=["127.0.0.1"], plaintext="allow")
        assoc = requestor().associate("127.0.0.1", acceptor.port, identity=allowed)
        assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
        assoc.release()
        with pytest.raises(CredentialUnavailable, match="stays here"):
            requestor().associate("127.0.0.1", acceptor.port, identity=Jwt(Draft().token(), peers=["127.0.0.1"]))


def test_storescu_sends_a_token_from_a_file_with_its_line_end(tmp_path: Path, ct_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(Draft().token() + b"\n")
    bad.write_bytes(Draft(which=1).token() + b"\n")
    with serving(Policy([Rule([validator(tmp_path, plaintext="allow")])])) as acceptor:
        for file, code in ((good, 0), (bad, 1)):
            done = dcmtk.run("storescu", "--jwt", file, "-rsp", "127.0.0.1", acceptor.port, ct_path)
            assert done.returncode == code, done.stderr
        assert len(acceptor.served) == 1


def test_a_token_file_of_ours_serves_both_sides(
    tmp_path: Path, certificates: Certificates, tls: ssl.SSLContext
) -> None:
    path = tmp_path / "token"
    path.write_bytes(Draft().token() + b"\n")
    provider = JwtFile(path, peers=["localhost"])
    with serving(Policy([Rule([validator(tmp_path)])]), tls=tls) as acceptor:
        context = (client_context(certificates.ca), "localhost")
        assoc = requestor().associate("127.0.0.1", acceptor.port, tls_args=context, identity=provider)
        assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
        assoc.release()
