"""Whether values are what the annotations of their dataclass say: what `settings` ensures in a file, for code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from math import inf
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from useridentity.toml_file import Key, Problem


def misfits(key: Key, instance: Any, but: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Every value of a dataclass instance, `but` some fields, that is not what its annotation says."""
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        if field.name not in but:
            yield from _misfits((*key, field.name), hints[field.name], getattr(instance, field.name))


def _misfits(key: Key, hint: Any, value: Any) -> Iterator[Problem]:
    origin, args = get_origin(hint), [each for each in get_args(hint) if each is not NoneType]
    if origin in (Union, UnionType):
        if value is not None or len(args) == len(get_args(hint)):
            yield from _of_union(key, args, value)
    elif origin is tuple:
        yield from _of_tuple(key, args[0], value)
    elif origin is Literal:
        if value not in args:
            yield key, f"{value!r} is not allowed; write {' or '.join(map(repr, args))}"
    elif origin is Mapping:
        if not isinstance(value, Mapping):
            yield key, f"{value!r} should be a mapping"
            return
        for name, each in value.items():
            yield from _misfits((*key, str(name)), args[1], each)
    elif hint in (int, float):
        if type(value) not in {int, hint} or not 0 < value < inf:
            yield key, f"{value!r} should be {'a whole number' if hint is int else 'a number'} above zero"
    elif not isinstance(value, hint) or (hint is date and isinstance(value, datetime)):
        yield key, f"{value!r} should be {_named(hint)}"
    elif is_dataclass(hint):
        yield from misfits(key, value)


def _of_union(key: Key, kinds: list[Any], value: Any) -> Iterator[Problem]:
    several = [list(_misfits(key, kind, value)) for kind in kinds]
    if not all(several):
        return
    if len(kinds) == 1:
        yield from several[0]
    else:
        yield key, f"{value!r} should be {' or '.join(kind.__name__ for kind in kinds)}"


def _of_tuple(key: Key, kind: Any, value: Any) -> Iterator[Problem]:
    if isinstance(value, str):
        yield key, "a string would be read letter by letter; give a tuple of them"
    elif not isinstance(value, tuple | list):
        yield key, f"{value!r} should be a tuple"
    else:
        for each in value:
            yield from _misfits(key, kind, each)


def _named(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}"
