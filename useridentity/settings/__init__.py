"""Values of a configuration file into frozen dataclasses, by their annotations.

Understood are: str, int, date, Path, Secret, Seconds, Wait, Bytes, Network, TitlePattern, Literal words, enums of
words, tuples and string-keyed mappings of these, nested dataclasses, `X | None` for what may be left out, and object
for what others decode. A string is never a truth value, a number never a duration, and an unknown key never ignored.
Nothing is raised for what the file says: every problem is reported, so that all are seen at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from enum import Enum
from functools import reduce
from ipaddress import IPv4Network, IPv6Network, ip_network
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from useridentity.ae_title import title_problems
from useridentity.errors import ConfigurationError
from useridentity.settings.secret import Secret, secret_at

Seconds = Annotated[float, "seconds"]
"""A duration, written "10s", "5m", "12h"."""

Wait = Annotated[float, "seconds to wait"]
"""A duration in which somebody or something waits, `MAX_WAIT` at most."""

Bytes = Annotated[int, "bytes"]
"""A size, written "256KiB", "1MiB"."""

TitlePattern = Annotated[str, "AE title"]
"""AE titles, `*` standing for any characters (`ae_title.title_problems`)."""

Network = IPv4Network | IPv6Network

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
"""What a duration and a size may be given in, from the smallest."""

MAX_SECONDS = "36500d"
"""A hundred years: longer than any archive keeps anything, and within the dates that Python has."""

MAX_WAIT = "1h"
"""Nobody waits longer; poll() takes 24 days at most, and with more every connection would fail."""

MAX_BYTES = "1024GiB"
"""More than any disk should give to a log."""

MAX_WHOLE_NUMBER = 2**31 - 1
"""Whatever is counted takes room in memory."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Characters that no string of ours may have."""

_EMPTY = "is empty; name at least one, or leave the key out"

T = TypeVar("T")
Report = Callable[[tuple[str | int, ...], str], None]
"""Takes a key and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a settings object needs to know beside the settings: its name, and where relative paths start."""

    name: str
    folder: Path


class _Wrong(Exception):
    """What is wrong with a value, in words that say what is allowed; each with its place within the value."""

    def __init__(self, *problems: tuple[tuple[str | int, ...], str]) -> None:
        self.problems = problems
        super().__init__(problems)

    @classmethod
    def told(cls, what: str) -> _Wrong:
        """Wrong as a whole."""
        return cls(((), what))


def decode(cls: type[T], table: object, key: tuple[str | int, ...], report: Report, folder: Path) -> T | None:
    """An instance of the dataclass `cls` made of `table`, or None after reporting why there is none."""
    if not isinstance(table, Mapping):
        report(key, f"is {_kind(table)}, should be a table")
        return None
    hints = get_type_hints(cls, include_extras=True)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    sound = report_unknown(table, known, key, report)
    values: dict[str, object] = {}
    for name, field in known.items():
        hint = without_none(hints[name])
        if name in table and is_dataclass(hint):
            values[name] = decode(hint, table[name], (*key, name), report, folder)  # type: ignore[arg-type]
            sound = sound and values[name] is not None
        elif name in table:
            try:
                values[name] = _value(hint, table[name], folder)
            except _Wrong as wrong:
                for place, what in wrong.problems:
                    report((*key, name, *place), what)
                sound = False
        elif field.default is MISSING and field.default_factory is MISSING:
            report(key, f"{name} is missing")
            sound = False
    try:
        return cls(**values) if sound else None
    except ConfigurationError as error:  # values that are sound each by itself
        for problem in error.problems:
            report(key, problem)
        return None


