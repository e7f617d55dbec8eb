"""Metadata over https: in the background, from a provider that may be slow, down, lying or huge."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lib.certificates import Certificates
from tests.lib.rawpeer import HANG
from tests.mechanisms.https_server import HttpsServer, response
from tests.mechanisms.saml import issuer as saml
from tests.mechanisms.saml.issuer import AUDIENCE, IDP, NOW, Issuer, assertion, refusal, validate
from tests.mechanisms.saml.test_metadata import entity, key
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.mechanisms.fetched import STALE
from useridentity.mechanisms.https import FetchFailed
from useridentity.mechanisms.saml import SamlSettings, SamlValidator
from useridentity.mechanisms.saml.metadata import IdentityProvider
from useridentity.mechanisms.saml.remote import REFRESH, RemoteMetadata

pytestmark = pytest.mark.usefixtures("patient")


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


@pytest.mark.parametrize("idle", [2 * REFRESH + 1, 23 * 3600.0, STALE + 3600.0])
@pytest.mark.threat("S13")
def test_after_long_idleness_the_first_use_waits_for_the_metadata_of_today(
    issuer: Issuer, stranger: Issuer, idle: float
) -> None:
    """So that it is not refused, and no key used that was withdrawn meanwhile."""
    provider = Provider(provider_of(issuer), provider_of(stranger))
    keys = provider.keys()
    provider.settled()
    assert keys.current(NOW) == (issuer.certificate,)
    provider.now += idle
    assert keys.current(NOW) == (stranger.certificate,)


class Unasked(RemoteMetadata):
    """Metadata that fails the test where it is asked for."""

    def current(self, now: object) -> tuple[()]:
        pytest.fail("asked for keys with nothing to verify")


OTHER = "https://other.example.org/saml"
NEEDS_NO_KEY = {
    "garbage": (lambda _: b"x", Reason.MALFORMED),
    "unsigned": (lambda _: assertion(signed_by="").encode(), Reason.CREDENTIAL_INVALID),
    "another's": (lambda other: other.sign(assertion(issuer=OTHER)), Reason.ISSUER_UNKNOWN),
    "another's response": (
        lambda other: other.sign(saml.response(assertion(issuer=OTHER), signed=True, issuer=OTHER)),
        Reason.ISSUER_UNKNOWN,
    ),
}


@pytest.mark.parametrize(("made", "reason"), NEEDS_NO_KEY.values(), ids=NEEDS_NO_KEY)
def test_keys_are_asked_for_only_where_there_is_something_to_verify(
    issuer: Issuer, stranger: Issuer, made: Callable[[Issuer], bytes], reason: Reason
) -> None:
    """A provider that is down neither delays nor excuses what is refused whatever its keys are."""
    settings, provider = SamlSettings(AUDIENCE, issuer=IDP, form="either"), Provider(provider_of(issuer))
    assert validate(SamlValidator("up", settings, provider.keys()), issuer.sign(assertion()))
    unasked = SamlValidator("down", settings, Unasked(IDP, provider.fetch))
    assert refusal(unasked, made(stranger)).reason is reason


def test_what_says_it_is_the_issuers_cannot_be_judged_while_its_metadata_is_not_there(issuer: Issuer) -> None:
    settings, octets = SamlSettings(AUDIENCE, issuer=IDP), issuer.sign(assertion())
    assert validate(SamlValidator("up", settings, Provider(provider_of(issuer)).keys()), octets)
    with pytest.raises(Unavailable, match="down"):
        validate(SamlValidator("down", settings, Provider(FetchFailed("down")).keys()), octets)


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


Publish = Callable[[str], str]


@pytest.fixture
def published(idp_server: HttpsServer) -> Publish:
    """Serves metadata at the https URL that it gives."""

    def publish(metadata: str) -> str:
        idp_server.answers["/metadata"] = response(metadata.encode())
        return f"{idp_server.url}/metadata"

    return publish


def test_metadata_comes_from_a_url(
    published: Publish, issuer: Issuer, stranger: Issuer, certificates: Certificates
) -> None:
    url = published(entity(key(issuer)))
    acceptor = SamlSettings(AUDIENCE, metadata=url, issuer=IDP, ca=certificates.ca).build()
    assert validate(acceptor, issuer.sign(assertion()))
    assert refusal(acceptor, stranger.sign(assertion()))


def test_metadata_from_a_server_that_is_not_trusted_is_not_taken(
    published: Publish, issuer: Issuer, certificates: Certificates
) -> None:
    url = published(entity(key(issuer)))
    acceptor = SamlSettings(AUDIENCE, metadata=url, issuer=IDP, ca=certificates.foreign_ca).build()
    with pytest.raises(Unavailable, match="not trusted"):
        validate(acceptor, issuer.sign(assertion()))


@pytest.mark.threat("S13")
def test_metadata_of_another_provider_is_not_taken(
    published: Publish, issuer: Issuer, certificates: Certificates
) -> None:
    url = published(entity(key(issuer), name="urn:other"))
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
