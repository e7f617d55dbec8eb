"""Identifiers of queries: `-k PatientID=123` and JSON in, rows and JSON out."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from contextlib import suppress
from math import isfinite
from typing import Any

import typer
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pynetdicom.dsutils import encode

from useridentity.cli.requestor.options import Options
from useridentity.errors import ConfigurationError

MAX_JSON = 1024 * 1024
"""Octets of an identifier in JSON; a list of 15,000 UIDs fits."""

MAX_DEPTH = 16
"""Sequences in one another; the standard's queries have three."""

UTF_8 = "ISO_IR 192"
"""The Specific Character Set of what people type, where ASCII does not do (PS3.3 C.12.1.1.2)."""

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*|\(?[0-9A-Fa-f]{4},?[0-9A-Fa-f]{4}\)?)(?:\[(\d{1,4})\])?")


def identifier(keys: SequenceOf[str], file: str | None, options: Options) -> Dataset:
    """The identifier that `--identifier` and `-k` say, in this order; raises `typer.BadParameter` or
    `ConfigurationError`."""
    if file == options.passcode_file == "-":
        raise typer.BadParameter("standard input cannot be this and --identifier too", param_hint="--passcode-file")
    dataset = Dataset() if file is None else _from_json(_read(file), file)
    for key in keys:
        path, _, value = key.partition("=")
        _set(dataset, path.strip(), value)
    if not str(dataset).isascii() and "SpecificCharacterSet" not in dataset:
        dataset.SpecificCharacterSet = UTF_8
    return dataset


def _set(dataset: Dataset, path: str, value: str) -> None:
    """`ScheduledProcedureStepSequence.Modality`, `(0010,0020)`, `00100020`: items other than the first as [1]."""
    *sequences, last = [_step(part, path) for part in path.split(".")]
    for tag, index in sequences:
        if dictionary_VR(tag) != "SQ":
            raise typer.BadParameter(f"{path}: {keyword_for_tag(tag)} is no sequence", param_hint="-k")
        items = dataset.setdefault(tag, DataElement(tag, "SQ", [])).value
        items.extend(Dataset() for _ in range(index + 1 - len(items)))
        dataset = items[index]
    tag, _ = last
    vr = dictionary_VR(tag)
    if vr == "SQ" and value:
        raise typer.BadParameter(f"{path} is a sequence; write {path}.Attribute={value}", param_hint="-k")
    try:
        dataset[tag] = _element(tag, vr, [] if vr == "SQ" else value.split("\\") if "\\" in value else value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="-k") from None


def _step(text: str, path: str) -> tuple[BaseTag, int]:
    match = _STEP.fullmatch(text)
    tag = _tag(match[1]) if match else None
    if tag is None or match is None:
        raise typer.BadParameter(
            f"{text!r}{'' if text == path else f' in {path!r}'} is no attribute of the standard{_nearest(text)}",
            param_hint="-k",
        )
    return tag, int(match[2] or 0)


def _tag(text: str) -> BaseTag | None:
    found = tag_for_keyword(text)
    digits = text.strip("()").replace(",", "")
    if found is None and re.fullmatch(r"[0-9A-Fa-f]{8}", digits):
        found = int(digits, 16)
    # Groups below 8 are of commands and files (PS3.5 7.1), FFFE is of items.
    is_of_data_sets = found is not None and 8 <= found >> 16 < 0xFFFE and keyword_for_tag(found)
    return Tag(found) if is_of_data_sets and found is not None else None


