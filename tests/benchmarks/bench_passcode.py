"""Milliseconds to judge a username and passcode, beside argon2-cffi's `PasswordHasher.verify` of the same hash."""

from __future__ import annotations

import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from argon2 import PasswordHasher

from tests.benchmarks.figure import EFFORT, Figure, compare
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
            lambda: _milliseconds(lambda: ours.validate(credential, told, time_left)),
            lambda: _milliseconds(lambda: library.verify(hashed, PASSCODE)),
            "ms",
            aim=RATIO,
            higher_is_better=False,
        )
    return [figure]


def _milliseconds(call: Callable[[], object]) -> float:
    """The mean of one call."""
    count = EFFORT.get().times(COUNT)
    began = time.perf_counter()
    for _ in range(count):
        call()
    return 1000 * (time.perf_counter() - began) / count


if __name__ == "__main__":
    for figure in measure():
        print(f"{figure.name:40}{figure.ours:8.2f} {figure.unit}  ratio {figure.ratio:.2f}  reached: {figure.reached}")
