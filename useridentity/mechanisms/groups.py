"""External group names into local ones, by allow-list: what the map does not name is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def local_groups(external: Iterable[str], allowed: Mapping[str, str]) -> frozenset[str]:
    """The local names of those of `external` that `allowed` maps."""
    return frozenset(allowed[name] for name in external if name in allowed)
