"""The realm of one's own, with its real KDC."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mechanisms.builders import context, facts, peer
from tests.parts import require
from useridentity.errors import ConfigurationError
from useridentity.settings import Runtime
from useridentity.testing import Realm, missing_programs, programs, realms

SERVICE = "dicom@pacs.clinic.test"
HANG = 60.0  # seconds; all of it takes well under one

RUN_UNTIL_KILLED = """\
import sys, time
from pathlib import Path
from useridentity.testing import realms
with realms(Path(sys.argv[1]), "CLINIC.TEST") as (realm,):
    print(realm.port, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Realm]]:
    """CLINIC.TEST, which has the service, and PARTNER.TEST, whose users it trusts."""
    require("krb5kdc")
    with realms(tmp_path_factory.mktemp("realms"), "CLINIC.TEST", "PARTNER.TEST") as made:
        clinic, partner = made
        clinic.add_principal(SERVICE.replace("@", "/"))
        for realm in made:
            realm.add_principal("alice", password="of alice")
        clinic.trust(partner)
        yield made


@pytest.mark.parametrize("home", [0, 1])
def test_a_user_of_either_realm_proves_who_they_are(two: list[Realm], home: int) -> None:
    require("gssapi")
    from useridentity.mechanisms.kerberos import Kerberos, KerberosSettings

    clinic, realm = two[0], two[home]
    keytab = clinic.keytab(SERVICE.replace("@", "/"), file=f"{home}.keytab")
    rules = ({"match": f"*@{realm.name}", "user_id": "*"},)
    with clinic.in_use():
        validator = KerberosSettings(SERVICE, keytab, rules).build(Runtime("realm", Path()))
        with Kerberos(SERVICE, cache=realm.login("alice", "of alice")).offer(peer()) as offer:
            verified = validator.validate(offer.credential, facts(identity_type=3), context())
            assert verified.identity.subject == f"alice@{realm.name}"
            assert offer.confirm(verified.server_response).mutual


def test_a_wrong_password_is_said_in_the_programs_words(two: list[Realm]) -> None:
    with pytest.raises(RuntimeError, match=r"kinit: .*[Pp]assword"):
        two[0].login("alice", "another")


def test_the_environment_is_as_it_was_afterwards(two: list[Realm], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CONFIG", "of-before")
    monkeypatch.setenv("KRB5RCACHENAME", "none:")
    monkeypatch.delenv("KRB5CCNAME", raising=False)
    before = dict(os.environ)
    with two[0].in_use():
        assert os.environ["KRB5_CONFIG"] == two[0].environment["KRB5_CONFIG"]
        assert "KRB5RCACHENAME" not in os.environ
    assert dict(os.environ) == before


def test_the_kdc_ends_with_its_block(tmp_path: Path) -> None:
    require("krb5kdc")
    with realms(tmp_path, "CLINIC.TEST") as (realm,):
        socket.create_connection(("127.0.0.1", realm.port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", realm.port))


def test_the_kdc_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    require("krb5kdc")
    with subprocess.Popen([sys.executable, "-c", RUN_UNTIL_KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline())
        socket.create_connection(("127.0.0.1", port)).close()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANG)  # to the end of standard output, which the KDC has inherited
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_kdc_that_cannot_start_says_so(two: list[Realm]) -> None:
    with pytest.raises(RuntimeError, match=r"NOWHERE\.TEST did not start"):
        replace(two[0], name="NOWHERE.TEST").serving().__enter__()  # there is no such database


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_SEARCH_PATH", str(tmp_path))
    assert missing_programs() == ["krb5-admin-server", "krb5-kdc", "krb5-user", "util-linux"]
    with pytest.raises(ConfigurationError, match="kdb5_util is not installed: apt-get install krb5-kdc"):
        realms(tmp_path, "CLINIC.TEST").__enter__()
