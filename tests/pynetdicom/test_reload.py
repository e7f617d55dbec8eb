"""A server whose files are replaced while associations run, and that is told to read them."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from tests.lib.handshake import HANG
from tests.lib.pdus import associate_rq
from tests.lib.pki import DAY, NOW, Ca, Leaf
from tests.pynetdicom.support import Acceptor, c_echo_rq, echo, requestor, serving, until
from useridentity import Policy, Rule, Username, wire
from useridentity.dimse import P_DATA_TF
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.certificate import CertificateValidator
from useridentity.pynetdicom import OutcomeKind, outcome_of
from useridentity.pynetdicom import acceptor as acceptor_module
from useridentity.tls import client_context, server_context
from useridentity.tls.reload import ServerTls
from useridentity.validator import FunctionValidator

EACH = 10  # associations of either node

REJECTED = 3
"""PDU-type of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""


@dataclass
class Site:
    """An authority, two nodes with certificates of it, and the acceptor's TLS files."""

    folder: Path
    root: Ca = field(default_factory=Ca.root)

    def __post_init__(self) -> None:
        self.nodes = {name: self.root.issue([("CN", name)]) for name in ("CT_1", "MR_1")}
        self.pairs = {name: leaf.write(self.folder, name) for name, leaf in self.nodes.items()}
        self.put("ca.pem", self.root.pem)
        self.put("ca.crl", self.root.revoke())
        self.pair = self.root.issue(server=True).write(self.folder, "server")

    def put(self, name: str, content: bytes) -> None:
        """As an administrator should, by renaming."""
        (self.folder / "beside").write_bytes(content)
        os.replace(self.folder / "beside", self.folder / name)

    def revoke(self, *leaves: Leaf) -> None:
        self.put("ca.crl", self.root.revoke(*leaves))

    def tls(self) -> ServerTls:
        return ServerTls(*self.pair, client_ca=self.folder / "ca.pem", crl=self.folder / "ca.crl")

    def associate(self, acceptor: Acceptor, name: str) -> Association:
        context = client_context(self.folder / "ca.pem", *self.pairs[name])
        return requestor().associate("127.0.0.1", acceptor.port, tls_args=(context, "127.0.0.1"))

    def connection(
        self,
        acceptor: Acceptor,
        name: str,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """One that has shaken hands, and on which nothing was asked yet."""
        context = context or client_context(self.folder / "ca.pem", *self.pairs[name])
        raw = socket.create_connection(("127.0.0.1", acceptor.port), timeout=HANG)
        tls = context.wrap_socket(raw, server_hostname="127.0.0.1", session=session)
        until(lambda: all(each.tls_peer for each in acceptor.server.lobby._waiting))
        return tls


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


POLICY = """\
version = 1

[validator.node]
type = "certificate"
issuer = "ca.pem"
{more}
[[authenticate]]
accept = ["node"]

[[authorize]]
name = "{grant}"
permit = {permit}
who = {{ kind = ["node"] }}
"""


def by_file(site: Site, more: str = "", grant: str = "nodes", permit: str = '["echo", "store"]') -> Path:
    site.put("identity.toml", POLICY.format(more=more, grant=grant, permit=permit).encode())
    return site.folder / "identity.toml"


def by_certificate(site: Site, *more: Any) -> Policy:
    return Policy([Rule([*more, CertificateValidator((site.root.certificate,), name="node")])])


@pytest.fixture
def running(site: Site) -> Iterator[tuple[Acceptor, dict[str, list[Association]]]]:
    """An acceptor, and associations of both nodes."""
    with serving(by_certificate(site), tls=site.tls(), maximum_associations=50) as acceptor:  # type: ignore[arg-type]
        associations = {name: [site.associate(acceptor, name) for _ in range(EACH)] for name in site.nodes}
        assert all(each.is_established for some in associations.values() for each in some)
        yield acceptor, associations
        for each in (*associations["CT_1"], *associations["MR_1"]):
            each.release()


def all_echo(associations: list[Association]) -> bool:
    return all(echo(each) == 0 for each in associations)


def test_a_reload_drops_nobody_unless_asked(site: Site, running: Any) -> None:
    acceptor, associations = running
    site.revoke(site.nodes["CT_1"])
    assert acceptor.server.reload() == 0
    assert all_echo(associations["CT_1"])
    assert all_echo(associations["MR_1"])
    assert not site.associate(acceptor, "CT_1").is_established


@pytest.mark.threat("N1")
def test_those_whose_certificate_is_revoked_are_dropped_and_the_others_go_on(
    site: Site, running: Any, caplog: pytest.LogCaptureFixture
) -> None:
    acceptor, associations = running
    assert acceptor.server.reload(drop=True) == 0
    assert all_echo(associations["CT_1"])
    site.revoke(site.nodes["CT_1"])
    assert acceptor.server.reload(drop=True) == EACH
    until(lambda: all(each.is_aborted for each in associations["CT_1"]))
    assert all_echo(associations["MR_1"])
    until(lambda: len(acceptor.ae._places) == EACH)
    dropped = [record for record in caplog.records if "has been revoked" in record.getMessage()]
    assert len(dropped) == EACH


def test_files_that_cannot_be_used_change_nothing(site: Site, running: Any) -> None:
    acceptor, associations = running
    site.put("ca.crl", b"nonsense")
    with pytest.raises(ConfigurationError, match=r"ca\.crl"):
        acceptor.server.reload(drop=True)
    assert all_echo(associations["CT_1"])
    late = site.associate(acceptor, "CT_1")
    assert late.is_established
    late.release()


def test_an_association_that_is_decided_about_during_a_drop_is_not_missed(site: Site) -> None:
    asked, answer = threading.Event(), threading.Event()
    node = CertificateValidator((site.root.certificate,), name="node")

    def slow(*arguments: Any) -> Any:
        asked.set()
        answer.wait(10)
        return node.validate(*arguments)

    policy = Policy([Rule([FunctionValidator("node", None, slow)])])
    with serving(policy, tls=site.tls()) as acceptor:  # type: ignore[arg-type]
        for revoked, kind in ((False, OutcomeKind.ACCEPTED), (True, OutcomeKind.REJECTED)):
            made: list[Association] = []
            thread = threading.Thread(target=lambda made=made: made.append(site.associate(acceptor, "CT_1")))
            thread.start()
            assert asked.wait(10)
            if revoked:
                site.revoke(site.nodes["CT_1"])
            assert acceptor.server.reload(drop=True) == 0
            answer.set()
            thread.join(10)
            assert outcome_of(made[0]).kind is kind
            made[0].release()
            asked.clear()
            answer.clear()


def test_what_cannot_be_judged_is_dropped_and_keeps_nobody_else_from_it(
    site: Site, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that OpenSSL has taken need not be one that can be parsed."""
    acceptor, associations = running
    judge, odd = ServerTls.objects, site.nodes["CT_1"].der

    def objects(tls: ServerTls, certificate: bytes, now: datetime) -> str:
        if certificate == odd:
            raise ValueError("error parsing asn1 value")
        return judge(tls, certificate, now)

    monkeypatch.setattr(ServerTls, "objects", objects)
    assert acceptor.server.reload(drop=True) == EACH
    assert all_echo(associations["MR_1"])


def test_an_association_without_tls_goes_on() -> None:
    with serving() as acceptor:
        assoc = requestor().associate("127.0.0.1", acceptor.port, identity=Username("alice"))
        assert acceptor.server.reload(drop=True) == 0
        assert echo(assoc) == 0
        assoc.release()


def test_a_dropped_association_ends_though_its_handler_is_at_work(site: Site) -> None:
    working, done = threading.Event(), threading.Event()

    def slow(_event: evt.Event) -> int:
        working.set()
        done.wait(10)
        return 0x0000

    handlers = [(evt.EVT_C_ECHO, slow)]
    with serving(by_certificate(site), tls=site.tls(), handlers=handlers) as acceptor:  # type: ignore[arg-type]
        assoc = site.associate(acceptor, "CT_1")
        answers: list[int | None] = []
        thread = threading.Thread(target=lambda: answers.append(echo(assoc)))
        thread.start()
        assert working.wait(10)
        site.revoke(site.nodes["CT_1"])
        assert acceptor.server.reload(drop=True) == 1
        until(lambda: assoc.is_aborted)
        thread.join(10)
        assert answers == [None]
        done.set()


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.threat("N1")
def test_a_dropped_association_is_served_nothing_that_was_on_its_way(site: Site, goes_on: bool) -> None:
    """A request whose last octet was kept back until then; and who keeps it back for ever is cut off."""
    with serving(by_certificate(site), tls=site.tls()) as acceptor:  # type: ignore[arg-type]
        peer = site.connection(acceptor, "CT_1")
        peer.sendall(associate_rq())
        assert peer.recv(1024)[0] == wire.ACCEPT
        request = c_echo_rq()
        peer.sendall(request)
        assert peer.recv(1024)[0] == P_DATA_TF
        peer.sendall(request[:-1])
        (association,) = acceptor.server.active_associations
        until(lambda: association.dul.socket._received)
        site.revoke(site.nodes["CT_1"])
        assert acceptor.server.reload(drop=True) == 1
        if goes_on:
            peer.sendall(request[-1:])
        while peer.recv(1024):
            pass
        peer.close()
    assert len(acceptor.served) == 1


def test_a_dropped_association_is_told_of_as_aborted_and_ends_once(site: Site) -> None:
    with serving(by_certificate(site), tls=site.tls()) as acceptor:  # type: ignore[arg-type]
        site.associate(acceptor, "CT_1")
        site.revoke(site.nodes["CT_1"])
        assert acceptor.server.reload(drop=True) == 1
        assert acceptor.server.reload(drop=True) == 0
        life = acceptor.life()
        assert sorted(life[-2:]) == ["EVT_ABORTED", "EVT_CONN_CLOSE"]  # told by two threads, in the order they come
        assert life.count("EVT_ABORTED") == 1


@pytest.fixture
def filed(site: Site) -> Iterator[tuple[Acceptor, dict[str, list[Association]]]]:
    """As `running`, by a policy file."""
    with serving(Policy.load(by_file(site)), tls=site.tls(), maximum_associations=50) as acceptor:  # type: ignore[arg-type]
        associations = {name: [site.associate(acceptor, name) for _ in range(EACH)] for name in site.nodes}
        assert all_echo(associations["CT_1"] + associations["MR_1"])
        yield acceptor, associations
        for each in (*associations["CT_1"], *associations["MR_1"]):
            each.release()


Filed = tuple[Acceptor, dict[str, list[Association]]]


def test_a_new_policy_is_for_the_next_association_and_for_those_that_run_when_it_drops(
    site: Site, filed: Filed
) -> None:
    acceptor, associations = filed
    by_file(site, 'subject = { CN = "MR_1" }', "the others")
    assert acceptor.server.reload() == 0
    assert all_echo(associations["CT_1"] + associations["MR_1"])
    assert not site.associate(acceptor, "CT_1").is_established
    assert grants(acceptor) == {"nodes"}
    assert acceptor.server.reload(drop=True) == EACH
    until(lambda: all(each.is_aborted for each in associations["CT_1"]))
    assert all_echo(associations["MR_1"])
    until(lambda: grants(acceptor) == {"the others"})


def test_an_authority_that_is_withdrawn_ends_those_it_had_issued_for(site: Site) -> None:
    """The validator's issuer is another file, and stays."""
    with serving(by_certificate(site), tls=site.tls()) as acceptor:  # type: ignore[arg-type]
        assoc, new = site.associate(acceptor, "CT_1"), Ca.root("New Root")
        site.put("ca.pem", site.root.pem + new.pem)
        site.put("ca.crl", site.root.revoke() + new.revoke())
        assert acceptor.server.reload(drop=True) == 0
        assert echo(assoc) == 0
        site.put("ca.pem", new.pem)
        site.put("ca.crl", b"")
        with pytest.raises(ConfigurationError, match="holds no PEM revocation list"):
            acceptor.server.reload(drop=True)
        assert echo(assoc) == 0
        site.put("ca.crl", new.revoke())
        assert acceptor.server.reload(drop=True) == 1
        until(lambda: assoc.is_aborted)


def test_a_revocation_list_that_has_ended_ends_those_of_its_authority(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(by_certificate(site), tls=site.tls()) as acceptor:  # type: ignore[arg-type]
        assoc = site.associate(acceptor, "CT_1")
        assert acceptor.server.reload(drop=True) == 0
        assert echo(assoc) == 0
        site.put("ca.crl", site.root.revoke(start=NOW - 2 * DAY, ends=NOW - DAY))
        assert acceptor.server.reload(drop=True) == 1
        until(lambda: assoc.is_aborted)
    assert "has ended" in caplog.text


def replaced_and_dropped(acceptor: Acceptor) -> None:
    assert acceptor.server.reload(drop=True) == 0


def replaced_and_reloaded(acceptor: Acceptor) -> None:
    assert acceptor.server.reload() == 0


def replaced(_acceptor: Acceptor) -> None:
    """And noticed by the acceptor itself."""


@pytest.mark.threat("N4")
@pytest.mark.parametrize("meanwhile", [replaced_and_dropped, replaced_and_reloaded, replaced])
def test_who_shook_hands_before_is_judged_by_what_holds_when_the_request_comes(
    site: Site, meanwhile: Callable[[Acceptor], None]
) -> None:
    """The first connection learns of a list without it, the second of one with it."""
    with serving(by_certificate(site), tls=site.tls()) as acceptor:  # type: ignore[arg-type]
        for revoked, answer in (("MR_1", wire.ACCEPT), ("CT_1", REJECTED)):
            with site.connection(acceptor, "CT_1") as tls:
                site.revoke(site.nodes[revoked])
                meanwhile(acceptor)
                tls.sendall(associate_rq())
                assert tls.recv(1)[0] == answer


@pytest.mark.threat("N4")
def test_who_shook_hands_with_an_authority_that_was_withdrawn_meanwhile_is_refused(site: Site) -> None:
    with serving(by_certificate(site), tls=site.tls()) as acceptor:  # type: ignore[arg-type]
        new = Ca.root("New Root")
        for trusted, answer in (((site.root, new), wire.ACCEPT), ((new,), REJECTED)):
            with site.connection(acceptor, "CT_1") as tls:
                site.put("ca.pem", b"".join(each.pem for each in trusted))
                site.put("ca.crl", b"".join(each.revoke() for each in trusted))
                tls.sendall(associate_rq())
                assert tls.recv(1)[0] == answer


class Later(datetime):
    """The clock once the nodes' certificates have ended."""

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        return super().now(tz) + 31 * DAY


@pytest.mark.threat("N5")
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_does_not_prolong_a_certificate(
    site: Site, version: ssl.TLSVersion, plain: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No check of the certificate is in the policy, and TLS does not look at its dates again."""
    tls: Any = (server_context if plain else ServerTls)(*site.pair, client_ca=site.folder / "ca.pem")
    client, session = client_context(site.folder / "ca.pem", *site.pairs["CT_1"]), None
    client.maximum_version = version
    with serving(Policy.unguarded(), tls=tls) as acceptor:
        for clock, answer in ((datetime, wire.ACCEPT), (datetime, wire.ACCEPT), (Later, REJECTED)):
            monkeypatch.setattr(acceptor_module, "datetime", clock)
            with site.connection(acceptor, "CT_1", client, session) as connection:
                connection.sendall(associate_rq())
                assert connection.recv(1)[0] == answer
                assert connection.session_reused is (session is not None)
                session = connection.session
    assert "does not hold now" in caplog.text


def test_every_problem_of_policy_and_tls_is_told_and_neither_is_used(site: Site, filed: Filed) -> None:
    acceptor, associations = filed
    by_file(site, 'subjekt = { CN = "CT_1" }', "")
    site.put("ca.crl", b"nonsense")
    before = acceptor.server.driver.policy.content
    with pytest.raises(ConfigurationError) as wrong:
        acceptor.server.reload(drop=True)
    assert "subjekt" in str(wrong.value)
    assert "ca.crl" in str(wrong.value)
    assert acceptor.server.driver.policy.content is before
    by_file(site, 'subject = { CN = "MR_1" }')
    with pytest.raises(ConfigurationError):
        acceptor.server.reload(drop=True)
    assert acceptor.server.driver.policy.content is before
    assert all_echo(associations["CT_1"] + associations["MR_1"])


def test_those_that_go_on_may_do_what_is_permitted_now(site: Site, filed: Filed, ct_dataset: Dataset) -> None:
    acceptor, _ = filed
    context = client_context(site.folder / "ca.pem", *site.pairs["CT_1"])
    scu = requestor(Verification, CTImageStorage)
    scu.requested_contexts[1].transfer_syntax = [ct_dataset.file_meta.TransferSyntaxUID]
    assoc = scu.associate("127.0.0.1", acceptor.port, tls_args=(context, "127.0.0.1"))
    assert assoc.send_c_store(ct_dataset).Status == 0x0000
    by_file(site, permit='["echo"]')
    assert acceptor.server.reload() == 0
    assert assoc.send_c_store(ct_dataset).Status == 0x0000
    assert acceptor.server.reload(drop=True) == 0
    assert assoc.send_c_store(ct_dataset).Status == 0x0124
    assert echo(assoc) == 0
    by_file(site, permit='["find"]')
    assert acceptor.server.reload(drop=True) == 2 * EACH + 1
    until(lambda: assoc.is_aborted)


def test_limits_are_read_again(site: Site, filed: Filed) -> None:
    acceptor, _ = filed
    by_file(site, "[limits]\nmax_pending_per_peer = 3")
    acceptor.server.reload()
    assert acceptor.server.lobby.limits.max_pending_per_peer == 3
    assert acceptor.server.limits.max_pending_per_peer == 3


def grants(acceptor: Acceptor) -> set[str]:
    """The rules that permit what the associations of the acceptor may do."""
    return {each.admission.accepted.grant for each in acceptor.server._admitted() if each.admission}
