"""What cannot work, or would open more than was meant, in the rules of a policy; each with its key."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from itertools import combinations
from typing import Any

from useridentity.credential import IdentityType
from useridentity.facts import Tls
from useridentity.identity import Assurance
from useridentity.policy.coverage import unreached_rules
from useridentity.policy.grant_problems import grant_problems
from useridentity.policy.rules import (
    ADMITTING,
    ASSIGNED,
    UNPROVED,
    Alternative,
    Grant,
    Rule,
    assurances,
    identity_type,
    label,
)
from useridentity.settings import Network
from useridentity.settings.shape import misfits
from useridentity.settings.toml_file import Key, Problem
from useridentity.validator import Validator


def problems(
    rules: Sequence[Rule | None], grants: Sequence[Grant | None], named: Collection[str] | None = None
) -> Iterator[Problem]:
    """Everything that is wrong.

    `named` are the labels that rules whose own problems are known already may have meant; such a rule is None in its
    place. Where `named` is None, none may be.
    """
    but = () if named is None else (None,)
    malformed = [*_malformed("authenticate", Rule, rules, but), *_malformed("authorize", Grant, grants, but)]
    if malformed:
        yield from malformed
        return
    if not rules:
        yield ("authenticate",), "no rule, so nobody could associate; Policy.unguarded() admits everybody"
    found = [(("authenticate", index), rule) for index, rule in enumerate(rules) if rule is not None]
    yield from _duplicates("authenticate", "rule", rules)
    yield from _duplicates("authorize", "grant", grants)
    for key, rule in found:
        yield from _rule(key, rule)
    yield from _namesakes(found)
    yield from _unreached_rules(found)
    accepting = _accepting([rule for _, rule in found])
    if named is not None and None in rules:  # they may give what nobody can know now
        accepting |= dict.fromkeys(named, frozenset(Assurance)) | _WITHOUT
    yield from grant_problems(grants, accepting)
    if None not in grants:
        yield from _unnamed(found, [grant for grant in grants if grant is not None])


# The shape, which a file cannot get wrong and code can.


def _malformed(table: str, kind: type[Rule | Grant], entries: Any, but: Collection[None]) -> Iterator[Problem]:
    if not isinstance(entries, Sequence):
        yield (table,), f"{entries!r} should be a list of {kind.__name__}"
        return
    for index, each in enumerate(entries):
        if isinstance(each, Rule) and kind is Rule:
            yield from misfits((table, index), each, but=("accept",))
            yield from _not_validators((table, index, "accept"), each)
        elif isinstance(each, Grant) and kind is Grant:
            yield from misfits((table, index), each, but=("permit", "destinations"))  # of which it was made
        elif each not in but:
            yield (table, index), f"{each!r} should be a {kind.__name__}"


_OCTETS = range(256)


def _not_validators(key: Key, rule: Rule) -> Iterator[Problem]:
    if isinstance(rule.accept, str) or not isinstance(rule.accept, Sequence):
        yield key, "is no list of validators"
        return
    for entry in (each for alternative in rule.alternatives for each in alternative):
        if isinstance(entry, type) or not isinstance(entry, Validator):
            yield (
                key,
                f"{entry!r} is not a validator; wrap a function with passcode_check(...) "
                "or FunctionValidator(name, identity_type, function)",
            )
        elif not isinstance(entry.name, str):
            yield key, f"{entry.name!r} is no name for a validator"
        elif not (entry.identity_type is None or entry.identity_type in _OCTETS):
            yield key, f"{entry.identity_type!r} is no User-Identity-Type: an octet, or None for certificates"


def _duplicates(table: str, word: str, entries: Sequence[Rule | Grant | None]) -> Iterator[Problem]:
    """Names that occur twice, those of rules that have none by their place among them."""
    names = [each.name or f"{word} {number}" if each is not None else "" for number, each in enumerate(entries, 1)]
    for index, each in enumerate(entries):
        if each is not None and each.name and (count := names.count(each.name)) > 1:
            yield (table, index, "name"), f'"{each.name}" names {count} rules; give each a name of its own'


# One rule.


def _rule(key: Key, rule: Rule) -> Iterator[Problem]:
    if not rule.accept and rule.assign is None:
        yield (*key, "accept"), "empty, so whoever it matches could never associate; name a validator"
    for problem in _accept(rule):
        yield (*key, "accept"), problem
    yield from _without_identity(key, rule)


def _accept(rule: Rule) -> Iterator[str]:
    for alternative in rule.alternatives:
        yield from _alternative(alternative)
    for earlier, later in combinations(rule.alternatives, 2):
        if all(each in later for each in earlier):
            yield f'"{label(later)}" is never reached: "{label(earlier)}" suffices and comes before it; remove one'
        elif rule.overlap is None and _overlap(earlier, later):
            yield (
                f'"{label(earlier)}" and "{label(later)}" may take the same credential, so that one issuer\'s users '
                'could pass for the other\'s; if the first that verifies may decide: overlap = "first-verifies"'
            )
    weak = [each for each in rule.alternatives if identity_type(each) == IdentityType.USERNAME]
    if weak and len(weak) < len(rule.alternatives) and rule.weakest is None:
        yield (
            f'"{label(weak[0])}" takes a username at its word beside validators that prove who it is, so that anybody '
            'could leave the proof out; if that is meant: weakest = "asserted"'
        )


def _alternative(alternative: Alternative) -> Iterator[str]:
    for each in alternative:
        if each.name in (ASSIGNED, UNPROVED) and each is not ADMITTING:
            yield f'"{each.name}" is what identities without a validator are called; choose another name'
        elif not each.name or "+" in each.name or not each.name.isprintable():
            yield f"{each.name!r} is no name for a validator: printable, and without the + that stands for both"
    proofs = [each for each in alternative if each.identity_type is not None]
    if len(proofs) > 1:
        names = '" and "'.join(each.name for each in proofs)
        yield f'"{label(alternative)}": an association carries one identity (PS3.7 D.3.3.7), "{names}" need two'
    elif len(alternative) > 1 and len(proofs) == len(alternative):
        yield f'"{label(alternative)}": names one validator only'
    if len(set(map(id, alternative))) < len(alternative):
        yield f'"{label(alternative)}" names a validator twice'
    if not alternative:
        yield "an alternative without validators would let anybody in"


def _overlap(one: Alternative, other: Alternative) -> bool:
    """Whether what both need could be the same: the same 58H, and the same certificate where both ask for one."""
    if identity_type(one) != identity_type(other) or all(each in one for each in other):
        return False
    shared = [(a, b) for a in one for b in other if a.identity_type == b.identity_type]
    return all(_may_share(a, b) for a, b in shared)


def _may_share(one: Validator, other: Validator) -> bool:
    ours: frozenset[str] | None = getattr(one, "issuers", None)
    theirs: frozenset[str] | None = getattr(other, "issuers", None)
    return one is other or ours is None or theirs is None or bool(ours & theirs)


def _without_identity(key: Key, rule: Rule) -> Iterator[Problem]:
    word = "assign" if rule.assign is not None else "unproved"
    if rule.assign is not None and _is_everywhere(rule.when.network) and rule.when.tls is not Tls.MUTUAL:
        yield (
            (*key, "assign"),
            "would make anybody this user; say which devices are meant, by when.network or when.tls = mutual",
        )
    if rule.assign is not None and rule.unproved is not None:
        yield (*key, "unproved"), "is never reached: assign takes everybody who sends no identity; remove one"
    has_either = rule.assign is not None or rule.unproved is not None
    if has_either and rule.asks_for_certificates and rule.when.tls is Tls.MUTUAL:
        yield (*key, word), "is never reached: each peer shows a certificate, which accept judges"


def _is_everywhere(networks: Sequence[Network]) -> bool:
    """Whether they leave no address of IPv4, or none of IPv6, out; as no networks do."""
    four = list(collapse_addresses(each for each in networks if isinstance(each, IPv4Network)))
    six = list(collapse_addresses(each for each in networks if isinstance(each, IPv6Network)))
    return not networks or any(each.prefixlen == 0 for each in four) or any(each.prefixlen == 0 for each in six)


# Rules among each other.


def _namesakes(found: Sequence[tuple[Key, Rule]]) -> Iterator[Problem]:
    known: dict[str, Validator] = {}
    for key, rule in found:
        for each in dict.fromkeys(each.name for alternative in rule.alternatives for each in alternative):
            several = [v for alternative in rule.alternatives for v in alternative if v.name == each]
            first = known.setdefault(each, several[0])
            if any(v is not first and v != first for v in several):
                yield (
                    (*key, "accept"),
                    f'several validators are called "{each}", so that their users could not be told apart; '
                    "give each a name of its own",
                )


def _unreached_rules(found: Sequence[tuple[Key, Rule]]) -> Iterator[Problem]:
    for position, before in unreached_rules([rule.when for _, rule in found]):
        names = " and ".join(f'"{found[at][1].name or f"rule {int(found[at][0][1]) + 1}"}"' for at in before)
        yield found[position][0], f"is never reached: {names} before it takes all of its connections"


_WITHOUT = {ASSIGNED: frozenset({Assurance.ASSIGNED}), UNPROVED: frozenset({Assurance.UNPROVED})}


def _accepting(rules: Sequence[Rule]) -> dict[str, frozenset[Assurance]]:
    found: dict[str, frozenset[Assurance]] = {}
    for rule in rules:
        for alternative in rule.alternatives:
            found[label(alternative)] = found.get(label(alternative), frozenset()) | assurances(alternative)
        for word, used in ((ASSIGNED, rule.assign), (UNPROVED, rule.unproved)):
            if used is not None:
                found[word] = _WITHOUT[word]
    return found


def _unnamed(rules: Sequence[tuple[Key, Rule]], grants: Sequence[Grant]) -> Iterator[Problem]:
    """Whoever did not prove anything may do only what somebody wrote down for them."""
    named = {assurance for grant in grants for assurance in grant.who.assurance}
    for key, rule in rules:
        for word, assurance, used in (
            ("assign", Assurance.ASSIGNED, rule.assign is not None),
            ("unproved", Assurance.UNPROVED, rule.unproved is not None),
        ):
            if used and assurance not in named:
                who = f'who = {{ assurance = ["{assurance.value}"] }}'
                yield (*key, word), f"needs an [[authorize]] that says what those may do who prove nothing: {who}"
