"""The options of `policy explain` into an association as one supposes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from useridentity.cli.ending import Exit, Failure
from useridentity.policy import Policy
from useridentity.policy.explain import Supposed
from useridentity.settings import decode

_OPTIONS = {"groups": "group", "claims": "claim", "contexts": "context"}
"""Where they are not called as the key is."""


def supposed_of(given: Mapping[str, Any], policy: Policy) -> Supposed:
    """What the options say; raises `Failure` with everything that is wrong with them."""
    problems: list[str] = []

    def report(key: tuple[str | int, ...], what: str) -> None:
        problems.append(f"--{_OPTIONS.get(str(key[0]), str(key[0]))}: {what}")

    table = {key: value for key, value in given.items() if value is not None and value != []}
    for key, read in (("claims", _claims), ("on", date.fromisoformat)):
        if key in table:
            try:
                table[key] = read(table[key])
            except ValueError as error:
                report((key,), str(error))
                del table[key]
    supposed = decode(Supposed, table, (), report, Path())
    for key, what in supposed.problems(policy) if supposed else ():
        report((key,), what)
    if problems or supposed is None:
        raise Failure(Exit.USAGE, problems)
    return supposed


def _claims(texts: list[str]) -> Mapping[str, list[str]]:
    claims: dict[str, list[str]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not (path and equals and value):
            raise ValueError(f"{text!r} should be PATH=VALUE, such as npi=123")
        claims.setdefault(path, []).append(value)
    return claims
