"""What cannot work, or would open more than was meant, in the `[[authorize]]` rules of a policy; each with its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from useridentity.claim_path import ClaimPath
from useridentity.coverage import unreached_grants
from useridentity.errors import problems_of
from useridentity.match import title_problems
from useridentity.permission import Destination, capabilities_of
from useridentity.rules import Grant
from useridentity.settings import nearest
from useridentity.toml_file import Key, Problem


def grant_problems(grants: Sequence[Grant | None], labels: Sequence[str]) -> Iterator[Problem]:
    """Everything that is wrong; None stands for a grant whose own problems are known already.

    `labels` are all that may accept an identity, empty where that is not known.
    """
    found = [(("authorize", index), grant) for index, grant in enumerate(grants) if grant is not None]
    bad = [problem for key, grant in found for problem in _grant(key, grant, labels)]
    yield from bad
    if labels and not bad:
        yield from _unreached([grant for _, grant in found], labels)


def _grant(key: Key, grant: Grant, labels: Sequence[str]) -> Iterator[Problem]:
    for name in grant.who.validator:
        if labels and name not in labels:
            yield (*key, "who", "validator"), f'"{name}" is accepted by no rule{nearest(name, labels)}'
    yield from _claims((*key, "who", "claims"), grant)
    yield from _emergency((*key, "break_glass"), grant)
    places = [each.ae_title if isinstance(each, Destination) else each for each in grant.destinations]
    yield from (((*key, "destinations"), problem) for problem in title_problems(places))
    moves = [word for word in grant.permit if any("C-MOVE" in row.requests for row in capabilities_of(word))]
    if moves and not places:
        what = f'"{moves[0]}" without destinations would send studies anywhere'
        yield (*key, "permit"), f'{what}; list the AE titles: destinations = ["WS_*"]'


def _claims(key: Key, grant: Grant) -> Iterator[Problem]:
    for path, values in grant.who.claims.items():
        if not values:
            yield (*key, path), "is empty; name at least one, or leave the claim out"
        yield from (((*key, path), problem) for problem in problems_of(ClaimPath.read, path))


def _emergency(key: Key, grant: Grant) -> Iterator[Problem]:
    if grant.break_glass is None:
        return
    if not grant.break_glass.claim and not grant.break_glass.group:
        yield key, "needs a claim that holds the reason, or the group of those who need none"
    if grant.break_glass.claim:
        yield from (((*key, "claim"), problem) for problem in problems_of(ClaimPath.read, grant.break_glass.claim))


def _unreached(grants: Sequence[Grant], labels: Sequence[str]) -> Iterator[Problem]:
    for position, before in unreached_grants(grants, labels):
        names = " and ".join(f'"{grants[at].name or f"grant {at + 1}"}"' for at in before)
        if before:
            yield ("authorize", position), f"is never reached: {names} before it takes everybody it is for"
        else:
            yield ("authorize", position, "who"), "matches nobody: what accepts them gives another assurance; name that"
