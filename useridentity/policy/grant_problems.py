"""What cannot work, or would open more than was meant, in the `[[authorize]]` rules of a policy; each with its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from useridentity.claim_path import ClaimPath
from useridentity.errors import problems_of
from useridentity.permission import Capability, capabilities_of
from useridentity.policy.coverage import Accepting, unreached_grants
from useridentity.policy.rules import Grant
from useridentity.scope import Scope
from useridentity.settings import nearest
from useridentity.settings.toml_file import Key, Problem
from useridentity.sop_classes import OTHER_CLASSES

_DECIDED = frozenset(
    OTHER_CLASSES[f"{model}InformationModel{kind}"]
    for model in ("PatientRootQueryRetrieve", "StudyRootQueryRetrieve", "ModalityWorklist")
    for kind in ("Find", "Get", "Move")
    if f"{model}InformationModel{kind}" in OTHER_CLASSES
)
_BROUGHT_IN = frozenset(
    OTHER_CLASSES[name]
    for name in (
        "StorageCommitmentPushModel",
        "ModalityPerformedProcedureStep",
        "ModalityPerformedProcedureStepNotification",
    )
)


def grant_problems(grants: Sequence[Grant | None], accepting: Accepting) -> Iterator[Problem]:
    """Everything that is wrong; None stands for a grant whose own problems are known already."""
    found = [(("authorize", index), grant) for index, grant in enumerate(grants) if grant is not None]
    sound = []
    for key, grant in found:
        wrong = list(_grant(key, grant, accepting))
        yield from wrong
        if not wrong:
            sound.append((key, grant))
    yield from _unreached(sound, accepting)


def _grant(key: Key, grant: Grant, accepting: Accepting) -> Iterator[Problem]:
    for name in grant.who.validator:
        if name not in accepting:
            yield (*key, "who", "validator"), f'"{name}" is accepted by no rule{nearest(name, accepting)}'
    yield from _claims((*key, "who", "claims"), grant)
    yield from _emergency((*key, "break_glass"), grant)
    if grant.scope is not None:
        yield from (((*key, "scope"), problem) for problem in problems_of(Scope.of, grant.scope.terms))
    moves = [word for word in grant.permit if any("C-MOVE" in row.requests for row in capabilities_of(word))]
    if moves and not grant.destinations:
        what = f'"{moves[0]}" without destinations would send studies anywhere'
        yield (*key, "permit"), f'{what}; list the AE titles: destinations = ["WS_*"]'
    if grant.destinations and not moves:
        yield (*key, "destinations"), 'nothing of permit moves studies; permit "move", or leave the destinations out'
    for word in grant.permit if grant.scope is not None else ():
        if not serves_a_scope(word):
            yield (*key, "scope"), f'under a scope "{word}" is always refused; permit it in a grant without'


def serves_a_scope(word: str) -> bool:
    """Whether any request under a word of `permit` may be served where each study has to be in scope (docs/scope.md).

    Raises `ConfigurationError` for a word that is unknown.
    """
    return any(map(_serves_a_scope, capabilities_of(word)))


def _serves_a_scope(row: Capability) -> bool:
    if row.requests & {"C-FIND", "C-GET", "C-MOVE"}:
        return bool(row.abstract_syntaxes & _DECIDED)
    return bool(row.requests & {"C-ECHO", "C-STORE"}) or bool(row.abstract_syntaxes & _BROUGHT_IN)


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


def _unreached(found: Sequence[tuple[Key, Grant]], accepting: Accepting) -> Iterator[Problem]:
    for position, before in unreached_grants([grant for _, grant in found], accepting):
        key, grant = found[position]
        names = " and ".join(f'"{found[at][1].name or f"grant {int(found[at][0][1]) + 1}"}"' for at in before)
        if before:
            yield key, f"is never reached: {names} before it takes everybody it is for"
        else:
            given = {each.value for label in grant.who.validator or accepting for each in accepting[label]}
            words = ", ".join(f'"{each}"' for each in sorted(given))
            yield (*key, "who"), f"matches nobody: what accepts them gives another assurance; name that: {words}"
