"""JSON and base64url read in one way only, so that two readers of the same octets never differ.

RFC 7515 4 and RFC 7519 4 leave duplicate member names to the implementation; here they are refused, as
are NaN, numbers beyond a double, unpaired surrogates, and padded or non-canonical base64url.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from math import isfinite
from typing import Any, NoReturn

MAX_BRACKETS = 500
"""Objects and lists in one text: more than real tokens, metadata and a hundred keys have, and so little that
nothing which walks through them meets Python's limit on recursion."""


class Malformed(ValueError):
    """What is wrong with some octets, in words that hold none of them."""


def base64url(text: bytes) -> bytes:
    """The octets that `text` encodes (RFC 7515 2, no padding); raises `Malformed` for any other spelling of them."""
    try:
        octets = b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        octets = None
    if octets is None or b64encode(octets, altchars=b"-_").rstrip(b"=") != text:
        raise Malformed("not base64url without padding (RFC 7515 2)")
    return octets


def json_object(octets: bytes) -> dict[str, Any]:
    """The JSON object in `octets`; raises `Malformed` where there is none, or one with two meanings."""
    if octets.count(b"{") + octets.count(b"[") > MAX_BRACKETS:
        raise Malformed(f"holds more than {MAX_BRACKETS} objects and lists")
    try:
        text = octets.decode("utf-8")
        value = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except Malformed:
        raise
    except UnicodeDecodeError:
        problem = "not UTF-8"
    except UnicodeEncodeError:
        problem = "holds half a character (an unpaired surrogate)"
    except ValueError:
        problem = "not JSON"
    else:
        if isinstance(value, dict):
            return value
        problem = "not a JSON object"
    raise Malformed(problem)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("holds a member twice (RFC 7519 4)")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise Malformed("holds a number that is too large")
    return number


def _no_constant(word: str) -> NoReturn:
    raise Malformed(f"holds {word}, which is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_float=_finite, parse_constant=_no_constant)
