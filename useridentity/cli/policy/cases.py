"""`CASES.toml`: what a policy is expected to decide, kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from useridentity.ae_title import title_problem
from useridentity.decision import Accepted, Reason, Rejected
from useridentity.errors import ConfigurationError, problems_of
from useridentity.identity import Assurance
from useridentity.permission import Permission, capabilities_of
from useridentity.policy import Policy
from useridentity.policy.explain import Supposed, explain
from useridentity.policy.grant_problems import serves_a_scope
from useridentity.scope import Scope, attribute_problem
from useridentity.settings import decode, nearest, report_unknown
from useridentity.settings.toml_file import Key, TomlFile

VERSION = 1
REASONS = [reason.word for reason in Reason]


@dataclass(frozen=True, slots=True)
class Expected:
    """The table `expect` of a case; what is left out may be anything.

    Fields:
        decision: "accepted" or "rejected".
        reason: why rejected, by the word that logs have.
        rule, grant: the names of the deciding rules.
        validator: what verified, as `accept` names it.
        assurance: how far the identity is proved.
        permits: capabilities and SOP classes that may be used, each as a whole.
        refuses: those of which nothing may be used.
        moves_to: AE titles that a C-MOVE may send to, by every information model.
        moves_not_to: those that it may send to by none.
        reaches, reaches_not: studies, by their attributes, that are in scope and that are not.
        emergency: "yes" where break_glass makes it one.
    """

    decision: Literal["accepted", "rejected"]
    reason: str | None = None
    rule: str | None = None
    grant: str | None = None
    validator: str | None = None
    assurance: Assurance | None = None
    permits: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    moves_to: tuple[str, ...] = ()
    moves_not_to: tuple[str, ...] = ()
    reaches: tuple[Mapping[str, str], ...] = ()
    reaches_not: tuple[Mapping[str, str], ...] = ()
    emergency: Literal["yes", "no"] | None = None

    def problems(self, policy: Policy) -> Iterator[tuple[str, str]]:
        """The keys that can come true under no policy, or not under this one."""
        rejected = self.decision == "rejected"
        for key in ("grant", "validator", "assurance", *_ABOUT_PERMISSION) if rejected else ("reason",):
            if getattr(self, key):
                yield key, f"means nothing where the decision is {self.decision}"
        if self.reason is not None and self.reason not in REASONS:
            yield "reason", f'"{self.reason}" is no reason{nearest(self.reason, REASONS)}'
        for key, named in (("rule", policy.rules), ("grant", policy.grants)):
            name, names = getattr(self, key), [each.name for each in named]
            if name is not None and name not in names:
                yield key, f'"{name}" is no rule of the policy{nearest(name, names)}'
        for key in ("permits", "refuses"):
            yield from ((key, problem) for word in getattr(self, key) for problem in problems_of(capabilities_of, word))
        for key in ("moves_to", "moves_not_to"):
            yield from ((key, problem) for title in getattr(self, key) if (problem := _place_problem(title)))
        for key in ("reaches", "reaches_not"):
            paths = (path for study in getattr(self, key) for path in study)
            yield from ((key, problem) for path in paths if (problem := attribute_problem(path)))


def _place_problem(title: str) -> str:
    """Why a C-MOVE could not be sent there; a pattern would be looked for as it stands, and not be found."""
    if "*" in title:
        return f"{title!r} is a pattern; write out an AE title that it stands for"
    return title_problem(title)


_ABOUT_PERMISSION = ("permits", "refuses", "moves_to", "moves_not_to", "reaches", "reaches_not", "emergency")


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table: a name, an association, and what is expected of it."""

    name: str
    line: int
    supposed: Supposed
    expected: Expected


@dataclass(frozen=True, slots=True)
class Failure:
    """What a case expected of `key`, and what was found."""

    key: str
    expected: str
    found: str


def read(path: Path, policy: Policy) -> list[Case]:
    """The cases in a file; raises `ConfigurationError` with everything wrong in it."""
    return _Reader(TomlFile(path), policy).cases()


def run(case: Case, policy: Policy, now: datetime) -> Iterator[Failure]:
    """Where what the policy decides is not what was expected."""
    expected, decision = case.expected, explain(policy, case.supposed, now).decision
    for key, value in _facts(decision).items():
        wanted = getattr(expected, key)
        if wanted is not None and wanted != value:
            yield Failure(key, _shown(wanted), _shown(value))
    if isinstance(decision, Accepted):
        yield from _permission_failures(expected, decision)
    elif expected.decision == "accepted":
        yield Failure("reason", "none", f"{decision.reason.word}: {decision.detail}")


