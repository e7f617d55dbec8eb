"""A passcode store in one TOML file, hashed with Argon2id; kept with `useridentity passcode`.

    version = 1

    [user."alice"]
    hash = "$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>"
    display_name = "Alice Archer"     # optional
    groups = ["radiology"]            # optional

A name is written as `username_from` returns it; an unknown key is an error. The file belongs to root or
to who runs this, mode 0600. It may be edited by hand while a server uses it: once changed it is read
again, and where it then has errors they are logged and the users read before stay.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from useridentity.changed_file import Reread
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError, Refused, Unavailable
from useridentity.mechanisms import private_file
from useridentity.mechanisms.passcode import User
from useridentity.mechanisms.passcode_records import (
    Record,
    canonical,
    display_name_problem,
    groups_problem,
    parse,
    render,
)

try:
    from argon2 import PasswordHasher, extract_parameters
    from argon2.exceptions import Argon2Error, VerifyMismatchError
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "passcode files need argon2-cffi: pip install 'useridentity[passcode]'", name=missing.name
    ) from missing

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""OWASP's minimum for Argon2id (Password Storage Cheat Sheet). Not more, because every association of
every modality pays for it: some 20 to 40 ms of a core, and 19 MiB for each hash that the driver's pool lets
run at once."""

MAX_PASSCODE = 1024
"""Bytes. A peer may send 65,535; nobody's passphrase has them, and Argon2 would read them all. A longer
passcode is refused and not truncated, which would make it another passcode."""

_HASHER = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)

_log = logging.getLogger(__name__)

FilePath = str | os.PathLike[str]


class PasscodeFile:
    """The store as an acceptor asks it, from any number of threads.

    Raises `ConfigurationError` where the file cannot be used, with all that is wrong with it.
    """

    def __init__(self, path: FilePath) -> None:
        self.path = Path(path)
        self._file = Reread([self.path], partial(_load, self.path), "passcodes", _log)
        self._rehashing_failed = False

    def __repr__(self) -> str:
        return f"PasscodeFile({str(self.path)!r})"

    def verify(self, username: str, passcode: bytes) -> User:
        """The user of this name, where the passcode is theirs.

        Raises `Refused` (CREDENTIAL_INVALID), after one Argon2 hash whether it is the name or the
        passcode that is wrong, and `Unavailable` where that hash cannot be made.
        """
        if len(passcode) > MAX_PASSCODE:
            raise Refused(Reason.CREDENTIAL_INVALID, f"a passcode of {len(passcode)} bytes, at most {MAX_PASSCODE}")
        records = self._file.current()
        record = records.get(username)
        checked = record or _stand_in(records, username)
        matches = checked is not None and _matches(checked.hash, passcode)
        if record is None:
            raise Refused(Reason.CREDENTIAL_INVALID, f"unknown user in {self.path.name}")
        if not matches:
            raise Refused(Reason.CREDENTIAL_INVALID, f"wrong passcode for a user in {self.path.name}")
        if _is_weak(record.hash) and not self._rehashing_failed:
            self._rehash(record, passcode)
        return record.user

    def _rehash(self, record: Record, passcode: bytes) -> None:
        """Bring a hash up to today's parameters; no log-in fails for it."""
        raised = replace(record, hash=_HASHER.hash(passcode))
        try:
            with _editing(self.path) as records:
                if records.get(record.user.user_id) == record:
                    records[record.user.user_id] = raised
        except ConfigurationError as error:
            self._rehashing_failed = True
            _log.warning("weak passcode hashes stay, the file cannot be replaced: %s", error)


def set_passcode(
    path: FilePath,
    username: str,
    passcode: bytes,
    display_name: str | None = None,
    groups: list[str] | None = None,
) -> None:
    """Give a user a passcode of 1 to `MAX_PASSCODE` bytes; where there is no such user or file, make them.

    `display_name` and `groups` stay as they are where they are None. Raises `ConfigurationError` where
    an argument or the file cannot be used; the file then stays as it was.
    """
    name = canonical(username)
    _check("passcode", _passcode_problem(passcode))
    _check("display name", display_name_problem(display_name or ""))
    _check("groups", groups_problem(groups or []))
    hashed = _HASHER.hash(passcode)
    private_file.create(Path(path), render({}))
    with _editing(Path(path)) as records:
        user = records[name].user if name in records else User(name)
        if display_name is not None:
            user = replace(user, display_name=display_name)
        if groups is not None:
            user = replace(user, groups=frozenset(groups))
        records[name] = Record(user, hashed)


def remove_user(path: FilePath, username: str) -> None:
    """Take a user out; raises `ConfigurationError` where the file cannot be used or has no such user."""
    name = canonical(username)
    with _editing(Path(path)) as records:
        if records.pop(name, None) is None:
            raise ConfigurationError(f"{path}: has no user {name}")


def users(path: FilePath) -> tuple[User, ...]:
    """The users of a file, by name; raises `ConfigurationError` where it cannot be used."""
    records = _load(Path(path))
    return tuple(records[name].user for name in sorted(records))


def _load(path: Path) -> dict[str, Record]:
    return parse(path, private_file.read(path))


@contextmanager
def _editing(path: Path) -> Iterator[dict[str, Record]]:
    """The users of a file, written back where the block changed them."""
    with private_file.replacing(path) as (text, replace_text):
        before = parse(path, text)
        records = dict(before)
        yield records
        if records != before:
            replace_text(render(records))


def _check(what: str, problem: str) -> None:
    if problem:
        raise ConfigurationError(f"the {what} {problem}")


def _passcode_problem(passcode: object) -> str:
    if not isinstance(passcode, bytes):
        return f"must be bytes, not {type(passcode).__name__}"
    if not passcode:
        return "is empty; anybody could log in with it"
    return f"is longer than {MAX_PASSCODE} bytes" if len(passcode) > MAX_PASSCODE else ""


def _stand_in(records: Mapping[str, Record], username: str) -> Record | None:
    """Whose hash an unknown user is checked against; None in a file without users, which has none to be found out.

    One of the file's, for its hashes may be of several costs, and always the same one for a name: whoever times
    answers sees what users have.
    """
    return next(islice(records.values(), hash(username) % len(records), None)) if records else None


def _matches(hashed: str, passcode: bytes) -> bool:
    try:
        return _HASHER.verify(hashed, passcode)
    except VerifyMismatchError:
        return False
    except Argon2Error as error:
        raise Unavailable(f"Argon2: {error}") from error


def _is_weak(hashed: str) -> bool:
    parameters = extract_parameters(hashed)
    return parameters.memory_cost < MEMORY_KIB or parameters.time_cost < PASSES
