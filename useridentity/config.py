"""A policy file into a `Policy`; every problem of the file is reported at once, with its line and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from useridentity.errors import ConfigurationError
from useridentity.plugins import validator_settings
from useridentity.policy import Limits, Policy, Rule, When
from useridentity.settings import Runtime, decode, nearest, report_unknown
from useridentity.state import Store, open_store
from useridentity.toml_file import Key, TomlFile
from useridentity.validator import Validator

VERSION = 1
TABLES = ("version", "limits", "state", "validator", "authenticate")


def load_policy(path: Path) -> Policy:
    """The policy in the file at `path`; raises `ConfigurationError` with everything wrong in it."""
    return _Loader(TomlFile(path)).policy()


@dataclass(frozen=True, slots=True)
class _StateSettings:
    url: str = "memory:"


@dataclass(frozen=True, slots=True)
class _RuleSettings:
    accept: tuple[str, ...]
    name: str = ""


class _Loader:
    def __init__(self, file: TomlFile) -> None:
        self._file = file
        self._folder = file.path.absolute().parent
        self._problems: list[str] = []

    def policy(self) -> Policy:
        content = self._file.content
        report_unknown(content, TABLES, (), self._report)
        if content.get("version") != VERSION or content.get("version") is True:
            self._report(("version",), f"{content.get('version')!r} should be {VERSION}")
        limits = decode(Limits, content.get("limits", {}), ("limits",), self._report, self._folder)
        store = self._store(content.get("state", {}))
        validators = self._validators(content.get("validator", {}))
        rules = self._rules(content.get("authenticate", []), validators)
        if self._problems:
            raise ConfigurationError(self._problems)
        return Policy(rules, limits=limits, store=store)

    def _report(self, key: Key, what: str) -> None:
        self._problems.append(self._file.problem(key, what))

    def _store(self, table: object) -> Store | None:
        settings = decode(_StateSettings, table, ("state",), self._report, self._folder)
        try:
            return open_store(settings.url, self._folder) if settings else None
        except ConfigurationError as error:
            for problem in error.problems:
                self._report(("state", "url"), problem)
            return None

    def _validators(self, tables: object) -> Mapping[str, Validator | None]:
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
        try:
            cls = validator_settings(table["type"])
        except ConfigurationError as error:
            self._report((*key, "type"), str(error))
            return None
        rest = {word: value for word, value in table.items() if word != "type"}
        settings = decode(cls, rest, key, self._report, self._folder)
        return self._built(settings, name) if settings is not None else None

    def _built(self, settings: Any, name: str) -> Validator | None:
        try:
            validator: Validator = settings.build(Runtime(name, self._folder))
        except ConfigurationError as error:
            for problem in error.problems:
                self._report(("validator", name), problem)
            return None
        except OSError as error:  # a mechanism from another package may let it through
            place = f"{error.filename}: " if error.filename else ""
            self._report(("validator", name), f"{place}{error.strerror or str(error) or type(error).__name__}")
            return None
        return validator

    def _rules(self, tables: object, validators: Mapping[str, Validator | None]) -> list[Rule]:
        if not isinstance(tables, list) or not tables:
            self._report(("authenticate",), "no [[authenticate]] rule, so nobody could associate")
            return []
        return [self._rule(index, table, validators) for index, table in enumerate(tables)]

    def _rule(self, index: int, table: Any, validators: Mapping[str, Validator | None]) -> Rule:
        key: Key = ("authenticate", index)
        if not isinstance(table, Mapping):
            self._report(key, "should be a table: [[authenticate]]")
            return Rule(())
        rest = {word: value for word, value in table.items() if word != "when"}
        settings = decode(_RuleSettings, rest, key, self._report, self._folder)
        when = decode(When, table.get("when", {}), (*key, "when"), self._report, self._folder)
        if settings is None or when is None:
            return Rule(())
        for name in settings.accept:
            if name not in validators:
                self._report((*key, "accept"), f'"{name}" is no validator{nearest(name, validators)}')
        accept = [validator for name in settings.accept if (validator := validators.get(name)) is not None]
        return Rule(accept, when, settings.name)
