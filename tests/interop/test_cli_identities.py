"""Every type of identity, right and wrong, over TCP and mutual TLS, against our own server and a policy file.

Tickets come from a real KDC and tokens for `oidc:` from a real provider (npm oidc-provider).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.requestor.conftest import Command, _own_configuration, command, profiles
from tests.interop.test_oidc import AUDIENCE, SECRET, Idp, private_jwk, running
from tests.lib.certificates import Certificates
from tests.parts import require
from tests.pynetdicom.support import PASSCODE, Acceptor, serving
from useridentity import Policy
from useridentity.mechanisms.passcode_file import set_passcode
from useridentity.pynetdicom import identity_of
from useridentity.testing import AssertionIssuer, TokenIssuer, missing_programs, realms
from useridentity.tls import server_context

__all__ = ["_own_configuration", "command", "profiles"]

SERVICE = "dicom@pacs.test"

POLICY = """\
version = 1
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
when = {{ called_ae_title = ["ANY-SCP"] }}
accept = ["staff", "realm", "federation", "tokens", "provider"]
[[authenticate]]
when = {{ called_ae_title = ["NAMES"] }}
accept = ["names"]
"""


class Hospital(NamedTuple):
    """What issues identities, and where the files are that the policy names."""

    folder: Path
    tickets: Path
    idp: Idp
    tokens: TokenIssuer
    assertions: AssertionIssuer


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Hospital]:
    for part in ("gssapi", "signxml", "jwt", *missing_programs()):
        require(part)
    folder = tmp_path_factory.mktemp("hospital")
    set_passcode(folder / "passcodes.toml", "alice", PASSCODE)
    tokens, assertions = TokenIssuer(), AssertionIssuer()
    tokens.write_jwks(folder / "jwks.json")
    assertions.write_metadata(folder / "idp.xml")
    with realms(folder, "CLINIC.TEST") as (realm,), realm.in_use(), running(certificates) as idp:
        idp.start("RS256", private_jwk("RS256", "k1"))
        for service in (SERVICE, "dicom@ris.test"):
            realm.add_principal(service.replace("@", "/"))
        realm.keytab(SERVICE.replace("@", "/"), file="dicom.keytab")
        realm.add_principal("alice", password="of alice")
        yield Hospital(folder, realm.login("alice", "of alice"), idp, tokens, assertions)


@pytest.fixture(scope="module", params=["tcp", "mutual tls"])
def server(
    request: pytest.FixtureRequest, hospital: Hospital, certificates: Certificates
) -> Iterator[tuple[Acceptor, tuple[Any, ...]]]:
    """A guarded server, and what a command needs to reach it."""
    policy = hospital.folder / "identity.toml"
    policy.write_text(POLICY.format(issuer=hospital.idp.issuer, audience=AUDIENCE, ca=certificates.ca))
    mutual = request.param != "tcp"
    tls = server_context(*certificates.server, client_ca=certificates.ca) if mutual else None
    cert, key = certificates.client
    options = ("--ca", certificates.ca, "--cert", cert, "--key", key) if mutual else ("--plaintext", "allow")
    with serving(Policy.load(policy), tls=tls) as acceptor:
        yield acceptor, ("127.0.0.1", acceptor.port, *options)


@pytest.fixture
def sources(
    hospital: Hospital, tmp_path: Path, profiles: Any, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that the identities below name, and alice's tickets."""
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{hospital.tickets}")
    stranger = TokenIssuer()
    secrets = {
        "right.passcode": PASSCODE,
        "wrong.passcode": b"wrong",
        "right.jwt": hospital.tokens.token("alice").encode() + b"\n",
        "wrong.jwt": stranger.token("alice").encode(),
        "right.xml": hospital.assertions.assertion("alice"),
        "wrong.xml": AssertionIssuer().assertion("alice"),
    }
    for name, content in secrets.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    tables = "".join(
        f'[oidc.{name}]\nissuer = "{hospital.idp.issuer}"\nclient_id = "web"\nca = "{certificates.ca}"\n'
        f'client_secret_file = "{secret}.secret"\nresource = "{resource}"\n'
        for name, secret, resource in (
            ("right", "right", AUDIENCE),
            ("elsewhere", "right", "urn:dicom:OTHER"),
            ("impostor", "wrong", AUDIENCE),
        )
    )
    exchange = tables.partition("[oidc.elsewhere]")[0].replace("oidc.right", "oidc.exchange")
    folder = profiles(f'{tables}{exchange}subject_token_file = "subject.secret"\n').parent
    for name, secret in (("right", SECRET), ("wrong", "guessed"), ("subject", hospital.idp.subject_token)):
        (folder / f"{name}.secret").write_text(secret)
        (folder / f"{name}.secret").chmod(0o600)


RIGHT = [
    (("username:alice", "--called", "NAMES"), "names:alice"),
    (("passcode:alice", "--passcode-file", "right.passcode"), "staff:alice"),
    ((f"kerberos:{SERVICE}",), "alice@CLINIC.TEST"),
    (("saml:right.xml",), "urn:idp#alice"),
    (("jwt:right.jwt",), "https://idp.test#alice"),
    (("oidc:right",), "#web"),
    (("oidc:exchange",), "#alice"),
]
WRONG = [
    (("none",), 5),
    (("username:alice",), 5),
    (("passcode:alice", "--passcode-file", "wrong.passcode"), 5),
    (("kerberos:dicom@ris.test",), 5),
    (("kerberos:dicom@nowhere.test",), 10),
    (("saml:wrong.xml",), 5),
    (("saml:missing.xml",), 10),
    (("saml:right.jwt",), 10),
    (("jwt:wrong.jwt",), 5),
    (("jwt:missing.jwt",), 10),
    (("jwt:right.xml",), 10),
    (("oidc:elsewhere",), 5),
    (("oidc:impostor",), 10),
    (("oidc:unknown",), 1),
]


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(("identity", "subject"), RIGHT, ids=[identity[0] for identity, _ in RIGHT])
def test_the_right_identity_is_accepted_and_stores(
    command: Command, server: tuple[Acceptor, Any], ct_path: Path, identity: tuple[str, ...], subject: str
) -> None:
    acceptor, peer = server
    acceptor.served.clear()
    done = command("echo", *peer, "--identity", *identity, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["outcome"] == "confirmed"
    if identity[0].startswith("kerberos"):
        assert "acceptor proved to be dicom/pacs.test@" in done.json["identity"]
    done = command("store", *peer[:2], ct_path, *peer[2:], "--identity", *identity)
    assert (done.code, done.err) == (0, "")
    assert [identity_of(event).subject[-len(subject) :] for event in acceptor.served] == [subject, subject]


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(("identity", "code"), WRONG, ids=[identity[0] for identity, _ in WRONG])
def test_the_wrong_identity_is_not(
    command: Command, server: tuple[Acceptor, Any], identity: tuple[str, ...], code: int
) -> None:
    """Rejected where it reached the acceptor, not sent where there was nothing to send."""
    acceptor, peer = server
    acceptor.served.clear()
    done = command("echo", *peer, "--identity", *identity)
    assert (done.code, done.out) == (code, ""), done.err
    assert acceptor.served == []
    assert SECRET not in done.err
    assert "guessed" not in done.err
