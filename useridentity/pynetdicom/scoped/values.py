"""The decoded values of a data set, as a scope compares them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from pydicom import Dataset
from pydicom.charset import ESC, convert_encodings
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.valuerep import STR_VR, PersonName
from pydicom.values import convert_value

UNDECODED = "\ufffd"
"""By which decoders say that they could not decode; alone, that nothing could be read at all."""

GB2312 = "\x1b$)A"
"""Escape sequence that designates ISO-IR 58 (PS3.3 Table C.12-4): pydicom decodes what follows, and leaves it there."""


def values_of(dataset: Dataset, paths: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The values at each path of keywords."""
    return {path: texts(dataset, path) for path in paths}


def texts(dataset: Dataset, path: str) -> tuple[str, ...]:
    """The values at a path of keywords as text, without padding; none where it is missing or empty.

    A sequence has none for the path unless it has exactly one item, as worklists have (PS3.4 Table K.6-1).
    """
    *sequences, keyword = path.split(".")
    try:
        inside = dataset
        for sequence in sequences:
            items: Any = inside.get(sequence)
            if not items or len(items) != 1:
                return ()
            inside = items[0]
            dataset = inside if "SpecificCharacterSet" in inside else dataset  # PS3.5 7.5.3
        return _as_texts(_as_read(keyword, inside.get(keyword), dataset))
    except Exception:  # noqa: BLE001  pydicom decodes late, so that any access may raise anything
        return (UNDECODED,)


def _as_read(keyword: str, value: Any, dataset: Dataset) -> Any:
    """`value`; where a handler has put in octets, what a peer reads by the character set of `dataset`.

    pydicom would divide them at 5CH, which is half of many a character in GB18030 and ISO 2022 IR 87.
    """
    each = value if isinstance(value, MultiValue) else (value,)
    octets = [undecoded for one in each if (undecoded := _octets(one)) is not None]
    if not octets or len(octets) < len(each) or (vr := dictionary_VR(keyword)) not in STR_VR:
        return value
    written = b"\\".join(octets)
    written += b" " * (len(written) % 2)
    raw = RawDataElement(Tag(keyword), vr, len(written), written, 0, True, True)
    return convert_value(vr, raw, convert_encodings(dataset.get("SpecificCharacterSet")))


def _octets(value: Any) -> bytes | None:
    """What nobody has decoded; None of text."""
    if not isinstance(value, PersonName):
        return value if isinstance(value, bytes) else None
    written = value.original_string if value.encodings is None else None
    if written is None or ESC in written or PersonName(written, validation_mode=IGNORE) == str(value):
        return written
    return None  # pydicom remembers what a name was written as too, with "?" for what could not be


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
    return str(value).replace(GB2312, "").lstrip(" ").rstrip(" \0")
