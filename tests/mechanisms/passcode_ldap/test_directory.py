"""The directory's own identity, its absence, and peers that are none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.slapd import BASE, PEOPLE, Directory, slapd
from tests.mechanisms.passcode_ldap.support import WAYS, Settings, Stores
from tests.mechanisms.stores import assert_many_threads_get_each_their_own_answer, refusal, unavailability
from useridentity.errors import Refused, Unavailable
from useridentity.mechanisms import ldap_directory
from useridentity.mechanisms.passcode_ldap import LdapStore
from useridentity.settings.secret import SecretFile


@pytest.mark.parametrize("starttls", [None, "required"])
def test_a_directory_of_another_authority_is_never_told_a_passcode(
    store: Stores, directory: Directory, certificates: Certificates, starttls: str | None
) -> None:
    url = directory.ldap if starttls else directory.ldaps
    assert store(url=url, starttls=starttls).verify("alice", b"right")
    with directory.asked() as operations:
        unavailability(store(url=url, starttls=starttls, ca=certificates.foreign_ca))
    assert operations == []


PROGRAM = f"""
import sys
from pathlib import Path
from useridentity.errors import Unavailable
from useridentity.mechanisms.ldap_settings import LdapSettings
from useridentity.mechanisms.passcode_ldap import LdapStore
settings = LdapSettings(Path(sys.argv[2]), bind_dn="uid={{user}},{PEOPLE}")
try:
    print(LdapStore(sys.argv[1], settings).verify("alice", b"right").user_id)
except Unavailable:
    print("unavailable")
"""


def test_the_environment_and_ldap_conf_have_no_say_in_whom_to_trust(
    directory: Directory, certificates: Certificates, tmp_path: Path
) -> None:
    """libldap reads both, once per process."""
    (tmp_path / "ldap.conf").write_text(f"TLS_REQCERT never\nTLS_CACERT {certificates.ca}\n")

    def asked(ca: Path, **environment: str) -> str:
        command = [sys.executable, "-c", PROGRAM, directory.ldaps, str(ca)]
        return subprocess.check_output(command, env={**os.environ, **environment}, text=True, timeout=60).strip()

    lax = {"LDAPTLS_REQCERT": "never", "LDAPTLS_CACERT": str(certificates.ca)}
    assert asked(certificates.ca) == asked(certificates.ca, **lax) == "alice"
    assert asked(certificates.foreign_ca, **lax) == "unavailable"
    assert asked(certificates.foreign_ca, LDAPCONF=str(tmp_path / "ldap.conf")) == "unavailable"


@pytest.mark.parametrize("starttls", [None, "required"])
def test_a_directory_under_another_name_is_never_told_a_passcode(
    certificates: Certificates, settings: Settings, tmp_path: Path, starttls: str | None
) -> None:
    named = certificates.authority.issue("named", "ldap.example.org")
    with slapd(tmp_path / "other", certificates.ca, named) as other:
        url = other.ldap if starttls else other.ldaps
        with other.asked() as operations:
            unavailability(LdapStore(url, settings(starttls=starttls)))
        assert operations == []


def test_referrals_are_not_followed(store: Stores, directory: Directory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        port = elsewhere.getsockname()[1]
        directory.add(
            f"dn: uid=moved,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\nuid: moved\n"
            f"ref: ldap://127.0.0.1:{port}/uid=moved,{PEOPLE}\n"
        )
        assert store().verify("alice", b"right")
        for way in WAYS:
            with pytest.raises((Refused, Unavailable)):
                store(way).verify("moved", b"right")
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


# Time, and its absence


def test_a_connection_is_used_again_and_bound_anew_for_each_user(store: Stores, directory: Directory) -> None:
    asked = store()
    for username, passcode in (("alice", b"right"), ("bob", b"bob's"), ("alice", b"right")):
        assert asked.verify(username, passcode).user_id == username
        refusal(asked, username, b"wrong")
    assert len(asked._directory._idle) == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(store: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = store()
    asked.verify("alice", b"right")
    ((first, _),) = asked._directory._idle
    asked.verify("alice", b"right")
    assert asked._directory._idle[0][0] is first
    monkeypatch.setattr(ldap_directory, "IDLE", 0.0)
    asked.verify("alice", b"right")
    assert asked._directory._idle[0][0] is not first


def test_many_threads_get_each_their_own_answer(store: Stores) -> None:
    asked = store("search")
    assert_many_threads_get_each_their_own_answer(asked, 200)
    assert len(asked._directory._idle) <= 8


def test_a_directory_that_is_down_and_back_is_found_again_without_a_restart(
    certificates: Certificates, settings: Settings, tmp_path: Path
) -> None:
    with slapd(tmp_path / "slapd", certificates.ca, certificates.server) as directory:
        asked = LdapStore(directory.ldaps, settings("search"))
        assert asked.verify("alice", b"right")
        directory.stop()
        assert "Can't contact LDAP server" in unavailability(asked)
        directory.start()
        assert asked.verify("alice", b"right")
        directory.stop()
        directory.start()
        assert asked.verify("alice", b"right"), "a connection kept from before was asked and given up"
        asked.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_directory_that_falls_silent_is_given_up(store: Stores, directory: Directory, way: str) -> None:
    asked = store(way, timeout=0.3)
    asked.verify("alice", b"right")
    with directory.suspended():
        assert directory.ldaps in unavailability(asked)
    assert asked.verify("alice", b"right")


@pytest.mark.parametrize(
    ("scheme", "changes"),
    [
        pytest.param("ldaps", {}, id="in the TLS handshake"),
        pytest.param("ldap", {"starttls": "required"}, id="before STARTTLS"),
        pytest.param("ldap", {"plaintext": "allow", "ca": None}, id="at the bind"),
    ],
)
def test_a_server_that_accepts_and_says_nothing_is_given_up(
    store: Stores, scheme: str, changes: dict[str, Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        unavailability(store(url=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3, **changes))


@pytest.mark.parametrize(
    "answer", [b"", b"\x00" * 64, b"\xff" * 64, b"HTTP/1.0 400 Bad Request\r\n\r\n", b"0\x84\xff\xff\xff\xff"]
)
def test_a_server_that_speaks_something_else_is_unavailable(store: Stores, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            connection = server.accept()[0]
            with connection:
                connection.sendall(answer)

        served = pool.submit(serve)
        url = f"ldap://127.0.0.1:{server.getsockname()[1]}"
        unavailability(store(url=url, timeout=1.0, plaintext="allow", ca=None))
        served.result()


def test_a_service_account_that_is_refused_is_nobodys_wrong_passcode(store: Stores, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("changed")
    assert store("search").verify("alice", b"right")
    assert "Invalid credentials" in unavailability(store("search", service_passcode=SecretFile(secret)))
    assert "Invalid credentials" in unavailability(store("search", service_dn=f"cn=gone,{BASE}"))
