"""The text of a passcode file and the users in it; `passcode_file` shows the format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from useridentity.errors import ConfigurationError, Refused
from useridentity.mechanisms.passcode import User
from useridentity.mechanisms.username import username_from
from useridentity.settings import nearest
from useridentity.settings.toml_file import Key, TomlFile

VERSION = 1

_TABLES = ("version", "user")

_HEADER = "# Passcodes, hashed. To change it: useridentity passcode set|remove FILE NAME. Comments are not kept.\n"

_HASH = re.compile(r"\$argon2id\$v=19\$m=[1-9]\d*,t=[1-9]\d*,p=[1-9]\d*\$[A-Za-z0-9+/]{22,}\$[A-Za-z0-9+/]{43,}")
"""Argon2id 1.3 in the encoding of its reference implementation, with 16 bytes of salt and 32 of hash or
more, as RFC 9106 4 recommends."""


@dataclass(frozen=True, slots=True)
class Record:
    """A user and the hash of their passcode."""

    user: User
    hash: str = field(repr=False)


def canonical(username: str) -> str:
    """The name as the file has it; raises `ConfigurationError` where it is not a username."""
    try:
        return username_from(username.encode("utf-8", "surrogatepass"))
    except Refused as refused:
        raise ConfigurationError(f"{username!r} is {refused.detail}") from None


def display_name_problem(value: object) -> str:
    """What is wrong with a display name, empty where nothing is."""
    return "" if isinstance(value, str) and value.isprintable() else "must be a string without control characters"


def groups_problem(value: object) -> str:
    """What is wrong with a list of groups, empty where nothing is."""
    if isinstance(value, list) and all(isinstance(group, str) and group and group.isprintable() for group in value):
        return ""
    return "must be a list of group names, none empty or with control characters"


def _hash_problem(value: object) -> str:
    good = isinstance(value, str) and _HASH.fullmatch(value)
    return "" if good else "must be an Argon2id hash ($argon2id$v=19$...); set the passcode anew"


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "hash": _hash_problem,
    "display_name": display_name_problem,
    "groups": groups_problem,
}


def parse(path: Path, text: str) -> dict[str, Record]:
    """The users in the text of a file; raises `ConfigurationError` with all that is wrong, by line and key."""
    file = TomlFile(path, text)
    problems = [file.problem(key, what) for key, what in _problems(file.content)]
    if problems:
        raise ConfigurationError(problems)
    return {name: _record(name, table) for name, table in file.content.get("user", {}).items()}


def render(records: Mapping[str, Record]) -> str:
    """The text of a file that holds these users."""
    tables = [_table(name, records[name]) for name in sorted(records)]
    return "\n".join([_HEADER + f"version = {VERSION}\n", *tables])


def _table(name: str, record: Record) -> str:
    lines = [f"[user.{_quoted(name)}]", f"hash = {_quoted(record.hash)}"]
    if record.user.display_name:
        lines.append(f"display_name = {_quoted(record.user.display_name)}")
    if record.user.groups:
        lines.append(f"groups = [{', '.join(map(_quoted, sorted(record.user.groups)))}]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string; the same as JSON's for what has no control characters."""
    return json.dumps(text, ensure_ascii=False)


def _problems(document: Mapping[str, object]) -> Iterator[tuple[Key, str]]:
    for word in document.keys() - set(_TABLES):
        yield (word,), f"unknown key{nearest(word, _TABLES)}"
    if document.get("version") != VERSION:
        yield ("version",), f"must be {VERSION}"
    users = document.get("user", {})
    if not isinstance(users, dict):
        yield ("user",), "must hold tables: [user.NAME]"
        return
    for name, table in users.items():
        for key, what in _user_problems(name, table):
            yield ("user", name, *key), what


def _user_problems(name: str, table: object) -> Iterator[tuple[Key, str]]:
    try:
        if canonical(name) != name:
            yield (), f"must be written {canonical(name)!r} (RFC 8265 3.4)"
    except ConfigurationError as error:
        yield (), str(error)
    if not isinstance(table, dict):
        yield (), "must be a table: [user.NAME]"
        return
    for word, value in {"hash": None, **table}.items():
        problem = _CHECKS[word](value) if word in _CHECKS else f"unknown key{nearest(word, _CHECKS)}"
        if problem:
            yield (word,), problem


def _record(name: str, table: Mapping[str, Any]) -> Record:
    return Record(User(name, table.get("display_name", ""), frozenset(table.get("groups", ()))), table["hash"])
