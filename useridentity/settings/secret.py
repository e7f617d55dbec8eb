"""Secrets that a policy needs: in a file of their own or in the environment, never in the policy itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from useridentity.errors import ConfigurationError

VARIABLE = "env:"
"""How the name of a variable begins where the path of a file might stand as well."""

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
"""Names that every shell can set (POSIX.1-2024 Base Definitions 3.216)."""

_NO_FILE = "names no file; a secret is in a file of its own or in a variable of the environment, never in the policy"
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
"""What Python reads in place of octets that are no UTF-8 (PEP 383)."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret in a file that its owner alone can read.

    Fields:
        path: not in any repr, nor in a message unless there is such a file: it may be the secret, written in its place.
    """

    path: Path = field(repr=False)

    def read(self) -> str:
        """The secret as it is now, without the end of its line; raises `ConfigurationError`."""
        # Not before it is needed: private files are POSIX's, and the core runs without them.
        from useridentity.mechanisms import private_file

        if not os.path.lexists(self.path):
            raise ConfigurationError(_NO_FILE)
        if secret := private_file.read(self.path).rstrip("\r\n"):
            return secret
        raise ConfigurationError(f"{self.path}: is empty")


@dataclass(frozen=True, slots=True)
class SecretVariable:
    """A secret in a variable of this process's environment.

    Fields:
        name: the variable's.
    """

    name: str

    def read(self) -> str:
        """The secret as it is now; raises `ConfigurationError`."""
        if not (secret := os.environ.get(self.name, "")):
            problem = "is empty" if self.name in os.environ else "is not set"
        elif _NOT_UTF8.search(secret):
            problem = "is not UTF-8"
        else:
            return secret
        raise ConfigurationError(f"the environment variable {self.name} {problem}")


Secret = SecretFile | SecretVariable


def secret_at(text: str, folder: Path) -> Secret:
    """Where `text` says that a secret is: "env:NAME", or a path that may be relative to `folder`.

    Raises `ConfigurationError`, which does not repeat the text.
    """
    if not text.startswith(VARIABLE):
        return SecretFile(folder / text)
    return variable(text.removeprefix(VARIABLE))


def variable(name: str) -> SecretVariable:
    """The variable of this name; raises `ConfigurationError`, which does not repeat it, where none can have it."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError("is no name of a variable: letters, digits and _, no digit first")
    return SecretVariable(name)
