"""docs/jwt.md: its snippets run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lib.certificates import Certificates
from tests.lib.documents import snippets_of
from tests.mechanisms.jwt.issuer import Draft, jwk, validator, write_keys
from tests.mechanisms.reader import read_through
from useridentity import Policy, Rule


def test_the_python_snippets_run(tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    policy = Policy([Rule([validator(tmp_path)])])
    (tmp_path / "token").write_bytes(Draft().token() + b"\n")
    read_through("jwt", policy, certificates)


def test_the_policy_snippets_load(tmp_path: Path) -> None:
    write_keys(tmp_path, jwk())
    for snippet in snippets_of("jwt", "toml"):
        (tmp_path / "identity.toml").write_text(snippet)
        Policy.load(tmp_path / "identity.toml")
