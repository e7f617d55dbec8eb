"""Secrets of a policy: read where they are kept, and repeated nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from useridentity.errors import ConfigurationError
from useridentity.settings.secret import SecretFile, SecretVariable, secret_at

SECRET = "hush-4711"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(f"{SECRET}\n")
    return path


def problem(text: str, folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        secret_at(text, folder).read()
    return str(caught.value)


def test_a_secret_is_read_from_its_file_without_the_end_of_the_line(file: Path) -> None:
    assert secret_at("secret", file.parent).read() == SECRET
    assert secret_at(str(file), Path("/elsewhere")).read() == SECRET
    file.write_text(f"{SECRET}\r\n")
    assert secret_at("secret", file.parent).read() == SECRET


def test_a_secret_is_read_from_the_environment_as_it_is_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    secret = secret_at("env:A_SECRET", tmp_path)
    assert secret.read() == SECRET
    monkeypatch.setenv("A_SECRET", "another")
    assert secret.read() == "another"


@pytest.mark.parametrize("value", [None, "", "\udcff"])
def test_a_variable_without_a_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str | None
) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    assert secret_at("env:A_SECRET", tmp_path).read() == SECRET
    if value is None:
        monkeypatch.delenv("A_SECRET")
    else:
        monkeypatch.setenv("A_SECRET", value)
    assert problem("env:A_SECRET", tmp_path).startswith("the environment variable A_SECRET is ")


@pytest.mark.parametrize("name", ["", "1ST", f"{SECRET}", "A SECRET", "A=B", "\u00c4"])
def test_what_is_no_name_of_a_variable_is_not_repeated(tmp_path: Path, name: str) -> None:
    told = problem(f"env:{name}", tmp_path)
    assert told == "is no name of a variable: letters, digits and _, no digit first"


@pytest.mark.threat("P7")
def test_a_secret_in_place_of_a_path_is_not_repeated(file: Path) -> None:
    assert secret_at("secret", file.parent).read() == SECRET
    for text in (SECRET, f"a/{SECRET}", SECRET * 1000):
        told = problem(text, file.parent)
        assert told.startswith("names no file; ")
        assert SECRET not in told


def test_a_file_that_is_empty_or_open_to_others_is_no_secret(file: Path) -> None:
    assert secret_at("secret", file.parent).read() == SECRET
    file.chmod(0o644)
    assert "is open to other users" in problem("secret", file.parent)
    file.chmod(0o600)
    file.write_text("\n")
    assert problem("secret", file.parent) == f"{file}: is empty"


def test_neither_a_secret_nor_what_stands_in_its_place_has_a_repr(file: Path) -> None:
    assert repr(SecretFile(file)) == "SecretFile()"
    assert repr(SecretVariable("A_SECRET")) == "SecretVariable(name='A_SECRET')"
