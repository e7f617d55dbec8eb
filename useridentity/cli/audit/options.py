"""The filters of `useridentity audit`, as they are typed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from enum import Enum
from typing import Annotated

import typer

from useridentity.audit.record import Kind, Outcome
from useridentity.audit.search import Filter
from useridentity.errors import ConfigurationError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

User = Annotated[str, typer.Option(metavar="NAME", help="By this user: subject, user id, name, or what was claimed.")]
Ae = Annotated[str, typer.Option(metavar="TITLE", help="With this AE title, on either side or as move destination.")]
Peer = Annotated[str, typer.Option(metavar="ADDRESS", help="From this address.")]
Patient = Annotated[str, typer.Option(metavar="ID", help="About this patient: Patient ID, or name as it was sent.")]
Study = Annotated[str, typer.Option(metavar="UID", help="About this study: Study Instance UID or accession number.")]
OutcomeWord = Annotated[str, typer.Option("--outcome", metavar="|".join(each.value for each in Outcome))]
KindWord = Annotated[str, typer.Option("--kind", metavar="KIND", help="Of this kind: accepted, stored, queried, …")]
Association = Annotated[str, typer.Option(metavar="ID", help="Of this association.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="Not before: 2026-11-22, 2026-11-22T14:30, or 2h ago.")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Not after; of a day, all of it.")]
Emergency = Annotated[bool, typer.Option("--emergency", help="Of users who broke the glass.")]


def filter_of(*, emergency: bool, **given: str) -> Filter:
    """What is looked for; raises `ConfigurationError` with everything that cannot be understood."""
    problems: list[str] = []
    times: dict[str, datetime] = {}
    for word in ("since", "until"):
        value = given.pop(word, "")
        if value:
            try:
                times[word] = time_of(value, time.max if word == "until" else time.min)
            except OverflowError:
                problems.append(f"--{word}: {value!r} is before the year 1 or after 9999; leave it out for any time")
            except ValueError:
                problems.append(f"--{word}: {value!r} is no time; write 2026-11-22, 2026-11-22T14:30 or 2h")
    for word, known in (("outcome", Outcome), ("kind", Kind)):
        problems += _unknown(word, given.get(word, ""), known)
    if problems:
        raise ConfigurationError(problems)
    return Filter(emergency=emergency, **given, **times)  # type: ignore[arg-type]  # the times were taken out


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


def _unknown(word: str, value: str, known: Iterable[Enum]) -> Iterable[str]:
    words = [str(each.value) for each in known]
    if value and value not in words:
        close = get_close_matches(value, words, 1)
        near = f"; did you mean {close[0]}?" if close else ""
        yield f"--{word}: {value!r} is unknown{near} (known: {', '.join(words)})"
