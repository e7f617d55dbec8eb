"""The console script, run as a user runs it."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HANG = 60.0  # seconds; a command takes well under one

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def script() -> str:
    """The installed console script, beside the interpreter that runs the tests."""
    path = Path(sys.executable).with_name("useridentity")
    assert path.exists(), f"{path} is missing: install the package"
    return str(path)


@pytest.fixture
def run(script: str, tmp_path: Path) -> Run:
    """Runs the script without a terminal, in an empty folder."""

    def run_script(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script, *arguments],
            cwd=tmp_path,
            input=given,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        )

    return run_script


@dataclass
class Terminal:
    """A person at a terminal: reads what is shown and types when asked."""

    descriptor: int
    process: subprocess.Popen[bytes]
    shown: str = field(default="")

    def type(self, prompt: str, answer: str) -> None:
        """Wait for `prompt`, then type `answer` and return."""
        while not self.shown.endswith(prompt):
            assert self._read(), f"no {prompt!r}; shown was: {self.shown}"
        os.write(self.descriptor, answer.encode(errors="surrogateescape") + b"\n")

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return self.process.wait(HANG)

    def _read(self) -> bool:
        try:
            octets = os.read(self.descriptor, 4096)
        except OSError:  # EIO: the other end is gone
            return False
        self.shown += octets.decode()
        return bool(octets)


# The child takes the terminal it was given as its own, so that /dev/tty is it.
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.fixture
def terminal(script: str, tmp_path: Path) -> Callable[..., object]:
    """Runs the script on a terminal of its own, as a context manager that gives a `Terminal`."""

    @contextmanager
    def run_on_terminal(*arguments: str) -> Iterator[Terminal]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x18\x00\xc8\x00\x00\x00\x00\x00")  # 24 rows, 200 columns
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, script, *arguments],
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            process.wait(HANG)
            os.close(ours)

    return run_on_terminal
