"""The passcode file as an administrator keeps it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from useridentity.errors import ConfigurationError
from useridentity.mechanisms import passcode_file
from useridentity.mechanisms.passcode import User
from useridentity.mechanisms.passcode_file import MAX_PASSCODE, PasscodeFile, remove_user, set_passcode, users

ALICE = User("alice", "Alice Archer", frozenset({"radiology"}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in which alice has the passcode "right"."""
    path = tmp_path / "passcodes.toml"
    set_passcode(path, "alice", b"right", "Alice Archer", ["radiology"])
    return path


def test_the_file_is_made_private_and_with_its_user(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    set_passcode(str(path), "alice", b"right")
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["new.toml"]
    assert users(path) == (User("alice"),)


def test_what_is_left_out_stays_as_it_is(path: Path) -> None:
    set_passcode(path, "alice", b"two")
    assert users(path) == (ALICE,)
    set_passcode(path, "alice", b"three", display_name="A. A.")
    set_passcode(path, "alice", b"four", groups=[])
    assert users(path) == (User("alice", "A. A."),)


def test_a_name_is_kept_in_the_form_in_which_it_is_compared(path: Path) -> None:
    set_passcode(path, "\uff22ob", b"x")
    assert PasscodeFile(path).verify("Bob", b"x") == User("Bob")
    remove_user(path, "\uff22ob")
    assert users(path) == (ALICE,)


def test_users_are_listed_by_name(path: Path) -> None:
    for name in ("zoe", "bob"):
        set_passcode(path, name, b"x")
    assert [user.user_id for user in users(path)] == ["alice", "bob", "zoe"]


def test_a_user_who_is_not_there_cannot_be_removed(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no user bob"):
        remove_user(path, "bob")
    with pytest.raises(ConfigurationError, match="No such file"):
        remove_user(path.with_name("other.toml"), "alice")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"username": "a b"}, "'a b' is not a username"),
        ({"username": "\udcff"}, "not a username"),
        ({"passcode": b""}, "the passcode is empty"),
        ({"passcode": "right"}, "the passcode must be bytes"),
        ({"passcode": b"x" * (MAX_PASSCODE + 1)}, "the passcode is longer than 1024 bytes"),
        ({"display_name": "a\nb"}, "the display name must be"),
        ({"groups": "radiology"}, "the groups must be a list"),
        ({"groups": [""]}, "the groups must be a list"),
    ],
)
def test_an_argument_that_cannot_be_kept_makes_no_file(tmp_path: Path, arguments: Any, message: str) -> None:
    path = tmp_path / "passcodes.toml"
    with pytest.raises(ConfigurationError, match=message):
        set_passcode(path, **{"username": "alice", "passcode": b"right", **arguments})
    assert not path.exists()
    set_passcode(path, "alice", b"right")


def test_a_file_with_faults_is_not_written_over(path: Path) -> None:
    path.write_text(path.read_text().replace("version = 1", "version = 1\nsurprise = 1"))
    before = path.read_bytes()
    for change in (lambda: set_passcode(path, "bob", b"x"), lambda: remove_user(path, "alice"), lambda: users(path)):
        with pytest.raises(ConfigurationError, match="surprise: unknown key"):
            change()
    assert path.read_bytes() == before


def test_a_change_that_changes_nothing_keeps_the_file_and_its_comments(path: Path) -> None:
    path.write_text("# ours\n" + path.read_text())
    with passcode_file._editing(path):
        pass
    assert path.read_text().startswith("# ours\n")


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """From a file that neither finds there, to all the users of both."""
    path = tmp_path / "passcodes.toml"
    script = f"""
import sys
from useridentity.mechanisms.passcode_file import set_passcode
for number in range(8):
    set_passcode({str(path)!r}, f"{{sys.argv[1]}}{{number}}", b"x")
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert {user.user_id for user in users(path)} == {f"{name}{number}" for name in "ab" for number in range(8)}
    assert os.listdir(tmp_path) == ["passcodes.toml"]
