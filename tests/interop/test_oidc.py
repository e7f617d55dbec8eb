"""npm oidc-provider as the issuer: tokens it issues, keys it publishes, and what it binds, over https."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.lib.certificates import Certificates
from tests.lib.processes import served_by
from tests.mechanisms.jwt.issuer import judge
from tests.parts import NODE_FOLDER, require
from tests.pynetdicom.support import echo, requestor, serving
from useridentity import CredentialUnavailable, Kind, Peer, Policy, Refused, Rule, Tls, Unavailable, Verified
from useridentity.mechanisms import fetched
from useridentity.mechanisms.jwt import Groups, JwtSettings, JwtValidator, OidcClientCredentials, OidcTokenExchange
from useridentity.pynetdicom import outcome_of
from useridentity.pynetdicom.requestor import OutcomeKind
from useridentity.settings import Runtime
from useridentity.tls import client_context, server_context

AUDIENCE = "urn:dicom:ARCHIVE"
SECRET = "s3cret +/:%"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
HANG = 30.0  # seconds; ten times what node takes to start on a busy machine
PEER = Peer("127.0.0.1", 2762, "ARCHIVE", tls_verified=True, server_name="localhost")


def private_jwk(algorithm: str, kid: str) -> dict[str, Any]:
    """A fresh private key, as oidc-provider wants it."""
    if algorithm in ("RS256", "PS256"):
        key = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True)
    elif algorithm == "ES256":
        key = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    else:
        key = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
    key.pop("key_ops", None)
    return {**key, "kid": kid, "alg": algorithm, "use": "sig"}


@dataclass
class Idp:
    """A running oidc-provider. `subject_token` is alice's, as the client "web" has it."""

    process: subprocess.Popen[str]
    certificates: Certificates
    issuer: str = ""
    subject_token: str = ""

    def start(self, algorithm: str, *keys: dict[str, Any]) -> None:
        """Start, or start again at the same address, with these keys; the first of the algorithm signs."""
        config = {
            "cert": self.certificates.server.cert.read_text(),
            "key": self.certificates.server.key.read_text(),
            "clientCa": self.certificates.ca.read_text(),
            "jwks": {"keys": keys},
            "alg": algorithm,
            "secret": SECRET,
        }
        assert self.process.stdin
        self.process.stdin.write(json.dumps(config) + "\n")
        self.process.stdin.flush()
        answer = json.loads(_line(self.process.stdout))
        self.issuer, self.subject_token = answer["issuer"], answer["subjectToken"]

    def arguments(self, **more: Any) -> dict[str, Any]:
        """What each of our providers is told."""
        web = {"client_id": "web", "client_secret": SECRET, "resource": AUDIENCE}
        return {"issuer": self.issuer, "ca": self.certificates.ca, "peers": ["localhost"]} | web | more

    def validator(self, algorithm: str, **settings: Any) -> JwtValidator:
        """Discovers the keys of this provider."""
        chosen: dict[str, Any] = {"algorithms": (algorithm,), "ca": self.certificates.ca} | settings
        return JwtSettings(self.issuer, AUDIENCE, **chosen).build(Runtime("idp", Path()))


def _line(output: IO[str] | None) -> str:
    assert output
    assert select.select([output], [], [], HANG)[0], "node hangs"
    return output.readline()


@contextmanager
def running(certificates: Certificates) -> Iterator[Idp]:
    node = require("node")
    require("oidc-provider")
    with served_by(node, str(NODE_FOLDER / "oidc.mjs"), stderr=subprocess.DEVNULL) as process:
        yield Idp(process, certificates)


@pytest.fixture(scope="module")
def idp(certificates: Certificates) -> Iterator[Idp]:
    """One process for all tests here; each starts the provider in it as it needs it."""
    with running(certificates) as started:
        yield started


def obtained(provider: Any) -> bytes:
    with provider.offer(PEER) as offer:
        token: bytes = offer.credential.primary_field
        return token


