"""Rules that are never reached, because earlier ones match all that they do.

What a rule matches is tried out with a few examples that stand for all the rest. A title in which `*` was
replaced by a character that no pattern has is matched by those patterns that match all the titles of this one. The
networks of a policy begin and end at certain addresses, and between two of them all addresses are alike. An
identity with no more groups and claims than a rule asks for is the last that another rule would match.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from itertools import product
from typing import Any

from useridentity.claim_path import planted
from useridentity.errors import ConfigurationError
from useridentity.facts import Facts, Tls
from useridentity.identity import Assurance, Identity, Kind
from useridentity.policy.index import WhenIndex, WhoIndex
from useridentity.policy.match import BreakGlass, When
from useridentity.policy.rules import Grant
from useridentity.settings import Network

MAX_EXAMPLES = 20_000
"""Examples that are tried of one rule, a few tenths of a second; one that needs more is taken to be reached."""

_NEW = "\0"
"""A character that no pattern has: a policy's strings are free of control characters."""

_REASON = f"{_NEW}reason"
_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_NOW = datetime(2000, 1, 1, tzinfo=UTC)


def unreached_rules(whens: Sequence[When]) -> Iterator[tuple[int, list[int]]]:
    """The position of each rule that no connection gets to, and of those that get all of its own."""
    index, borders = WhenIndex(whens), _Borders(network for when in whens for network in when.network)
    for position, when in enumerate(whens):
        before = _all_before(position, (_first(whens, index, facts) for facts in _connections(when, borders)))
        if before is not None:
            yield position, before


Accepting = Mapping[str, frozenset[Assurance]]
"""What may accept an identity, by its label, and the assurances that it may have then."""


def unreached_grants(grants: Sequence[Grant], accepting: Accepting) -> Iterator[tuple[int, list[int]]]:
    """The same of grants, for the identities there may be; a grant that matches nobody has none before it."""
    index = WhoIndex([grant.who for grant in grants])
    for position, grant in enumerate(grants):
        before = _all_before(position, (_first_grant(grants, index, *each) for each in _identities(grant, accepting)))
        if before is not None:
            yield position, before


def _all_before(position: int, firsts: Iterable[int]) -> list[int] | None:
    """Who comes first, if it is always somebody before `position`; most rules are told by their first example."""
    found = set()
    for tried, first in enumerate(firsts):
        if first >= position or tried >= MAX_EXAMPLES:
            return None
        found.add(first)
    return sorted(found)


def _first(whens: Sequence[When], index: WhenIndex, facts: Facts) -> int:
    return next((each for each in index.candidates(facts) if whens[each].matches(facts)), len(whens))


def _first_grant(grants: Sequence[Grant], index: WhoIndex, identity: Identity, validator: str) -> int:
    """Claims that cannot be had together make an example that not even its own grant matches: nobody is before it."""
    candidates = index.candidates(identity, validator)
    return next((each for each in candidates if grants[each].matches(identity, validator)), len(grants))


def _connections(when: When, borders: _Borders) -> Iterator[Facts]:
    calling, called = _titles(when.calling_ae_title), _titles(when.called_ae_title)
    tls = [each for each in Tls if When(tls=when.tls).matches(_facts("", "", IPv4Address(0), each))]
    networks = when.network or _EVERYWHERE
    for network in networks:
        for combination in product(calling, called, borders.within(network), tls):
            yield _facts(*combination)


def _titles(patterns: Iterable[str]) -> list[str]:
    return [pattern.replace("*", _NEW) for pattern in patterns or ("*",)]


def _facts(calling: str, called: str, address: IPv4Address | IPv6Address, tls: Tls) -> Facts:
    return Facts(calling, called, address, 0, tls, None, _NOW)


class _Borders:
    """The addresses at which a network of the policy begins, or has just ended."""

    def __init__(self, networks: Iterable[Network]) -> None:
        found: Mapping[int, set[int]] = {4: set(), 6: set()}
        for network in networks:
            found[network.version] |= {int(network.network_address), int(network.broadcast_address) + 1}
        self._sorted = {version: sorted(addresses) for version, addresses in found.items()}

    def within(self, network: IPv4Network | IPv6Network) -> list[IPv4Address | IPv6Address]:
        """One address for each part of `network` in which all are alike."""
        start, end = int(network.network_address), int(network.broadcast_address)
        known = self._sorted[network.version]
        inside = known[bisect_left(known, start + 1) : bisect_left(known, end + 1)]
        make = IPv4Address if network.version == 4 else IPv6Address
        return [make(each) for each in (start, *inside)]


def _identities(grant: Grant, accepting: Accepting) -> Iterator[tuple[Identity, str]]:
    """Those who have just what `grant` asks for, and what accepts them."""
    who = grant.who
    several = product(
        who.validator or accepting,
        who.assurances,
        who.kind or Kind,
        who.groups or ("",),
        who.purpose or ("",),
        product(*who.claims.values()),
        _emergencies(grant.break_glass),
    )
    for label, assurance, kind, group, purpose, values, (reason, member) in several:
        if assurance in accepting[label]:
            claims = _claims(reason | dict(zip(who.claims, values, strict=True)))
            groups = frozenset({group, member} - {""})
            purposes = frozenset({purpose} - {""})
            yield Identity("", "", "", assurance, kind=kind, groups=groups, claims=claims, purposes=purposes), label


def _emergencies(break_glass: BreakGlass | None) -> list[tuple[dict[str, str], str]]:
    """The claim, or the group, that makes it one."""
    if break_glass is None:
        return [({}, "")]
    by_claim = [({break_glass.claim: _REASON}, "")] if break_glass.claim else []
    return by_claim + ([({}, break_glass.group)] if break_glass.group else [])


def _claims(values: Mapping[str, str]) -> Mapping[str, Any]:
    """Claims that have each value at its path; none where they cannot be had together."""
    try:
        return planted(values)
    except ConfigurationError:
        return {}
