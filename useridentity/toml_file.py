"""A TOML file that knows on which line each key stands."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from useridentity.errors import ConfigurationError

Key = tuple[str | int, ...]
"""Where a value is: table names, and positions in arrays of tables."""

Problem = tuple[Key, str]
"""A key, and what is wrong with its value."""


class TomlFile:
    """The content of a file, and its lines.

    Raises `ConfigurationError` where the file cannot be read or is not TOML.
    """

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        try:
            # Windows' editors begin a file with a byte order mark.
            text = path.read_text("utf-8-sig") if text is None else text
            self.content: Mapping[str, Any] = tomllib.loads(text)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path}: not UTF-8 at byte {error.start}; TOML files are UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path}: not TOML: {error}") from None
        self._text = text

    @cached_property
    def _lines(self) -> Mapping[Key, int]:
        return _first_lines(self._text)

    def line(self, key: Key) -> int:
        """The line of `key`, or of the nearest table that holds it; 1 for the file as a whole."""
        while key not in self._lines:
            if not key:
                return 1
            key = key[:-1]
        return self._lines[key]

    def problem(self, key: Key, what: str) -> str:
        """`what` is wrong with `key`, said with file and line."""
        return f"{self.path}:{self.line(key)}: {spelled(key)}: {what}" if key else f"{self.path}: {what}"


def spelled(key: Key) -> str:
    """A key as people write it: validator.staff.store, authenticate[0].accept."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text if text.isprintable() else repr(text)


def _first_lines(text: str) -> Mapping[Key, int]:
    """Each key, and each table that holds it, with the line it is first written on."""
    lines: dict[Key, int] = {}
    for key, number in _keys(text):
        for end in range(1, len(key) + 1):
            lines.setdefault(key[:end], number)
    return lines


def _keys(text: str) -> Iterator[tuple[Key, int]]:
    """Each key with its line. A valid file is a row of statements, each of them TOML by itself."""
    table: Key = ()
    arrays: Counter[Key] = Counter()
    for number, statement in _statements(text):
        path = _path(tomllib.loads(statement))
        if not statement.lstrip().startswith("["):
            yield table + path, number
            continue
        table = _within_arrays(path, arrays)
        if statement.lstrip().startswith("[["):
            arrays[table] += 1
            table = (*table, arrays[table] - 1)
        yield table, number


def _statements(text: str) -> Iterator[tuple[int, str]]:
    start, statement = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        start, statement = (start, f"{statement}\n{line}") if statement else (number, line)
        try:
            complete = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if complete:
            yield start, statement
        statement = ""


def _path(content: object) -> Key:
    """The keys that lead into a statement's only value."""
    path: Key = ()
    while isinstance(content, dict) and len(content) == 1:
        name, content = next(iter(content.items()))
        path = (*path, name)
    return path


def _within_arrays(path: Key, arrays: Counter[Key]) -> Key:
    """`path` with the position of the current element after each array of tables but the last."""
    found: Key = ()
    for index, part in enumerate(path):
        found = (*found, part)
        if arrays[found] and index < len(path) - 1:
            found = (*found, arrays[found] - 1)
    return found
