"""Which rules may match, found without trying each: a bit for every rule, a mask for every value.

An index only leaves out rules that cannot match; what is left is judged by the rules themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeVar

from useridentity.claim_path import ClaimPath
from useridentity.facts import Facts, Tls
from useridentity.identity import Identity
from useridentity.match import When, Who
from useridentity.permission import title_matches

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
        calling, called = Masks.of(each.calling_ae_title for each in whens), Masks.of(e.called_ae_title for e in whens)
        networks = Masks.of(each.network for each in whens)
        tls = Masks.of(_connections(each.tls) for each in whens)

        def of_title(masks: Masks[str], title: str) -> int:
            return masks.any_of(pattern for pattern in masks.named if title_matches(pattern, title))

        @lru_cache(maxsize=CACHED)
        def of_calling(title: str) -> int:
            return of_title(calling, title)

        @lru_cache(maxsize=CACHED)
        def of_called(title: str) -> int:
            return of_title(called, title)

        @lru_cache(maxsize=CACHED)
        def of_address(address: IPv4Address | IPv6Address) -> int:
            return networks.any_of(network for network in networks.named if address in network)

        self._calling, self._called, self._address, self._tls = of_calling, of_called, of_address, tls

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
