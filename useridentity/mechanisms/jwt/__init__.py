"""User-Identity-Type 5, a JSON Web Token (PS3.7 D.3.3.7, RFC 7519): sent by a provider, judged by `JwtValidator`.

`requestor`, `offer`, `oidc` and `token_cache` are the association requestor's side; `acceptor` and what it reads
with (`compact`, `claims`, `identity`) and by (`keys`, `key_source`, `remote_keys`) the acceptor's; `discovery`
serves both. Only the acceptor needs the library PyJWT.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from useridentity.mechanisms.jwt.oidc import OidcClientCredentials, OidcTokenExchange
from useridentity.mechanisms.jwt.requestor import Jwt, JwtFile

if TYPE_CHECKING:
    from useridentity.mechanisms.jwt.acceptor import JwtSettings, JwtValidator
    from useridentity.mechanisms.jwt.identity import Groups

__all__ = ["Groups", "Jwt", "JwtFile", "JwtSettings", "JwtValidator", "OidcClientCredentials", "OidcTokenExchange"]

_ACCEPTOR = {"JwtSettings": "acceptor", "JwtValidator": "acceptor", "Groups": "identity"}


def __getattr__(name: str) -> object:
    if name not in _ACCEPTOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ACCEPTOR[name]}"), name)
