"""The tables `[[authenticate]]` and `[[authorize]]` of a policy file into `Rule`s and `Grant`s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from useridentity.ae_title import title_problems
from useridentity.errors import ConfigurationError, problems_of
from useridentity.permission import Destination, capabilities_of
from useridentity.policy.match import BreakGlass, When, Who
from useridentity.policy.rules import Alternative, Assign, Grant, Rule, Unproved
from useridentity.scope import Scope
from useridentity.settings import CONTROL, Network, Report, TitlePattern, decode, nearest
from useridentity.settings.toml_file import Key
from useridentity.validator import Validator

Validators = Mapping[str, Validator | None]
"""By name; None for one that has problems of its own, so that rules may still name it."""

_ONE_TABLE = "is one table; rules stand in double brackets, [[{}]], of which each begins another"


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """One `[[authenticate]]` table: the proof that connections owe; the first that matches decides.

    Fields:
        name: what logs and audit records call it.
        when: the connections it is for; left out, all.
        accept: names of validators, any of which suffices; "idp+node" needs both.
        assign: who is meant where no identity was sent.
        unproved: lets in who sends no identity, until a date.
        overlap: "first-verifies" where several of `accept` may take the same credential.
        weakest: "asserted" where a bare username may stand beside what proves more.
    """

    name: str = ""
    when: When = field(default_factory=When)
    accept: tuple[str, ...] = ()
    assign: Assign | None = None
    unproved: Unproved | None = None
    overlap: Literal["first-verifies"] | None = None
    weakest: Literal["asserted"] | None = None


@dataclass(frozen=True, slots=True)
class GrantSettings:
    """One `[[authorize]]` table: what an accepted identity may do; the first that matches decides.

    Fields:
        permit: capabilities, SOP class UIDs and keywords.
        name: what logs and audit records call it.
        who: the identities it is for; left out, all that are authenticated.
        destinations: where a C-MOVE may send to: AE titles, or tables of `ae_title` and `address`.
        scope: the studies that may be reached: attributes and their values.
        break_glass: for emergencies only, each of them recorded as one.
    """

    permit: tuple[str, ...]
    name: str = ""
    who: Who = field(default_factory=Who)
    destinations: tuple[object, ...] = ()
    scope: Mapping[str, object] | None = None
    break_glass: BreakGlass | None = None


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """A place that a C-MOVE may send to, where its address matters.

    Fields:
        ae_title: in which `*` stands for any characters.
        address: an address or a network that it must be in.
    """

    ae_title: TitlePattern
    address: Network


@dataclass(frozen=True, slots=True)
class RuleReader:
    """Reads rules and grants; every problem goes to `report`, and leaves None in its place."""

    report: Report
    folder: Path
    named: list[str] = field(default_factory=list)
    """The validators there are, and whatever else rules accept: what a rule with problems may have meant."""

    def rules(self, tables: object, validators: Validators) -> list[Rule | None]:
        if isinstance(tables, Mapping):
            self.report(("authenticate",), _ONE_TABLE.format("authenticate"))
            return [None]
        if not isinstance(tables, list) or not tables:
            self.report(("authenticate",), "no [[authenticate]] rule, so nobody could associate")
            return [None]
        self.named.extend(validators)
        return [self._rule(("authenticate", index), table, validators) for index, table in enumerate(tables)]

    def grants(self, tables: object) -> list[Grant | None]:
        if isinstance(tables, Mapping):
            self.report(("authorize",), _ONE_TABLE.format("authorize"))
            return [None]
        if not isinstance(tables, list) or not tables:
            self.report(("authorize",), "should be tables: [[authorize]]; left out, everything is permitted")
            return [None]
        return [self._grant(("authorize", index), table) for index, table in enumerate(tables)]

    def _rule(self, key: Key, table: object, validators: Validators) -> Rule | None:
        if not isinstance(table, Mapping):
            self.report(key, "should be a table: [[authenticate]]")
            return None
        # Before the rest, of which a problem must not hide theirs.
        accept = [self._alternative((*key, "accept"), text, validators) for text in _strings(table.get("accept"))]
        settings = decode(RuleSettings, table, key, self.report, self.folder)
        named = [each for each in accept if each is not None]
        if settings is None or len(named) < len(settings.accept):
            return None
        return Rule(
            named,
            settings.when,
            settings.name,
            settings.assign,
            settings.unproved,
            settings.overlap,
            settings.weakest,
        )

    def _alternative(self, key: Key, text: str, validators: Validators) -> Validator | Alternative | None:
        """What "idp" or "idp+node" names."""
        names = [name.strip() for name in text.split("+")]
        self.named.append("+".join(names))
        for name in names:
            if name not in validators:
                self.report(key, f'"{name}" is no validator{nearest(name, validators)}')
        found = [validator for name in names if (validator := validators.get(name)) is not None]
        if len(found) < len(names):
            return None
        return found[0] if len(found) == 1 else tuple(found)

    def _grant(self, key: Key, table: object) -> Grant | None:
        if not isinstance(table, Mapping):
            self.report(key, "should be a table: [[authorize]]")
            return None
        # Before the rest, as above.
        permit = [word for word in _strings(table.get("permit")) if self._is_known((*key, "permit"), word)]
        places = self._destinations((*key, "destinations"), _elements(table.get("destinations")))
        scope = self._scope((*key, "scope"), table.get("scope"))
        settings = decode(GrantSettings, table, key, self.report, self.folder)
        if settings is None or places is None or (scope is None and settings.scope is not None):
            return None
        return Grant(permit, settings.who, settings.name, places, scope, settings.break_glass)

    def _is_known(self, key: Key, word: str) -> bool:
        wrong = problems_of(capabilities_of, word)
        for problem in wrong:
            self.report(key, problem)
        return not wrong

    def _destinations(self, key: Key, values: Sequence[Any]) -> list[Destination] | None:
        found = [self._destination((*key, index), value) for index, value in enumerate(values)]
        sound = [place for place in found if place is not None]
        return sound if len(sound) == len(found) else None

    def _destination(self, key: Key, value: object) -> Destination | None:
        if isinstance(value, str):
            for problem in title_problems([value]):
                self.report(key, problem)
                return None
            return Destination(value)
        settings = decode(DestinationSettings, value, key, self.report, self.folder)
        return Destination(settings.ae_title, settings.address) if settings else None

    def _scope(self, key: Key, table: object) -> Scope | None:
        try:
            return Scope.of(table) if isinstance(table, Mapping) and table else None
        except ConfigurationError as error:
            self._report_all(key, error)
        return None

    def _report_all(self, key: Key, error: ConfigurationError) -> None:
        for problem in error.problems:
            self.report(key, problem)


def _elements(value: object) -> list[Any]:
    """Those of a list; what is none is reported with its table."""
    return value if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    """Its strings that can be shown; what else is in it is reported with its table."""
    return [each for each in _elements(value) if isinstance(each, str) and each and not CONTROL.search(each)]
