"""What a policy means, in sentences, and what of it may not be meant."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from useridentity.cli.policy import english
from useridentity.cli.policy.output import say
from useridentity.policy import Policy

NEAR = timedelta(days=30)
"""What ends within it is warned of: a month is enough to find the last devices, or to agree on another date."""

OTHER_PATTERNS = frozenset("?[]^$|,;")
"""What shells, regular expressions and lists have in patterns, and AE titles may have and hardly ever do."""


def show(file: Path, policy: Policy) -> None:
    """Print what the policy means."""
    say(f"{file}: no problem found.")
    say()
    say("What proof an association owes; the first rule that matches decides:")
    _numbered([(rule.name, english.rule(rule)) for rule in policy.rules])
    say("An association that no rule matches is rejected.", "  ")
    say()
    if not policy.grants:
        return
    say("What they may do; the first rule that matches decides:")
    _numbered([(grant.name, english.grant(grant)) for grant in policy.grants])
    say("Whom no rule matches is rejected.", "  ")


def plain(policy: Policy, today: date) -> Mapping[str, object]:
    """The same for scripts."""
    return {
        "authenticate": [{"name": rule.name, "meaning": english.rule(rule)} for rule in policy.rules],
        "authorize": [{"name": grant.name, "meaning": english.grant(grant)} for grant in policy.grants],
        "warnings": list(warnings(policy, today)),
    }


def warnings(policy: Policy, today: date) -> Iterator[str]:
    """What is no problem, and should be known."""
    if not policy.grants:
        yield "there is no [[authorize]]: whoever is accepted may use all that the server offers"
    if policy.source is not None and _is_open_to_all(policy.source.path):
        yield "anybody on this machine may write the file, and so say who may do what; chmod o-w"
    yield from (f'validator "{name}": no rule accepts it' for name in policy.content.unused)
    for rule in policy.rules:
        name = f'authenticate rule "{rule.name}"'
        if rule.unproved is not None:
            yield from (f"{name}: {warning}" for warning in _end_of_migration(rule.unproved.until, today))
        yield from _literal(name, (*rule.when.calling_ae_title, *rule.when.called_ae_title))
    for grant in policy.grants:
        titles = [each if isinstance(each, str) else each.ae_title for each in grant.destinations]
        yield from _literal(f'authorize rule "{grant.name}"', titles)


def _is_open_to_all(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & stat.S_IWOTH)


def _end_of_migration(until: date, today: date) -> Iterator[str]:
    if until < today:
        yield f"unproved ended on {until}; who sends no identity is refused"
    elif until <= today + NEAR:
        left = (until - today).days
        when = f"in {left} days" if left else "today"
        yield f"unproved ends {when}, on {until}; afterwards who sends no identity is refused"


def _literal(name: str, titles: Iterable[str]) -> Iterator[str]:
    """Titles that may exist, but look like patterns of another kind, which would match nobody."""
    for title in titles:
        if not OTHER_PATTERNS.isdisjoint(title):
            yield f'{name}: "{title}" is taken literally; * is the only pattern of AE titles'


def _numbered(sentences: Sequence[tuple[str, str]]) -> None:
    for number, (name, sentence) in enumerate(sentences, 1):
        first = f"  {number}. "
        say(f"{name}: {sentence}", first)
