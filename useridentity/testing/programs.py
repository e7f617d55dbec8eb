"""The programs of MIT Kerberos that a realm is made with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from useridentity.errors import ConfigurationError

PACKAGES = {
    "krb5kdc": "krb5-kdc",
    "kdb5_util": "krb5-kdc",
    "kadmin.local": "krb5-admin-server",
    "kinit": "krb5-user",
    "setpriv": "util-linux",
}
"""The programs, and the Debian packages they come with."""

HANG = 20.0
"""Seconds for a program that ends within one."""

_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""Daemons live in sbin, which Debian leaves out of an ordinary user's PATH."""


def missing_programs() -> list[str]:
    """The Debian packages to install before `realms` can work."""
    return sorted({package for name, package in PACKAGES.items() if not shutil.which(name, path=_SEARCH_PATH)})


def program(name: str) -> str:
    """The path of a program; raises `ConfigurationError` where it is not installed."""
    path = shutil.which(name, path=_SEARCH_PATH)
    if not path:
        raise ConfigurationError(f"{name} is not installed: apt-get install {PACKAGES[name]}, or what your system has")
    return path


def run(arguments: Sequence[str], environment: Mapping[str, str], typed: str = "") -> str:
    """What a program prints; raises `RuntimeError` with its own words where it fails."""
    done = subprocess.run(  # noqa: S603  our own arguments
        arguments, env=environment, input=typed, capture_output=True, text=True, timeout=HANG, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{Path(arguments[0]).name}: {done.stderr or done.stdout}")
    return done.stdout
