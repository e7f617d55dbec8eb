"""Types 1 and 2: a username, taken at its word, and a passcode to prove it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from useridentity.cli.demo.part import Attempt, Part
from useridentity.cli.demo.peers import associate, storescu
from useridentity.mechanisms.passcode import UsernamePasscode
from useridentity.mechanisms.username import Username

PASSCODE = b"right horse battery"
WRONG = b"wrong horse battery"


@contextmanager
def username(folder: Path) -> Iterator[Part]:  # noqa: ARG001  nothing to keep
    """User-Identity-Type 1, and none."""
    attempts = (
        Attempt("no identity", associate(None)),
        Attempt("username alice", associate(Username("alice"))),
    )
    yield Part(attempts, "names", 'type = "username"          # taken at its word')


@contextmanager
def passcode(folder: Path) -> Iterator[Part]:
    """User-Identity-Type 2."""
    from useridentity.mechanisms.passcode_file import set_passcode

    set_passcode(folder / "passcodes.toml", "alice", PASSCODE, display_name="Alice Example")
    attempts = (
        Attempt("alice, right passcode", _as("alice", PASSCODE)),
        Attempt("alice, wrong passcode", _as("alice", WRONG)),
        Attempt("mallory, unknown here", _as("mallory", WRONG)),
        *storescu("right passcode", "-usr", "alice", "-pwd", PASSCODE.decode(), "-rsp"),
        *storescu("wrong passcode", "-usr", "alice", "-pwd", WRONG.decode(), "-rsp"),
    )
    settings = """\
type = "passcode"
store = "file:passcodes.toml"
plaintext = "allow"        # this never leaves the machine"""
    yield Part(attempts, "staff", settings)


def _as(name: str, given: bytes) -> Callable[[int], str]:
    return associate(UsernamePasscode(name, given, plaintext="allow"))
