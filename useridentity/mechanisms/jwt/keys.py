"""A JWK Set (RFC 7517 5) into the keys that may verify a signature, and the choice among them.

PyJWT builds the keys. What it leaves open is decided here: `use`, `key_ops`, key sizes, one key for
one `kid`, no secret or private key, and which algorithm goes with which key (RFC 8725 3.1, 3.5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from useridentity.mechanisms.jwt.compact import refusal, shown
from useridentity.mechanisms.strict_json import Malformed, base64url, json_object

try:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(f"{missing}; pip install 'useridentity[jwt]'", name="jwt") from missing

KIND_OF_ALGORITHM: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
}
"""The algorithms that can be allowed, each with the only kind of key it may use. None is symmetric: who can
verify with a shared secret can issue with it. Ed25519 is EdDSA by its name of RFC 9864."""

MIN_RSA_BITS = 2048
"""RFC 7518 3.3."""
MAX_RSA_BITS = 8192
"""Beyond it, verifying takes more than a millisecond, which whoever sends tokens would make us spend."""
RSA_EXPONENTS = range(65537, 2**64)
"""NIST SP 800-56B 6.2; the upper end keeps verifying cheap."""
MAX_KEYS = 100
"""Of a set; issuers publish two to ten."""
MAX_KID = 256
"""Characters of a `kid`; real ones are thumbprints, UUIDs and dates."""

_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_PYJWT_NAMES = {"Ed25519": "EdDSA"}


@dataclass(frozen=True, slots=True)
class Key:
    """One verification key: `kind` as in `KIND_OF_ALGORITHM`; `algorithm` where the set ties it to one."""

    kid: str | None
    kind: str
    algorithm: str | None
    public: Any = field(repr=False)

    def fits(self, algorithm: str) -> bool:
        return self.kind == KIND_OF_ALGORITHM[algorithm] and self.algorithm in (None, _library_name(algorithm))

    def verifies(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `signing_input`; `algorithm` must fit."""
        return jwt.get_algorithm_by_name(_library_name(algorithm)).verify(signing_input, self.public, signature)


class KeySet:
    """The usable keys of one issuer."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self._by_kid = {key.kid: key for key in self.keys if key.kid is not None}

    def __contains__(self, kid: str) -> bool:
        return kid in self._by_kid

    def key(self, kid: str | None, algorithm: str) -> Key:
        """The one key for a token's header; raises `Refused` where there is none, or no telling which."""
        if kid is None:
            fitting = [key for key in self.keys if key.fits(algorithm)]
            if len(fitting) == 1:
                return fitting[0]
            raise refusal(f"names no key (kid), and {len(fitting)} keys of its issuer are for {algorithm}")
        key = self._by_kid.get(kid)
        if key is None:
            raise refusal(f"names the key {shown(kid)}, which its issuer does not have")
        if not key.fits(algorithm):
            raise refusal(f"names the key {shown(kid)}, which is not for {algorithm}")
        return key


def read_key_set(octets: bytes) -> tuple[KeySet, list[str]]:
    """The usable keys of a JWK Set, and what is wrong with others in it.

    Keys for encryption and of kinds that no algorithm here uses are left out without a word (RFC 7517 5).
    Raises `Malformed` where it is no JWK Set.
    """
    members = json_object(octets).get("keys")
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise Malformed(f'should be a JWK Set: "keys", a list of at most {MAX_KEYS} (RFC 7517 5)')
    keys: list[Key] = []
    problems: list[str] = []
    for index, member in enumerate(members):
        try:
            keys += _usable(member)
        except Malformed as malformed:
            problems.append(f"keys[{index}] {malformed}")
    ambiguous = {kid for kid, count in Counter(key.kid for key in keys).items() if kid is not None and count > 1}
    problems += [f"the kid {shown(kid)} names several keys, so none can be used" for kid in sorted(ambiguous)]
    return KeySet(key for key in keys if key.kid not in ambiguous), problems


def _usable(jwk: object) -> Iterator[Key]:
    if not isinstance(jwk, dict):
        raise Malformed("is not an object")
    kind = str(jwk.get("kty") if jwk.get("kty") == "RSA" else jwk.get("crv"))
    if _is_for_something_else(jwk):
        return
    if not _PRIVATE.isdisjoint(jwk):
        raise Malformed("holds a secret or private key: replace that key, and publish only the public part")
    if kind not in KIND_OF_ALGORITHM.values():
        return
    kid, algorithm = jwk.get("kid"), jwk.get("alg")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID):
        raise Malformed(f"has a kid that is no string of 1 to {MAX_KID} characters")
    if algorithm is not None and KIND_OF_ALGORITHM.get(str(algorithm)) != kind:
        raise Malformed(f"is of kind {kind}, which its alg {shown(algorithm)} does not use")
    yield Key(kid, kind, _library_name(algorithm) if algorithm else None, _public_key(jwk, kind))


def _is_for_something_else(jwk: Mapping[str, Any]) -> bool:
    """Whether `use` or `key_ops` says so (RFC 7517 4.2, 4.3)."""
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list):
        raise Malformed("has key_ops that are no list")
    return jwk.get("use", "sig") != "sig" or "verify" not in operations


def _public_key(jwk: Mapping[str, Any], kind: str) -> Any:
    for name in ("n", "e", "x", "y"):
        if name in jwk:
            _check_number(jwk[name])
    any_algorithm = next(name for name, used in KIND_OF_ALGORITHM.items() if used == kind)
    try:
        key = jwt.PyJWK(dict(jwk), _library_name(any_algorithm)).key
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        # The library's text can hold the whole key.
        raise Malformed(f"is no {kind} key ({type(error).__name__})") from None
    if isinstance(key, RSAPublicKey):
        _check_rsa(key)
    return key


def _check_number(value: object) -> None:
    if not isinstance(value, str) or not value.isascii():
        raise Malformed("has a number that is no base64url")
    base64url(value.encode("ascii"))


def _check_rsa(key: RSAPublicKey) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise Malformed(f"has {key.key_size} bits; RSA keys have {MIN_RSA_BITS} (RFC 7518 3.3) to {MAX_RSA_BITS}")
    if key.public_numbers().e not in RSA_EXPONENTS:
        raise Malformed("has a public exponent below 65537 or above 64 bits (NIST SP 800-56B 6.2)")


def _library_name(algorithm: str) -> str:
    """PyJWT's name of an algorithm."""
    return _PYJWT_NAMES.get(algorithm, algorithm)
