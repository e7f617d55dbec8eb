"""Strings and times as every format carries them.

What a peer wrote may hold characters that XML cannot carry (XML 1.0 2.2), that FHIR forbids in a string, or that a log
viewer obeys. They are written visibly, `\\x1b` for an escape; the record in the journal has them as they were.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
"""Controls, line separators, what turns the direction of the words around it, and what is no character. All else that
does not show as itself stays, for it belongs to names: an ideographic space, say, or a joiner in Persian."""


def visible(text: str) -> str:
    """`text` without such characters, of which it says where they were."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def time_text(time: datetime) -> str:
    """A time with its zone, UTC (PS3.15 A.5.2.5), to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