@pytest.fixture
def no_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may be fetched again at once; what the cooldown is for is tested in the mechanism."""
    monkeypatch.setattr(fetched, "COOLDOWN", 0.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_for_a_client_is_obtained_and_verified(idp: Idp, algorithm: str) -> None:
    idp.start(algorithm, private_jwk(algorithm, "k1"))
    groups = Groups("roles", {"modality": "modalities"})
    verified = judge(idp.validator(algorithm, groups=groups), obtained(OidcClientCredentials(**idp.arguments())))
    assert verified.identity.subject == f"{idp.issuer}#web"
    assert verified.identity.kind is Kind.SERVICE
    assert verified.identity.groups == {"modalities"}


def test_a_token_of_the_same_issuer_for_another_audience_is_refused(idp: Idp) -> None:
    idp.start("RS256", private_jwk("RS256", "k1"))
    validator = idp.validator("RS256")
    judge(validator, obtained(OidcClientCredentials(**idp.arguments())))
    elsewhere = obtained(OidcClientCredentials(**idp.arguments(resource="urn:dicom:OTHER")))
    with pytest.raises(Refused, match="urn:dicom:OTHER"):
        judge(validator, elsewhere)


def test_a_users_token_is_exchanged_for_one_that_names_user_and_application(idp: Idp) -> None:
    idp.start("ES256", private_jwk("ES256", "k1"))
    provider = OidcTokenExchange(**idp.arguments(), subject_token=lambda: idp.subject_token)
    verified = judge(idp.validator("ES256"), obtained(provider))
    assert (verified.identity.user_id, verified.identity.kind) == ("alice", Kind.PERSON)
    assert verified.identity.actor
    assert verified.identity.actor.user_id == "web"


@pytest.mark.usefixtures("no_cooldown")
def test_a_rotated_key_is_accepted_and_the_one_of_before_while_it_is_published(idp: Idp) -> None:
    first, second, third = (private_jwk("ES256", f"k{i}") for i in (1, 2, 3))
    idp.start("ES256", first)
    validator = idp.validator("ES256")
    provider = OidcClientCredentials(**idp.arguments(reuse="never"))
    old = obtained(provider)
    judge(validator, old)
    idp.start("ES256", second, first)
    judge(validator, obtained(provider))
    judge(validator, old)
    idp.start("ES256", third)
    judge(validator, obtained(provider))
    with pytest.raises(Refused, match="does not have"):
        judge(validator, old)


def test_a_wrong_secret_gets_no_token_and_is_not_repeated(idp: Idp) -> None:
    idp.start("ES256", private_jwk("ES256", "k1"))
    obtained(OidcClientCredentials(**idp.arguments()))
    with pytest.raises(CredentialUnavailable, match="invalid_client") as error:
        obtained(OidcClientCredentials(**idp.arguments(client_secret="wr0ng")))
    assert "wr0ng" not in str(error.value)
    with pytest.raises(CredentialUnavailable, match="invalid_request"):
        obtained(OidcTokenExchange(**idp.arguments(), subject_token="n0body"))


def test_a_token_is_bound_to_the_certificate_it_was_fetched_with(idp: Idp, certificates: Certificates) -> None:
    idp.start("RS256", private_jwk("RS256", "k1"))
    validator = idp.validator("RS256", binding="certificate")
    cert, key = certificates.client
    bound = OidcClientCredentials(**idp.arguments(client_id="ct1", client_secret=None, cert=cert, key=key))
    token = obtained(bound)
    der = load_pem_x509_certificates(cert.read_bytes())[0].public_bytes(Encoding.DER)

    def verdict(token: bytes, certificate: bytes) -> Verified:
        return judge(validator, token, Tls.MUTUAL, certificate)

    assert verdict(token, der).identity.user_id == "ct1"
    with pytest.raises(Refused, match="another TLS client certificate"):
        verdict(token, b"another")
    with pytest.raises(Refused, match="bound to no"):
        verdict(obtained(OidcClientCredentials(**idp.arguments())), der)


def test_a_provider_that_is_down_is_survived(certificates: Certificates, no_cooldown: None) -> None:
    with running(certificates) as idp:
        idp.start("ES256", private_jwk("ES256", "k1"))
        validator, provider = idp.validator("ES256"), OidcClientCredentials(**idp.arguments())
        fresh = idp.validator("ES256")
        token = obtained(provider)
        judge(validator, token)
    judge(validator, token)
    assert obtained(provider) == token
    with pytest.raises(Unavailable, match="no keys of"):
        judge(fresh, token)


@pytest.mark.parametrize("make", [OidcClientCredentials, OidcTokenExchange])
def test_an_association_from_the_provider_to_the_handler(
    idp: Idp, certificates: Certificates, make: Callable[..., Any]
) -> None:
    """The whole way: token obtained, shown over TLS, keys discovered, association confirmed, C-ECHO answered."""
    idp.start("PS256", private_jwk("PS256", "k1"))
    more = {"subject_token": idp.subject_token} if make is OidcTokenExchange else {}
    provider = make(**idp.arguments(**more))
    tls = (client_context(certificates.ca), "localhost")
    policy = Policy([Rule([idp.validator("PS256")])])
    with serving(policy, tls=server_context(*certificates.server)) as acceptor:
        assoc = requestor().associate("127.0.0.1", acceptor.port, tls_args=tls, identity=provider)
        assert outcome_of(assoc).kind is OutcomeKind.CONFIRMED
        assert echo(assoc) == 0
        assoc.release()
