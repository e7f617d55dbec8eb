"""docs/jwt.md: its snippets run, and the tests it names exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.lib.certificates import Certificates
from tests.mechanisms.jwt.issuer import Draft, jwk, validator, write_keys
from tests.pynetdicom.support import serving
from useridentity import Policy, Rule
from useridentity.pynetdicom import outcome_of
from useridentity.pynetdicom.requestor import OutcomeKind
from useridentity.tls import client_context, server_context

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "jwt.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


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
        for number, snippet in enumerate(snippets("python"), 1):
            exec(compile(snippet, f"docs/jwt.md snippet {number}", "exec"), names)
        assert outcome_of(names["assoc"]).kind is OutcomeKind.CONFIRMED
        names["assoc"].release()
    assert isinstance(names["policy"], Policy)


def test_the_policy_snippets_load(tmp_path: Path) -> None:
    write_keys(tmp_path, jwk())
    for snippet in snippets("toml"):
        (tmp_path / "identity.toml").write_text(snippet)
        Policy.load(tmp_path / "identity.toml")


def test_every_test_that_a_threat_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 10
    assert [(file, test) for file, test in named if f"def {test}(" not in (ROOT / file).read_text()] == []
