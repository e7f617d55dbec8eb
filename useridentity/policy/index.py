"""Which rules may match, found without trying each: a bit for every rule, a mask for every value.

An index only leaves out rules that cannot match; what is left is judged by the rules themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Generic, TypeVar

from useridentity.claim_path import ClaimPath
from useridentity.facts import Facts, Tls
from useridentity.identity import Identity
from useridentity.permission import title_matches
from useridentity.policy.match import When, Who
from useridentity.settings import Network

CACHED = 4096
"""Values whose masks are remembered, of each kind: more AE titles and addresses than a hospital has, and no more
than some megabytes where strangers make them up."""

V = TypeVar("V")


def positions(mask: int) -> Iterator[int]:
    """The bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


@dataclass(frozen=True, slots=True)
class Masks(Generic[V]):
    """The rules that name each value, and those that name none and so take all."""

    named: dict[V, int]
    free: int

    @classmethod
    def of(cls, wanted: Iterable[Collection[V]]) -> Masks[V]:
        """From what each rule names, in order."""
        named: dict[V, int] = defaultdict(int)
        free = 0
        for position, values in enumerate(wanted):
            for value in values:
                named[value] |= 1 << position
            free |= 0 if values else 1 << position
        return cls(dict(named), free)

    def any_of(self, values: Iterable[V]) -> int:
        """The rules that take one of `values`."""
        mask = self.free
        for value in values:
            mask |= self.named.get(value, 0)
        return mask


class WhenIndex:
    """Of the rules in order, those whose `When` may match."""

    def __init__(self, whens: Sequence[When]) -> None:
        self._calling = _titles(Masks.of(each.calling_ae_title for each in whens))
        self._called = _titles(Masks.of(each.called_ae_title for each in whens))
        self._address = _addresses(Masks.of(each.network for each in whens))
        self._tls = Masks.of(_connections(each.tls) for each in whens)

    def but_for_tls(self, facts: Facts) -> Iterator[int]:
        """The positions of the rules that may match if the connection were secured otherwise."""
        return positions(self._mask(facts))

    def candidates(self, facts: Facts) -> Iterator[int]:
        """The positions of the rules that may match."""
        return positions(self._mask(facts) & self._tls.any_of((facts.tls,)))

    def _mask(self, facts: Facts) -> int:
        return (
            self._calling(facts.calling_ae_title) & self._called(facts.called_ae_title) & self._address(facts.address)
        )


def _titles(masks: Masks[str]) -> Callable[[str], int]:
    by_beginning: dict[str, list[str]] = defaultdict(list)
    for pattern in masks.named:
        if "*" in pattern:
            by_beginning[pattern.partition("*")[0]].append(pattern)

    @lru_cache(maxsize=CACHED)
    def mask(title: str) -> int:
        beginnings = (title[:end] for end in range(len(title) + 1))
        patterns = (pattern for each in beginnings for pattern in by_beginning.get(each, ()))
        return masks.any_of({title, *(pattern for pattern in patterns if title_matches(pattern, title))})

    return mask


def _addresses(masks: Masks[Network]) -> Callable[[IPv4Address | IPv6Address], int]:
    lengths = {(network.version, network.prefixlen) for network in masks.named}

    @lru_cache(maxsize=CACHED)
    def mask(address: IPv4Address | IPv6Address) -> int:
        fitting = [length for version, length in lengths if version == address.version]
        return masks.any_of(ip_network((address, length), strict=False) for length in fitting)

    return mask


def _connections(tls: Tls | None) -> tuple[Tls, ...]:
    """The connections that a `When.tls` takes; empty for all."""
    if tls is None:
        return ()
    return (Tls.SERVER, Tls.MUTUAL) if tls is Tls.SERVER else (tls,)


class WhoIndex:
    """Of the rules in order, those whose `Who` may match."""

    def __init__(self, whos: Sequence[Who]) -> None:
        self._validators = Masks.of(each.validator for each in whos)
        self._assurances = Masks.of(each.assurances for each in whos)
        self._kinds = Masks.of(each.kind for each in whos)
        self._groups = Masks.of(each.groups for each in whos)
        self._purposes = Masks.of(each.purpose for each in whos)
        paths = dict.fromkeys(path for each in whos for path in each.claims)
        self._claims = [(ClaimPath.read(path), Masks.of(each.claims.get(path, ()) for each in whos)) for path in paths]

    def candidates(self, identity: Identity, validator: str) -> Iterator[int]:
        """The positions of the rules that may match."""
        mask = (
            self._validators.any_of((validator,))
            & self._assurances.any_of((identity.assurance,))
            & self._kinds.any_of((identity.kind,))
            & self._groups.any_of(identity.groups)
            & self._purposes.any_of(identity.purposes)
        )
        for path, masks in self._claims:
            mask &= masks.any_of(path.strings(identity.claims))
        return positions(mask)
