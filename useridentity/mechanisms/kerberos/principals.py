"""Who a principal is here: rules on the whole of `user@REALM`, the first that matches decides.

A `*` stands for one or more characters of one component of a name: it matches neither `/` nor `@`, nor the `\\`
that quotes them, so `*@REALM` is every plain user of a realm and neither its hosts nor its
`user/admin`s. The realm is always written out: which realms are believed is not left to a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from useridentity.errors import ConfigurationError

COMPONENT = r"([^/@\\]+)"
RULE_KEYS = {"match", "user_id"}


class PrincipalRules:
    """An ordered list of `{match, user_id}`.

    The first rule whose `match` is the principal names the user: the n-th `*` of `user_id` is what
    the n-th `*` of `match` matched; without a `user_id` the user is called by the whole principal.
    Raises `ConfigurationError`, listing everything that is wrong.
    """

    def __init__(self, rules: Sequence[Mapping[str, str]]) -> None:
        problems = [f"principals[{n}]: {problem}" for n, rule in enumerate(rules) for problem in _rule_problems(rule)]
        if problems:
            raise ConfigurationError(problems)
        self._rules = [(compiled(rule["match"]), rule.get("user_id", "")) for rule in rules]

    def user_id(self, principal: str) -> str | None:
        """What the user is called, None where no rule matches."""
        for pattern, user_id in self._rules:
            if matched := pattern.fullmatch(principal):
                return _filled(user_id, matched.groups()) if user_id else principal
        return None


class GroupRules:
    """Local groups by `match`: a principal is in the groups of every rule that matches it.

    Raises `ConfigurationError`, listing everything that is wrong.
    """

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        problems = [f"groups: {problem}" for match in groups for problem in _match_problems(match)]
        if problems:
            raise ConfigurationError(problems)
        self._rules = [(compiled(match), names) for match, names in groups.items()]

    def groups(self, principal: str) -> frozenset[str]:
        """The local groups of a principal."""
        return frozenset(name for pattern, names in self._rules if pattern.fullmatch(principal) for name in names)


def compiled(match: str) -> re.Pattern[str]:
    """The principals that `match` matches as a whole."""
    return re.compile(COMPONENT.join(map(re.escape, match.split("*"))))


@lru_cache(maxsize=8)  # a service has one realm, or a few
def own_realm(service: str) -> PrincipalRules:
    """The rule where none is written: the plain users of the realm that the service's own principal is in."""
    return PrincipalRules([{"match": f"*@{realm_of(service)}"}])


def realm_of(principal: str) -> str:
    """The realm of a principal without quoted characters."""
    return principal.rpartition("@")[2]


def _rule_problems(rule: Mapping[str, str]) -> Iterator[str]:
    unknown = sorted(rule.keys() - RULE_KEYS)
    if unknown or "match" not in rule:
        yield f"a rule has match and may have user_id, this one has {', '.join(sorted(rule)) or 'nothing'}"
        return
    yield from _match_problems(rule["match"])
    if rule.get("user_id", "").count("*") > rule["match"].count("*"):
        yield f"user_id {rule['user_id']!r} has more * than match {rule['match']!r}"


def _match_problems(match: str) -> Iterator[str]:
    name, at, realm = match.rpartition("@")
    if not (name and at and realm) or "*" in realm:
        yield f'match {match!r} should be a name and a realm written out, such as "*@EXAMPLE.ORG"'


def _filled(template: str, matched: Sequence[str]) -> str:
    first, *others = template.split("*")
    return first + "".join(word + text for word, text in zip(matched, others, strict=False))
