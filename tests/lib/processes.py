"""Processes that the tests have started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts import require

ROOT = Path(__file__).parent.parent.parent
HANG = 120.0  # seconds; ten times what any of them takes to end on a busy machine


@contextmanager
def served_by(*command: str, stderr: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that answers what it reads, and ends when the block does and nothing more is to be read."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True) as process:
        try:
            yield process
            assert process.stdin
            process.stdin.close()
            process.wait(HANG)
        finally:
            process.kill()


def suspend(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Stop it as SIGSTOP does, and wait until that has reached all its threads: one would still answer."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def in_namespaces(
    flags: str, prepare: str, folder: Path, *command: str, within: float
) -> subprocess.CompletedProcess[str]:
    """What `command` printed in namespaces of its own, once `prepare` has run there; `$0` of that is the folder."""
    if subprocess.run([require("unshare"), flags, "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"this machine lets nobody have namespaces of their own (unshare {flags})")
    return subprocess.run(
        ["unshare", flags, "sh", "-c", f'{prepare} && exec "$@"', str(folder), *command],
        cwd=ROOT, capture_output=True, text=True, timeout=within, check=False,
    )  # fmt: skip


def on_a_small_disk(folder: Path, *command: str, within: float) -> subprocess.CompletedProcess[str]:
    """The same with a file system of 512 KiB at `folder`."""
    return in_namespaces("-rm", 'mount -t tmpfs -o size=512k none "$0"', folder, *command, within=within)
