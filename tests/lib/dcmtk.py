"""DCMTK's programs, run to their end."""

from __future__ import annotations

import os
import subprocess

from tests.parts import require

HANG = 30.0  # seconds; ten times what a program with its own time-out of 2 s takes


def run(program: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run `program` with these arguments; its output is text, its return code not yet judged.

    Without TCP_NODELAY DCMTK waits 40 ms for each acknowledgement on loopback.
    """
    return subprocess.run(
        [require(program), *map(str, args)],
        env=os.environ | {"TCP_NODELAY": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
