"""`useridentity reload [--drop] PID`: tells a running acceptor to read its files again."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Annotated

import typer

from useridentity.errors import ConfigurationError

RELOAD = signal.SIGHUP
RELOAD_AND_DROP = signal.SIGUSR1

MAX_PID = 2**22
"""Linux's PID_MAX_LIMIT."""


def reload(
    pid: Annotated[int, typer.Argument(metavar="PID", min=1, max=MAX_PID, help="The process of the acceptor.")],
    drop: Annotated[
        bool,
        typer.Option("--drop", metavar="", help="Also end the associations that the files refuse as they are now."),
    ] = False,
) -> None:
    """Let a running acceptor read its policy and TLS files again.

    Its log says what came of it; files that cannot be used change nothing.

    The acceptor's program must have called reload_on_signals().
    """
    signum = RELOAD_AND_DROP if drop else RELOAD
    try:
        process = os.pidfd_open(pid)  # so that it is one and the same process that is looked at and told
    except OSError:  # ESRCH; EINVAL for a thread's number
        raise ConfigurationError(f"there is no process {pid}") from None
    try:
        _require_listening(pid)
        signal.pidfd_send_signal(process, signum)
    except ProcessLookupError:
        raise ConfigurationError(f"process {pid} has ended") from None
    except PermissionError:
        raise ConfigurationError(f"process {pid} belongs to another user; run this as that user, or as root") from None
    finally:
        os.close(process)
    print(f"{signum.name} sent to process {pid}; its log says what came of it")


def _require_listening(pid: int) -> None:
    """Raise unless the process handles both signals: either would end any other."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        raise ProcessLookupError from None
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(caught[1], 16) if caught else 0
    if not all(mask >> (signum - 1) & 1 for signum in (RELOAD, RELOAD_AND_DROP)):
        raise ConfigurationError(
            f"process {pid} does not reload on signals, which would end it; its program must call "
            "useridentity.pynetdicom.reload_on_signals(server)"
        )
