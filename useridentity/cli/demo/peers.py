"""How the demo's peers associate: pynetdicom as a well-behaved application uses it, and DCMTK's storescu."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from useridentity.cli.demo.part import Attempt
from useridentity.credential import CredentialProvider
from useridentity.pynetdicom import AE, Outcome, outcome_of

PATIENCE = 10.0
"""Seconds a peer waits for an answer before it calls the archive silent."""

HOST = "127.0.0.1"
CONFIRMED = "accepted, confirmed"


def associate(
    identity: CredentialProvider | None, *, ae_title: str = "WORKSTATION", tls: ssl.SSLContext | None = None
) -> Callable[[int], str]:
    """Associate, then C-ECHO and C-STORE."""

    def run(port: int) -> str:
        ae = AE(ae_title)
        ae.add_requested_context(Verification)
        ae.add_requested_context(CTImageStorage)
        assoc = ae.associate(HOST, port, tls_args=(tls, HOST) if tls else None, identity=identity)
        if assoc.is_established:
            assoc.send_c_echo()
            assoc.send_c_store(dcmread(_ct_image()))
            assoc.release()
        return _saw(outcome_of(assoc))

    return run


def _saw(outcome: Outcome) -> str:
    if outcome.answer:
        return f"{outcome.kind.value} ({','.join(map(str, outcome.answer))})"
    if outcome.confirmation is None:
        return outcome.kind.value
    return "accepted, both proved" if outcome.confirmation.mutual else CONFIRMED


def storescu(what: str, *options: str, tls: bool = False) -> tuple[Attempt, ...]:
    """DCMTK's storescu with these options, where it is installed. A passcode it takes as one, and nowhere else."""
    program = dcmtk()
    if program is None:
        return ()

    def run(port: int) -> str:
        try:
            done = subprocess.run(  # noqa: S603  our own arguments
                [program, *options, HOST, str(port), _ct_image()],
                env={**os.environ, "TCP_NODELAY": "1"},  # or DCMTK adds a delay to every message
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "nothing: it did not end"
        accepted = CONFIRMED if "-rsp" in options else "accepted"
        return accepted if done.returncode == 0 else _complaint(done.stderr)

    return (Attempt(f"DCMTK storescu, {what}", run, tls),)


def dcmtk() -> str | None:
    """DCMTK's storescu. Pynetdicom has a program of that name too, which comes first in a virtual environment."""
    found = filter(None, (shutil.which("storescu", path=folder) for folder in os.get_exec_path()))
    return next((program for program in found if b"$dcmtk" in _version(program)), None)


def _version(program: str) -> bytes:
    """What it says of itself; nothing where it cannot be run, or does not end."""
    asked = [program, "--version"]
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(asked, capture_output=True, timeout=PATIENCE, check=False).stdout  # noqa: S603  our own
    return b""


def _complaint(stderr: str) -> str:
    """The result in DCMTK's own words: "Rejected Permanent" out of "F: Result: Rejected Permanent, Source: ..."."""
    results = [line.partition("Result: ")[2] for line in stderr.splitlines() if "Result: " in line]
    return results[0].partition(",")[0] if results else "failed"


@cache
def _ct_image() -> str:
    """The CT image that pydicom brings along."""
    path = get_testdata_file("CT_small.dcm", download=False)
    if not isinstance(path, str):
        raise FileNotFoundError("pydicom came without its CT_small.dcm")
    return path
