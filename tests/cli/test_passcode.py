"""`useridentity passcode` as an administrator runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Terminal
from useridentity.errors import Refused
from useridentity.mechanisms.passcode import User
from useridentity.mechanisms.passcode_file import PasscodeFile, set_passcode, users

RunOnTerminal = Callable[..., AbstractContextManager[Terminal]]

SECRET = "hunter2"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the script, which runs in the same folder, finds it as p.toml."""
    return tmp_path / "p.toml"


def test_a_passcode_is_asked_for_twice_and_not_shown(terminal: RunOnTerminal, path: Path) -> None:
    with terminal("passcode", "set", "p.toml", "alice") as person:
        person.type("Passcode for alice: ", SECRET)
        person.type("Again: ", SECRET)
        assert person.end() == 0
    assert SECRET not in person.shown
    assert "passcode of alice set in p.toml" in person.shown
    assert PasscodeFile(path).verify("alice", SECRET.encode()) == User("alice")


def test_two_different_passcodes_set_none(terminal: RunOnTerminal, path: Path) -> None:
    with terminal("passcode", "set", "p.toml", "alice") as person:
        person.type("Passcode for alice: ", SECRET)
        person.type("Again: ", "hunter3")
        assert person.end() == 1
    assert "the two passcodes differ; nothing was changed" in person.shown
    assert not path.exists()


def test_an_empty_passcode_is_not_set(terminal: RunOnTerminal, path: Path) -> None:
    with terminal("passcode", "set", "p.toml", "alice") as person:
        person.type("Passcode for alice: ", "")
        person.type("Again: ", "")
        assert person.end() == 1
    assert "the passcode is empty" in person.shown
    assert not path.exists()


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_giving_up_at_the_prompt_sets_none(terminal: RunOnTerminal, path: Path, key: str) -> None:
    """Control-C and control-D; neither ends in a traceback."""
    with terminal("passcode", "set", "p.toml", "alice") as person:
        person.type("Passcode for alice: ", key)
        assert person.end() != 0
    assert "Traceback" not in person.shown
    assert not path.exists()


def test_what_is_wrong_is_said_before_anybody_types(terminal: RunOnTerminal, path: Path) -> None:
    set_passcode(path, "alice", b"right")
    path.chmod(0o644)
    for name, message in [("bob", "chmod 600 p.toml"), ("a b", "'a b' is not a username")]:
        with terminal("passcode", "set", "p.toml", name) as person:
            assert person.end() == 1
        assert message in person.shown
        assert "Passcode" not in person.shown


@pytest.mark.parametrize(
    ("given", "passcode"),
    [
        ("hunter2\n", b"hunter2"),
        ("hunter2", b"hunter2"),
        ("hunter2\r\n", b"hunter2"),
        (" hunter2 \n\n", b" hunter2 \n"),
    ],
)
def test_one_line_end_and_nothing_else_is_taken_off(run: Run, path: Path, given: str, passcode: bytes) -> None:
    """From standard input and from a file alike."""
    done = run("passcode", "set", "p.toml", "alice", "--passcode-file", "-", given=given)
    assert (done.returncode, done.stderr) == (0, "")
    assert PasscodeFile(path).verify("alice", passcode)
    secret = path.with_name("secret")
    secret.write_bytes(given.encode())
    secret.chmod(0o600)
    done = run("passcode", "set", "p.toml", "bob", "--passcode-file", "secret")
    assert (done.returncode, done.stderr) == (0, "")
    assert PasscodeFile(path).verify("bob", passcode)


def test_a_passcode_file_that_others_can_read_is_warned_of(run: Run, path: Path) -> None:
    secret = path.with_name("secret")
    secret.write_text(SECRET)
    secret.chmod(0o644)
    done = run("passcode", "set", "p.toml", "alice", "--passcode-file", "secret")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: secret is open to other users")
    assert PasscodeFile(path).verify("alice", SECRET.encode())


def test_a_passcode_on_the_command_line_is_not_taken(run: Run, path: Path) -> None:
    for arguments in (["alice", SECRET], ["alice", "--passcode", SECRET]):
        assert run("passcode", "set", "p.toml", *arguments, given="other\n").returncode == 2
    assert not path.exists()


def test_nobody_is_asked_where_there_is_no_terminal(run: Run, path: Path) -> None:
    """A passcode piped in without a word is not taken for an answer."""
    done = run("passcode", "set", "p.toml", "alice", given=f"{SECRET}\n{SECRET}\n")
    assert done.returncode == 1
    assert done.stderr == "error: standard input is no terminal to ask on: give --passcode-file PATH, or - for a pipe\n"
    assert not path.exists()


def test_standard_input_that_would_echo_is_not_read(terminal: RunOnTerminal) -> None:
    with terminal("passcode", "set", "p.toml", "alice", "--passcode-file", "-") as person:
        assert person.end() == 1
    assert "would show the passcode" in person.shown


@pytest.mark.parametrize(
    ("given", "message"), [("", "the passcode is empty"), ("x" * 5000, "the passcode is longer than 1024 bytes")]
)
def test_a_passcode_that_cannot_be_kept_is_said(run: Run, path: Path, given: str, message: str) -> None:
    """An empty one is what a pipe from a failed command gives."""
    done = run("passcode", "set", "p.toml", "alice", "--passcode-file", "-", given=given)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert not path.exists()


def test_an_endless_passcode_file_is_not_read_to_its_end(run: Run) -> None:
    done = run("passcode", "set", "p.toml", "alice", "--passcode-file", "/dev/zero")
    assert "longer than 1024 bytes" in done.stderr


