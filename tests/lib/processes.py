"""Processes that the tests have started."""

from __future__ import annotations

import os
import signal
import subprocess


def suspend(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Stop it as SIGSTOP does, and wait until that has reached all its threads: one would still answer."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
