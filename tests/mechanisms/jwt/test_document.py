"""docs/jwt.md: its snippets run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.lib.documents import run_python_of, snippets_of
from tests.mechanisms.jwt.issuer import Draft, jwk, validator, write_keys
from tests.pynetdicom.support import serving
from useridentity import Policy, Rule
from useridentity.pynetdicom import outcome_of
from useridentity.pynetdicom.requestor import OutcomeKind
from useridentity.tls import client_context, server_context


def test_the_python_snippets_run(tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    policy = Policy([Rule([validator(tmp_path)])])
    (tmp_path / "token").write_bytes(Draft().token() + b"\n")
    with serving(policy, tls=server_context(*certificates.server)) as acceptor:
        names: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": acceptor.port,
            "tls": (client_context(certificates.ca), "localhost"),
        }
        run_python_of("jwt", names)
        assert outcome_of(names["assoc"]).kind is OutcomeKind.CONFIRMED
        names["assoc"].release()
    assert isinstance(names["policy"], Policy)


def test_the_policy_snippets_load(tmp_path: Path) -> None:
    write_keys(tmp_path, jwk())
    for snippet in snippets_of("jwt", "toml"):
        (tmp_path / "identity.toml").write_text(snippet)
        Policy.load(tmp_path / "identity.toml")
