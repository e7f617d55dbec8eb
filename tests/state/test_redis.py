"""What can happen to a server: it refuses in words, and serves again without a restart."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.lib.certificates import Certificates
from tests.state.builders import NOW, T0, once
from tests.state.redis_server import RealRedis
from useridentity.decision import Reason
from useridentity.errors import Unavailable
from useridentity.state import Kind, Store
from useridentity.state.redis import COMMANDS, CONNECTIONS

SECRET = "hush-4711"
ACCOUNT = Kind.ACCOUNT
Servers = Callable[..., RealRedis]
Opened = Callable[[str], Store]


def cannot_tell(store: Store) -> str:
    with pytest.raises(Unavailable) as refused:
        store.spend([once("other")], NOW)
    assert refused.value.reason is Reason.STATE_UNAVAILABLE
    return refused.value.detail


def test_a_killed_server_refuses_and_remembers_when_it_is_back(own_redis: Servers, opened: Opened) -> None:
    server = own_redis()
    store = opened(server.url)
    assert store.spend([once()], NOW)
    server.kill()
    assert cannot_tell(store) == f"Redis at 127.0.0.1:{server.port}: cannot be reached (ConnectionError)"
    server.start()
    assert not store.spend([once()], NOW)
    assert store.spend([once("other")], NOW)


def test_a_server_that_is_down_keeps_no_acceptor_from_starting(own_redis: Servers, opened: Opened) -> None:
    server = own_redis()
    server.kill()
    store = opened(server.url)
    assert "cannot be reached" in cannot_tell(store)
    server.start()
    assert store.spend([once()], NOW)


def test_a_server_that_hangs_refuses_in_time(
    own_redis: Servers, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("useridentity.state.redis.TIMEOUT", 0.1)
    server = own_redis()
    store = opened(server.url)
    assert store.spend([once()], NOW)
    server.hang()
    started = time.monotonic()
    assert cannot_tell(store) == f"Redis at 127.0.0.1:{server.port}: did not answer within 0.1 s"
    assert time.monotonic() - started < 10
    server.go_on()
    assert not store.spend([once()], NOW)


def test_a_server_started_lately_without_an_append_only_file_may_have_forgotten(
    own_redis: Servers, opened: Opened
) -> None:
    """Its twin, with the file, is the test of the killed server."""
    store = opened(own_redis("--appendonly", "no").url)
    assert "may have forgotten that this was used; set appendonly yes" in cannot_tell(store)


def test_a_server_started_lately_has_forgotten_nothing_of_what_was_issued_since(
    own_redis: Servers, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(own_redis("--appendonly", "no").url)
    fresh, spent = (replace(once(name), issued=NOW) for name in ("fresh", "spent"))
    with pytest.raises(Unavailable, match="since this was issued"):  # by a clock that may be five minutes off
        store.spend([fresh], NOW)
    monkeypatch.setattr("useridentity.state.redis.MARGIN", 0.0)
    assert store.spend([fresh], NOW)
    assert store.spend([spent], NOW)
    assert not store.spend([spent], NOW)
    for before in (once("unknown"), replace(once("before"), issued=NOW - timedelta(hours=2))):
        with pytest.raises(Unavailable, match="since this was issued"):
            store.spend([fresh, before], NOW)


def test_an_issued_credential_needs_no_more_memory_than_its_age(
    own_redis: Servers, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it lives: a server that has run for as long as it may have been used has forgotten nothing."""
    monkeypatch.setattr("useridentity.state.redis.MARGIN", -10.0)
    store = opened(own_redis("--appendonly", "no").url)
    assert store.spend([replace(once(seconds=86400.0), issued=NOW - timedelta(seconds=5))], NOW)


