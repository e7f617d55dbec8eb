"""Files that are replaced while a server runs: every change is noticed, and one for the worse is not followed."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from useridentity.changed_file import Reread, fingerprint
from useridentity.errors import ConfigurationError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_text("old")
    return made


def reread(path: Path) -> Reread[str]:
    """The text of the file, which must not be empty."""

    def read() -> str:
        if not path.exists() or not path.read_text():
            raise ConfigurationError(f"{path.name}: holds nothing")
        return path.read_text()

    return Reread([path], read, "words", logging.getLogger("useridentity.test"))


def replaced(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def test_a_fingerprint_tells_any_change(path: Path) -> None:
    first = fingerprint(path)
    assert fingerprint(path) == first
    replaced(path, "new")
    other = fingerprint(path)
    path.chmod(0o400)
    other_mode = fingerprint(path)
    path.unlink()
    assert fingerprint(path) == ()
    assert len({first, other, other_mode, ()}) == 4


def test_what_is_read_is_that_of_the_file_as_it_is_now(path: Path) -> None:
    words = reread(path)
    assert words.current() == "old"
    replaced(path, "new")
    assert words.current() == "new"


def test_a_file_behind_symbolic_links_is_noticed_when_a_link_is_replaced(tmp_path: Path) -> None:
    """Kubernetes mounts secrets so: the file is a link into a folder that is a link to the version of today."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "file").write_text(version)
    (tmp_path / "data").symlink_to("v1")
    (tmp_path / "file").symlink_to("data/file")
    words = reread(tmp_path / "file")
    assert words.current() == "v1"
    (tmp_path / "next").symlink_to("v2")
    os.replace(tmp_path / "next", tmp_path / "data")
    assert words.current() == "v2"


def test_a_change_for_the_worse_is_logged_once_and_what_was_read_before_stays(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = reread(path)
    path.write_text("")
    assert [words.current() for _ in range(3)] == ["old"] * 3
    (line,) = caplog.messages
    assert line == "words not read again, those of before stay in use: file: holds nothing"
    path.write_text("mended")
    assert words.current() == "mended"


def test_what_was_wrong_and_not_in_the_file_ends_without_a_change_of_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files, say: who was taken out of the file must not stay in for that."""
    trouble: list[str] = []

    def read() -> str:
        if trouble:
            raise ConfigurationError(trouble[0])
        return path.read_text()

    words = Reread([path], read, "words", logging.getLogger("useridentity.test"))
    replaced(path, "new")
    trouble.append("too many open files")
    assert words.current() == "old"
    trouble.clear()
    monkeypatch.setattr(words, "_retry_at", 0.0)
    assert words.current() == "new"


def test_a_file_that_cannot_be_used_at_first_is_an_error(path: Path) -> None:
    assert reread(path).current() == "old"
    path.unlink()
    with pytest.raises(ConfigurationError, match="holds nothing"):
        reread(path)
