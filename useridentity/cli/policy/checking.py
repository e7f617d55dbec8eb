"""What a policy means, in sentences, and what will soon be wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from useridentity.cli.policy import english
from useridentity.cli.policy.output import say
from useridentity.policy import Policy

NEAR = timedelta(days=30)
"""What ends within it is warned of: a month is enough to find the last devices, or to agree on another date."""


def show(file: Path, policy: Policy) -> None:
    """Print what the policy means."""
    say(f"{file}: no problem found.")
    say()
    say("What proof an association owes; the first rule that matches decides:")
    _numbered([(rule.name, english.rule(rule)) for rule in policy.rules])
    say("An association that no rule matches is rejected.", "  ")
    say()
    if not policy.grants:
        say("There is no [[authorize]]: whoever is accepted may use all that the server offers.")
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
    for rule in policy.rules:
        if rule.unproved is None:
            continue
        until = rule.unproved.until
        if until < today:
            yield f'authenticate rule "{rule.name}": unproved ended on {until}; who sends no identity is refused'
        elif until <= today + NEAR:
            left = (until - today).days
            yield (
                f'authenticate rule "{rule.name}": unproved ends {f"in {left} days" if left else "today"}, on {until}; '
                "afterwards who sends no identity is refused"
            )


def _numbered(sentences: Sequence[tuple[str, str]]) -> None:
    for number, (name, sentence) in enumerate(sentences, 1):
        first = f"  {number}. "
        say(f"{name}: {sentence}", first)