def report_unknown(table: Mapping[str, Any], known: Iterable[str], key: tuple[str | int, ...], report: Report) -> bool:
    """Report every key of `table` that is not `known`; True where there is none."""
    unknown = [name for name in table if name not in known]
    for name in unknown:
        report((*key, name), f"unknown key{nearest(name, known)}")
    return not unknown


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest known one, and all of them."""
    known = sorted(known)
    close = get_close_matches(word, known, 1)
    return (f'; did you mean "{close[0]}"?' if close else "") + f" (known: {', '.join(known) or 'none'})"


def without_none(hint: Any) -> Any:
    """The type of a setting that may be left out."""
    kinds = [arg for arg in get_args(hint) if arg is not type(None)]
    return reduce(or_, kinds) if type(None) in get_args(hint) else hint


def _value(hint: Any, value: object, folder: Path) -> object:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            dotted = "; a key with a dot of its own stands in quotes" if isinstance(value, dict) else ""
            raise _Wrong.told(f"is {_kind(value)}, should be a list{dotted}")
        if not value:
            raise _Wrong.told(_EMPTY)
        return tuple(_values(get_args(hint)[0], dict(enumerate(value)), folder).values())
    if get_origin(hint) is Literal:
        return _word(value, get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(_word(value, [member.value for member in hint]))
    if get_origin(hint) is Mapping:
        if not isinstance(value, dict):
            raise _Wrong.told(f"is {_kind(value)}, should be a table")
        if not value:
            raise _Wrong.told(_EMPTY)
        return _values(get_args(hint)[1], value, folder)
    if hint in _PLACES:
        return _PLACES[hint](_text(value), folder)
    return _READERS[hint](value)


def _values(hint: Any, values: Mapping[Any, object], folder: Path) -> dict[Any, object]:
    """Each of them, or what is wrong with any of them."""
    found: dict[Any, object] = {}
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    for place, value in values.items():
        try:
            found[place] = _value(hint, value, folder)
        except _Wrong as error:
            wrong += [((place, *key), what) for key, what in error.problems]
    if wrong:
        raise _Wrong(*wrong)
    return found


def _kind(value: object) -> str:
    names = {
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
        date: "a date",
        datetime: "a date with a time",
        time: "a time",
    }
    return names.get(type(value), type(value).__name__)


def _word(value: object, words: Iterable[str]) -> str:
    if not isinstance(value, str) or value not in words:
        raise _Wrong.told(f"{value!r} is not allowed{nearest(str(value), words)}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong.told(f"is {_kind(value)}, should be a string")
    if problem := text_problem(value):
        raise _Wrong.told(problem)
    return value


def text_problem(text: str) -> str:
    """What no string may be; empty where this one is sound."""
    if not text:
        return "is empty, should be a string"
    # None belongs in a name, path or URL, and the system raises ValueError for a NUL. The text may hold a password.
    if control := CONTROL.search(text):
        return f"has the control character U+{ord(control[0]):04X} as its character {control.start() + 1}; take it out"
    return ""


def _title(value: object) -> str:
    text = _text(value)
    for problem in title_problems([text]):
        raise _Wrong.told(problem)
    return text


def _secret(text: str, folder: Path) -> Secret:
    try:
        return secret_at(text, folder)
    except ConfigurationError as error:
        raise _Wrong.told(str(error)) from None


def _whole_number(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_WHOLE_NUMBER:
        more = f", {MAX_WHOLE_NUMBER} at most" if type(value) is int and value > 0 else ""
        raise _Wrong.told(f"{value!r} should be a whole number, 1 or more{more}")
    return value


def _measured(value: object, units: Mapping[str, float], most: str, example: str) -> float:
    amount = _amount(value, units)
    if amount <= 0:
        raise _Wrong.told(
            f'{value!r} should be more than nothing, with a unit: "{example}" (units: {", ".join(units)})'
        )
    if amount > _amount(most, units):
        raise _Wrong.told(f'{value!r} is too much; "{most}" is the most')
    return amount


def _amount(text: object, units: Mapping[str, float]) -> float:
    """As many of the smallest unit; nothing where it is no amount, and infinity where no float could say it."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)", text) if isinstance(text, str) else None
    return float(match[1]) * units[match[2]] if match and match[2] in units else 0.0


def _network(value: object) -> Network:
    try:
        network = ip_network(_text(value))
    except ValueError:
        raise _Wrong.told(f"{value!r} is no network; write 10.20.0.0/16 or fd00::/8, without host bits") from None
    if problem := network_problem(network):
        raise _Wrong.told(f"{value} {problem}")
    return network


def network_problem(network: Network) -> str:
    """Why it has no peer's address, as `facts.peer_address` makes those; empty where it may."""
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        return "is IPv4 written as IPv6 and would never match; peers are compared as IPv4"
    if isinstance(network, IPv6Network) and network.network_address.scope_id is not None:
        return "has a zone and would never match; peers are compared without"
    return ""


def _date(value: object) -> date:
    if type(value) is not date:
        found = f"{value} has a time and" if isinstance(value, datetime) else f"{value!r}"
        raise _Wrong.told(f"{found} should be a date, without quotes or time: 2027-03-31")
    return value


_READERS: Mapping[Any, Callable[[object], object]] = {
    str: _text,
    TitlePattern: _title,
    int: _whole_number,
    Seconds: lambda value: _measured(value, UNITS, MAX_SECONDS, "10s"),
    Wait: lambda value: _measured(value, UNITS, MAX_WAIT, "10s"),
    Bytes: lambda value: math.ceil(_measured(value, SIZES, MAX_BYTES, "256KiB")),
    Network: _network,
    date: _date,
    object: lambda value: value,
}

_PLACES: Mapping[Any, Callable[[str, Path], object]] = {
    Path: lambda text, folder: folder / text,
    Secret: _secret,
}

MOST: Mapping[Any, int] = {
    int: MAX_WHOLE_NUMBER,
    Seconds: int(_amount(MAX_SECONDS, UNITS)),
    Wait: int(_amount(MAX_WAIT, UNITS)),
    Bytes: int(_amount(MAX_BYTES, SIZES)),
}
"""The most that a number may be, by its annotation."""
