"""A file of secrets: read, locked and replaced so that nobody but its owner and root has a say.

What is checked is the file that was opened, never a path that could lead elsewhere by then. Writers
lock the file itself: no lock file stays behind, and only who may write can lock.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shlex
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from useridentity.errors import ConfigurationError

MODE = 0o600
"""Its owner and nobody else: who can write the file can be anybody, who can read it can guess offline."""


def read(path: Path) -> str:
    """The text of the file; raises `ConfigurationError` where it is not a private one or not UTF-8."""
    with _opened(path, os.O_RDONLY) as descriptor:
        return _text(path, descriptor)


def create(path: Path, text: str) -> None:
    """Make the file, mode 0600, unless there is one."""
    with _os_errors(path), suppress(FileExistsError):
        if not os.path.lexists(path):
            _put(path, text, os.link)


@contextmanager
def replacing(path: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The text of the file and a function that replaces it; other writers wait until the block ends."""
    with _os_errors(path), _locked(path) as descriptor:
        yield _text(path, descriptor), lambda text: _put(path, text, os.replace)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Who waited for the lock may hold a file that was replaced meanwhile; then the new one is locked."""
    while True:
        with _opened(path, os.O_RDWR) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                yield descriptor
                return


@contextmanager
def _opened(path: Path, access: int) -> Iterator[int]:
    try:
        # Neither through a symbolic link nor waiting for the other end of a FIFO.
        descriptor = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"{path}: {_open_problem(path, error)}") from error
    try:
        problems = list(privacy_problems(path, os.fstat(descriptor)))
        if problems:
            raise ConfigurationError(f"{path}: {problem}" for problem in problems)
        yield descriptor
    finally:
        os.close(descriptor)


def _open_problem(path: Path, error: OSError) -> str:
    if path.is_symlink():
        return f"is a symbolic link; name the file itself: {os.path.realpath(path)}"
    if isinstance(error, PermissionError):
        return f"cannot be opened by {_user(os.geteuid())}: chown {_user(os.geteuid())} {shlex.quote(str(path))}"
    return error.strerror or str(error)


def privacy_problems(path: Path, found: os.stat_result) -> Iterator[str]:
    """What of a file's kind, owner and mode lets others have a say."""
    if not stat.S_ISREG(found.st_mode):
        yield "is not a regular file"
        return  # who may do what with a device is not ours to say
    if found.st_uid not in (0, os.geteuid()):
        me, owner = _user(os.geteuid()), _user(found.st_uid)
        yield f"belongs to {owner}: run this as {owner}, or: chown {me} {shlex.quote(str(path))}"
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        yield f"is open to other users (mode {mode:04o}): chmod {MODE:o} {shlex.quote(str(path))}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _text(path: Path, descriptor: int) -> str:
    with _os_errors(path), open(descriptor, "rb", closefd=False) as file:
        octets = file.read()
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"{path}: no UTF-8 at byte {error.start}"
    raise ConfigurationError(problem)


def _put(path: Path, text: str, into_place: Callable[[str, Path], None]) -> None:
    """Whole or not at all, over a power cut too: written beside, synced, put in place, synced."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, MODE)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(descriptor)
        into_place(beside, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A power cut may take a new file's name, though not its content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
