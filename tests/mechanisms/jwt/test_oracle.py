"""Mutated tokens: nothing but a verdict comes out, and what we accept another library accepts too.

joserfc is the other library; it is used in tests only.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.mechanisms.jwt.issuer import ALGORITHMS, Draft, encoded, judge, jwk, validator
from useridentity.errors import Refused
from useridentity.mechanisms.jwt import JwtValidator

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by RFC 9864, and what issuers write

KINDS = [algorithm for algorithm in ALGORITHMS if algorithm not in ("RS512", "PS256")]
KEYS = [jwk(algorithm, algorithm) for algorithm in KINDS]
MUTANTS = 10_000
"""For each algorithm; they take a few seconds in all."""


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> JwtValidator:
    """Has a key for each kind."""
    return validator(tmp_path_factory.mktemp("oracle"), *KEYS)


@pytest.fixture(scope="module")
def oracle() -> KeySet:
    """The same keys, as joserfc has them."""
    return KeySet.import_key_set({"keys": KEYS})


def accepts(idp: JwtValidator, token: bytes) -> bool:
    try:
        return bool(judge(idp, token).identity.subject)
    except Refused:
        return False


def oracle_accepts(oracle: KeySet, token: bytes) -> bool:
    """Whether joserfc verifies the signature and reads the same claims as we do."""
    try:
        verified = jws.deserialize_compact(token, oracle, algorithms=list(ALGORITHMS))
        return isinstance(json.loads(verified.payload or b""), dict)
    except (JoseError, ValueError, TypeError, KeyError):
        return False


@pytest.mark.parametrize("algorithm", KINDS)
def test_both_accept_the_good_token(idp: JwtValidator, oracle: KeySet, algorithm: str) -> None:
    token = Draft(algorithm, header={"kid": algorithm}).token()
    assert accepts(idp, token)
    assert oracle_accepts(oracle, token)


def mutant(token: bytes, chance: random.Random) -> bytes:
    """One to three random edits of the octets, some of them to characters that a token has."""
    octets = bytearray(token)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(octets))
        edit = chance.randrange(6)
        if edit == 0:
            octets[at] ^= 1 << chance.randrange(8)
        elif edit == 1:
            octets[at : at + 1] = chance.choice([b"", b".", b"=", b"-", b"_", b"A", b"\n", b"\x00", b"+"])
        elif edit == 2:
            octets[at:at] = bytes([chance.randrange(256)])
        elif edit == 3:
            octets = octets[:at] + octets[at + chance.randrange(40) :]
        elif edit == 4:
            octets = octets[:at] + octets[at : at + chance.randrange(40)] + octets[at:]
        else:
            parts = bytes(octets).split(b".")
            chance.shuffle(parts)
            octets = bytearray(b".".join(parts))
        octets = octets or bytearray(b".")
    return bytes(octets)


@pytest.mark.parametrize("algorithm", KINDS)
@pytest.mark.threat("J5")
def test_a_mutated_token_is_refused_and_nothing_else_raised(idp: JwtValidator, oracle: KeySet, algorithm: str) -> None:
    token = Draft(algorithm, header={"kid": algorithm}).token()
    chance = random.Random(20261122)
    accepted = 0
    for _ in range(MUTANTS):
        changed = mutant(token, chance)
        if accepts(idp, changed):
            accepted += 1
            changed = changed.removesuffix(b"\n")  # one line end is no part of the token
            assert oracle_accepts(oracle, changed)
            assert changed == token
    assert accepted < MUTANTS / 20, "almost every mutant is another token"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_CLAIM_NAMES = st.sampled_from(
    ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "client_id", "cnf", "act", "name", "roles"]
)
_HEADER_NAMES = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "x5c", "cty", "zip"])


@settings(deadline=None, derandomize=True)
@given(
    claims=st.dictionaries(_CLAIM_NAMES, _JSON, max_size=3), header=st.dictionaries(_HEADER_NAMES, _JSON, max_size=2)
)
def test_a_signed_token_with_any_json_in_it_gets_a_verdict(
    idp: JwtValidator, claims: dict[str, object], header: dict[str, object]
) -> None:
    """An issuer may be careless or malicious: with its signature right, all checks of claims are reached."""
    draft = Draft("ES256", header={"kid": "ES256"})
    assert accepts(idp, draft.token())
    draft.claims.update(claims)
    draft.header.update(header)
    accepts(idp, draft.token())


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_any_octets_in_three_parts_get_a_verdict(idp: JwtValidator, head: bytes, payload: bytes, tail: bytes) -> None:
    assert not accepts(idp, b".".join([head, payload, tail]))
    assert not accepts(idp, b".".join(map(encoded, [head, payload, tail])))


def test_the_deepest_json_that_is_read_gets_a_verdict(idp: JwtValidator, tmp_path: Path) -> None:
    """Also where a refusal repeats it."""
    draft = Draft("ES256", header={"kid": "ES256"})
    deep: object = 1
    for _ in range(480):
        deep = [deep]
    assert accepts(idp, draft.token())
    for name in ("iss", "aud", "sub", "exp", "cnf", "act", "extensions"):
        draft.claims = Draft().claims | {name: deep}
        assert accepts(idp, draft.token()) is (name == "extensions")
