"""The decoded values of a data set, as a scope compares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence


def values_of(dataset: Dataset, paths: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The values at each path of keywords.

    A sequence has none for the path unless it has exactly one item, as worklists have (PS3.4 Table K.6-1).
    """
    return {path: _at(dataset, path) for path in paths}


def _at(dataset: Dataset, path: str) -> tuple[str, ...]:
    sequences, _, keyword = path.rpartition(".")
    for sequence in filter(None, sequences.split(".")):
        items: Any = dataset.get(sequence)
        if not items or len(items) != 1:
            return ()
        dataset = items[0]
    return texts(dataset, keyword)


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of an attribute as text, without padding; none where it is missing or empty."""
    return as_texts(dataset.get(keyword))


def as_texts(value: Any) -> tuple[str, ...]:
    """A value of pydicom's as text: itself, or each of several, or each item; none where there is no text."""
    if value is None or isinstance(value, bytes):
        return ()
    each = value if isinstance(value, (MultiValue, Sequence, list, tuple)) else (value,)
    written = tuple(str(one).strip(" \0") for one in each)
    return written if any(written) else ()