def _nearest(text: str) -> str:
    from difflib import get_close_matches

    from pydicom.datadict import keyword_dict

    close = get_close_matches(text, filter(None, keyword_dict), 1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _element(tag: BaseTag, vr: str, value: Any) -> DataElement:
    """Of a text or a list of texts; raises `ValueError`, which tells the attribute."""
    try:
        if (number := _NUMBERS.get(vr)) and value not in ("", []):
            value = [number(each) for each in value] if isinstance(value, list) else number(value)
        return DataElement(tag, vr, value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{keyword_for_tag(tag)}={value!r}: {error}") from None


_NUMBERS: Mapping[str, type[int] | type[float]] = {
    **dict.fromkeys(("US", "SS", "US or SS", "UL", "SL", "UV", "SV"), int),
    **dict.fromkeys(("FL", "FD"), float),
}
"""VRs whose values pydicom takes as numbers and not as text."""


def _read(file: str) -> bytes:
    try:
        with open(0 if file == "-" else file, "rb") as opened:
            octets = opened.read(MAX_JSON + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    if len(octets) > MAX_JSON:
        raise ConfigurationError(f"{file}: longer than the {MAX_JSON} octets an identifier may have")
    return octets


def _from_json(octets: bytes, file: str) -> Dataset:
    """The DICOM JSON model (PS3.18 F.2), or keywords with plain values, as `find --json` writes them."""
    try:
        content = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: should be one JSON object, attributes with their values")
    return _dataset(content, file)


def _dataset(content: Mapping[str, Any], file: str, depth: int = 0) -> Dataset:
    dataset = Dataset()
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"{file}: more than {MAX_DEPTH} sequences in one another")
    for name, value in content.items():
        tag = _tag(name)
        if tag is None:
            raise ConfigurationError(f"{file}: {name!r} is no attribute of the standard{_nearest(name)}")
        vr = dictionary_VR(tag)
        try:
            dataset[tag] = _element(tag, vr, _plain(vr, value, f"{file}: {name}", depth))
        except ValueError as error:
            raise ConfigurationError(f"{file}: {error}") from None
    return dataset


def _plain(vr: str, value: Any, where: str, depth: int) -> Any:
    if isinstance(value, dict) and "vr" in value:
        if other := value.keys() - {"vr", "Value"}:  # without them it would match everything
            raise ConfigurationError(f"{where}: has {min(other)!r}; a value to match stands in Value")
        value = value.get("Value", [])
    if vr == "SQ":
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in items):
            raise ConfigurationError(f"{where}: is a sequence; write a list of objects")
        return [_dataset(item, where, depth + 1) for item in items]
    values = [_text(each, where) for each in (value if isinstance(value, list) else [value])]
    return values[0] if len(values) == 1 else values


def _text(value: Any, where: str) -> str:
    if isinstance(value, dict) and "Alphabetic" in value:  # a person's name (PS3.18 F.2.2)
        value = "=".join(str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigurationError(f"{where}: {type(value).__name__} is no value; write a string, a number or a list")
    return str(value)


def check_encodable(dataset: Dataset) -> None:
    """Raises `typer.BadParameter` for the first attribute that cannot be sent as it is."""
    character_set = dataset.get_item("SpecificCharacterSet")
    for element in dataset:
        alone = Dataset()
        if character_set is not None:
            alone.add(character_set)
        alone[element.tag] = element
        if not _is_text(element.value) or not _is_encodable(alone):
            raise typer.BadParameter(
                f"{_name(element.tag)} cannot be asked for with this value, which is none of its VR {element.VR}"
                f"{' and Specific Character Set' if character_set is not None else ''}",
                param_hint="-k or --identifier",
            )


def _is_encodable(dataset: Dataset) -> bool:
    with warnings.catch_warnings():  # pydicom's, of characters in whose place it would write "?", which matches any
        warnings.simplefilter("error")
        return encode(dataset, True, True) is not None


def _is_text(value: object) -> bool:
    """Whether it has no octets that were no UTF-8, which Python keeps as lone surrogates."""
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in str(value))


def plain(dataset: Dataset) -> dict[str, Any]:
    """Keywords with plain values, for JSON; what has no keyword by its tag, octets left out."""
    elements = (_read_element(dataset, tag) for tag in sorted(dataset.keys()))
    return {
        _name(element.tag): _jsonable(element)
        for element in elements
        if element.VR not in ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
    }


def _read_element(dataset: Dataset, tag: BaseTag) -> DataElement:
    """An attribute that a peer sent; its octets as text where they are no value of its VR."""
    octets: object = b""
    with suppress(Exception):  # of which pydicom raises any for what a peer may send
        element = dataset[tag]
        str(element.value)
        return element
    with suppress(Exception):
        octets = getattr(dataset.get_item(tag), "value", b"")
    text = octets.decode("latin-1") if isinstance(octets, bytes) else ""
    return DataElement(tag, "UT", text, already_converted=True)


def _name(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or f"{tag:08X}"


def _jsonable(element: DataElement) -> Any:
    if isinstance(element.value, Sequence):
        return [plain(item) for item in element.value]
    if isinstance(element.value, (MultiValue, list)):
        return [_number_or_text(each) for each in element.value]
    return _number_or_text(element.value)


def _number_or_text(value: object) -> int | float | str:
    if type(value) is float and not isfinite(value):  # which JSON has not
        return str(value)
    if isinstance(value, BaseTag):  # an AT's value (PS3.18 F.2.3)
        return f"{value:08X}"
    return value if type(value) in (int, float) else "" if value is None else str(value)  # type: ignore[return-value]


def cell(dataset: Dataset, keyword: str) -> str:
    """An attribute in a table; several values separated as on the wire, sequences by their number of items."""
    if keyword not in dataset:
        return ""
    value = _read_element(dataset, Tag(keyword)).value
    if isinstance(value, Sequence):
        return f"{len(value)} items"
    if isinstance(value, (MultiValue, list)):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)


def columns_of(dataset: Dataset) -> list[str]:
    """The keywords of an identifier, for a table's head."""
    hidden = ("QueryRetrieveLevel", "SpecificCharacterSet")
    return [name for name in (_name(element.tag) for element in dataset) if name not in hidden]


def check_columns(names: Iterable[str]) -> list[str]:
    """The attributes asked for with `--columns A,B`; raises `typer.BadParameter`."""
    found = [name.strip() for group in names for name in group.split(",") if name.strip()]
    for name in found:
        if _tag(name) is None:
            raise typer.BadParameter(
                f"{name!r} is no attribute of the standard{_nearest(name)}", param_hint="--columns"
            )
    return [keyword_for_tag(_tag(name) or 0) for name in found]
