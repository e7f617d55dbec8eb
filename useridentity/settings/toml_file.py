"""A TOML file that knows on which line each key stands."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from useridentity import whole_file
from useridentity.errors import ConfigurationError

Key = tuple[str | int, ...]
"""Where a value is: table names, and positions in arrays of tables."""

Problem = tuple[Key, str]
"""A key, and what is wrong with its value."""


MAX_SIZE = 4 * 2**20
"""Bytes of a file: twenty times what a policy of a thousand rules has."""

MAX_DEPTH = 32
"""Tables and lists within each other: several times what any file of ours needs, and far below Python's stack."""

_INTEGERS = range(-(2**63), 2**63)
"""Those that TOML 1.0 asks a reader to take; Python's grow until nobody could print them."""

_TOO_DEEP = f"tables and lists are more than {MAX_DEPTH} deep within each other"
_TOO_LARGE = "a whole number needs more than the 64 bits that TOML has for it"

_LONG_NUMBER = re.compile(r"[0-9_]{1000}")
_TOLD_LINE = re.compile(r" \(at (?:line (?P<line>\d+), (?P<column>column \d+)|end of document)\)$")

_TOKEN = re.compile(
    r'''
    """(?:[^"\\]|\\.|"{1,2}(?!"))*+(?:"{3,5})?      # strings of several lines may end with two quotes of their own
    | \'{3}(?:[^']|'{1,2}(?!'))*+(?:'{3,5})?
    | "(?:[^"\\]|\\.)*+"?                          # one that does not end takes all there is
    | '[^']*+'?
    | \#[^\n]*
    | [\[\]{}\n]
    ''',
    re.DOTALL | re.VERBOSE,
)
"""What tells where a statement of a valid file ends: a line break that is in no string, list or inline table."""

_DEEP_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}", re.ASCII)
"""A key of more parts than that, where each string and comment is a word."""


class TomlFile:
    """The content of a file, and its lines.

    Raises `ConfigurationError` where the file cannot be read, is not TOML, or is larger or deeper than any of ours.
    """

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        # Windows' editors end lines with CR LF.
        self._text = (_read(path) if text is None else text).replace("\r\n", "\n")
        self.content: Mapping[str, Any] = _parsed(path, self._text)
        if found := next(_excesses(self.content), None):
            raise ConfigurationError(self.problem(*found))

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

    def version_problem(self, known: int) -> str:
        """Why this is no file of the version that is known; empty where it is."""
        if "version" not in self.content:
            return f"is missing; begin the file with version = {known}"
        found = self.content["version"]
        return "" if type(found) is int and found == known else f"{found!r} should be {known}"

    def problem(self, key: Key, what: str) -> str:
        """`what` is wrong with `key`, said with file and line."""
        return f"{self.path}:{self.line(key)}: {spelled(key)}: {what}" if key else f"{self.path}: {what}"


def spelled(key: Key) -> str:
    """A key as people write it: validator.staff.store, authenticate[0].accept."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text if text.isprintable() else repr(text)


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a FIFO would keep us waiting, and a device might never end
            raise ConfigurationError(f"{path}: is no regular file")
        octets = whole_file.content(path, MAX_SIZE)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return octets.decode("utf-8-sig")  # Windows' editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: not UTF-8; TOML files are UTF-8") from None


def _parsed(path: Path, text: str) -> Mapping[str, Any]:
    if deep := _deep_key(text):
        raise ConfigurationError(f"{path}:{deep}: {_TOO_DEEP}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        told = _TOLD_LINE.search(message)
        line = told["line"] if told and told["line"] else text.count("\n") + 1
        where = f" ({told['column']})" if told and told["column"] else ""
        raise ConfigurationError(f"{path}:{line}: not TOML: {_TOLD_LINE.sub('', message)}{where}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: {_TOO_DEEP}") from None
    except ValueError:  # an integer of more digits than Python reads
        long = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else 1
        raise ConfigurationError(f"{path}:{line}: {_TOO_LARGE}") from None


def _deep_key(text: str) -> int:
    """The line of a key for which tomllib would take minutes, the square of its parts; 0 where there is none."""
    if all(line.count(".") < MAX_DEPTH for line in text.split("\n")):
        return 0
    words = _TOKEN.sub(lambda token: _word(token[0]), text)
    found = _DEEP_KEY.search(words)
    return words.count("\n", 0, found.start()) + 1 if found else 0


def _word(token: str) -> str:
    return "_" + "\n" * token.count("\n") if token[0] in "\"'#" else token


def _excesses(content: Mapping[str, Any]) -> Iterator[Problem]:
    """What is too deep or too large for whoever reads the content; told without repeating it."""
    waiting: list[tuple[Key, object]] = [((), content)]
    while waiting:
        key, value = waiting.pop()
        if len(key) > MAX_DEPTH:
            yield key, _TOO_DEEP
        elif isinstance(value, Mapping):
            waiting += [((*key, name), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*key, index), inner) for index, inner in enumerate(value)]
        elif isinstance(value, int) and value not in _INTEGERS:
            yield key, _TOO_LARGE


def _first_lines(text: str) -> Mapping[Key, int]:
    """Each key, and each table that holds it, with the line it is first written on."""
    lines: dict[Key, int] = {}
    for key, number in _keys(text):
        for end in range(1, min(len(key), MAX_DEPTH) + 1):
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
    """Each statement of a valid file with its first line, in one pass."""
    start, number, depth = 0, 1, 0
    for token in _TOKEN.finditer(f"{text}\n"):
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        if token[0] != "\n" or depth:
            continue
        statement = text[start : token.start()]
        if tomllib.loads(statement):
            yield number, statement
        start, number = token.end(), number + statement.count("\n") + 1


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
