"""Received instances, kept as files that nobody sees before they are whole, and that replace nothing.

A name is the SOP Instance UID and nothing else of what the peer sends; one that is no UID is refused, so
that none can lead out of the folder.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from useridentity.cli.requestor.files import is_uid
from useridentity.errors import ConfigurationError

if TYPE_CHECKING:
    from pynetdicom.events import Event

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DUPLICATE = 0x0111
INVALID_INSTANCE = 0x0117
"""Statuses of C-STORE (PS3.7 C, PS3.4 B.2.3)."""

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""How file systems without hard links refuse one (link(2)): vfat, and many that are on a network."""

MODE = 0o666
"""As any new file: less the umask."""


@dataclass(slots=True)
class Folder:
    """Where instances are kept; safe to use from many threads.

    `kept` are the names, `problems` why what has these UIDs could not be kept; `moved` is told of octets.
    """

    path: Path
    moved: Callable[[int], None] = lambda _: None
    kept: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _mode: int = field(default_factory=lambda: MODE & ~_umask())  # once: asking sets it, for every thread

    def __post_init__(self) -> None:
        """Raises `ConfigurationError` where files cannot be made there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.path).close()
        except OSError as error:
            raise ConfigurationError(f"{self.path}: {error.strerror}; files cannot be kept there") from None

    def keep(self, event: Event) -> int:
        """A handler of EVT_C_STORE; its status."""
        uid = str(getattr(event.request, "AffectedSOPInstanceUID", ""))
        if not is_uid(uid):
            return self._refuse(uid, INVALID_INSTANCE, f"{uid!r} is no UID, and so no name for a file")
        octets = event.encoded_dataset()
        self.moved(len(octets))
        try:
            return self._put(uid, octets)
        except OSError as error:
            return self._refuse(uid, OUT_OF_RESOURCES, f"{uid}: {error.strerror}")

    def _put(self, uid: str, octets: bytes) -> int:
        path = self.path / f"{uid}.dcm"
        descriptor, beside = tempfile.mkstemp(dir=self.path, prefix=f".{uid[:32]}.", suffix=".part")
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, self._mode)
                file.write(octets)
            try:
                _name(beside, path)
            except FileExistsError:
                if path.is_symlink() or not path.is_file() or path.read_bytes() != octets:
                    return self._refuse(uid, DUPLICATE, f"{path} exists, with other content; it was left as it is")
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
        with self._lock:
            self.kept.append(path.name)
        return SUCCESS

    def _refuse(self, uid: str, status: int, why: str) -> int:
        with self._lock:
            self.problems[uid] = why
        return status


def _name(beside: str, path: Path) -> None:
    """Give the whole file its name; raises `FileExistsError` where there is one already, be it a symbolic link."""
    try:
        os.link(beside, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the name is ours from here
        os.replace(beside, path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
