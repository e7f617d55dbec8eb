"""Whether values are what the annotations of their dataclass say: what `settings` ensures in a file, for code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from useridentity.ae_title import title_problems
from useridentity.errors import ConfigurationError
from useridentity.settings import MOST, Bytes, TitlePattern, network_problem, text_problem
from useridentity.settings.toml_file import Key, Problem, spelled


def demand_none(problems: Iterable[Problem]) -> None:
    """Raise `ConfigurationError` with all problems, where there are any."""
    if found := [f"{spelled(key)}: {what}" for key, what in problems]:
        raise ConfigurationError(found)


def misfits(key: Key, instance: Any, but: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Every value of a dataclass instance, `but` some fields, that is not what its annotation says."""
    hints = _hints(instance.__class__)
    for field in fields(instance):
        if not field.init or field.name in but:
            continue
        value = getattr(instance, field.name)
        if value is not field.default:
            yield from misfit((*key, field.name), hints[field.name], value)


@lru_cache(maxsize=64)  # more dataclasses than policies are made of
def _hints(cls: type[Any]) -> Mapping[str, Any]:
    return get_type_hints(cls, include_extras=True)


def misfit(key: Key, hint: Any, value: Any) -> Iterator[Problem]:
    """Why a value is not what an annotation says."""
    origin, args = get_origin(hint), [each for each in get_args(hint) if each is not NoneType]
    if origin in (Union, UnionType):
        if value is not None or len(args) == len(get_args(hint)):
            yield from _of_union(key, args, value)
    elif origin in (tuple, Sequence):
        yield from _of_list(key, args[0], value)
    elif origin is Literal:
        if value not in args:
            yield key, f"{value!r} is not allowed; write {' or '.join(map(repr, args))}"
    elif origin is Mapping:
        yield from _of_mapping(key, args, value)
    elif hint in MOST:
        yield from _of_number(key, hint, value)
    elif hint in (str, TitlePattern):
        yield from _of_text(key, hint, value)
    elif not isinstance(value, hint) or (hint is date and isinstance(value, datetime)):
        yield key, f"{value!r} should be {_named(hint)}"
    elif hint in (IPv4Network, IPv6Network):
        if problem := network_problem(value):
            yield key, f"{value} {problem}"
    elif is_dataclass(hint):
        yield from misfits(key, value)


def _of_union(key: Key, kinds: list[Any], value: Any) -> Iterator[Problem]:
    several = [list(misfit(key, kind, value)) for kind in kinds]
    if not all(several):
        return
    classes = [kind.__origin__ if get_origin(kind) is Annotated else kind for kind in kinds]
    meant = [
        found for of, found in zip(classes, several, strict=True) if isinstance(of, type) and isinstance(value, of)
    ]
    if meant or len(kinds) == 1:
        yield from (meant or several)[0]
    else:
        yield key, f"{value!r} should be {' or '.join(of.__name__ for of in classes)}"


def _of_list(key: Key, kind: Any, value: Any) -> Iterator[Problem]:
    if isinstance(value, str):
        yield key, "a string would be read letter by letter; give a list of them"
    elif not isinstance(value, tuple | list):
        yield key, f"{value!r} should be a list or a tuple"
    else:
        for each in value:
            yield from misfit(key, kind, each)


def _of_mapping(key: Key, kinds: Sequence[Any], value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield key, f"{value!r} should be a mapping"
        return
    for name, each in value.items():
        yield from misfit(key, kinds[0], name)
        yield from misfit((*key, str(name)), kinds[1], each)


def _of_number(key: Key, hint: Any, value: Any) -> Iterator[Problem]:
    whole = hint in (int, Bytes)
    if type(value) not in ({int} if whole else {int, float}) or not 0 < value <= MOST[hint]:
        yield key, f"{value!r} should be a {'whole ' if whole else ''}number above zero, {MOST[hint]} at most"


def _of_text(key: Key, hint: Any, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield key, f"{value!r} should be a str"
    elif problem := next(title_problems([value]), "") if hint is TitlePattern else text_problem(value):
        yield key, problem


def _named(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}"