def _facts(decision: Accepted | Rejected) -> Mapping[str, object]:
    if isinstance(decision, Rejected):
        return {"decision": "rejected", "reason": decision.reason.word, "rule": decision.rule}
    return {
        "decision": "accepted",
        "rule": decision.rule,
        "grant": decision.grant,
        "validator": decision.validator,
        "assurance": decision.identity.assurance,
        "emergency": "yes" if decision.permission.emergency else "no",
    }


def _permission_failures(expected: Expected, accepted: Accepted) -> Iterator[Failure]:
    permission = accepted.permission
    checks = [
        ("permits", [word for word in expected.permits if not _allows(permission, word)], "not permitted"),
        ("refuses", [word for word in expected.refuses if _allows_any(permission, word)], "permitted"),
        ("moves_to", [title for title in expected.moves_to if not _moves(permission, title)], "not permitted"),
        (
            "moves_not_to",
            [title for title in expected.moves_not_to if _moves(permission, title, by=_allows_any)],
            "permitted",
        ),
        ("reaches", [_study(each) for each in expected.reaches if not _reaches(accepted, each)], "not in scope"),
        ("reaches_not", [_study(each) for each in expected.reaches_not if _reaches(accepted, each)], "in scope"),
    ]
    for key, wrong, found in checks:
        yield from (Failure(key, what, f"that it is {found}") for what in wrong)


def _allows(permission: Permission, word: str) -> bool:
    return permission.allows(word) and _is_served(permission, word)


def _allows_any(permission: Permission, word: str) -> bool:
    if not _is_served(permission, word):
        return False
    for row in capabilities_of(word):
        for roles in map(permission.roles, row.abstract_syntaxes):
            if row.requests and (roles.scu if row.is_scu else roles.scp):
                return True
    return False


def _is_served(permission: Permission, word: str) -> bool:
    """Whether the scope, if there is one, leaves anything of it: some models are always refused under one."""
    return permission.scope is None or serves_a_scope(word)


def _moves(permission: Permission, ae_title: str, by: Callable[[Permission, str], bool] = _allows) -> bool:
    """Whether a C-MOVE may send there: by every information model, unless `by` is content with any."""
    return by(permission, "move") and permission.reaches(ae_title)


def _reaches(accepted: Accepted, study: Mapping[str, str]) -> bool:
    scope = accepted.permission.scope
    return not isinstance(scope, Scope) or scope.bind(accepted.identity).admits(study)


def _study(study: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in study.items())


def _shown(value: object) -> str:
    return value.value if isinstance(value, Assurance) else str(value) or "none"


class _Reader:
    def __init__(self, file: TomlFile, policy: Policy) -> None:
        self._file = file
        self._policy = policy
        self._problems: list[str] = []

    def cases(self) -> list[Case]:
        content = self._file.content
        report_unknown(content, ("version", "case"), (), self._report)
        if problem := self._file.version_problem(VERSION):
            self._report(("version",), problem)
        tables = content.get("case")
        if not isinstance(tables, list) or not tables:
            self._report(("case",), "no [[case]], so nothing would be tested")
            tables = []
        cases = [self._case(("case", index), table) for index, table in enumerate(tables)]
        if self._problems:
            raise ConfigurationError(self._problems)
        return [case for case in cases if case is not None]

    def _case(self, key: Key, table: Any) -> Case | None:
        if not isinstance(table, Mapping):
            self._report(key, "should be a table: [[case]]")
            return None
        rest = {word: value for word, value in table.items() if word not in ("name", "expect")}
        folder = self._file.path.parent
        supposed = decode(Supposed, rest, key, self._report, folder)
        expected = decode(Expected, table.get("expect", {}), (*key, "expect"), self._report, folder)
        name = table.get("name", f"case {int(key[-1]) + 1}")
        if not isinstance(name, str) or not name or not name.isprintable():
            self._report((*key, "name"), f"{name!r} should be a string of characters that can be shown")
        for part, at in ((supposed, key), (expected, (*key, "expect"))):
            for word, what in part.problems(self._policy) if part else ():
                self._report((*at, word), what)
        return Case(str(name), self._file.line(key), supposed, expected) if supposed and expected else None

    def _report(self, key: Key, what: str) -> None:
        self._problems.append(self._file.problem(key, what))
