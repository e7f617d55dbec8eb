"""Tokens from an OpenID provider: what it is asked, and what of its answers is believed."""

from __future__ import annotations

import threading
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.lib.certificates import Certificates
from tests.mechanisms.https_server import HttpsServer, response
from tests.mechanisms.jwt.test_requestor import peer, sent
from useridentity.errors import ConfigurationError, CredentialUnavailable
from useridentity.mechanisms.jwt import OidcClientCredentials, OidcTokenExchange
from useridentity.mechanisms.jwt.oidc import TOKEN_EXCHANGE

ISSUED = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 300}

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture(autouse=True)
def _publish(idp_server: HttpsServer) -> None:
    idp_server.publish()
    idp_server.answers["/token"] = response(ISSUED)


@pytest.fixture
def arguments(idp_server: HttpsServer, certificates: Certificates) -> dict[str, Any]:
    """What every provider of these tests has."""
    return {
        "issuer": idp_server.url,
        "client_id": "web:1",
        "client_secret": "s3cret +ü",
        "ca": certificates.ca,
        "peers": ["*"],
    }


def form(server: HttpsServer, index: int = -1) -> dict[str, str]:
    posts = [request for request in server.requests if request.method == "POST"]
    return {name: values[0] for name, values in parse_qs(posts[index].body.decode(), strict_parsing=True).items()}


def test_client_credentials_are_asked_for_as_rfc_6749_says(idp_server: HttpsServer, arguments: dict[str, Any]) -> None:
    assert sent(OidcClientCredentials(**arguments, scope="dicom.store", resource="urn:x")) == b"a.b.c"
    assert form(idp_server) == {"grant_type": "client_credentials", "scope": "dicom.store", "resource": "urn:x"}
    authorization = idp_server.requests[-1].headers["authorization"]
    assert b64decode(authorization.removeprefix("Basic ")) == b"web%3A1:s3cret+%2B%C3%BC"


def test_a_token_exchange_is_asked_for_as_rfc_8693_says(idp_server: HttpsServer, arguments: dict[str, Any]) -> None:
    sent(OidcTokenExchange(**arguments, subject_token=lambda: b"user.token.x", audience="dicom:ARCHIVE"))
    assert form(idp_server) == {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": "user.token.x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "dicom:ARCHIVE",
    }


def test_one_provider_serves_all_users_and_mixes_none(idp_server: HttpsServer, arguments: dict[str, Any]) -> None:
    user = "alice"
    provider = OidcTokenExchange(**arguments, subject_token=lambda: user)
    idp_server.answers["/token"] = lambda request, client: client.sendall(
        response({**ISSUED, "access_token": f"{parse_qs(request.body.decode())['subject_token'][0]}.b.c"})
    )
    assert sent(provider) == b"alice.b.c"
    user = "bob"
    assert sent(provider) == b"bob.b.c"
    user = "alice"
    assert sent(provider) == b"alice.b.c"
    assert idp_server.asked("/token") == 2


def test_parameters_may_depend_on_the_peer_and_tokens_are_kept_for_each(
    idp_server: HttpsServer, arguments: dict[str, Any]
) -> None:
    provider = OidcClientCredentials(**arguments, resource=lambda peer: f"urn:dicom:{peer.server_name}")
    for name in ("a", "b", "a"):
        sent(provider, peer(name))
    assert idp_server.asked("/token") == 2
    assert [form(idp_server, index)["resource"] for index in (0, 1)] == ["urn:dicom:a", "urn:dicom:b"]


def test_a_token_is_kept_or_fetched_for_each_association(idp_server: HttpsServer, arguments: dict[str, Any]) -> None:
    provider = OidcClientCredentials(**arguments)
    sent(provider), sent(provider)
    assert idp_server.asked("/token") == 1
    fresh = OidcClientCredentials(**arguments, reuse="never")
    sent(fresh), sent(fresh)
    assert idp_server.asked("/token") == 3


@pytest.mark.parametrize("seconds", [None, 0, -1, "300", True, 1e9, 10**9])
def test_a_token_without_a_sound_lifetime_is_used_once(
    idp_server: HttpsServer, arguments: dict[str, Any], seconds: object
) -> None:
    idp_server.answers["/token"] = response({**ISSUED, "expires_in": seconds})
    provider = OidcClientCredentials(**arguments)
    sent(provider), sent(provider)
    assert idp_server.asked("/token") == 2


