"""Keys over https: fresh, stale, rotated, unknown; and an issuer that stalls, fails, lies or is flooded for."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import pytest

from tests.lib.certificates import Certificates
from tests.lib.rawpeer import HANG
from tests.lib.threads import until
from tests.mechanisms.builders import context
from tests.mechanisms.https_server import HttpsServer, response
from tests.mechanisms.jwt.issuer import AUDIENCE, ISSUER, Draft, judge, jwk
from useridentity.errors import Refused, Unavailable
from useridentity.mechanisms import fetched
from useridentity.mechanisms.fetched import COOLDOWN, MAX_WAITING
from useridentity.mechanisms.jwt import JwtSettings, JwtValidator
from useridentity.mechanisms.jwt.keys import KeySet, read_key_set
from useridentity.mechanisms.jwt.remote_keys import FORGET_UNKNOWN, MAX_UNKNOWN, REFRESH, RemoteKeys
from useridentity.settings import Runtime

pytestmark = pytest.mark.usefixtures("patient")


class Issuer:
    """Publishes `kids`; counts fetches; waits when told to. Its clock moves when told to."""

    def __init__(self, *kids: str) -> None:
        self.kids = list(kids)
        self.now = 1_000_000.0
        self.fetches = 0
        self.go = threading.Event()
        self.go.set()
        self.keys = RemoteKeys(ISSUER, self._fetch, lambda: self.now)

    def _fetch(self) -> KeySet:
        self.fetches += 1
        kids = list(self.kids)
        assert self.go.wait(HANG)
        return read_key_set(json.dumps({"keys": [jwk("ES256", kid) for kid in kids]}).encode())[0]

    def find(self, kid: str | None) -> str | None:
        return self.keys.key(kid, "ES256", context()).kid

    def settle(self) -> None:
        """Wait for a fetch in the background."""
        until(lambda: f"keys of {ISSUER}" not in [thread.name for thread in threading.enumerate()])


def test_keys_are_refreshed_behind_their_use() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.kids = ["k2"]
    issuer.now += REFRESH + 1
    issuer.go.clear()
    assert issuer.find("k1") == "k1", "the old keys serve while the new ones come"
    issuer.go.set()
    issuer.settle()
    assert issuer.fetches == 2
    assert issuer.find("k2") == "k2"
    with pytest.raises(Refused):
        issuer.find("k1")


def test_a_key_taken_back_while_nobody_asked_is_not_used_when_somebody_does() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.kids = ["k2"]
    issuer.now += 2 * REFRESH + 1
    with pytest.raises(Refused, match="does not have"):
        issuer.find("k1")


def _outcome(issuer: Issuer, kid: str) -> type[Exception] | str | None:
    try:
        return issuer.find(kid)
    except (Refused, Unavailable) as error:
        return type(error)


def test_a_key_rotated_in_is_accepted_at_its_first_use() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.kids = ["k1", "k2"]
    issuer.now += COOLDOWN
    assert issuer.find("k2") == "k2"
    assert issuer.fetches == 2


def test_a_key_rotated_in_a_moment_after_a_fetch_is_accepted_after_the_cooldown() -> None:
    """And until then it is "try again", not "wrong"."""
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.kids = ["k1", "k2"]
    issuer.now += 0.1
    assert _outcome(issuer, "k2") is Unavailable
    issuer.now += COOLDOWN
    assert issuer.find("k2") == "k2"


@pytest.mark.threat("J11")
def test_invented_kids_cost_the_issuer_one_fetch_in_a_cooldown() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    for second in range(60):
        issuer.now += 1
        for each in range(100):
            assert _outcome(issuer, f"x{second}-{each}") in (Refused, Unavailable)
        assert issuer.find("k1") == "k1"
    assert issuer.fetches <= 1 + 60 / COOLDOWN


def test_a_kid_that_the_issuer_does_not_have_is_refused_without_asking_again() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.now += COOLDOWN
    assert [_outcome(issuer, "x") for _ in range(3)] == [Refused] * 3
    issuer.now += FORGET_UNKNOWN
    assert [_outcome(issuer, "x") for _ in range(3)] == [Refused] * 3
    assert issuer.fetches == 2
    issuer.now += 1
    issuer.kids = ["k1", "x"]
    assert issuer.find("x") == "x", "it is forgotten in time"


def test_a_kid_that_was_unknown_is_known_as_soon_as_any_fetch_brings_it() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.now += COOLDOWN
    assert _outcome(issuer, "k2") is Refused
    issuer.kids = ["k1", "k2"]
    issuer.now += COOLDOWN
    assert _outcome(issuer, "another") is Refused
    assert issuer.find("k2") == "k2"


def test_unknown_kids_take_bounded_memory() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    for each in range(MAX_UNKNOWN + 50):
        issuer.now += COOLDOWN
        _outcome(issuer, f"x{each}")
    assert len(issuer.keys._unknown) == MAX_UNKNOWN


def test_a_token_without_kid_makes_nobody_ask() -> None:
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.now += COOLDOWN
    assert issuer.find(None) == "k1"
    assert issuer.fetches == 1


@pytest.mark.threat("J11")
def test_known_keys_are_had_while_the_issuer_stalls() -> None:
    """Tokens with invented kids wait, those with known ones pass."""
    issuer = Issuer("k1")
    issuer.find("k1")
    issuer.now += COOLDOWN
    issuer.go.clear()
    waiting = [threading.Thread(target=_outcome, args=(issuer, f"x{i}")) for i in range(MAX_WAITING)]
    for thread in waiting:
        thread.start()
    until(lambda: issuer.keys._fetched._waiting == MAX_WAITING)
    assert issuer.find("k1") == "k1"
    assert _outcome(issuer, "x") is Unavailable
    issuer.go.set()
    for thread in waiting:
        thread.join(HANG)


# Over https, from discovery to verdict.


@pytest.fixture
def idp(idp_server: HttpsServer, certificates: Certificates) -> JwtValidator:
    """Discovers the keys of `idp_server`."""
    idp_server.publish(jwk())
    settings = JwtSettings(idp_server.url, AUDIENCE, ca=certificates.ca)
    return settings.build(Runtime("idp", Path()))


def test_keys_are_discovered_and_a_rotated_key_accepted(
    idp: JwtValidator, idp_server: HttpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Draft(claims={"iss": idp_server.url})
    new = Draft(header={"kid": "k2"}, claims={"iss": idp_server.url}, which=1)
    assert judge(idp, old.token()).identity.user_id == "alice"
    monkeypatch.setattr(fetched, "COOLDOWN", 0.0)
    idp_server.publish(jwk(), jwk(kid="k2", which=1))
    assert judge(idp, new.token()).identity.user_id == "alice"
    assert idp_server.asked("/jwks") == 2


def test_a_jwks_url_is_asked_directly(idp_server: HttpsServer, certificates: Certificates) -> None:
    idp_server.answers["/keys"] = response({"keys": [jwk()]})
    settings = JwtSettings(ISSUER, AUDIENCE, jwks=idp_server.url + "/keys", ca=certificates.ca)
    judge(settings.build(Runtime("idp", Path())), Draft().token())
    assert [request.path for request in idp_server.requests] == ["/keys"]


BAD_SETS = [
    (response({"keys": []}), "no key that verifies"),
    (response({"keys": [{"kty": "oct", "k": "AA", "kid": "k1"}]}), "no key that verifies"),
    (response({}), "should be a JWK Set"),
    (response(b'{"keys": []} '), "no key that verifies"),
    (response({}, "302 Found", "Location: https://localhost/"), "redirect"),
]


@pytest.mark.parametrize(("answer", "problem"), BAD_SETS)
def test_a_key_set_that_cannot_be_used_leaves_the_keys_of_before(
    idp: JwtValidator, idp_server: HttpsServer, monkeypatch: pytest.MonkeyPatch, answer: bytes, problem: str
) -> None:
    monkeypatch.setattr(fetched, "COOLDOWN", 0.0)
    token = Draft(claims={"iss": idp_server.url})
    judge(idp, token.token())
    idp_server.answers["/jwks"] = answer
    unknown = Draft(header={"kid": "k2"}, claims={"iss": idp_server.url}, which=1)
    with pytest.raises(Unavailable, match=problem):
        judge(idp, unknown.token())
    judge(idp, token.token())


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_an_issuer_that_stalls_costs_an_association_little(
    idp: JwtValidator, idp_server: HttpsServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(fetched, "COOLDOWN", 0.0)
    known = Draft(claims={"iss": idp_server.url}).token()
    judge(idp, known)
    monkeypatch.setattr(fetched, "MAX_WAIT", 0.1)
    idp_server.answers["/jwks"] = getattr(idp_server, how)
    unknown = Draft(header={"kid": "k2"}, claims={"iss": idp_server.url}).token()
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(Unavailable):
            judge(idp, unknown)
        judge(idp, known)
    assert time.monotonic() - began < 3  # ten times three waits
    idp_server.stop.set()


def test_tokens_of_other_issuers_make_nobody_ask(idp: JwtValidator, idp_server: HttpsServer) -> None:
    with pytest.raises(Refused, match="of the issuer"):
        judge(idp, Draft().token())
    assert idp_server.requests == []
    assert context().remaining() > 0


def test_what_is_wrong_in_a_key_set_is_logged(
    idp: JwtValidator, idp_server: HttpsServer, caplog: pytest.LogCaptureFixture
) -> None:
    idp_server.publish(jwk(), jwk("ES256", "bad", alg="RS256"))
    with caplog.at_level(logging.WARNING, "useridentity.jwt"):
        judge(idp, Draft(claims={"iss": idp_server.url}).token())
    assert "does not use" in caplog.text
