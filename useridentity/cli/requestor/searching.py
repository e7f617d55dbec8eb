"""The files that words of the command line name: files, folders and globs, each file once.

A file is what the system says it is: named twice, linked, or reached through a loop of links it is the same one.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

EVERY_DEPTH = "**"

Parts = tuple[str, ...]
"""What is left of a glob below a folder; empty for all that is in it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that cannot be stored, and why."""

    path: Path
    why: str


def found(words: Iterable[str]) -> Iterator[Path | Problem]:
    """Every file that these words name, in order of the words and of their names; folders that cannot be read."""
    search = _Search()
    for word in words:
        yield from search.matches(word)


@dataclass(slots=True)
class _Search:
    _seen: set[object] = field(default_factory=set)

    def matches(self, word: str) -> Iterator[Path | Problem]:
        waiting = [_start(word)]
        any_match = False
        while waiting:
            path, parts = waiting.pop()
            any_match = any_match or not parts
            place = _place(path), parts
            if place in self._seen:
                continue
            self._seen.add(place)
            if not parts and not os.path.isdir(path):  # which never raises, as `Path.is_dir` does
                yield path
                continue
            try:
                waiting += reversed(list(_below(path, parts)))
            except OSError as error:
                yield Problem(path, f"cannot be searched: {error.strerror}")
                any_match = True
        if not any_match:
            yield Problem(Path(word), "matches no file")


def _start(word: str) -> tuple[Path, Parts]:
    """Where to search for what; a name that is there stands for itself, whatever characters it has."""
    if os.path.lexists(word) or not glob.has_magic(word):
        return Path(word), ()
    parts = Path(word).parts
    fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed]), parts[fixed:]


def _place(path: Path) -> object:
    try:
        status = os.stat(path)
    except OSError:
        return os.path.abspath(path)
    return status.st_dev, status.st_ino


def _below(folder: Path, parts: Parts) -> Iterator[tuple[Path, Parts]]:
    """What is to be searched next; raises `OSError` where the folder cannot be read."""
    if parts and not os.path.isdir(folder):
        return
    if parts and not glob.has_magic(parts[0]):
        if os.path.lexists(folder / parts[0]):
            yield folder / parts[0], parts[1:]
        return
    if parts and parts[0] == EVERY_DEPTH:
        yield folder, parts[1:]
    for name in sorted(os.listdir(folder)):
        if not parts:
            yield folder / name, ()
        elif name.startswith(".") and not parts[0].startswith("."):  # hidden, as for the shell
            continue
        elif parts[0] != EVERY_DEPTH:
            if fnmatchcase(name, parts[0]):
                yield folder / name, parts[1:]
        elif os.path.isdir(folder / name):
            yield folder / name, parts
