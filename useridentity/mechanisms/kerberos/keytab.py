"""A keytab holds long-term keys: whoever reads it is the principal. Only its owner may."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from useridentity.errors import ConfigurationError

OTHERS = 0o077
"""Any right of the group or of everybody."""


def library_name(keytab: Path | str) -> str:
    """What the Kerberos library calls the keytab at this path, whatever characters it has."""
    return f"FILE:{Path(keytab).absolute()}"


def require_private(keytab: Path, maker: str) -> None:
    """Raises `ConfigurationError` unless there is a keytab at this path that this user can read and no other.

    `maker` is the command that makes one, for the message that says there is none.
    """
    problems = list(_problems(keytab, maker))
    if problems:
        raise ConfigurationError(f"keytab {keytab}: {problem}" for problem in problems)


def _problems(keytab: Path, maker: str) -> Iterator[str]:
    try:
        found = keytab.stat()
    except OSError as error:
        yield f"{error.strerror}; make one: {maker}"
        return
    if not stat.S_ISREG(found.st_mode):
        yield "is not a regular file"
    elif found.st_mode & OTHERS:
        yield f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o}): chmod 600 {shlex.quote(str(keytab))}"
    elif not os.access(keytab, os.R_OK):
        yield f"cannot be read by user {os.geteuid()}: chown {os.geteuid()} {shlex.quote(str(keytab))}"
