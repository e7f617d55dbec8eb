"""Frozen dataclasses of plain values to what JSON has, and back, by their annotations."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

AS_THEY_ARE = frozenset({str, int, float, bool})

TOO_LARGE = 2**63
"""No number of a record is, and a whole one could be too large for any arithmetic with fractions."""


def plain(value: Any) -> Any:
    """`value` as JSON has it; of a dataclass, the fields that differ from their defaults."""
    cls: Any = type(value)
    if cls in AS_THEY_ARE:
        return value
    if defaults := _defaults(cls):
        return {name: plain(own) for name, default in defaults if (own := getattr(value, name)) != default}
    if cls is tuple:
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return _scalar(value)


def restored(cls: type[T], table: Mapping[str, Any]) -> T:
    """The instance of the dataclass `cls` of which `table` was made; raises what fitted badly."""
    known: Any = cls
    readers = _readers(known)
    return cls(**{name: readers[name](item) for name, item in table.items()})


def _scalar(value: Any) -> str | int | float:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    kept: str | int | float = value.value  # an enum
    return kept


@cache
def _defaults(cls: Any) -> tuple[tuple[str, object], ...]:
    """The fields with the value each is left out for; those made anew for every instance never are.

    Empty for what is no dataclass.
    """
    if not is_dataclass(cls):
        return ()
    return tuple((each.name, {} if each.default_factory is dict else each.default) for each in fields(cls))


@cache
def _readers(cls: Any) -> dict[str, Callable[[Any], Any]]:
    return {name: _reader(hint) for name, hint in get_type_hints(cls).items()}


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of the annotation `hint` from JSON's; it raises what fitted badly."""
    if NoneType in get_args(hint):
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple:
        item, items = _reader(get_args(hint)[0]), _typed(list)
        return lambda value: tuple(item(each) for each in items(value))
    if get_origin(hint) is Mapping:
        of_key, table = _reader(get_args(hint)[1]), _typed(dict)
        return lambda value: {key: of_key(each) for key, each in table(value).items()}
    if is_dataclass(hint):
        return lambda value: restored(hint, value)  # type: ignore[arg-type]  # a class, as annotations are
    return _SCALARS.get(hint) or (_typed(hint) if hint in AS_THEY_ARE else hint)


def _typed(cls: type) -> Callable[[Any], Any]:
    """Lets a value of this very type pass; where a number is expected, a whole one too, but none that is too large."""
    known = (float, int) if cls is float else (cls,)
    is_number = cls in (int, float)

    def check(value: Any) -> Any:
        if type(value) not in known:
            raise TypeError(f"{type(value).__name__} where {cls.__name__} is due")
        if is_number and not abs(value) < TOO_LARGE:  # as what is not a number is not, either
            raise ValueError("a number that no record has")
        return value

    return check


def _time(value: Any) -> datetime:
    found = datetime.fromisoformat(value)
    if found.tzinfo is None or not MINYEAR < found.year < MAXYEAR:  # others have no local time everywhere
        raise ValueError(f"{value} is no time with a zone")
    return found


_SCALARS: Mapping[Any, Callable[[Any], Any]] = {
    datetime: _time,
    bytes: lambda value: b64decode(value, validate=True),
}
