"""One request to a server that is slow, huge, lying, redirecting, or not who it should be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.mechanisms.https_server import HANG, HttpsServer, https_server, response
from useridentity.errors import ConfigurationError
from useridentity.https import check_url
from useridentity.mechanisms import https
from useridentity.mechanisms.https import MAX_RESPONSE, FetchFailed, get_json, request
from useridentity.mechanisms.jwt.discovery import discovered
from useridentity.tls.client import ClientTls

SOON = 0.5  # seconds

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def tls(certificates: Certificates) -> ClientTls:
    """Trusts the tests' authority only."""
    return ClientTls(certificates.ca)


def test_json_is_fetched(idp_server: HttpsServer, tls: ClientTls) -> None:
    idp_server.answers["/a?b=c"] = response({"keys": []})
    assert get_json(idp_server.url + "/a?b=c", tls) == {"keys": []}
    asked = idp_server.requests[0]
    assert (asked.method, asked.headers["connection"], asked.headers["accept"]) == ("GET", "close", "application/json")


CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"a":1\r\n1\r\n}\r\n0\r\n\r\n'


@pytest.mark.parametrize(
    "answer", [CHUNKED, b'HTTP/1.0 200 OK\r\n\r\n{"a":1}', b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED]
)
def test_every_way_to_end_an_answer_is_understood(idp_server: HttpsServer, tls: ClientTls, answer: bytes) -> None:
    idp_server.answers["/"] = answer
    assert get_json(idp_server.url, tls) == {"a": 1}


