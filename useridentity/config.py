"""A policy file into a `Policy`; every problem of the file is reported at once, with its line and key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from useridentity.audit.settings import AuditSettings
from useridentity.audit.trail import Trail
from useridentity.config_rules import RuleReader, Validators
from useridentity.errors import ConfigurationError
from useridentity.plugins import validator_settings
from useridentity.policy import Limits, Policy, Source
from useridentity.rule_problems import problems
from useridentity.settings import Runtime, decode, report_unknown
from useridentity.state import Store, open_store
from useridentity.toml_file import Key, TomlFile
from useridentity.validator import Validator

VERSION = 1
_PASSWORD_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#:]*:([^/?#]+)@")
TABLES = ("version", "limits", "state", "validator", "authenticate", "authorize", "audit")


def load_policy(path: Path, running: Policy | None = None) -> Policy:
    """The policy in the file at `path`, to take the place of `running`'s where there is one.

    Raises `ConfigurationError` with everything wrong in it.
    """
    return _Loader(TomlFile(path), running).policy()


@dataclass(frozen=True, slots=True)
class StateSettings:
    """The table `[state]`.

    Fields:
        url: where what must be remembered is kept: "memory:", "sqlite:FILE" or "redis://HOST".
    """

    url: str = "memory:"


class _Loader:
    def __init__(self, file: TomlFile, running: Policy | None = None) -> None:
        self._file = file
        self._running = running
        self._folder = file.path.absolute().parent
        self._problems: list[tuple[int, str]] = []
        self._secrets: list[str] = []

    def policy(self) -> Policy:
        content = self._file.content
        report_unknown(content, TABLES, (), self._report)
        if content.get("version") != VERSION or content.get("version") is True:
            self._report(("version",), f"{content.get('version')!r} should be {VERSION}")
        for key, secret, what in _secrets((), content):
            self._report(key, what)
            self._secrets.append(secret)
        limits = decode(Limits, content.get("limits", {}), ("limits",), self._report, self._folder)
        state = decode(StateSettings, content.get("state", {}), ("state",), self._report, self._folder)
        store = self._store(state) if state else None
        validators = self._validators(content.get("validator", {}))
        reader = RuleReader(self._report, self._folder)
        rules = reader.rules(content.get("authenticate"), validators)
        grants = reader.grants(content["authorize"]) if "authorize" in content else []
        for key, what in problems(rules, grants):
            self._report(key, what)
        settings = self._audit_settings(content["audit"]) if "audit" in content else None
        audit = self._audit(settings)
        if self._problems or state is None:
            raise ConfigurationError(text for _, text in sorted(self._problems, key=lambda problem: problem[0]))
        found = [each for each in rules if each], [each for each in grants if each]
        policy = Policy(*found, limits=limits, store=store, audit=audit)
        policy.source = Source(self._file.path.absolute(), state.url, settings)
        return policy

    def _report(self, key: Key, what: str) -> None:
        if not any(secret in what for secret in self._secrets):  # what is wrong with it otherwise can wait
            self._problems.append((self._file.line(key), self._file.problem(key, what)))

    def _audit_settings(self, table: object) -> AuditSettings | None:
        return decode(AuditSettings, table, ("audit",), self._report, self._folder)

    def _audit(self, settings: AuditSettings | None) -> Trail | None:
        if self._running is not None:
            if self._running.source is None or settings != self._running.source.audit:
                self._report(("audit",), "is not what is in use; restart the program to change it")
            return self._running.audit
        try:
            return settings.open(self._folder) if settings else None
        except ConfigurationError as error:
            for problem in error.problems:
                self._report(("audit",), problem)
        return None

    def _store(self, settings: StateSettings) -> Store | None:
        if self._running is not None:
            if self._running.source is None or settings.url != self._running.source.state_url:
                # Its URL may hold a password: it is not repeated.
                self._report(("state", "url"), "is not the place in use; restart the program to move there")
            return self._running.store
        try:
            return open_store(settings.url, self._folder)
        except ConfigurationError as error:
            for problem in error.problems:
                self._report(("state", "url"), problem)
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


def _secrets(key: Key, value: object) -> Iterator[tuple[Key, str, str]]:
    """Secrets that stand in the file itself, for all to see who look after the rules; not to be repeated."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets((*key, name), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets((*key, index), inner)
    elif isinstance(value, str) and (found := _PASSWORD_IN_URL.match(value)):
        yield key, found[1], "holds a password in clear; take it out, and name a file with it: ?password_file=PATH"
    elif isinstance(value, str) and "PRIVATE KEY-----" in value:
        yield key, value, "holds a private key in clear; take it out, and give the path of a file with it"
