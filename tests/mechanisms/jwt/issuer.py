"""An issuer of tokens, good and bad, with real keys."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.mechanisms.builders import context, facts
from useridentity.credential import Credential
from useridentity.errors import Refused
from useridentity.facts import Tls
from useridentity.mechanisms.jwt import JwtSettings, JwtValidator
from useridentity.settings import Runtime
from useridentity.validator import Verified

ISSUER = "https://idp.example.org"
AUDIENCE = "dicom:ARCHIVE"
ALGORITHMS = ("RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")
_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def private_key(algorithm: str = "RS256", which: int = 0, bits: int = 2048) -> Any:
    """A private key for `algorithm`, the same each time; another for each `which`."""
    return _made("RSA" if algorithm[1:2] == "S" and algorithm[0] in "RP" else algorithm, which, bits)


@cache
def _made(algorithm: str, which: int, bits: int) -> Any:
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm in ("EdDSA", "Ed25519"):
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, bits)


def jwk(algorithm: str = "RS256", kid: str | None = "k1", which: int = 0, **more: Any) -> dict[str, Any]:
    """The public key as an issuer publishes it; members in `more` that are None are left out."""
    public = private_key(algorithm, which).public_key()
    kinds = {"R": RSAAlgorithm, "P": RSAAlgorithm, "E": OKPAlgorithm}
    library: Any = ECAlgorithm if algorithm in _CURVES else kinds[algorithm[0]]
    members = library.to_jwk(public, as_dict=True)
    members.pop("key_ops", None)
    members |= {"use": "sig", "alg": algorithm, "kid": kid} | more
    return {name: value for name, value in members.items() if value is not None}


def encoded(octets: bytes) -> bytes:
    return urlsafe_b64encode(octets).rstrip(b"=")


def signed(header: bytes, payload: bytes, key: Any, algorithm: str = "RS256") -> bytes:
    """A compact JWS over exactly these octets."""
    signing_input = encoded(header) + b"." + encoded(payload)
    signer = jwt.get_algorithm_by_name("EdDSA" if algorithm == "Ed25519" else algorithm)
    return signing_input + b"." + encoded(signer.sign(signing_input, key))


@dataclass
class Draft:
    """A token before it is signed; good as it is, and everything in it can be made bad."""

    algorithm: str = "RS256"
    header: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    which: int = 0
    header_text: str | None = None
    payload_text: str | None = None

    def __post_init__(self) -> None:
        now = int(time.time())
        self.header = {"alg": self.algorithm, "typ": "at+jwt", "kid": "k1"} | self.header
        self.claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "client_id": "viewer",
            "jti": "id-1",
            "iat": now,
            "exp": now + 300,
        } | self.claims

    def without(self, *names: str) -> Draft:
        for name in names:
            self.header.pop(name, None)
            self.claims.pop(name, None)
        return self

    def token(self) -> bytes:
        header = self.header_text or json.dumps(self.header)
        payload = self.payload_text or json.dumps(self.claims)
        return signed(header.encode(), payload.encode(), private_key(self.algorithm, self.which), self.algorithm)


Spoil = Callable[[Draft], object]


def write_keys(folder: Path, *keys: Mapping[str, Any]) -> Path:
    """A JWK Set file."""
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": list(keys)}))
    return path


def validator(folder: Path, *keys: Mapping[str, Any], name: str = "idp", **settings: Any) -> JwtValidator:
    """A validator of `ISSUER`, whose keys are in a file; by default the RS256 key."""
    jwks = write_keys(folder, *(keys or (jwk(),)))
    chosen: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ALGORITHMS, "jwks": str(jwks)}
    return JwtSettings(**(chosen | settings)).build(Runtime(name, folder))


def judge(by: JwtValidator, token: bytes, tls: Tls = Tls.SERVER, certificate: bytes = b"") -> Verified:
    """What a validator says of a token."""
    told = replace(facts(tls, 5), peer_certificate=certificate)
    return by.validate(Credential(5, token), told, context())


def refusal(by: JwtValidator, token: bytes, **more: Any) -> Refused:
    """The verdict about a token that is not good."""
    with pytest.raises(Refused) as refused:
        judge(by, token, **more)
    return refused.value
