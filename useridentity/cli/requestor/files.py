"""What `store` is given: the SOP instances in its files, with their place there.

A file's preamble never travels, but one that makes the file a program (CVE-2019-11687) tells that
somebody has been at it, so it is reported and not sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pynetdicom.dsutils import split_dataset

from useridentity.cli.requestor import searching
from useridentity.cli.requestor.searching import Problem

PREAMBLE = 128
"""Octets before "DICM" (PS3.10 7.1)."""

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

LONGEST_UID = 64
"""Characters (PS3.5 9.1)."""

EXECUTABLE = {
    b"MZ": "a Windows program (PE)",
    b"\x7fELF": "a program (ELF)",
    b"#!": "a script",
    b"\xfe\xed\xfa\xce": "a program (Mach-O)",
    b"\xfe\xed\xfa\xcf": "a program (Mach-O)",
    b"\xce\xfa\xed\xfe": "a program (Mach-O)",
    b"\xcf\xfa\xed\xfe": "a program (Mach-O)",
    b"\xca\xfe\xba\xbe": "a program (Mach-O or Java)",
    b"PK\x03\x04": "an archive (ZIP)",
    b"\x1f\x8b": "an archive (gzip)",
    b"BZh": "an archive (bzip2)",
    b"\xfd7zXZ\x00": "an archive (xz)",
    b"7z\xbc\xaf\x27\x1c": "an archive (7z)",
    b"Rar!\x1a\x07": "an archive (RAR)",
    b"MSCF": "an archive (CAB)",
    b"<?php": "a script",
    b"<script": "a script",
    b"%PDF": "a document that can run scripts (PDF)",
}
"""How a preamble begins, and what its file then is to those who go by that. TIFF, which PS3.10 7.1 means the
preamble for, is not among them."""


State = tuple[int, int, int, int]
"""Device, file number, size and time of the last change in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A SOP instance in a file: where its data set begins, how long and in which transfer syntax it is, and by what
    the file is known to be the same still."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    offset: int
    length: int
    state: State


def found(words: Iterable[str]) -> Iterator[Instance | Problem]:
    """What every file holds that these files, folders and globs name."""
    for each in searching.found(words):
        yield each if isinstance(each, Problem) else instance(each)


def instance(path: Path) -> Instance | Problem:
    """What this file holds."""
    try:
        if not path.is_file():
            return Problem(path, "is no file" if path.exists() else "does not exist")
        with path.open("rb") as file:
            head = file.read(PREAMBLE + 4)
            state = state_of(file)
        if head[PREAMBLE:] != b"DICM":
            return Problem(path, "is no DICOM file: no DICM after the preamble (PS3.10 7.1)")
        if what := next((what for sign, what in EXECUTABLE.items() if head.startswith(sign)), ""):
            return Problem(path, f"its preamble makes it {what}; not sent: find out where it comes from")
        return _described(path, state)
    except OSError as error:
        return Problem(path, f"cannot be read: {error.strerror or error}")


def state_of(file: BinaryIO) -> State:
    """Raises `OSError`."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _described(path: Path, state: State) -> Instance | Problem:
    size = state[2]
    try:
        meta, offset = split_dataset(path)
        uids = [str(meta.get(name, "")) for name in _UIDS]
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  of which pydicom raises any for a file that is damaged
        return Problem(path, f"its file meta information cannot be read: {type(error).__name__}")
    if missing := [name for name, uid in zip(_UIDS, uids, strict=True) if not is_uid(uid)]:
        return Problem(path, f"its file meta information has no valid {', '.join(missing)}")
    if uids[0] == MEDIA_STORAGE_DIRECTORY:
        return Problem(path, "is a DICOMDIR, which is not stored; the files it lists are")
    if offset >= size:
        return Problem(path, "has no data set")
    return Instance(path, uids[0], uids[1], uids[2], offset, size - offset, state)


_UIDS = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")


def is_uid(text: str) -> bool:
    """Whether this is a UID (PS3.5 9.1): digits and dots, and so also a harmless file name."""
    return 0 < len(text) <= LONGEST_UID and text.isascii() and all(part.isdigit() for part in text.split("."))