BAD = [
    (response({}, "302 Found", "Location: https://localhost/"), "redirect"),
    (response({}, "308 Permanent Redirect", "Location: file:///etc/passwd"), "redirect"),
    (response({}, "500 Internal Server Error"), "status 500"),
    (response({}, "204 No Content"), "status 204"),
    (response(b"<html>"), "not JSON"),
    (response([]), "not a JSON object"),
    (response(b'{"keys": [], "keys": []}'), "twice"),
    (response(b"\xff"), "not UTF-8"),
    (b"", "BadStatusLine|RemoteDisconnected"),
    (b"SSH-2.0-x\r\n", "BadStatusLine"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "ended the connection within its answer"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n{}", "IncompleteRead"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n{}", "LineTooLong"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n{}", "HTTPException"),
    (response(b"x" * (MAX_RESPONSE + 1)), "more than"),
]


@pytest.mark.parametrize(("answer", "problem"), BAD)
def test_what_is_no_good_answer_is_told(idp_server: HttpsServer, tls: ClientTls, answer: bytes, problem: str) -> None:
    idp_server.answers["/"] = response({})
    assert get_json(idp_server.url, tls) == {}
    idp_server.answers["/"] = answer
    with pytest.raises(FetchFailed, match=problem):
        get_json(idp_server.url, tls)


@pytest.mark.parametrize("how", ["drip", "hang", "pour"])
@pytest.mark.threat("J12")
def test_a_server_that_drips_hangs_or_pours_is_left_in_time(
    idp_server: HttpsServer, tls: ClientTls, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    idp_server.answers["/"] = response({})
    assert get_json(idp_server.url, tls) == {}
    monkeypatch.setattr(https, "REQUEST_SECONDS", SOON)
    idp_server.answers["/"] = getattr(idp_server, how)
    began = time.monotonic()
    with pytest.raises(FetchFailed, match=r"timed out|more than"):
        get_json(idp_server.url, tls)
    assert time.monotonic() - began < HANG / 2


def test_only_the_pinned_authority_is_trusted(certificates: Certificates, tls: ClientTls) -> None:
    foreign = ClientTls(certificates.foreign_ca)
    with https_server(certificates.server) as server:
        server.answers["/"] = response({})
        assert get_json(server.url, tls) == {}
        for untrusting in (foreign, ClientTls(None)):
            with pytest.raises(FetchFailed, match="certificate is not trusted"):
                get_json(server.url, untrusting)
        assert len(server.requests) == 1


def test_authorities_that_are_replaced_count_at_the_next_request(
    idp_server: HttpsServer, certificates: Certificates, tmp_path: Path
) -> None:
    """Who fetches keys or metadata runs longer than a provider's authority."""
    idp_server.answers["/"] = response({})
    ca, beside = tmp_path / "ca.pem", tmp_path / "ca.new"

    def replace(content: bytes) -> None:
        beside.write_bytes(content)
        beside.replace(ca)

    replace(certificates.ca.read_bytes())
    tls = ClientTls(ca)
    assert get_json(idp_server.url, tls) == {}
    for content, problem in ((certificates.foreign_ca.read_bytes(), "not trusted"), (b"", "holds no PEM certificate")):
        replace(content)
        for _ in range(2):
            with pytest.raises(FetchFailed, match=problem):
                get_json(idp_server.url, tls)
    replace(certificates.ca.read_bytes())
    assert get_json(idp_server.url, tls) == {}


def test_the_name_in_the_certificate_counts(certificates: Certificates, tls: ClientTls) -> None:
    other = certificates.authority.issue("other", "other.example.org")
    with https_server(other) as server, pytest.raises(FetchFailed, match="not trusted: Hostname mismatch"):
        get_json(server.url, tls)


def test_nobody_there_is_told() -> None:
    with pytest.raises(FetchFailed, match="refused"):
        get_json("https://127.0.0.1:1/", ClientTls(None))


def test_a_failed_request_does_not_tell_what_was_sent(idp_server: HttpsServer, tls: ClientTls) -> None:
    idp_server.answers["/"] = b"nonsense"
    with pytest.raises(FetchFailed) as failed:
        request(idp_server.url, tls, b"client_secret=abc", {"Authorization": "Basic abc"})
    assert "abc" not in str(failed.value)
    assert idp_server.requests[0].body == b"client_secret=abc"


@pytest.mark.parametrize(
    "url",
    ["", "idp", "http://a/", "file:///etc/passwd", "https://", "https://a b/", "https://a/\r\nX: y", "https://a/#b",
     "https://u@a/", "https://a:99999/", "https://[::1/", "https://a:0/"],
)  # fmt: skip
def test_only_plain_https_urls_are_asked(url: str) -> None:
    assert check_url("https://[::1]:8443/jwks?x=y") == "https://[::1]:8443/jwks?x=y"
    with pytest.raises(ConfigurationError, match="no https URL"):
        check_url(url)
    with pytest.raises(FetchFailed):
        request(url, ClientTls(None))


def test_a_secret_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="user, a password or a fragment is no https URL") as raised:
        check_url("https://u:hush-4711@idp.example.org/jwks")
    assert "hush" not in str(raised.value)


def test_a_client_certificate_needs_a_named_authority(certificates: Certificates) -> None:
    ClientTls(certificates.ca, *certificates.client)
    with pytest.raises(ConfigurationError, match="ca: missing"):
        ClientTls(None, *certificates.client)
    for alone in ({"cert": certificates.client.cert}, {"key": certificates.client.key}):
        with pytest.raises(ConfigurationError, match="ca: missing"):
            ClientTls(None, **alone)


LIES: list[tuple[dict[str, Any], str]] = [
    ({"issuer": "https://other.example.org"}, "another issuer"),
    ({"issuer": None}, "another issuer"),
    ({"jwks_uri": "http://localhost/jwks"}, "no https URL"),
    ({"jwks_uri": "file:///etc/passwd"}, "no https URL"),
    ({"jwks_uri": ["https://localhost/"]}, "no https URL"),
    ({"jwks_uri": None}, "no https URL"),
]


@pytest.mark.parametrize(("lie", "problem"), LIES)
@pytest.mark.threat("J12")
def test_metadata_that_lie_are_not_believed(
    idp_server: HttpsServer, tls: ClientTls, lie: dict[str, Any], problem: str
) -> None:
    """OpenID Connect Discovery 4.3."""
    honest = {"issuer": idp_server.url, "jwks_uri": idp_server.url + "/jwks"}
    path = "/.well-known/openid-configuration"
    idp_server.answers[path] = response(honest)
    assert discovered(idp_server.url, "jwks_uri", tls) == idp_server.url + "/jwks"
    idp_server.answers[path] = response(honest | lie)
    with pytest.raises(FetchFailed, match=problem):
        discovered(idp_server.url, "jwks_uri", tls)
