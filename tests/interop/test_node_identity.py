"""A user's credential and a node's certificate on one association: over mutual TLS, from DCMTK and from our AE.

What binds the two is the token (RFC 8705), the assertion (holder-of-key, SAML profiles 3.1), or the policy,
which asks for both (`accept = ["idp+node"]`).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydicom import Dataset
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.lib import dcmtk
from tests.lib.certificates import Pair
from tests.lib.pki import Ca, Leaf
from tests.pynetdicom.support import Acceptor, requestor, serving
from useridentity import Policy
from useridentity.credential import CredentialProvider
from useridentity.mechanisms.jwt import Jwt
from useridentity.mechanisms.saml import Saml
from useridentity.pynetdicom import identity_of, outcome_of
from useridentity.pynetdicom.acceptor import AcceptorAssociation
from useridentity.testing import AssertionIssuer, TokenIssuer, bound_to
from useridentity.tls import client_context, server_context

HOST = "127.0.0.1"

POLICY = """\
version = 1

[validator.idp]
type = "jwt"
issuer = "{jwt.issuer}"
audience = "{jwt.audience}"
jwks = "jwks.json"
binding = "{binding}"

[validator.federation]
type = "saml"
metadata = "idp.xml"
audience = "{saml.audience}"
binding = "{binding}"

[validator.node]
type = "certificate"
issuer = "ca.pem"
subject = {{ O = "Radiology" }}
ae_title = "CN"

[[authenticate]]
accept = {accept}
"""

TLS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
MECHANISMS = ("jwt", "saml")
SUBJECTS = {"jwt": "https://idp.test#alice", "saml": "urn:idp#alice"}

Send = Callable[..., bool]


@dataclass
class Hospital:
    """Two issuers of credentials and an authority with three nodes: the user's, another one and one elsewhere."""

    folder: Path

    def __post_init__(self) -> None:
        self.tokens, self.assertions = TokenIssuer(), AssertionIssuer()
        self.tokens.write_jwks(self.folder / "jwks.json")
        self.assertions.write_metadata(self.folder / "idp.xml")
        self.root = Ca.root()
        (self.folder / "ca.pem").write_bytes(self.root.pem)
        # In TLS 1.2 DCMTK 3.6.7 offers, unless told otherwise, only suites for servers with an RSA key.
        self.server = self.root.issue(server=True, key=rsa.generate_private_key(65537, 2048)).write(
            self.folder, "server"
        )
        self.own, self.other = (self.node(name) for name in ("WS_1", "WS_2"))
        self.elsewhere = self.node("WS_1", "Pharmacy")

    def node(self, name: str, organization: str = "Radiology") -> tuple[Leaf, Pair]:
        leaf = self.root.issue([("O", organization), ("CN", name)])
        return leaf, leaf.write(self.folder, f"{name}-{organization}")

    def policy(self, accept: str, binding: str) -> Policy:
        text = POLICY.format(jwt=self.tokens, saml=self.assertions, accept=accept, binding=binding)
        (self.folder / "identity.toml").write_text(text)
        return Policy.load(self.folder / "identity.toml")

    def credential(self, mechanism: str, *, bound: bool) -> bytes:
        der = self.own[0].der
        if mechanism == "saml":
            return self.assertions.assertion(holder=der if bound else b"")
        return self.tokens.token(cnf=bound_to(der) if bound else None).encode()

    @staticmethod
    def credential_of_a_stranger(mechanism: str) -> bytes:
        """By issuers that have the names of these, and other keys."""
        return AssertionIssuer().assertion() if mechanism == "saml" else TokenIssuer().token().encode()

    @contextmanager
    def serving(self, accept: str, binding: str, version: ssl.TLSVersion) -> Iterator[Acceptor]:
        """An acceptor that speaks one version of TLS; whether a certificate is owed is the policy's to say."""
        tls = server_context(*self.server, client_ca=self.folder / "ca.pem", client_certificate="optional")
        tls.minimum_version = tls.maximum_version = version
        with serving(self.policy(accept, binding), tls=tls) as acceptor:
            yield acceptor


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("hospital"))


class Storescu:
    """DCMTK's storescu as requestor."""

    def __init__(self, hospital: Hospital, ct_path: Path) -> None:
        self._ca, self._image, self._file = hospital.folder / "ca.pem", ct_path, hospital.folder / "credential"

    def stores(self, acceptor: Acceptor, pair: Pair | None, mechanism: str, credential: bytes | None) -> bool:
        tls = ("+tls", pair.key, pair.cert) if pair else ("+tla",)
        identity: tuple[object, ...] = ()
        if credential is not None:
            self._file.write_bytes(credential)
            identity = (f"--{mechanism}", self._file, "-rsp")
        options = (*identity, *tls, "+cf", self._ca, "-aet", "WS_1", "-aec", "ARCHIVE", HOST, acceptor.port)
        return dcmtk.run("storescu", *options, self._image).returncode == 0


