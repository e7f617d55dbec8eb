"""Metadata over https: in the background, from a provider that may be slow, down, lying or huge."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.lib.certificates import Certificates
from tests.mechanisms.saml.issuer import AUDIENCE, IDP, NOW, Issuer, assertion, refusal, validate
from tests.mechanisms.saml.test_metadata import entity, key
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms.https import FetchFailed
from useridentity.mechanisms.saml import SamlSettings
from useridentity.mechanisms.saml.metadata import IdentityProvider
from useridentity.mechanisms.saml.remote import COOLDOWN, REFRESH, STALE, RemoteMetadata

HANG = 10.0  # seconds; ten times what the slowest step takes


class Provider:
    """A scripted fetch and a clock that is set by hand."""

    def __init__(self, *answers: IdentityProvider | Exception) -> None:
        self.answers = list(answers)
        self.now = 1000.0
        self.fetched = threading.Semaphore(0)
        self.fetches = 0

    def fetch(self) -> IdentityProvider:
        self.fetches += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.fetched.release()

    def keys(self) -> RemoteMetadata:
        return RemoteMetadata(IDP, self.fetch, lambda: self.now)

    def settled(self) -> None:
        """Wait for one fetch, and for its thread to have delivered it."""
        assert self.fetched.acquire(timeout=HANG)
        for thread in threading.enumerate():
            if thread.name == f"metadata of {IDP}":
                thread.join(HANG)


def provider_of(*holders: Issuer) -> IdentityProvider:
    return IdentityProvider(IDP, tuple(each.certificate for each in holders))


def test_the_first_fetch_begins_at_once_and_is_waited_for(issuer: Issuer) -> None:
    provider = Provider(provider_of(issuer))
    assert provider.keys().current(NOW) == (issuer.certificate,)
    assert provider.fetches == 1


def test_metadata_is_fetched_again_behind_its_use(issuer: Issuer, stranger: Issuer) -> None:
    provider = Provider(provider_of(issuer), provider_of(stranger))
    keys = provider.keys()
    provider.settled()
    provider.now += REFRESH
    assert keys.current(NOW) == (issuer.certificate,)
    provider.now += 1
    assert keys.current(NOW) == (issuer.certificate,)
    provider.settled()
    assert keys.current(NOW) == (stranger.certificate,)


@pytest.mark.parametrize("failure", [FetchFailed("down"), ConfigurationError("no metadata"), RuntimeError("SECRET")])
@pytest.mark.threat("S13")
def test_while_the_provider_is_down_the_keys_stay_for_a_day(
    issuer: Issuer, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(provider_of(issuer), failure)
    keys = provider.keys()
    provider.settled()
    provider.now += STALE
    assert keys.current(NOW) == (issuer.certificate,)
    provider.settled()
    assert IDP in caplog.text
    assert "SECRET" not in caplog.text
    provider.now += 1
    with pytest.raises(Unavailable, match="no metadata of"):
        keys.current(NOW)


def test_a_provider_that_is_down_is_not_asked_for_each_association(issuer: Issuer) -> None:
    provider = Provider(FetchFailed("down"), provider_of(issuer))
    keys = provider.keys()
    provider.settled()
    for _ in range(20):
        with pytest.raises(Unavailable, match="down"):
            keys.current(NOW)
    assert provider.fetches == 1
    provider.now += COOLDOWN
    assert keys.current(NOW) == (issuer.certificate,)


def test_one_fetch_serves_however_many_ask(issuer: Issuer) -> None:
    go, provider = threading.Event(), Provider(provider_of(issuer))
    fetches = []

    def slow() -> IdentityProvider:
        fetches.append(1)
        go.wait(HANG)
        return provider.fetch()

    keys, found = RemoteMetadata(IDP, slow, lambda: 1000.0), []
    askers = [threading.Thread(target=lambda: found.append(keys.current(NOW))) for _ in range(8)]
    for asker in askers:
        asker.start()
    go.set()
    for asker in askers:
        asker.join(HANG)
    assert (len(fetches), len(found)) == (1, 8)


Serve = Callable[[bytes], str]


@pytest.fixture
def https(certificates: Certificates) -> Iterator[Serve]:
    """Serves octets at an https URL of loopback."""
    bodies = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bodies[self.path])

        def log_message(self, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server.cert, certificates.server.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()

        def serve(body: bytes) -> str:
            bodies["/metadata"] = body
            return f"https://127.0.0.1:{server.server_address[1]}/metadata"

        yield serve
        server.shutdown()
        serving.join(HANG)


def test_metadata_comes_from_a_url(https: Serve, issuer: Issuer, stranger: Issuer, certificates: Certificates) -> None:
    url = https(entity(key(issuer)).encode())
    acceptor = SamlSettings(AUDIENCE, metadata=url, issuer=IDP, ca=certificates.ca).build()
    assert validate(acceptor, issuer.sign(assertion()))
    assert refusal(acceptor, stranger.sign(assertion()))


def test_metadata_from_a_server_that_is_not_trusted_is_not_taken(
    https: Serve, issuer: Issuer, certificates: Certificates
) -> None:
    url = https(entity(key(issuer)).encode())
    acceptor = SamlSettings(AUDIENCE, metadata=url, issuer=IDP, ca=certificates.foreign_ca).build()
    with pytest.raises(Unavailable, match="not trusted"):
        validate(acceptor, issuer.sign(assertion()))


@pytest.mark.threat("S13")
def test_metadata_of_another_provider_is_not_taken(https: Serve, issuer: Issuer, certificates: Certificates) -> None:
    url = https(entity(key(issuer), name="urn:other").encode())
    acceptor = SamlSettings(AUDIENCE, metadata=url, issuer=IDP, ca=certificates.ca).build()
    with pytest.raises(Unavailable, match="not exactly one identity provider"):
        validate(acceptor, issuer.sign(assertion()))


def test_what_is_configured_for_a_url_is_checked_at_load(issuer: Issuer, certificates: Certificates) -> None:
    url = "https://127.0.0.1:1/"
    for settings, why in (
        ({"metadata": "http://127.0.0.1:1/", "issuer": IDP}, "no https URL"),
        ({"metadata": url}, "issuer is missing"),
        ({"metadata": url, "issuer": IDP, "ca": Path("/nonexistent.pem")}, "nonexistent"),
        ({"issuer": IDP, "certificates": (issuer.certificate_file,), "ca": certificates.ca}, "ca: has no meaning"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            SamlSettings(AUDIENCE, **settings).build()
