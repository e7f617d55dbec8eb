"""docs/saml.md: its snippets run, and it names every key."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.documents import path_of, snippets_of
from tests.mechanisms.reader import read_through
from tests.mechanisms.saml.issuer import Issuer, assertion
from tests.mechanisms.saml.test_metadata import entity, key
from useridentity import Policy
from useridentity.mechanisms.saml import SamlSettings


@pytest.fixture
def policy(tmp_path: Path, issuer: Issuer, stranger: Issuer, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """The one of the document, in the working directory of its reader."""
    monkeypatch.chdir(tmp_path)
    Path("idp.xml").write_text(entity(key(issuer)))
    Path("pacs.key").write_bytes(stranger.key_file.read_bytes())
    Path("pacs.pem").write_bytes(stranger.certificate_file.read_bytes())
    Path("assertion.xml").write_bytes(issuer.sign(assertion()) + b"\n")
    Path("identity.toml").write_text(snippets_of("saml", "toml")[0])
    return Policy.load("identity.toml")


def test_the_python_snippets_run(policy: Policy, certificates: Certificates) -> None:
    read_through("saml", policy, certificates)


def test_file_and_code_make_the_same_validator(policy: Policy) -> None:
    names: dict[str, Any] = {}
    exec(snippets_of("saml", "python")[1], names)
    in_file, in_code = policy.rules[0].accept[0]._settings, names["federation"]._settings
    assert (in_file.audience, in_file.groups, in_file.metadata) == (in_code.audience, in_code.groups, in_code.metadata)


def test_every_key_is_documented() -> None:
    described = set(
        re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", path_of("saml").read_text(), re.MULTILINE)))
    )
    assert {field.name for field in fields(SamlSettings)} <= described
