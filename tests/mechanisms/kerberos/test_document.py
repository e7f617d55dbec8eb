"""docs/kerberos.md: its snippets run, and it names every key."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.documents import path_of, snippets_in
from tests.mechanisms.kerberos.hospital import HOSPITAL, SERVICE, Hospital
from tests.parts import require
from tests.pynetdicom.support import serving
from useridentity.mechanisms.kerberos import Kerberos, KerberosSettings
from useridentity.policy import Policy
from useridentity.pynetdicom import identity_of, outcome_of
from useridentity.pynetdicom.requestor import OutcomeKind

TEXT = path_of("kerberos").read_text()


def snippets(language: str) -> list[str]:
    """The document's, about the hospital of these tests."""
    return snippets_in(TEXT.replace("dicom@pacs.example.org", SERVICE).replace("EXAMPLE.ORG", HOSPITAL), language)


@pytest.fixture
def policies(hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Policy]:
    """The one in the file and the one in code, in the working directory of their reader, who is alice."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{hospital.alice}")
    Path("dicom.keytab").touch(mode=0o600)
    Path("dicom.keytab").write_bytes(hospital.keytab.read_bytes())
    Path("identity.toml").write_text(snippets("toml")[0])
    names: dict[str, Any] = {}
    exec(snippets("python")[1], names)
    return [Policy.load("identity.toml"), names["policy"]]


def test_the_snippets_run_and_let_alice_in(policies: list[Policy]) -> None:
    for policy in policies:
        with serving(policy) as acceptor:
            names: dict[str, Any] = {"host": "127.0.0.1", "port": acceptor.port}
            exec(snippets("python")[0], names)
            assert outcome_of(names["assoc"]).kind is OutcomeKind.CONFIRMED
            names["assoc"].send_c_echo()
            names["assoc"].release()
            identity = identity_of(acceptor.served[0])
            assert (identity.user_id, identity.groups) == ("alice", {"radiology"})


@pytest.mark.usefixtures("policies")
def test_the_policy_with_a_directory_loads(certificates: Certificates) -> None:
    require("ldap")
    Path("ldap-ca.pem").write_bytes(certificates.ca.read_bytes())
    Path("ldap.secret").touch(mode=0o600)
    Path("ldap.secret").write_text("of the service")
    Path("directory.toml").write_text(snippets("toml")[1])
    Policy.load("directory.toml")


def test_every_key_and_argument_is_documented() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    arguments = {field.name for field in fields(Kerberos) if field.init}
    assert {field.name for field in fields(KerberosSettings)} | arguments == described
