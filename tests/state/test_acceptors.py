"""Two acceptors, each a process of its own, on one store: what one accepted the other refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lib.pdus import associate_rq, user_identity
from tests.lib.rawpeer import Pdu, PduType, RawPeer
from tests.mechanisms.jwt import issuer as jwt_issuer
from tests.mechanisms.kerberos.hospital import SERVICE, Hospital, hospital
from tests.mechanisms.saml import issuer as saml_issuer
from tests.state.redis_server import RealRedis
from useridentity.decision import REFUSED, UNDECIDED

HANG = 30.0  # seconds; ten times what an acceptor needs to end
ROOT = Path(__file__).parent.parent.parent

POLICY = """\
version = 1

[state]
url = "{url}"

[validator.realm]
type = "kerberos"
service = "{service}"
keytab = "{keytab}"

[validator.federation]
type = "saml"
issuer = "{saml_issuer}"
certificates = ["{certificate}"]
audience = "{saml_audience}"
reuse = "never"
plaintext = "allow"

[validator.idp]
type = "jwt"
issuer = "{jwt_issuer}"
audience = "{jwt_audience}"
algorithms = ["RS256"]
jwks = "jwks.json"
reuse = "never"
plaintext = "allow"

[[authenticate]]
accept = ["realm", "federation", "idp"]
"""


@pytest.fixture(scope="module")
def _realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with hospital(tmp_path_factory.mktemp("kerberos")) as made:
        yield made


@pytest.fixture(scope="module")
def _federation(tmp_path_factory: pytest.TempPathFactory) -> saml_issuer.Issuer:
    return saml_issuer.make_issuer(tmp_path_factory.mktemp("saml"), "idp")


@pytest.fixture
def credentials(
    _realm: Hospital, _federation: saml_issuer.Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[int, Callable[[], bytes]]:
    """Makes a new primary field for each type that can be used once."""
    _realm.settle(monkeypatch, tmp_path)
    return {
        3: lambda: _realm.ticket().primary_field,
        4: lambda: _federation.sign(saml_issuer.assertion()),
        5: lambda: jwt_issuer.Draft(claims={"jti": os.urandom(8).hex()}).token(),
    }


@pytest.fixture
def two(
    credentials: object, _realm: Hospital, _federation: saml_issuer.Issuer, tmp_path: Path
) -> Iterator[Callable[[str], list[int]]]:
    """Starts two acceptors on a store, each with a Kerberos replay cache of its own; their ports."""
    with ExitStack() as running:

        def start(url: str) -> list[int]:
            jwt_issuer.write_keys(tmp_path, jwt_issuer.jwk())
            (tmp_path / "policy.toml").write_text(
                POLICY.format(
                    url=url, service=SERVICE, keytab=_realm.keytab, certificate=_federation.certificate_file,
                    saml_issuer=saml_issuer.IDP, saml_audience=saml_issuer.AUDIENCE,
                    jwt_issuer=jwt_issuer.ISSUER, jwt_audience=jwt_issuer.AUDIENCE,
                )
            )  # fmt: skip
            return [port(running, tmp_path, name) for name in ("one", "other")]

        yield start


def port(running: ExitStack, folder: Path, name: str) -> int:
    (folder / name).mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.state.acceptor", str(folder / "policy.toml")], cwd=ROOT, text=True,
        env=os.environ | {"KRB5RCACHEDIR": str(folder / name)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    running.callback(process.communicate, timeout=HANG)
    assert process.stdout is not None
    return int(process.stdout.readline())


def answer(to: int, identity_type: int, primary_field: bytes) -> tuple[int, int, int] | None:
    """How the acceptor rejects this credential; None where it accepts."""
    with RawPeer(to) as peer:
        peer.send(associate_rq(user_identity(identity_type, primary_field)))
        pdu = peer.read_pdu()
    assert isinstance(pdu, Pdu), pdu
    return None if pdu.type is PduType.ASSOCIATE_AC else pdu.answer


@pytest.mark.threat("T25")
def test_what_one_acceptor_accepted_the_other_refuses(
    shared_url: str, two: Callable[[str], list[int]], credentials: dict[int, Callable[[], bytes]]
) -> None:
    one, other = two(shared_url)
    for identity_type, make in credentials.items():
        used, unused = make(), make()
        assert answer(one, identity_type, used) is None
        assert answer(other, identity_type, used) == REFUSED
        assert answer(other, identity_type, unused) is None
        assert answer(one, identity_type, unused) == REFUSED


def test_while_the_server_is_down_both_answer_that_they_cannot_tell(
    own_redis: Callable[..., RealRedis], two: Callable[[str], list[int]], credentials: dict[int, Callable[[], bytes]]
) -> None:
    server = own_redis()
    one, other = two(server.url)
    tokens = {identity_type: make() for identity_type, make in credentials.items()}
    del tokens[3]  # a ticket's own replay cache takes it for used once it was shown to the acceptor
    server.kill()
    for identity_type, token in tokens.items():
        assert answer(one, identity_type, token) == UNDECIDED
    server.start()
    for identity_type, token in tokens.items():
        assert answer(one, identity_type, token) is None
        assert answer(other, identity_type, token) == REFUSED
