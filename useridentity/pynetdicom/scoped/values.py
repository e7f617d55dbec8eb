"""The decoded values of a data set, as a scope compares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

UNDECODED = "\ufffd"
"""By which decoders say that they could not decode; alone, that nothing could be read at all."""


def values_of(dataset: Dataset, paths: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The values at each path of keywords."""
    return {path: texts(dataset, path) for path in paths}


def texts(dataset: Dataset, path: str) -> tuple[str, ...]:
    """The values at a path of keywords as text, without padding; none where it is missing or empty.

    A sequence has none for the path unless it has exactly one item, as worklists have (PS3.4 Table K.6-1).
    """
    *sequences, keyword = path.split(".")
    try:
        for sequence in sequences:
            items: Any = dataset.get(sequence)
            if not items or len(items) != 1:
                return ()
            dataset = items[0]
        return _as_texts(dataset.get(keyword))
    except Exception:  # noqa: BLE001  pydicom decodes late, so that any access may raise anything
        return (UNDECODED,)


def _as_texts(value: Any) -> tuple[str, ...]:
    """A value of pydicom's as text: itself, or each of several, or each item; none where it is empty."""
    if value is None:
        return ()
    each = value if isinstance(value, (MultiValue, Sequence, list, tuple)) else (value,)
    written = tuple(map(_text, each))
    return written if any(written) else ()


def _text(value: Any) -> str:
    """All of a value, so that what is written alike is alike; what was not decoded says so, and never matches."""
    if isinstance(value, bytes):
        return UNDECODED + value.decode("latin-1") if value else ""
    if isinstance(value, Dataset):
        return str([(element.tag, _as_texts(element.value)) for element in value])
    if isinstance(value, date) and not isinstance(value, datetime):
        return f"{value:%Y%m%d}"  # as pydicom writes it
    return str(value).lstrip(" ").rstrip(" \0")