def test_many_threads_fetch_one_token(idp_server: HttpsServer, arguments: dict[str, Any]) -> None:
    provider = OidcClientCredentials(**arguments)
    tokens: list[bytes] = []
    threads = [threading.Thread(target=lambda: tokens.append(sent(provider))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert tokens == [b"a.b.c"] * 8
    assert idp_server.asked("/token") == 1


BAD = [
    (
        response({"error": "invalid_client", "error_description": "s3cret"}, "401 Unauthorized"),
        "no token: invalid_client",
    ),
    (response({"error": "invalid_grant"}), "invalid_grant"),
    (response({"error": {"a": 1}}, "400 Bad Request"), "no token"),
    (response({}, "400 Bad Request"), "no token"),
    (response(b"<html>", "502 Bad Gateway"), "status 502, not JSON"),
    (response(ISSUED, "302 Found", "Location: https://localhost/"), "redirect"),
    (response({**ISSUED, "access_token": "opaque"}), "no JWT"),
    (response({**ISSUED, "access_token": None}), "NoneType"),
    (response({**ISSUED, "access_token": "a.b.c\r\n"}), "no JWT"),
    (response({**ISSUED, "token_type": "DPoP"}), "no bearer token"),
    (response({**ISSUED, "token_type": None}), "no bearer token"),
    (response({**ISSUED, "issued_token_type": "urn:ietf:params:oauth:token-type:saml2"}), "another type"),
    (b"", "Disconnected|BadStatusLine"),
]


@pytest.mark.parametrize(("answer", "problem"), BAD)
@pytest.mark.threat("J13")
def test_an_answer_that_is_no_token_is_not_sent(
    idp_server: HttpsServer, arguments: dict[str, Any], answer: bytes, problem: str
) -> None:
    sent(OidcClientCredentials(**arguments))
    idp_server.answers["/token"] = answer
    with pytest.raises(CredentialUnavailable, match=problem) as error:
        sent(OidcClientCredentials(**arguments))
    assert "s3cret" not in str(error.value)


def test_an_answer_of_another_issuer_is_not_asked_for_tokens(
    idp_server: HttpsServer, arguments: dict[str, Any]
) -> None:
    idp_server.answers["/.well-known/openid-configuration"] = response({"issuer": "https://evil.example.org"})
    with pytest.raises(CredentialUnavailable, match="another issuer"):
        sent(OidcClientCredentials(**arguments))
    assert idp_server.asked("/token") == 0


def test_nobody_is_asked_for_a_token_that_may_not_be_shown(idp_server: HttpsServer, arguments: dict[str, Any]) -> None:
    provider = OidcClientCredentials(**arguments | {"peers": ["pacs.example.org"]})
    sent(provider)
    asked = len(idp_server.requests)
    for other in (peer("evil.example.org"), peer(tls_verified=False)):
        with pytest.raises(CredentialUnavailable, match="stays here"):
            provider.offer(other)
    assert len(idp_server.requests) == asked


def test_a_client_may_be_known_by_its_certificate(
    idp_server: HttpsServer, arguments: dict[str, Any], certificates: Certificates
) -> None:
    cert, key = certificates.client
    sent(OidcClientCredentials(**arguments | {"client_secret": None}, cert=cert, key=key))
    assert form(idp_server) == {"grant_type": "client_credentials", "client_id": "web:1"}
    assert "authorization" not in idp_server.requests[-1].headers


@pytest.mark.parametrize("token", ["", None, 1])
def test_without_a_users_token_there_is_nothing_to_exchange(arguments: dict[str, Any], token: Any) -> None:
    sent(OidcTokenExchange(**arguments, subject_token=lambda: "user.token.x"))
    with pytest.raises(CredentialUnavailable, match="subject_token is"):
        OidcTokenExchange(**arguments, subject_token=lambda: token).offer(peer())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"issuer": "http://localhost"}, "no https URL"),
        ({"client_secret": None}, "client_secret: missing"),
        ({"client_secret": 5}, "client_secret is a int"),
        ({"reuse": "always"}, "reuse"),
        ({"ca": "nowhere.pem"}, "nowhere.pem"),
        ({"peers": []}, "peers"),
        ({"plaintext": "no"}, "plaintext"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any], wrong: dict[str, Any], problem: str) -> None:
    OidcClientCredentials(**arguments)
    with pytest.raises(ConfigurationError, match=problem):
        OidcClientCredentials(**arguments | wrong)


def test_secrets_have_no_repr(arguments: dict[str, Any]) -> None:
    provider = OidcTokenExchange(**arguments, subject_token="user.token.x")
    assert "s3cret" not in repr(provider)
    assert "user.token.x" not in repr(provider)


def test_a_secret_may_be_a_callable_and_its_failure_is_told(arguments: dict[str, Any]) -> None:
    sent(OidcClientCredentials(**arguments | {"client_secret": lambda: b"s3cret"}))
    with pytest.raises(CredentialUnavailable, match="raised ZeroDivisionError"):
        sent(OidcClientCredentials(**arguments | {"client_secret": lambda: 1 / 0}))
    with pytest.raises(CredentialUnavailable, match="client_secret is a NoneType"):
        sent(OidcClientCredentials(**arguments | {"client_secret": lambda: None}))
