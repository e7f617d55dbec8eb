"""An issuer of JSON Web Tokens (RFC 7519) whose key you hold."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

Algorithm = Literal["RS256", "ES256"]

LIFETIME = 300
"""Seconds; what IHE ITI-71 recommends."""


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """An issuer with a new key of its own. Needs the extra `jwt`.

    Two with the same `issuer` and `kid` are one that is real and one that passes itself off for it.

    Fields:
        issuer: `iss`, as in the policy.
        audience: `aud`, as in the policy.
        algorithm: "RS256" (default; RSA of 2048 bits) or "ES256" (P-256).
        typ: the type in the header; default that of access tokens (RFC 9068 2.1).
        kid: the name of the key.
    """

    issuer: str = "https://idp.test"
    audience: str = "dicom:ARCHIVE"
    algorithm: Algorithm = field(default="RS256", kw_only=True)
    typ: str = field(default="at+jwt", kw_only=True)
    kid: str = field(default="key-1", kw_only=True)
    _key: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        import_module("useridentity.mechanisms.jwt.keys")  # which names the extra if it is missing
        object.__setattr__(self, "_key", _new_key(self.algorithm))

    def token(self, subject: str = "alice", /, **claims: object) -> str:
        """A token good for five minutes; `claims` adds and replaces, and None leaves one out."""
        import jwt

        now = int(time.time())
        own = {"iss": self.issuer, "aud": self.audience, "sub": subject, "iat": now, "exp": now + LIFETIME}
        # What RFC 9068 2.2 requires of an access token beside these.
        own |= {"client_id": "viewer", "jti": str(uuid4())}
        kept = {name: value for name, value in (own | claims).items() if value is not None}
        return jwt.encode(kept, self._key, self.algorithm, headers={"typ": self.typ, "kid": self.kid})

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public key, as an issuer publishes it (RFC 7517 5)."""
        from jwt.algorithms import ECAlgorithm, RSAAlgorithm

        library: Any = RSAAlgorithm if self.algorithm == "RS256" else ECAlgorithm
        members = library.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [members | {"use": "sig", "alg": self.algorithm, "kid": self.kid}]}

    def write_jwks(self, path: Path) -> Path:
        """Write `jwks` to a file, for the `jwks` of a policy; the path."""
        path.write_text(json.dumps(self.jwks()), "utf-8")
        return path


def bound_to(certificate: bytes) -> dict[str, str]:
    """The claim `cnf` of a token that is bound to a TLS client certificate, DER (RFC 8705 3.1)."""
    return {"x5t#S256": urlsafe_b64encode(sha256(certificate).digest()).rstrip(b"=").decode()}


def _new_key(algorithm: Algorithm) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    return rsa.generate_private_key(65_537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