def test_a_server_started_long_ago_has_forgotten_nothing(
    own_redis: Servers, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("useridentity.state.redis.OLDEST", 0.0)
    store = opened(own_redis("--appendonly", "no").url)
    assert store.spend([once()], NOW)
    assert not store.spend([once()], NOW)


@pytest.mark.threat("T26")
def test_a_server_that_may_evict_keys_cannot_tell(redis: RealRedis, opened: Opened) -> None:
    store = opened(redis.url)
    assert store.spend([once()], NOW)
    try:
        redis.call("CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "volatile-lru")
        assert "set maxmemory-policy noeviction" in cannot_tell(store)
    finally:
        redis.call("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
    assert store.spend([once("other")], NOW)


def test_a_script_cache_that_is_emptied_changes_nothing(redis: RealRedis, opened: Opened) -> None:
    store = opened(redis.url)
    assert store.spend([once()], NOW)
    redis.call("SCRIPT", "FLUSH")
    assert not store.spend([once()], NOW)


def test_a_password_is_sent_and_shown_nowhere(
    own_redis: Servers, opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_redis("--appendonly", "yes", "--requirepass", SECRET)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "secret").chmod(0o600)
    with caplog.at_level(logging.DEBUG):
        store = opened(f"{server.url}?password_file=secret")
        assert store.spend([once()], NOW)
        assert not opened(f"redis://:{SECRET}@127.0.0.1:{server.port}").spend([once()], NOW)
        wrong = opened(f"redis://:{SECRET}-wrong@127.0.0.1:{server.port}")
        assert "refuses the user name or password" in cannot_tell(wrong)
        assert "refuses the user name or password" in cannot_tell(opened(server.url))
        server.kill()
        shown = cannot_tell(store) + repr(store) + repr(vars(store)) + caplog.text
    assert SECRET not in shown


def test_a_user_needs_no_more_commands_than_the_message_names(own_redis: Servers, opened: Opened) -> None:
    server = own_redis()
    server.call("ACL", "SETUSER", "dicom", "on", f">{SECRET}", "~useridentity:*", *COMMANDS.split())
    store = opened(f"redis://dicom:{SECRET}@127.0.0.1:{server.port}")
    assert store.spend([once()], NOW)
    assert store.ledger is not None
    store.ledger.charge(ACCOUNT, b"a", T0, 60)
    assert store.ledger.debt(ACCOUNT, b"a", T0)
    store.ledger.forgive(ACCOUNT, b"a")
    for command in ("-exists", "-eval"):
        server.call("ACL", "SETUSER", "dicom", command)
        assert f"{COMMANDS} on ~useridentity:*" in cannot_tell(store)


def test_tls_is_verified_by_name_and_chain(
    own_redis: Servers, opened: Opened, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = ("--tls-cert-file", str(certificates.server.cert), "--tls-key-file", str(certificates.server.key))
    ca = ("--tls-ca-cert-file", str(certificates.ca))
    server = own_redis("--appendonly", "yes", *pair, *ca, tls=True)
    client = f"certificate={certificates.client.cert}&key={certificates.client.key}"
    url = f"rediss://127.0.0.1:{server.port}?ca={certificates.ca}&{client}"
    assert opened(url).spend([once()], NOW)
    foreign = url.replace(str(certificates.ca), str(certificates.foreign_ca))
    with monkeypatch.context() as system:
        system.setenv("SSL_CERT_FILE", str(certificates.ca))
        assert opened(f"rediss://127.0.0.1:{server.port}?{client}").spend([once("another")], NOW)
        assert "CERTIFICATE_VERIFY_FAILED" in cannot_tell(opened(foreign)), "the system's authorities are trusted, too"
    for untrusted in (foreign, f"rediss://127.0.0.1:{server.port}?{client}", url.replace("127.0.0.1", "127.0.0.2")):
        assert "cannot be reached (TLS: CERTIFICATE_VERIFY_FAILED)" in cannot_tell(opened(untrusted))


def test_more_threads_than_connections_wait_for_their_turn(redis: RealRedis, opened: Opened) -> None:
    store = opened(redis.url)
    start = threading.Barrier(3 * CONNECTIONS)

    def spend(number: int) -> bool:
        start.wait()
        return store.spend([once(str(number))], NOW)

    with ThreadPoolExecutor(3 * CONNECTIONS) as threads:
        assert all(threads.map(spend, range(3 * CONNECTIONS)))
    assert int(redis.call("INFO", "clients")["connected_clients"]) <= CONNECTIONS + 1


def test_the_ledger_of_a_server_that_is_down_is_unavailable(own_redis: Servers, opened: Opened) -> None:
    server = own_redis()
    ledger = opened(server.url).ledger
    assert ledger is not None
    server.kill()
    with pytest.raises(Unavailable, match="cannot be reached"):
        ledger.debt(ACCOUNT, b"a", T0)
    with pytest.raises(Unavailable, match="cannot be reached"):
        ledger.charge(ACCOUNT, b"a", T0, 60)
    with pytest.raises(Unavailable, match="cannot be reached"):
        ledger.forgive(ACCOUNT, b"a")