class OurAe:
    """This package's AE as requestor."""

    def __init__(self, hospital: Hospital, image: Dataset) -> None:
        self._ca, self._image = hospital.folder / "ca.pem", image

    def stores(self, acceptor: Acceptor, pair: Pair | None, mechanism: str, credential: bytes | None) -> bool:
        context = client_context(self._ca, *(pair or ()))
        ae = requestor(CTImageStorage)
        ae.ae_title = "WS_1"
        ae.requested_contexts[0].transfer_syntax = [self._image.file_meta.TransferSyntaxUID]
        identity = None if credential is None else _provider(mechanism, credential)
        assoc = ae.associate(HOST, acceptor.port, tls_args=(context, HOST), identity=identity)
        if not assoc.is_established:
            return False
        assert identity is None or str(outcome_of(assoc)) == "accepted, identity confirmed"
        status = assoc.send_c_store(self._image).Status
        assoc.release()
        return bool(status == 0)


def _provider(mechanism: str, credential: bytes) -> CredentialProvider:
    return Jwt(credential, peers=[HOST]) if mechanism == "jwt" else Saml(credential, peers=[HOST])


@pytest.fixture(params=["storescu", "AE"])
def peer(request: pytest.FixtureRequest, hospital: Hospital, ct_path: Path, ct_dataset: Dataset) -> Storescu | OurAe:
    return Storescu(hospital, ct_path) if request.param == "storescu" else OurAe(hospital, ct_dataset)


def why(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The last decision."""
    found: dict[str, Any] = [record.decision for record in caplog.records if hasattr(record, "decision")][-1]
    return found


@pytest.mark.threat("N2")
@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_credential_bound_to_a_certificate_serves_its_node_and_no_other(
    hospital: Hospital, peer: Storescu | OurAe, mechanism: str, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "useridentity")
    bound, plain = (hospital.credential(mechanism, bound=each) for each in (True, False))
    with hospital.serving('["idp", "federation"]', "certificate", TLS[version]) as acceptor:
        assert peer.stores(acceptor, hospital.own[1], mechanism, bound)
        assert identity_of(acceptor.served.pop()).subject == SUBJECTS[mechanism]
        assert why(caplog)["tls"] == "mutual"
        for pair, credential in ((hospital.other[1], bound), (None, bound), (hospital.own[1], plain)):
            assert not peer.stores(acceptor, pair, mechanism, credential)
            assert why(caplog)["reason"] == "credential-invalid"
            assert "certificate" in why(caplog)["detail"]
        assert acceptor.served == []


@pytest.mark.threat("N3")
@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_where_both_are_asked_neither_suffices_alone(
    hospital: Hospital, peer: Storescu | OurAe, mechanism: str, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "useridentity")
    credential = hospital.credential(mechanism, bound=False)
    with hospital.serving('["idp+node", "federation+node"]', "none", TLS[version]) as acceptor:
        assert peer.stores(acceptor, hospital.own[1], mechanism, credential)
        (event,) = acceptor.served
        assert identity_of(event).subject == SUBJECTS[mechanism]
        assert isinstance(event.assoc, AcceptorAssociation)
        assert event.assoc.admission.accepted.node.subject == "node:WS_1"
        assert why(caplog)["validator"].endswith("+node")
        acceptor.served.clear()
        for pair, sent, reason in (
            (hospital.other[1], credential, "credential-invalid"),  # its CN is not the calling AE title
            (hospital.elsewhere[1], credential, "credential-invalid"),
            (None, credential, "identity-required"),
            (hospital.own[1], None, "identity-required"),
            (hospital.own[1], hospital.credential_of_a_stranger(mechanism), "credential-invalid"),
        ):
            assert not peer.stores(acceptor, pair, mechanism, sent)
            assert why(caplog)["reason"] == reason
        assert acceptor.served == []


@pytest.mark.parametrize("version", TLS)
def test_a_certificate_of_another_authority_reaches_no_policy(
    hospital: Hospital, peer: Storescu | OurAe, version: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "useridentity")
    credential = hospital.credential("jwt", bound=False)
    foreign = Ca.root("Somebody Else").issue([("O", "Radiology"), ("CN", "WS_1")]).write(tmp_path, "foreign")
    with hospital.serving('["idp+node"]', "none", TLS[version]) as acceptor:
        assert peer.stores(acceptor, hospital.own[1], "jwt", credential)
        decided = len(caplog.records)
        assert not peer.stores(acceptor, foreign, "jwt", credential)
        assert not [record for record in caplog.records[decided:] if hasattr(record, "decision")]


@pytest.mark.parametrize("version", TLS)
def test_the_version_is_the_one_that_was_asked_for(hospital: Hospital, version: str) -> None:
    with hospital.serving('["node"]', "none", TLS[version]) as acceptor:
        context = client_context(hospital.folder / "ca.pem", *hospital.own[1])
        ae = requestor()
        ae.ae_title = "WS_1"
        assoc = ae.associate(HOST, acceptor.port, tls_args=(context, HOST))
        assert assoc.is_established
        assert assoc.dul.socket is not None
        assert isinstance(assoc.dul.socket.socket, ssl.SSLSocket)
        assert assoc.dul.socket.socket.version() == version.replace("TLS 1", "TLSv1")
        assoc.release()
