"""An acceptor whose TLS files are replaced while it runs."""

from __future__ import annotations

import errno
import logging
import os
import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.lib.documents import run_python_of, snippets_of
from tests.lib.handshake import handshake
from tests.lib.pki import DAY, NOW, Ca, Leaf
from tests.pynetdicom.support import PASSCODE, serving
from useridentity import Policy, UsernamePasscode, changed_file, whole_file
from useridentity.errors import ConfigurationError
from useridentity.pynetdicom import AE
from useridentity.testing import TokenIssuer
from useridentity.tls import client_context
from useridentity.tls.reload import WARN_AGAIN, ServerTls


@dataclass
class Site:
    """Files that are replaced as an administrator does, by renaming."""

    folder: Path
    root: Ca = field(default_factory=Ca.root)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.node = self.root.issue()
        self.pair = self.node.write(self.folder, "node")
        self.put("ca.pem", self.root.pem)
        self.put("ca.crl", self.root.revoke())
        self.new_server(self.root.issue(server=True))

    def put(self, name: str, content: bytes) -> Path:
        beside = self.folder / "beside"
        beside.write_bytes(content)
        os.replace(beside, self.folder / name)
        return self.folder / name

    def new_server(self, leaf: Leaf) -> None:
        fresh = leaf.write(self.folder, "fresh")
        os.replace(fresh.cert, self.folder / "server.pem")
        os.replace(fresh.key, self.folder / "server.key")

    def tls(self) -> ServerTls:
        return ServerTls(
            self.folder / "server.pem",
            self.folder / "server.key",
            client_ca=self.folder / "ca.pem",
            crl=self.folder / "ca.crl",
            now=lambda: self.now,
        )

    def client(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        client = client_context(self.folder / "ca.pem", *self.pair)
        client.maximum_version = version
        return client


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def test_while_no_file_changes_it_is_one_context_and_sessions_resume(site: Site) -> None:
    tls, client = site.tls(), site.client()
    assert tls.context() is tls.context()
    session = handshake(tls, client).session
    assert handshake(tls, client, session=session).resumed


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_revocation_list_holds_for_resumed_sessions_too(site: Site, version: ssl.TLSVersion) -> None:
    tls, client = site.tls(), site.client(version)
    session = handshake(tls, client).session
    assert handshake(tls, client, session=session).resumed
    site.put("ca.crl", site.root.revoke(site.node))
    with pytest.raises(OSError):  # noqa: PT011  an alert or a reset, whichever is first
        handshake(tls, client, session=session)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_does_not_outlive_the_end_of_a_revocation_list(site: Site, version: ssl.TLSVersion) -> None:
    """OpenSSL judges a list when it verifies, which it does not for a resumed session."""
    tls, client = site.tls(), site.client(version)
    session = handshake(tls, client).session
    site.now = NOW + 29 * DAY
    assert handshake(tls, client, session=session).resumed
    site.now = NOW + 30 * DAY
    assert not handshake(tls, client, session=session).resumed
    assert tls.context() is tls.context()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_outlives_the_end_of_no_list_though_another_has_ended_before(
    site: Site, version: ssl.TLSVersion
) -> None:
    site.put("ca.pem", site.root.pem + (vendor := Ca.root("Vendor Root")).pem)
    site.put("ca.crl", site.root.revoke() + vendor.revoke(ends=NOW + 10 * DAY))
    tls, client = site.tls(), site.client(version)
    site.now = NOW + 10 * DAY
    session = handshake(tls, client).session
    assert handshake(tls, client, session=session).resumed
    site.now = NOW + 30 * DAY
    assert not handshake(tls, client, session=session).resumed


def test_the_end_of_a_revocation_list_is_warned_of_once_an_hour(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    tls = site.tls()
    for now, expected in [
        (NOW, 0),
        (NOW + 25 * DAY, 1),
        (NOW + 25 * DAY + WARN_AGAIN / 2, 1),
        (NOW + 25 * DAY + WARN_AGAIN, 2),
        (NOW + 31 * DAY, 3),
    ]:
        site.now = now
        tls.context()
        assert len(caplog.records) == expected
    assert "from then on" in caplog.records[0].getMessage()
    assert "until it is replaced" in caplog.records[2].getMessage()


def test_a_new_certificate_and_a_new_authority_are_used_by_the_next_connection(site: Site) -> None:
    tls = site.tls()
    handshake(tls, site.client())
    site.root = Ca.root("New Root")
    site.__post_init__()
    handshake(tls, site.client())


@pytest.mark.parametrize("name", ["server.pem", "server.key", "ca.pem", "ca.crl"])
def test_a_file_that_cannot_be_used_is_logged_and_the_one_of_before_stays(
    site: Site, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    tls, client = site.tls(), site.client()
    before, context = (site.folder / name).read_bytes(), tls.context()
    site.put(name, b"nonsense")
    handshake(tls, client)
    handshake(tls, client)
    assert tls.context() is context
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(site.folder / name) in record.getMessage()
    with pytest.raises(ConfigurationError):
        tls.reload()
    site.put(name, before)
    handshake(tls, client)
    assert tls.context() is not context


def test_what_could_not_be_read_for_another_reason_is_tried_again(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file changes when descriptors are to be had again."""
    tls, client = site.tls(), site.client()
    handshake(tls, client)
    site.put("ca.crl", site.root.revoke(site.node))
    with monkeypatch.context() as without_descriptors:
        without_descriptors.setattr(changed_file, "RETRY_AFTER", 0.0)
        without_descriptors.setattr(whole_file, "content", _no_descriptors)
        for _ in range(3):
            handshake(tls, client)
    (record,) = caplog.records
    assert os.strerror(errno.EMFILE) in record.getMessage()
    with pytest.raises(OSError):  # noqa: PT011  an alert or a reset, whichever is first
        handshake(tls, client)


def _no_descriptors(path: Path) -> bytes:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))


def test_a_file_whose_mode_was_put_right_is_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key was replaced without being readable; then only its mode changes, and with that its ctime."""
    tls = site.tls()
    site.new_server(site.root.issue(server=True))
    with monkeypatch.context() as unreadable:
        unreadable.setattr(whole_file, "content", _no_descriptors)
        stayed = tls.context()
    assert tls.context() is stayed
    (site.folder / "server.key").chmod(0o600)
    assert tls.context() is not stayed


def test_a_reload_ends_sessions_even_where_nothing_changed(site: Site) -> None:
    tls, client = site.tls(), site.client()
    session = handshake(tls, client).session
    tls.reload()
    assert not handshake(tls, client, session=session).resumed


def test_what_cannot_be_used_at_the_start_is_an_error(site: Site) -> None:
    site.tls()
    site.put("ca.crl", b"nonsense")
    with pytest.raises(ConfigurationError, match=r"ca\.crl"):
        site.tls()


def test_twenty_associations_go_on_while_every_file_is_replaced(site: Site) -> None:
    """None ends, and the next one meets the new certificate and is verified by the new authority."""
    ae = AE("CT_1")
    ae.add_requested_context(Verification)
    identity = UsernamePasscode("alice", PASSCODE)

    with serving(tls=site.tls(), maximum_associations=30) as acceptor:  # type: ignore[arg-type]
        old = site.client()
        begun = [
            ae.associate("127.0.0.1", acceptor.port, tls_args=(old, "127.0.0.1"), identity=identity) for _ in range(20)
        ]
        assert all(assoc.is_established for assoc in begun)
        site.root = Ca.root("New Root")
        site.__post_init__()
        assert all(assoc.send_c_echo().Status == 0 for assoc in begun)
        late = ae.associate("127.0.0.1", acceptor.port, tls_args=(old, "127.0.0.1"), identity=identity)
        assert not late.is_established
        new = ae.associate("127.0.0.1", acceptor.port, tls_args=(site.client(), "127.0.0.1"), identity=identity)
        assert new.is_established
        for assoc in (*begun, new):
            assoc.release()


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """What the test makes of SIGHUP and SIGUSR1 ends with it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
def test_the_examples_of_the_documentation_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    site.put("nodes-ca.pem", site.root.pem)
    TokenIssuer().write_jwks(site.folder / "jwks.json")
    policies = snippets_of("certificates", "toml")
    for number, policy in enumerate(policies):
        site.put(f"{number}.toml", policy.encode())
        Policy.load(site.folder / f"{number}.toml")
    site.put("identity.toml", policies[0].encode())
    names: dict[str, Any] = {"contexts": [build_context(Verification)]}
    run_python_of("certificates", names)
    assert handshake(names["tls"], names["context"]).client_name == "CT_1"
    names["server"].server_close()
