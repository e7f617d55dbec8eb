"""What `store` is given: folders, globs and files in, SOP instances with their place in a file out.

A file's preamble never travels, but one that makes the file a program (CVE-2019-11687) tells that
somebody has been at it, so it is reported and not sent.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pynetdicom.dsutils import split_dataset

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


@dataclass(frozen=True, slots=True)
class Instance:
    """A SOP instance in a file: where its data set begins, and how long and in which transfer syntax it is."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be stored, and why."""

    path: Path
    why: str


def found(patterns: Iterable[str]) -> Iterator[Instance | Problem]:
    """Every file that these files, folders and globs name, once, in order of their names."""
    seen: set[Path] = set()
    for pattern in patterns:
        for path in _paths(pattern):
            if path not in seen:
                seen.add(path)
                yield instance(path)


def _paths(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    if os.path.isdir(pattern):  # never raises, as `Path.is_dir` does for names that are too long
        yield from _in_folder(path)
    elif os.path.lexists(path) or not glob.has_magic(pattern):
        yield path
    else:
        for match in sorted(glob.glob(pattern, recursive=True)) or [pattern]:
            yield from _in_folder(Path(match)) if os.path.isdir(match) else [Path(match)]


def _in_folder(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root, name) for name in sorted(names))


def instance(path: Path) -> Instance | Problem:
    """What this file holds."""
    try:
        if not path.is_file():
            return Problem(path, "is no file" if path.exists() else "does not exist")
        with path.open("rb") as file:
            head = file.read(PREAMBLE + 4)
            size = file.seek(0, os.SEEK_END)
        if head[PREAMBLE:] != b"DICM":
            return Problem(path, "is no DICOM file: no DICM after the preamble (PS3.10 7.1)")
        if what := next((what for sign, what in EXECUTABLE.items() if head.startswith(sign)), ""):
            return Problem(path, f"its preamble makes it {what}; not sent: find out where it comes from")
        return _described(path, size)
    except OSError as error:
        return Problem(path, error.strerror or str(error))


def _described(path: Path, size: int) -> Instance | Problem:
    try:
        meta, offset = split_dataset(path)
        uids = [str(meta.get(name, "")) for name in _UIDS]
    except (InvalidDicomError, EOFError, NotImplementedError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Problem(path, f"its file meta information cannot be read: {type(error).__name__}")
    if missing := [name for name, uid in zip(_UIDS, uids, strict=True) if not is_uid(uid)]:
        return Problem(path, f"its file meta information has no valid {', '.join(missing)}")
    if uids[0] == MEDIA_STORAGE_DIRECTORY:
        return Problem(path, "is a DICOMDIR, which is not stored; the files it lists are")
    if offset >= size:
        return Problem(path, "has no data set")
    return Instance(path, uids[0], uids[1], uids[2], offset, size - offset)


_UIDS = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")


def is_uid(text: str) -> bool:
    """Whether this is a UID (PS3.5 9.1): digits and dots, and so also a harmless file name."""
    return 0 < len(text) <= LONGEST_UID and text.isascii() and all(part.isdigit() for part in text.split("."))
