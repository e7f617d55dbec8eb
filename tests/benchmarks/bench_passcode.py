"""Milliseconds to judge a username and passcode, beside argon2-cffi's `PasswordHasher.verify` of the same hash."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from argon2 import PasswordHasher

from tests.benchmarks.figure import Figure, compare, seconds_each
from tests.mechanisms.builders import context, facts
from useridentity.credential import Credential
from useridentity.mechanisms.passcode import PasscodeValidator
from useridentity.mechanisms.passcode_file import PasscodeFile, set_passcode

COUNT = 25
RATIO = 1.3
"""Issue 3: what all our checks may cost beside the library's."""

USERNAME, PASSCODE = "alice", b"correct horse battery staple"


def measure() -> list[Figure]:
    """One user of a passcode file, beside the library."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "passcodes.toml"
        set_passcode(path, USERNAME, PASSCODE)
        hashed = tomllib.loads(path.read_text())["user"][USERNAME]["hash"]
        ours, library = PasscodeValidator(PasscodeFile(path)), PasswordHasher()
        credential, told, time_left = Credential(2, USERNAME.encode(), PASSCODE), facts(), context()
        figure = compare(
            "passcode, beside PasswordHasher.verify",
            lambda: 1000 * seconds_each(lambda: ours.validate(credential, told, time_left), COUNT),
            lambda: 1000 * seconds_each(lambda: library.verify(hashed, PASSCODE), COUNT),
            "ms",
            aim=RATIO,
            higher_is_better=False,
        )
    return [figure]
