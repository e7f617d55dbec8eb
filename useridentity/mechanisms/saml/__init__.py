"""User-Identity-Type 4, a SAML 2.0 assertion (PS3.7 D.3.3.7, PS3.15 B.7): sent by `Saml`, judged by `SamlValidator`.

An assertion goes through the acceptor's rooms in this order, and is refused at the first that does not like it:
`structure` (one reading, allow-listed), `signature` (by a key of `metadata` or `remote`), `message` (bare, or in
a samlp:Response), `assertion` with `conditions`, `confirmation` and `attributes` (signed bytes only), `acceptor`
(who it is). `response` is the 59H of both sides, `requestor` the other side, `xml` the words they share.
"""

from __future__ import annotations

try:
    import lxml.etree  # type: ignore[import-untyped]  # noqa: F401
    import onelogin.saml2  # type: ignore[import-untyped]  # noqa: F401
    import signxml  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(f"{missing}; pip install 'useridentity[saml]'", name=missing.name) from missing

from useridentity.mechanisms.saml.acceptor import Groups, SamlSettings, SamlValidator
from useridentity.mechanisms.saml.requestor import Saml

__all__ = ["Groups", "Saml", "SamlSettings", "SamlValidator"]
