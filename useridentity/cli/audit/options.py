"""The filters of `useridentity audit`, as they are typed."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from useridentity.audit.record import Kind, Outcome
from useridentity.audit.search import Filter
from useridentity.errors import ConfigurationError
from useridentity.facts import peer_address

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _option(help_: str | None, metavar: str, *names: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=help_, show_default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is looked for, as it was typed; None for what was left out."""

    user: Annotated[str | None, _option("By this user: subject, user id, name, or what was claimed.", "NAME")] = None
    ae: Annotated[str | None, _option("With this AE title, on either side or as move destination.", "TITLE")] = None
    peer: Annotated[str | None, _option("From this address.", "ADDRESS")] = None
    patient: Annotated[str | None, _option("About this patient: Patient ID, or name as it was sent.", "ID")] = None
    study: Annotated[str | None, _option("About this study: Study Instance UID or accession number.", "UID")] = None
    outcome: Annotated[str | None, _option(None, "|".join(each.value for each in Outcome))] = None
    kind: Annotated[str | None, _option("Of this kind: accepted, stored, queried, …", "KIND")] = None
    association: Annotated[str | None, _option("Of this association.", "ID")] = None
    emergency: Annotated[bool, typer.Option("--emergency", help="Of users who broke the glass.")] = False
    since: Annotated[str | None, _option("Not before: 2026-11-22, 2026-11-22T14:30, or 2h ago.", "TIME")] = None
    until: Annotated[str | None, _option("Not after; of a day, all of it.", "TIME")] = None

    def read(self) -> Filter:
        """What they mean; raises `ConfigurationError` with everything that cannot be understood."""
        values: dict[str, Any] = {"emergency": self.emergency}
        problems = []
        for each in fields(self):
            given = getattr(self, each.name)
            if isinstance(given, str):
                try:
                    values[_NAMES.get(each.name, each.name)] = _read(each.name, given)
                except ValueError as error:
                    problems.append(f"--{each.name}: {error}")
        if problems:
            raise ConfigurationError(problems)
        return Filter(**values)


_NAMES = {"ae": "ae_title"}

_OF_DAY = {"since": time.min, "until": time.max}
"""What of a day is meant where a day is all that is said."""

_KNOWN = {"outcome": Outcome, "kind": Kind}


def _read(word: str, value: str) -> str | datetime:
    """What is looked for; raises `ValueError`, also for nothing, as of a script's variable that is not set."""
    if not value.strip():
        raise ValueError("is empty; leave it out for any")
    if word == "peer":
        peer_address(value.strip())  # or whoever asks for a network is told that nobody came from there
    if word in _KNOWN:
        _check_known(value, [str(each.value) for each in _KNOWN[word]])
    if word not in _OF_DAY:
        return value
    try:
        return time_of(value, _OF_DAY[word])
    except OverflowError:
        raise ValueError(f"{value!r} is before the year 1 or after 9999; leave it out for any time") from None
    except ValueError:
        raise ValueError(f"{value!r} is no time; write 2026-11-22, 2026-11-22T14:30 or 2h") from None


def _check_known(value: str, words: list[str]) -> None:
    if value not in words:
        close = get_close_matches(value, words, 1)
        near = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"{value!r} is unknown{near} (known: {', '.join(words)})")


def time_of(value: str, of_day: time) -> datetime:
    """A time of this place, or so long ago; `of_day` where a day is all that is said.

    Raises `ValueError` for what is no time, and `OverflowError` for what no `datetime` can be.
    """
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", value)
    if ago:
        return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    try:
        found = datetime.combine(date.fromisoformat(value), of_day)
    except ValueError:
        found = datetime.fromisoformat(value)
    return found.astimezone(UTC)