def test_name_and_groups_are_set_and_stay(run: Run, path: Path) -> None:
    details = ["--display-name", "Alice Archer", "--group", "radiology", "--group", "admins"]
    run("passcode", "set", "p.toml", "alice", "--passcode-file", "-", *details, given="one")
    run("passcode", "set", "p.toml", "alice", "--passcode-file", "-", given="two")
    assert users(path) == (User("alice", "Alice Archer", frozenset({"radiology", "admins"})),)
    assert PasscodeFile(path).verify("alice", b"two")


def test_the_list_is_one_line_a_user_for_programs(run: Run, path: Path) -> None:
    set_passcode(path, "bob", b"x")
    set_passcode(path, "alice", b"x", "Alice Archer", ["radiology", "admins"])
    done = run("passcode", "list", "p.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "alice\tAlice Archer\tadmins,radiology\nbob\t\t\n"


def test_the_list_is_a_table_for_people(terminal: RunOnTerminal, path: Path) -> None:
    """A name is a name, whatever it would mean as markup."""
    set_passcode(path, "alice", b"x", "Alice [red]Archer", ["radiology"])
    with terminal("passcode", "list", "p.toml") as person:
        assert person.end() == 0
    assert "display name" in person.shown
    assert "Alice [red]Archer" in person.shown
    assert "argon2" not in person.shown


def test_a_user_is_removed(run: Run, path: Path) -> None:
    for name in ("alice", "bob"):
        set_passcode(path, name, b"x")
    done = run("passcode", "remove", "p.toml", "bob")
    assert (done.returncode, done.stdout, done.stderr) == (0, "bob removed from p.toml\n", "")
    assert users(path) == (User("alice"),)
    with pytest.raises(Refused):
        PasscodeFile(path).verify("bob", b"x")
    done = run("passcode", "remove", "p.toml", "bob")
    assert (done.returncode, done.stderr) == (1, "error: p.toml: has no user bob\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "missing.toml"], "error: missing.toml: No such file or directory"),
        (["remove", "missing.toml", "alice"], "error: missing.toml: No such file or directory"),
        (["set", "no/p.toml", "alice", "--passcode-file", "-"], "error: no/p.toml: No such file or directory"),
        (["set", "p.toml", "a b", "--passcode-file", "-"], "error: 'a b' is not a username: spaces at character 1"),
        (
            ["set", "p.toml", "alice", "--passcode-file", "missing"],
            "error: --passcode-file names no file that is there",
        ),
        (["set", "p.toml", "alice", "--passcode-file", "."], "error: .: Is a directory"),
        (["set", "p.toml", "alice", "--passcode-file", "-", "--group", ""], "error: the groups must be a list"),
        (["set", "p.toml", "ali\udcffce", "--passcode-file", "-"], "is not a username: no UTF-8 at byte 3"),
    ],
)
def test_bad_input_is_answered_in_one_line_and_perhaps_what_to_do(run: Run, arguments: list[str], message: str) -> None:
    done = run("passcode", *arguments, given=SECRET)
    assert done.returncode == 1
    assert done.stdout == ""
    line, *advice = done.stderr.splitlines()
    assert len(advice) <= 1
    assert line.startswith(message) or message in line
    assert SECRET not in done.stderr


def test_every_fault_of_the_file_is_shown(run: Run, path: Path) -> None:
    path.write_text("version = 2\n[user.alice]\nhash = 1\n")
    path.chmod(0o600)
    done = run("passcode", "list", "p.toml")
    assert done.returncode == 1
    assert [line.partition(": ")[2].partition(": m")[0] for line in done.stderr.splitlines()] == [
        "p.toml:1: version",
        "p.toml:3: user.alice.hash",
    ]


def test_two_commands_at_once_lose_nothing(script: str, path: Path) -> None:
    commands = [
        subprocess.Popen(
            [script, "passcode", "set", str(path), name, "--passcode-file", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for name in ("alice", "bob", "carol")
    ]
    for command in commands:
        command.communicate(SECRET.encode(), timeout=60)
    assert [command.returncode for command in commands] == [0, 0, 0]
    assert [user.user_id for user in users(path)] == ["alice", "bob", "carol"]


@pytest.mark.threat("T21")
def test_the_passcode_is_in_no_argument_of_the_process(script: str, path: Path) -> None:
    """While the command waits for its input, every other user can see its command line."""
    command = subprocess.Popen(
        [script, "passcode", "set", str(path), "alice", "--passcode-file", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert command.stdin is not None
    command.stdin.write(SECRET.encode())
    command.stdin.flush()
    assert SECRET.encode() not in Path(f"/proc/{command.pid}/cmdline").read_bytes()
    command.communicate(timeout=60)
    assert command.returncode == 0
    assert PasscodeFile(path).verify("alice", SECRET.encode())


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [
        ("typer", "typer is not installed", "cli"),
        ("rich", "rich is not installed", "cli"),
        ("argon2", "passcode files need argon2-cffi", "passcode"),
    ],
)
def test_a_missing_extra_is_one_line_with_the_command_to_run(module: str, missing: str, extra: str, path: Path) -> None:
    set_passcode(path, "alice", b"x")
    program = f"import sys; sys.modules[{module!r}] = None; from useridentity.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "passcode", "list", str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stderr == f"error: {missing}: pip install 'useridentity[{extra}]'\n"


def test_help_names_what_there_is(run: Run) -> None:
    done = run("passcode", "set", "--help")
    assert done.returncode == 0
    for word in ("FILE", "NAME", "--passcode-file", "--display-name", "--group"):
        assert word in done.stdout
    assert run("passcode").returncode == 2
    assert run("passcode", "set").returncode == 2


def test_output_to_a_closed_pipe_is_no_traceback(script: str, path: Path) -> None:
    set_passcode(path, "alice", b"x")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [script, "passcode", "list", str(path)], check=False, stdout=writing, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writing)
    assert b"Traceback" not in done.stderr
