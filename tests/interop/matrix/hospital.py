"""Who issues the identities of the matrix: a KDC, an OpenID provider, issuers of assertions and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.matrix.table import Identity
from tests.interop.test_oidc import AUDIENCE, SECRET, Idp, private_jwk, running
from tests.lib.certificates import Certificates
from tests.parts import require
from tests.pynetdicom.support import PASSCODE
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.testing import AssertionIssuer, TokenIssuer, missing_programs, realms

REALM = "CLINIC.TEST"
SERVICE, OTHER_SERVICE = "dicom/pacs.test", "dicom/ris.test"

# Limits that no machine is too busy for, and no penalty: what is wrong here comes often, and from one address.
POLICY = """\
version = 1
[limits]
associate_deadline = "2m"
tls_handshake = "2m"
validator_deadline = "2m"
[limits.penalty]
exempt = ["127.0.0.0/8"]
[validator.names]
type = "username"
[validator.staff]
type = "passcode"
store = "file:passcodes.toml"
plaintext = "allow"
[validator.realm]
type = "kerberos"
service = "dicom@pacs.test"
keytab = "CLINIC.TEST/dicom.keytab"
principals = [{{ match = "*@CLINIC.TEST", user_id = "*" }}]
[validator.federation]
type = "saml"
metadata = "idp.xml"
audience = "urn:dicom:ARCHIVE"
plaintext = "allow"
[validator.tokens]
type = "jwt"
issuer = "https://idp.test"
audience = "dicom:ARCHIVE"
jwks = "jwks.json"
plaintext = "allow"
[validator.provider]
type = "jwt"
issuer = "{issuer}"
audience = "{audience}"
ca = "{ca}"
plaintext = "allow"
[[authenticate]]
name = "where a bare name is enough"
when = {{ calling_ae_title = ["WS_1"] }}
accept = ["names", "staff", "realm", "federation", "tokens", "provider"]
weakest = "asserted"
[[authenticate]]
name = "elsewhere"
accept = ["staff", "realm", "federation", "tokens", "provider"]
"""

SUBJECTS = {
    "username": "names:alice",
    "passcode": "staff:alice",
    "kerberos": "alice@CLINIC.TEST",
    "saml": "urn:idp#alice",
    "jwt": "https://idp.test#alice",
    "oidc": "#web",
    "oidc:exchange": "#alice",
}
"""How the subject of each right identity ends."""

PROFILES = "config/useridentity"
"""The folder where the profiles file is looked for."""

OIDC = """\
[oidc.{name}]
issuer = "{issuer}"
client_id = "web"
ca = "{ca}"
client_secret_file = "{secret}.secret"
resource = "{resource}"
"""


@dataclass(frozen=True)
class Hospital:
    """The issuers, strangers of the same names, and the folder with the policy that believes the former."""

    folder: Path
    tickets: Path
    idp: Idp
    tokens: TokenIssuer
    assertions: AssertionIssuer
    other_tokens: TokenIssuer = field(default_factory=TokenIssuer)
    other_assertions: AssertionIssuer = field(default_factory=AssertionIssuer)

    @property
    def policy(self) -> Path:
        return self.folder / "identity.toml"

    def provide(self, who: Identity, folder: Path) -> None:
        """Write the files that these options name, for their owner's eyes only."""
        named = {who.word.partition(":")[2], *who.options}
        if who.word.startswith("oidc:"):
            named = {name for name in self._contents if name.startswith(PROFILES)}
        for name in named & self._contents.keys():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._contents[name]())
            path.chmod(0o600)

    @property
    def _contents(self) -> dict[str, Callable[[], bytes]]:
        return {
            "right.passcode": lambda: PASSCODE,
            "wrong.passcode": lambda: b"wrong",
            "right.jwt": lambda: self.tokens.token("alice").encode() + b"\n",
            "wrong.jwt": lambda: self.other_tokens.token("alice").encode(),
            "right.xml": lambda: self.assertions.assertion("alice"),
            "wrong.xml": lambda: self.other_assertions.assertion("alice"),
            f"{PROFILES}/right.secret": SECRET.encode,
            f"{PROFILES}/wrong.secret": lambda: b"guessed",
            f"{PROFILES}/subject.secret": self.idp.subject_token.encode,
            f"{PROFILES}/profiles.toml": lambda: self._profiles().encode(),
        }

    def _profiles(self) -> str:
        whose = (
            ("right", "right", AUDIENCE),
            ("elsewhere", "right", "urn:dicom:OTHER"),
            ("impostor", "wrong", AUDIENCE),
            ("exchange", "right", AUDIENCE),
        )
        tables = (
            OIDC.format(
                name=name, issuer=self.idp.issuer, ca=self.idp.certificates.ca, secret=secret, resource=resource
            )
            for name, secret, resource in whose
        )
        return "".join(tables) + 'subject_token_file = "subject.secret"\n'


@contextmanager
def hospital(folder: Path, certificates: Certificates) -> Iterator[Hospital]:
    """All of them in an empty folder, until the block ends."""
    for part in ("gssapi", "signxml", "jwt", *missing_programs()):
        require(part)
    set_passcode(folder / "passcodes.toml", "alice", PASSCODE)
    tokens, assertions = TokenIssuer(), AssertionIssuer()
    tokens.write_jwks(folder / "jwks.json")
    assertions.write_metadata(folder / "idp.xml")
    with realms(folder, REALM) as (realm,), realm.in_use(), running(certificates) as idp:
        idp.start("RS256", private_jwk("RS256", "k1"))
        for service in (SERVICE, OTHER_SERVICE):
            realm.add_principal(service)
        realm.keytab(SERVICE, file="dicom.keytab")
        realm.add_principal("alice", password="of alice")
        made = Hospital(folder, realm.login("alice", "of alice"), idp, tokens, assertions)
        made.policy.write_text(POLICY.format(issuer=idp.issuer, audience=AUDIENCE, ca=certificates.ca))
        yield made
