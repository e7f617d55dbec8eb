"""A policy file as it is on a machine that has no keytab, no passcode file and no key, where it is written and tested.

Its rules are the real ones. Its validators stand in for those of the file: they are known by name and type, open
nothing, and are never asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from useridentity.config import TABLES, VERSION
from useridentity.config_rules import RuleReader, Validators
from useridentity.credential import Credential
from useridentity.errors import ConfigurationError, Unavailable
from useridentity.explain import IDENTITY_TYPES
from useridentity.facts import Facts
from useridentity.plugins import validator_settings
from useridentity.policy import Limits, Policy
from useridentity.rule_problems import problems
from useridentity.settings import Runtime, decode, report_unknown
from useridentity.toml_file import Key, TomlFile
from useridentity.validator import CheckContext, Validator, Verified

TYPES: Mapping[str, int | None] = {**IDENTITY_TYPES, "certificate": None}
"""The User-Identity-Types of the built-in validator types; others are asked for theirs."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """In place of a validator.

    Fields:
        name, identity_type: the validator's.
        plaintext: "refuse" where it looks at nothing that comes without TLS.
    """

    name: str
    identity_type: int | None
    plaintext: str = "allow"
    cpu_short: bool = True

    @property
    def issuers(self) -> frozenset[str]:
        """Its own, so that no two are taken for overlapping: `policy check` knows whether they are."""
        return frozenset({self.name})

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:  # noqa: ARG002
        raise Unavailable(f"{self.name} stands in for a validator and knows nobody")


def load(path: Path) -> Policy:
    """The policy in a file, with validators that stand in for its own.

    Raises `ConfigurationError` with everything wrong in the file itself; what it refers to is not looked at.
    """
    return _Loader(TomlFile(path)).policy()


class _Loader:
    def __init__(self, file: TomlFile) -> None:
        self._file = file
        self._folder = file.path.absolute().parent
        self._problems: list[tuple[int, str]] = []

    def policy(self) -> Policy:
        content = self._file.content
        report_unknown(content, TABLES, (), self._report)
        if content.get("version") != VERSION or content.get("version") is True:
            self._report(("version",), f"{content.get('version')!r} should be {VERSION}")
        limits = decode(Limits, content.get("limits", {}), ("limits",), self._report, self._folder)
        validators = self._validators(content.get("validator", {}))
        reader = RuleReader(self._report, self._folder)
        rules = reader.rules(content.get("authenticate"), validators)
        grants = reader.grants(content["authorize"]) if "authorize" in content else []
        for key, what in problems(rules, grants):
            self._report(key, what)
        if self._problems:
            raise ConfigurationError(text for _, text in sorted(self._problems, key=lambda problem: problem[0]))
        return Policy([each for each in rules if each], [each for each in grants if each], limits=limits)

    def _validators(self, tables: object) -> Validators:
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
        try:
            cls = validator_settings(kind)
        except ConfigurationError as error:
            self._report((*key, "type"), str(error))
            return None
        rest = {word: value for word, value in table.items() if word != "type"}
        settings: Any = decode(cls, rest, key, self._report, self._folder)
        if settings is None:
            return None
        try:
            number = TYPES[kind] if kind in TYPES else settings.build(Runtime(name, self._folder)).identity_type
        except (ConfigurationError, OSError) as error:
            self._report(key, str(error))
            return None
        return StandIn(name, number, getattr(settings, "plaintext", "allow"))

    def _report(self, key: Key, what: str) -> None:
        self._problems.append((self._file.line(key), self._file.problem(key, what)))
