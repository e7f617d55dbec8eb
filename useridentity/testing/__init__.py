"""Builders for the tests of your own policy: issuers whose keys you hold, and a Kerberos realm of your own.

They are real: tokens and assertions are signed, tickets come from a KDC; only who stands behind them is
made up. Nothing here belongs into a program that runs for anybody but its developers.

```python
issuer = TokenIssuer("https://idp.example.org", "dicom:ARCHIVE")
issuer.write_jwks(tmp_path / "jwks.json")  # which the policy names
identity = Jwt(issuer.token(roles=["radiologist"]), peers=["127.0.0.1"], plaintext="allow")
```

Each builder needs the extra of its mechanism (`jwt`, `saml`, `certificate`), imported where it is used; `realms`
needs the programs of MIT Kerberos, and whoever uses its tickets the extra `kerberos`.
"""

from __future__ import annotations

from useridentity.testing.assertions import AssertionIssuer
from useridentity.testing.certificates import CertificateAuthority, Pair, der_of
from useridentity.testing.kdc import Realm, realms
from useridentity.testing.programs import missing_programs
from useridentity.testing.sends import Sends
from useridentity.testing.tokens import TokenIssuer, bound_to

__all__ = [
    "AssertionIssuer",
    "CertificateAuthority",
    "Pair",
    "Realm",
    "Sends",
    "TokenIssuer",
    "bound_to",
    "der_of",
    "missing_programs",
    "realms",
]
