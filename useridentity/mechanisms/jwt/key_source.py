"""Where an acceptor's verification keys come from."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Protocol

from useridentity import whole_file
from useridentity.changed_file import Reread
from useridentity.errors import ConfigurationError
from useridentity.mechanisms.jwt.keys import Key, KeySet, read_key_set
from useridentity.mechanisms.strict_json import Malformed
from useridentity.validator import CheckContext

LOGGER = logging.getLogger("useridentity.jwt")

MAX_FILE = 1024 * 1024
"""Bytes of a JWK Set; a hundred keys with their certificates stay below it."""


class KeySource(Protocol):
    """The keys of one issuer, as they are now."""

    @property
    def may_wait(self) -> bool:
        """Whether `key` may wait for something outside this process."""

    def key(self, kid: str | None, algorithm: str, context: CheckContext) -> Key:
        """The key that a token's header means; raises `Refused`, or `Unavailable` where that is not known now."""


class FileKeys:
    """A JWK Set in a file, read again when the file changes.

    Raises `ConfigurationError` where it cannot be used. A later change for the worse is logged, and the
    keys of before stay in use.
    """

    may_wait = False

    def __init__(self, path: Path) -> None:
        self._file = Reread([path], partial(_read, path), "JSON Web Keys", LOGGER)

    def key(self, kid: str | None, algorithm: str, context: CheckContext) -> Key:  # noqa: ARG002  nothing is waited for
        return self._file.current().key(kid, algorithm)


def _read(path: Path) -> KeySet:
    try:
        keys, problems = read_key_set(whole_file.content(path, MAX_FILE))
    except OSError as error:
        raise ConfigurationError(f"jwks {path}: {error.strerror}") from error
    except Malformed as malformed:
        raise ConfigurationError(f"jwks {path}: {malformed}") from None
    if not keys.keys and not problems:
        problems = ["holds no key that verifies signatures"]
    if problems:
        raise ConfigurationError(f"jwks {path}: {problem}" for problem in problems)
    return keys
