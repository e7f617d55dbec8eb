"""A policy file into a `Policy`; every problem of the file is reported at once, with its line and key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from useridentity.audit.settings import AuditSettings
from useridentity.audit.trail import Trail
from useridentity.config.parts import NewParts, Parts, StateSettings
from useridentity.config.rules import RuleReader, Validators
from useridentity.errors import ConfigurationError, described
from useridentity.plugins import validator_settings
from useridentity.policy import Policy, Source
from useridentity.policy.content import Content, Limits
from useridentity.policy.problems import problems
from useridentity.policy.rules import Grant, Rule
from useridentity.settings import Runtime, decode, report_unknown
from useridentity.settings.toml_file import Key, TomlFile
from useridentity.state import Store
from useridentity.validator import Validator

T = TypeVar("T")

VERSION = 1

HIDDEN = "..."
"""What problems have in place of a secret that stands in the file, and of the value around it."""

SHORTEST = 4
"""Characters of a password that is hidden by itself too; a shorter one is part of other words, which would show it."""

_PASSWORD_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#:]*:([^/?#]+)@")
TABLES = ("version", "limits", "state", "validator", "authenticate", "authorize", "audit")


def load_policy(path: Path, parts: Parts | None = None) -> Policy:
    """The policy in the file at `path`, with what it refers to made by `parts`, all of it new unless given.

    Raises `ConfigurationError` with everything wrong in it.
    """
    return _Loader(TomlFile(path), parts or NewParts()).policy()


class _Loader:
    def __init__(self, file: TomlFile, parts: Parts) -> None:
        self._file = file
        self._parts = parts
        self._folder = file.path.absolute().parent
        self._problems: list[tuple[int, str]] = []
        self._hidden: list[str] = []

    def policy(self) -> Policy:
        content = self._file.content
        for key, hidden, what in _secrets((), content):
            self._hidden += hidden
            self._report(key, what)
        self._whole(content)
        limits = self._decoded(Limits, content.get("limits", {}), ("limits",))
        state = self._decoded(StateSettings, content.get("state", {}), ("state",))
        settings = self._decoded(AuditSettings, content["audit"], ("audit",)) if "audit" in content else None
        validators = self._validators(content.get("validator", {}))
        rules, grants = self._rules(content, validators)
        store = self._store(state)
        audit = self._audit(settings) if settings is not None or "audit" not in content else None
        if self._problems or limits is None or state is None:
            raise ConfigurationError(text for _, text in sorted(self._problems, key=lambda problem: problem[0]))
        source = Source(self._file.path.absolute(), state.url, settings)
        made = Content.of(rules, grants, limits, _unused(validators, rules))
        return Policy.of(made, store=store, audit=audit, source=source)

    def _whole(self, content: Mapping[str, Any]) -> None:
        """What is wrong with the file before any of its tables is read."""
        report_unknown(content, TABLES, (), self._report)
        if problem := self._file.version_problem(VERSION):
            self._report(("version",), problem)

    def _rules(self, content: Mapping[str, Any], validators: Validators) -> tuple[list[Rule], list[Grant]]:
        reader = RuleReader(self._report, self._folder)
        rules = reader.rules(content.get("authenticate"), validators)
        grants = reader.grants(content["authorize"]) if "authorize" in content else []
        for key, what in problems(rules, grants, reader.named):
            self._report(key, what)
        return [each for each in rules if each], [each for each in grants if each]

    def _store(self, settings: StateSettings | None) -> Store | None:
        with self._reporting(("state", "url")):
            return self._parts.store(settings, self._folder) if settings is not None else None
        return None

    def _audit(self, settings: AuditSettings | None) -> Trail | None:
        with self._reporting(("audit",)):
            return self._parts.audit(settings, self._folder)
        return None

    def _validators(self, tables: object) -> Validators:
        """Each validator by its name; None for one that has problems, so that rules may still name it."""
        if not isinstance(tables, Mapping):
            self._report(("validator",), "should be tables: [validator.NAME]")
            return {}
        return {name: self._validator(name, table) for name, table in tables.items()}

    def _validator(self, name: str, table: object) -> Validator | None:
        key = ("validator", name)
        if not isinstance(table, Mapping) or not isinstance(table.get("type"), str):
            self._report(key, 'needs a type, such as type = "passcode"')
            return None
        kind = table["type"]
        with self._reporting((*key, "type")):
            cls = validator_settings(kind)
            with self._reporting(key):
                rest = {word: value for word, value in table.items() if word != "type"}
                settings = self._decoded(cls, rest, key)
                if settings is not None:
                    return self._parts.validator(settings, kind, Runtime(name, self._folder))
        return None

    def _decoded(self, cls: type[T], table: object, key: Key) -> T | None:
        return decode(cls, table, key, self._report, self._folder)

    @contextmanager
    def _reporting(self, key: Key) -> Iterator[None]:
        """Report what is raised in the block, which is left; a mechanism from another package may raise anything."""
        try:
            yield
        except ConfigurationError as error:
            for problem in error.problems:
                self._report(key, problem)
        except Exception as error:  # noqa: BLE001
            self._report(key, _told(error))

    def _report(self, key: Key, what: str) -> None:
        for text in sorted(self._hidden, key=len, reverse=True):
            what = what.replace(text, HIDDEN)
        self._problems.append((self._file.line(key), self._file.problem(key, what)))


def _unused(validators: Validators, rules: Iterable[Rule]) -> list[str]:
    asked = {id(each) for rule in rules for alternative in rule.alternatives for each in alternative}
    return [name for name, validator in validators.items() if id(validator) not in asked]


def _told(error: Exception) -> str:
    """The system's words, or the type and place of an exception whose own text may hold what is secret."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"cannot be used: {described(error)}"


def _secrets(key: Key, value: object) -> Iterator[tuple[Key, list[str], str]]:
    """Secrets that stand in the file itself, for all to see who look after the rules; each with what not to repeat."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets((*key, name), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets((*key, index), inner)
    elif isinstance(value, str) and (found := _PASSWORD_IN_URL.match(value)):
        yield (
            key,
            [*_written(value), f":{found[1]}@", *([found[1]] if len(found[1]) >= SHORTEST else [])],
            "holds a password in clear; take it out, and name a file with it, ?password_file=PATH, or a variable of "
            "the environment, ?password_env=NAME",
        )
    elif isinstance(value, str) and "PRIVATE KEY-----" in value:
        yield key, _written(value), "holds a private key in clear; take it out, and give the path of a file with it"


def _written(value: str) -> list[str]:
    """A string as messages have it: as it is, and as Python writes it."""
    return [value, repr(value)[1:-1]]
