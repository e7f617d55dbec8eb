"""What a token must be: each defect is put into one that is accepted without it."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.mechanisms.builders import context, credential, facts
from tests.mechanisms.jwt.issuer import (
    ALGORITHMS,
    AUDIENCE,
    ISSUER,
    Draft,
    Spoil,
    encoded,
    judge,
    jwk,
    private_key,
    refusal,
    signed,
    validator,
)
from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.facts import Tls
from useridentity.mechanisms.jwt import JwtValidator
from useridentity.mechanisms.jwt.claims import SKEW
from useridentity.validator import Validator

NOW = int(time.time())  # when the tests were collected; they may run much later
DAY = 86400


def now() -> int:
    return int(time.time())


def header(**members: Any) -> Spoil:
    return lambda draft: draft.header.update(members)


def claims(**members: Any) -> Spoil:
    return lambda draft: draft.claims.update(members)


def without(name: str) -> Spoil:
    return lambda draft: draft.without(name)


def texts(header_text: str | None = None, payload_text: str | None = None) -> Spoil:
    """Replaces `%` in a text by what the draft has there, without its braces."""

    def spoil(draft: Draft) -> None:
        if header_text:
            draft.header_text = header_text.replace("%", json.dumps(draft.header)[1:-1])
        if payload_text:
            draft.payload_text = payload_text.replace("%", json.dumps(draft.claims)[1:-1])

    return spoil


DEFECTS = [
    # RFC 8725 3.1: the algorithm.
    (header(alg="none"), 'alg "none"'),
    (header(alg="nOnE"), 'alg "nOnE"'),
    (header(alg="HS256"), 'alg "HS256"'),
    (header(alg="RS384"), 'alg "RS384"'),
    (header(alg="PS256"), "is not for PS256"),
    (header(alg="ES256"), "is not for ES256"),
    (header(alg=["RS256"]), "alg"),
    (header(alg=None), "alg null"),
    (without("alg"), "alg null"),
    # RFC 8725 3.11, RFC 9068 4: the type.
    (header(typ="JWT"), 'typ "JWT"'),
    (header(typ="absent"), 'typ "absent"'),
    (header(typ=["at+jwt"]), "typ"),
    (without("typ"), "typ null"),
    # RFC 7515 4.1.11.
    (header(crit=["exp"]), "crit"),
    (header(crit=[]), "crit"),
    (header(crit=["b64"], b64=False), "crit"),
    # The key.
    (header(kid="k2"), 'the key "k2", which its issuer does not have'),
    (header(kid="../../k1"), "does not have"),
    (header(kid="K1"), "does not have"),
    (header(kid=1), "kid"),
    (header(kid=None), "kid"),
    (header(kid="k" * 300), "kid"),
    (lambda draft: setattr(draft, "which", 1), "signature"),
    # RFC 9068 4: who issued it for whom.
    (claims(iss=ISSUER + "/"), "is of the issuer"),
    (claims(iss=[ISSUER]), "is of the issuer"),
    (without("iss"), "is of the issuer null"),
    (claims(aud="dicom:OTHER"), "is for the audience"),
    (claims(aud=[]), "is for the audience"),
    (claims(aud=["dicom:OTHER", "dicom:ARCHIVE2"]), "is for the audience"),
    (claims(aud=["dicom:ARCHIVE", 1]), "no aud"),
    (claims(aud={"dicom:ARCHIVE": 1}), "no aud"),
    (without("aud"), "no aud"),
    (without("sub"), "no sub"),
    (claims(sub=""), "no sub"),
    (claims(sub=7), "no sub"),
    (claims(sub="alice\nroot"), "no sub"),
    (claims(sub="a" * 257), "no sub"),
    (without("client_id"), "no client_id"),
    (without("jti"), "no jti"),
    # RFC 7519 4.1.4 to 4.1.6.
    (without("exp"), "no exp"),
    (claims(exp=str(NOW + 300)), "no exp"),
    (claims(exp=True), "no exp"),
    (claims(exp=None), "no exp"),
    (claims(exp=-1), "no exp"),
    (claims(exp=10**400), "no exp"),
    (claims(exp=1e308), "no exp"),
    (without("iat"), "no iat"),
    (claims(iat="now"), "no iat"),
    (claims(nbf="now"), "no nbf"),
    (claims(iat=NOW - 7200, exp=NOW - 7000), "ended"),
    (claims(iat=NOW + DAY, exp=NOW + DAY + 300), "begins in"),
    (claims(nbf=NOW + DAY), "begins in"),
    (claims(iat=NOW, exp=NOW + 3601), "lives for"),
    (claims(iat=NOW, exp=NOW), "lives for 0 s"),
    (claims(iat=NOW, exp=NOW - 10), "lives for -10 s"),
    # What binds it to something that DICOM cannot prove.
    (claims(cnf={"jkt": "x"}), "DICOM can prove only"),
    (claims(cnf={"x5t#S256": "x", "jkt": "x"}), "DICOM can prove only"),
    (claims(cnf={}), "DICOM can prove only"),
    (claims(cnf="x5t#S256"), "DICOM can prove only"),
    (claims(cnf=["x5t#S256"]), "DICOM can prove only"),
    (claims(cnf={"x5t#S256": "x"}), "none was shown"),
    # RFC 8693 4.1.
    (claims(act="bob"), "names nobody"),
    (claims(act={}), "no sub"),
    (claims(act={"sub": "bob", "iss": 1}), "names nobody"),
    (claims(act={"sub": "bob", "iss": "x\nFAKE LOG"}), "iss"),
    # JSON with more than one meaning.
    (texts(header_text='{%, "alg": "RS256"}'), "twice"),
    (texts(payload_text='{%, "sub": "root"}'), "twice"),
    (texts(payload_text='{%, "a": {"b": 1, "b": 2}}'), "twice"),
    (texts(payload_text='{%, "\\u0073ub": "root"}'), "twice"),
    (texts(payload_text='{%, "a": NaN}'), "NaN"),
    (texts(payload_text='{%, "a": -Infinity}'), "Infinity"),
    (texts(payload_text='{%, "a": 1e999}'), "too large"),
    (texts(payload_text='{%, "a": ' + "9" * 5000 + "}"), "not JSON"),
    (texts(payload_text='{%, "a": "\\ud800"}'), "half a character"),
    (texts(payload_text='{%, "a": ' + "[" * 600 + "]" * 600 + "}"), "objects and lists"),
    (texts(payload_text="{%} {}"), "not JSON"),
    (texts(payload_text="\ufeff{%}"), "not JSON"),
    (texts(payload_text="[{%}]"), "not a JSON object"),
    (texts(payload_text='"text"'), "not a JSON object"),
    (texts(header_text="null"), "not a JSON object"),
]


@pytest.mark.parametrize(("spoil", "detail"), DEFECTS)
@pytest.mark.threat("J3")
def test_a_token_is_refused_for_each_defect(idp: JwtValidator, spoil: Spoil, detail: str) -> None:
    draft = Draft()
    assert judge(idp, draft.token()).identity.user_id == "alice"
    spoil(draft)
    refused = refusal(idp, draft.token())
    assert detail in refused.detail
    expected = Reason.CREDENTIAL_EXPIRED if detail == "ended" else Reason.CREDENTIAL_INVALID
    assert refused.reason is (Reason.ISSUER_UNKNOWN if detail.startswith("is of the issuer") else expected)


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "Ed25519"])
def test_each_algorithm_that_is_allowed_is_verified_with_its_own_key(tmp_path: Path, algorithm: str) -> None:
    idp = validator(tmp_path, jwk(algorithm), algorithms=(algorithm,))
    draft = Draft(algorithm)
    judge(idp, draft.token())
    draft.which = 1
    assert "signature" in refusal(idp, draft.token()).detail


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_that_is_not_listed_is_refused(tmp_path: Path, algorithm: str) -> None:
    token = Draft(algorithm).token()
    judge(validator(tmp_path, jwk(algorithm), algorithms=(algorithm,)), token)
    other = "ES384" if algorithm != "ES384" else "RS256"
    assert "alg" in refusal(validator(tmp_path, jwk(algorithm), algorithms=(other,)), token).detail


@pytest.mark.threat("J1")
def test_a_public_key_never_serves_as_a_shared_secret(idp: JwtValidator) -> None:
    """RFC 8725 2.1: HS256 with the octets of the RSA key, as everybody can get them."""
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    draft = Draft()
    judge(idp, draft.token())
    draft.header["alg"] = "HS256"
    signing_input = encoded(json.dumps(draft.header).encode()) + b"." + encoded(json.dumps(draft.claims).encode())
    forged = signing_input + b"." + encoded(hmac.digest(pem, signing_input, "sha256"))
    assert "alg" in refusal(idp, forged).detail


@pytest.mark.threat("J2")
def test_a_key_that_the_token_brings_along_is_not_used(idp: JwtValidator) -> None:
    """jwk, x5c, jku and x5u of the header are ignored: with the right key they do no harm, with another no good."""
    brought = {"jwk": jwk(which=1), "x5c": ["MII"], "jku": "https://127.0.0.1:1/", "x5u": "https://127.0.0.1:1/"}
    judge(idp, Draft(header=brought).token())
    assert "signature" in refusal(idp, Draft(header=brought, which=1).token()).detail


def test_the_audience_may_be_one_of_several(idp: JwtValidator) -> None:
    judge(idp, Draft(claims={"aud": ["other", AUDIENCE]}).token())


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_is_compared_as_a_media_type(idp: JwtValidator, typ: str) -> None:
    judge(idp, Draft(header={"typ": typ}).token())


def test_other_types_are_accepted_where_they_are_listed(tmp_path: Path) -> None:
    """And without the claims that only an access token of RFC 9068 must have."""
    idp = validator(tmp_path, typ=("JWT", "absent"))
    judge(idp, Draft(header={"typ": "JWT"}).without("client_id", "jti").token())
    judge(idp, Draft().without("typ", "client_id", "jti").token())
    assert "typ" in refusal(idp, Draft().token()).detail
    assert "typ" in refusal(idp, Draft(header={"typ": "absent"}).token()).detail


def test_clocks_may_differ_by_the_skew_and_no_more(idp: JwtValidator) -> None:
    within, beyond = SKEW - 10, SKEW + 10
    judge(idp, Draft(claims={"iat": now() - 300, "exp": now() - within}).token())
    judge(idp, Draft(claims={"iat": now() + within, "exp": now() + 600}).token())
    refusal(idp, Draft(claims={"iat": now() - 300, "exp": now() - beyond}).token())
    refusal(idp, Draft(claims={"iat": now() + beyond, "exp": now() + 600}).token())


def test_the_lifetime_may_be_set(tmp_path: Path) -> None:
    issued = now()
    token = Draft(claims={"iat": issued, "exp": issued + 300}).token()
    judge(validator(tmp_path, max_lifetime=300), token)
    assert "lives for 300 s" in refusal(validator(tmp_path, max_lifetime=299), token).detail


def test_a_token_that_may_be_used_once_names_what_is_spent(tmp_path: Path) -> None:
    idp = validator(tmp_path, reuse="never", typ=("at+jwt", "JWT"))
    verified = judge(idp, Draft().token())
    assert [once.key for once in verified.once] == [(ISSUER, "id-1")]
    assert verified.once[0].until == verified.expires_at
    draft = Draft(header={"typ": "JWT"})
    judge(idp, draft.token())
    assert "no jti" in refusal(idp, draft.without("jti").token()).detail


def test_a_bound_token_is_worth_nothing_without_its_certificate(tmp_path: Path) -> None:
    certificate = b"\x30\x82 the client's certificate, DER"
    draft = Draft(claims={"cnf": {"x5t#S256": encoded(sha256(certificate).digest()).decode()}})
    for binding in ("none", "certificate"):
        idp = validator(tmp_path, binding=binding)
        judge(idp, draft.token(), Tls.MUTUAL, certificate)
        assert "another" in refusal(idp, draft.token(), tls=Tls.MUTUAL, certificate=b"another").detail
        assert "none was shown" in refusal(idp, draft.token()).detail
    padded = b64encode(sha256(certificate).digest()).decode()
    draft.claims["cnf"] = {"x5t#S256": padded}
    assert "another" in refusal(idp, draft.token(), tls=Tls.MUTUAL, certificate=certificate).detail
    draft.claims["cnf"] = {"x5t#S256": ["x"]}
    assert "another" in refusal(idp, draft.token(), tls=Tls.MUTUAL, certificate=certificate).detail


def test_a_token_that_is_not_bound_is_refused_where_binding_is_required(tmp_path: Path) -> None:
    judge(validator(tmp_path), Draft().token(), Tls.MUTUAL, b"certificate")
    idp = validator(tmp_path, binding="certificate")
    assert "bound to no TLS client certificate" in refusal(idp, Draft().token(), certificate=b"certificate").detail


def test_a_token_without_tls_is_not_looked_at(tmp_path: Path, idp: JwtValidator) -> None:
    token = Draft().token()
    judge(idp, token)
    assert refusal(idp, token, tls=Tls.NONE).reason is Reason.TLS_REQUIRED
    assert refusal(idp, b"", tls=Tls.NONE).reason is Reason.TLS_REQUIRED
    judge(validator(tmp_path, plaintext="allow"), token, Tls.NONE)


def test_a_refusal_repeats_little_of_the_token_and_nothing_unescaped(idp: JwtValidator) -> None:
    draft = Draft(claims={"iss": "https://evil\n" + "x" * 500})
    detail = refusal(idp, draft.token()).detail
    assert "\n" not in detail
    assert len(detail) < 250


def test_other_identity_types_are_none_of_its_business(idp: JwtValidator) -> None:
    judge(idp, Draft().token())
    for presented in (None, credential(4, Draft().token())):
        with pytest.raises(Refused):
            idp.validate(presented, facts(identity_type=5), context())


def test_it_is_a_validator_that_never_waits_where_keys_are_in_a_file(idp: JwtValidator) -> None:
    assert isinstance(idp, Validator)
    assert idp.cpu_short
    assert (idp.name, idp.identity_type) == ("idp", 5)


def test_a_signature_over_other_octets_with_the_same_meaning_is_not_enough(idp: JwtValidator) -> None:
    """The signature covers octets, not what JSON makes of them."""
    draft = Draft()
    head, payload = json.dumps(draft.header), json.dumps(draft.claims)
    good = signed(head.encode(), payload.encode(), private_key())
    judge(idp, good)
    spaced = encoded(head.encode()) + b"." + encoded(payload.replace('": ', '":').encode()) + b"." + good.split(b".")[2]
    assert "signature" in refusal(idp, spaced).detail
