"""Where a claim is within the claims of an identity: a path such as `extensions.ihe_iua.subject_role[].code`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from useridentity.errors import ConfigurationError

_STEP = re.compile(r'(?:"(?P<quoted>[^"]+)"|(?P<plain>[^".\[\]\s]+))(?P<each>\[\])?(?:\.(?=.)|$)')

_SPACE_SEPARATED = ("scope", "scp")
"""The OAuth claims that hold several values in one string (RFC 8693 4.2; Entra calls it scp)."""


@dataclass(frozen=True, slots=True)
class ClaimPath:
    """Member names from the claims set inwards, each with whether to go on with every element of a list."""

    steps: tuple[tuple[str, bool], ...]

    @staticmethod
    def read(text: str) -> ClaimPath:
        """A path of names with dots between; `[]` after a name means each element of that list.

        A name with a dot of its own stands in double quotes: `"https://example.org/roles"`. Raises
        `ConfigurationError` for anything else.
        """
        return _read(text)

    def strings(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """The strings found there, alone or in a list; nothing where there is no such claim."""
        found = self.values(claims)
        if len(self.steps) == 1 and self.steps[0][0] in _SPACE_SEPARATED:
            found = [value.split(" ") if isinstance(value, str) else value for value in found]
        flat = [element for value in found for element in (value if isinstance(value, list | tuple) else [value])]
        return frozenset(value for value in flat if isinstance(value, str))

    def values(self, claims: Mapping[str, Any]) -> list[Any]:
        """What is found there, as it is."""
        found: list[Any] = [claims]
        for name, each in self.steps:
            found = [value[name] for value in found if isinstance(value, Mapping) and name in value]
            if each:
                found = [element for value in found if isinstance(value, list | tuple) for element in value]
        return found


def planted(values: Mapping[str, str | Collection[str]]) -> dict[str, Any]:
    """Claims in which each path finds its value, or each of its values, and nothing else.

    Raises `ConfigurationError` where no claims could have them all.
    """
    claims: dict[str, Any] = {}
    for path, found in values.items():
        _plant(claims, ClaimPath.read(path).steps, found if isinstance(found, str) else list(found))
    return claims


def _plant(table: dict[str, Any], steps: tuple[tuple[str, bool], ...], value: str | list[str]) -> None:
    (name, each), *further = steps
    if not further and name not in table:
        table[name] = [value] if each and isinstance(value, str) else value
        return
    kind: type[Any] = list if each else dict
    held = table.setdefault(name, kind())
    if not further or not isinstance(held, kind):
        raise ConfigurationError(f"{name} cannot be both a value and hold others")
    if each:
        held.append({})
    _plant(held[-1] if each else held, tuple(further), value)


@lru_cache(maxsize=4096)  # a policy's paths, which are asked for with every association
def _read(text: str) -> ClaimPath:
    steps, position = [], 0
    while match := _STEP.match(text, position):
        steps.append((match["quoted"] or match["plain"], match["each"] is not None))
        position = match.end()
    if not steps or position != len(text):
        raise ConfigurationError(
            f"{text!r} is no claim path; write names with dots between, such as realm_access.roles, roles[].code "
            'or "https://example.org/roles"'
        )
    return ClaimPath(tuple(steps))
