"""Milliseconds to judge a JSON Web Token, beside PyJWT's `jwt.decode` of the same token with the same key."""

from __future__ import annotations

import tempfile
from pathlib import Path

import jwt

from tests.benchmarks.figure import Figure, compare, seconds_each
from tests.mechanisms.builders import context, facts
from tests.mechanisms.jwt.issuer import AUDIENCE, ISSUER, Draft, jwk, validator
from useridentity.credential import Credential

COUNT = 1000
RATIO = 1.3
"""Issue 3: what all our checks may cost beside the library's."""
RS256_MS = 0.150
"""Issue 3: an RS256 token, all in all."""

REQUIRED = ["iss", "aud", "exp", "iat", "sub"]


def measure() -> list[Figure]:
    """Each algorithm beside the library, and RS256 by the clock."""
    figures = [_figure(algorithm) for algorithm in ("RS256", "PS256", "ES256", "EdDSA")]
    rs256 = figures[0]
    absolute = Figure("JWT RS256, one validation", rs256.ours, None, "ms", RS256_MS, False, rs256.spread)
    return [*figures, absolute]


def _figure(algorithm: str) -> Figure:
    token = Draft(algorithm).token()
    key = jwt.PyJWK(jwk(algorithm))
    with tempfile.TemporaryDirectory() as folder:
        ours = validator(Path(folder), jwk(algorithm), algorithms=(algorithm,))
        credential, told, time_left = Credential(5, token), facts(identity_type=5), context()

        def library() -> object:
            return jwt.decode(
                token, key, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER, options={"require": REQUIRED}
            )

        return compare(
            f"JWT {algorithm}, beside jwt.decode",
            lambda: 1000 * seconds_each(lambda: ours.validate(credential, told, time_left), COUNT),
            lambda: 1000 * seconds_each(library, COUNT),
            "ms",
            aim=RATIO,
            higher_is_better=False,
        )
