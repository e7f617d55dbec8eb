"""Type 5: JSON Web Tokens, from an issuer that is made for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from useridentity.cli.demo.part import Attempt, Part
from useridentity.cli.demo.peers import HOST, associate, storescu
from useridentity.mechanisms.jwt import Jwt
from useridentity.testing import TokenIssuer


@contextmanager
def jwt(folder: Path) -> Iterator[Part]:
    """User-Identity-Type 5."""
    issuer, impostor = TokenIssuer(), TokenIssuer()
    issuer.write_jwks(folder / "jwks.json")
    file = folder / "token"
    file.write_text(issuer.token("alice"))
    now = int(time.time())
    attempts = (
        Attempt("JWT", _with(issuer.token("alice"))),
        Attempt("JWT, expired", _with(issuer.token("alice", iat=now - 600, exp=now - 300))),
        Attempt("JWT, by another key", _with(impostor.token("alice"))),
        Attempt("JWT, for another audience", _with(issuer.token("alice", aud="dicom:RESEARCH"))),
        *storescu("JWT", "--jwt", str(file), "-rsp"),
    )
    settings = f"""\
type = "jwt"
issuer = "{issuer.issuer}"
audience = "{issuer.audience}"
jwks = "jwks.json"
plaintext = "allow"        # this never leaves the machine"""
    yield Part(attempts, "idp", settings)


def _with(token: str) -> Callable[[int], str]:
    return associate(Jwt(token, peers=[HOST], plaintext="allow"))
