"""A JWK Set: which keys are taken, which left out, and which are wrong."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mechanisms.jwt.issuer import ALGORITHMS, encoded, jwk, private_key
from useridentity.errors import Refused
from useridentity.mechanisms.jwt.keys import MAX_KEYS, KeySet, read_key_set
from useridentity.mechanisms.strict_json import Malformed


def read(*keys: Any) -> tuple[KeySet, list[str]]:
    return read_key_set(json.dumps({"keys": list(keys)}).encode())


def rsa_jwk(bits: int, exponent: int = 65537) -> dict[str, Any]:
    numbers = private_key("RS256", 0, bits).public_key().public_numbers()
    exponent_octets = exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    return {"kty": "RSA", "kid": "k1", "n": encoded(modulus).decode(), "e": encoded(exponent_octets).decode()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_each_kind_is_taken(algorithm: str) -> None:
    keys, problems = read(jwk(algorithm))
    assert (keys.key("k1", algorithm).kid, problems) == ("k1", [])


LEFT_OUT = [
    {"use": "enc"},
    {"key_ops": ["encrypt"]},
    {"key_ops": []},
    {"kty": "EC", "crv": "secp256k1", "alg": "ES256K"},
    {"kty": "OKP", "crv": "X25519", "alg": None},
    {"kty": "AKP", "alg": "ML-DSA-44"},
]


@pytest.mark.parametrize("members", LEFT_OUT)
def test_a_key_for_something_else_is_left_out_without_a_word(members: dict[str, Any]) -> None:
    assert "k1" in read(jwk())[0]
    keys, problems = read(jwk(**members))
    assert (keys.keys, problems) == ((), [])


WRONG = [
    ({"kty": "oct", "k": "AAAA", "alg": "HS256"}, "secret or private"),
    ({"d": "AQ"}, "secret or private"),
    ({"p": "AQ"}, "secret or private"),
    ({"alg": "ES256"}, "does not use"),
    ({"alg": "RSA-OAEP"}, "does not use"),
    ({"alg": "none"}, "does not use"),
    ({"alg": 1}, "does not use"),
    ({"kid": ""}, "kid"),
    ({"kid": 1}, "kid"),
    ({"kid": "k" * 257}, "kid"),
    ({"key_ops": "verify"}, "key_ops"),
    ({"n": None}, "base64url"),
    ({"n": 5}, "base64url"),
    ({"n": "AQ=="}, "base64url"),
    ({"n": "é"}, "base64url"),
    ({"e": "AA"}, "is no RSA key"),
]


@pytest.mark.parametrize(("members", "problem"), WRONG)
def test_a_key_that_is_wrong_is_not_used_and_the_problem_said(members: dict[str, Any], problem: str) -> None:
    keys, problems = read({**jwk(), **members}, jwk("ES256", "k2"))
    assert [key.kid for key in keys.keys] == ["k2"]
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(("bits", "exponent", "taken"), [(2048, 65537, True), (1024, 65537, False), (2048, 3, False)])
def test_rsa_keys_have_a_size_and_an_exponent_that_are_safe(bits: int, exponent: int, taken: bool) -> None:
    keys, problems = read(rsa_jwk(bits, exponent))
    assert ("k1" in keys) is taken
    assert bool(problems) is not taken


def test_rsa_keys_that_are_slow_to_verify_with_are_refused() -> None:
    modulus = (1 << 16383) + 1
    number = encoded(modulus.to_bytes(2048, "big")).decode()
    assert "bits" in read({**rsa_jwk(2048), "n": number})[1][0]
    assert "exponent" in read(rsa_jwk(2048, (1 << 1024) + 1))[1][0]


def test_a_point_that_is_not_on_the_curve_is_no_key() -> None:
    point = jwk("ES256")
    assert "k1" in read(point)[0]
    assert "is no P-256 key" in read({**point, "x": point["y"]})[1][0]
    assert "is no P-256 key" in read({**point, "x": point["x"][:-3]})[1][0]


def test_a_member_that_is_no_object_is_no_key() -> None:
    keys, problems = read(1, [jwk()], jwk())
    assert [key.kid for key in keys.keys] == ["k1"]
    assert problems == ["keys[0] is not an object", "keys[1] is not an object"]


def test_a_kid_that_names_several_keys_names_none() -> None:
    keys, problems = read(jwk(), jwk(which=1), jwk("ES256", "k2"))
    assert [key.kid for key in keys.keys] == ["k2"]
    assert problems == ['the kid "k1" names several keys, so none can be used']


def test_the_same_kid_for_a_key_that_encrypts_is_nothing_to_us() -> None:
    keys, problems = read(jwk(), jwk(which=1, use="enc"))
    assert ("k1" in keys, problems) == (True, [])


def test_a_token_without_kid_has_a_key_where_only_one_can_be_meant() -> None:
    assert read(jwk(kid=None), jwk("ES256", None))[0].key(None, "RS256").kind == "RSA"
    with pytest.raises(Refused, match="2 keys of its issuer"):
        read(jwk(), jwk(kid="k2", which=1))[0].key(None, "RS256")
    with pytest.raises(Refused, match="0 keys of its issuer"):
        read(jwk("ES256"))[0].key(None, "RS256")


@pytest.mark.threat("J1")
def test_a_key_that_is_tied_to_an_algorithm_serves_no_other() -> None:
    """RFC 8725 3.1: PS256 and RS256 use the same kind of key."""
    assert read(jwk(alg=None))[0].key("k1", "PS256").kid == "k1"
    with pytest.raises(Refused, match="not for PS256"):
        read(jwk())[0].key("k1", "PS256")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        json.dumps({"keys": [1] * (MAX_KEYS + 1)}).encode(),
    ],
)
def test_what_is_no_key_set_is_malformed(octets: bytes) -> None:
    with pytest.raises(Malformed):
        read_key_set(octets)


def test_a_hundred_keys_with_certificates_are_no_problem() -> None:
    keys, problems = read(*(jwk(kid=f"k{i}", x5c=["MII"], key_ops=["verify"]) for i in range(MAX_KEYS)))
    assert (len(keys.keys), problems) == (MAX_KEYS, [])


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops"]),
                       st.one_of(st.none(), st.integers(), st.text(max_size=9), st.lists(st.text(max_size=3)),
                                 st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "ES256", "oct"])),
                       max_size=10))  # fmt: skip
def test_no_key_however_odd_raises_anything(members: dict[str, Any]) -> None:
    keys, problems = read({**jwk("ES256"), **members}, members, jwk(kid="good"))
    assert "good" in keys or members.get("kid") == "good"
    assert len(problems) <= 3


def test_problems_hold_no_key_material() -> None:
    private = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048)))
    _, problems = read({**private, "kid": "k1", "key_ops": ["verify"]})
    assert private["d"][:20] not in problems[0]
