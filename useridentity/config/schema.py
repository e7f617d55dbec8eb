"""JSON Schema of settings dataclasses, made from their annotations as `settings.decode` reads them.

It is for editors, and says less than the loader, which knows what cannot work together. Taplo, which is behind the TOML
support of most editors, knows draft 4 and other tools draft 7 and later, so only what means the same in all of
them is used: no `const`, no `if`, and no `$ref`, beside which a description would be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date
from enum import Enum
from inspect import getdoc
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from useridentity.ae_title import MAX_AE_TITLE
from useridentity.audit.settings import AuditSettings
from useridentity.audit.sinks import SETTINGS
from useridentity.config import VERSION
from useridentity.config.parts import StateSettings
from useridentity.config.rules import DestinationSettings, GrantSettings, RuleSettings
from useridentity.permission import capability_words
from useridentity.plugins import BUILT_IN, validator_settings
from useridentity.policy import Limits
from useridentity.scope.attributes import ATTRIBUTES
from useridentity.settings import (
    MAX_WHOLE_NUMBER,
    SIZES,
    UNITS,
    Bytes,
    Network,
    Seconds,
    TitlePattern,
    Wait,
    without_none,
)
from useridentity.settings.secret import Secret
from useridentity.sop_classes import OTHER_CLASSES, STORAGE_CLASSES

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"

_NUMBER = r"[0-9]+(\.[0-9]+)?"
_DURATION: Schema = {"type": "string", "pattern": f"^{_NUMBER}({'|'.join(UNITS)})$"}
_TEXT: Schema = {"type": "string", "minLength": 1}
_TITLE: Schema = {
    **_TEXT,
    # Printable ASCII without the backslash, MAX_AE_TITLE characters beside any number of *.
    "pattern": rf"^(\**[ -)+-\[\]-~]){{0,{MAX_AE_TITLE}}}\**$",
    "not": {"pattern": "^ | $"},
}
_KINDS: Mapping[Any, Schema] = {
    str: _TEXT,
    Path: _TEXT,
    Secret: _TEXT,
    Network: _TEXT,
    TitlePattern: _TITLE,
    int: {"type": "integer", "minimum": 1, "maximum": MAX_WHOLE_NUMBER},
    # TOML has dates where JSON has strings, and by this word its tools know that one is meant.
    date: {"type": "string", "format": "date"},
    Seconds: _DURATION,
    Wait: _DURATION,
    Bytes: {"type": "string", "pattern": f"^{_NUMBER}({'|'.join(SIZES)})$"},
}


def table(cls: type[Any], **instead: Schema) -> Schema:
    """The schema of a table that is decoded into the dataclass `cls`.

    `instead` has the schemas of fields whose annotations say too little. Descriptions come from the docstring: its
    first paragraph, and what it has under "Fields:".
    """
    hints = get_type_hints(cls, include_extras=True)
    told = _told(cls)
    properties = {each.name: _field(each, hints[each.name], instead.get(each.name)) for each in fields(cls)}
    properties = {name: described(made, told.get(name, "")) for name, made in properties.items()}
    made: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    if required := [each.name for each in fields(cls) if _is_required(each)]:
        made["required"] = required
    return described(made, told.get("", ""))


def array(items: Schema, description: str = "") -> Schema:
    """The schema of a list that is not empty."""
    return described({"type": "array", "minItems": 1, "items": items}, description)


def described(schema: Schema, description: str) -> Schema:
    """`schema` with a description, where there is one."""
    return {**schema, "description": description} if description else schema


def _field(field: Field[Any], hint: Any, instead: Schema | None) -> Schema:
    made = value(hint) if instead is None else instead
    default = _default(hint, field.default)
    return made if default is None else {**made, "default": default}


def value(hint: Any) -> Schema:
    """The schema of a value that is decoded by the annotation `hint`."""
    hint = without_none(hint)
    if hint in _KINDS:
        return dict(_KINDS[hint])
    if is_dataclass(hint):
        return table(hint)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    return _composed(get_origin(hint), get_args(hint))


def _composed(origin: Any, args: tuple[Any, ...]) -> Schema:
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return array(value(args[0]))
    if origin is Mapping:
        inner: Schema = {} if args[1] is object else value(args[1])
        return {"type": "object", "minProperties": 1, "additionalProperties": inner}
    raise TypeError(f"{origin!r} has no schema; settings cannot decode it either")


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(hint: Any, default: object) -> object:
    """A default as a file would have it, None where there is none worth showing."""
    if hint in (Seconds, Wait) and isinstance(default, float):
        return _measured(default, UNITS)
    if hint is Bytes and isinstance(default, int):
        return _measured(default, SIZES)
    if isinstance(default, tuple) and default:
        return [_default(None, each) for each in default]
    if isinstance(default, Enum):
        return default.value
    return default if isinstance(default, str | int) and default != "" else None


def _measured(amount: float, units: Mapping[str, float]) -> str:
    """In the largest unit of which it is a whole number, or else in the smallest."""
    whole = [unit for unit, size in units.items() if amount % size == 0]
    unit = max(whole or [min(units, key=units.__getitem__)], key=units.__getitem__)
    return f"{amount / units[unit]:g}{unit}"


def _told(cls: type[Any]) -> dict[str, str]:
    """What the docstring says of each field, and of the whole under ""."""
    whole, _, below = (getdoc(cls) or "").partition("\nFields:\n")
    told = {"": _line(whole.partition("\n\n")[0])}
    entries = re.split(r"^    (?=\S)", below.partition("\n\n")[0], flags=re.MULTILINE)
    for names, text in _entries(entries):
        told |= dict.fromkeys(names, text)
    return told


def _entries(entries: list[str]) -> Iterator[tuple[list[str], str]]:
    """Each entry's names, which may be several before the colon, and its text."""
    for entry in entries:
        names, colon, text = entry.partition(": ")
        if colon:
            yield [name.strip() for name in names.split(",")], _line(text)


def _line(text: str) -> str:
    return " ".join(text.split())


def _forward() -> Schema:
    """The sinks of the audit trail: a URL each, or the table of its kind."""
    tables = [table(settings) for settings in dict.fromkeys(SETTINGS.values())]
    return array({"anyOf": [dict(_TEXT), *tables]})


def policy_schema(types: Iterable[str] = BUILT_IN) -> Schema:
    """The schema of a policy file with the keys of these validator types; other types may have any keys.

    Raises `ConfigurationError` where the settings of a type cannot be loaded, for want of an extra.
    """
    settings = {name: validator_settings(name) for name in types}
    tables: dict[str, Schema] = {
        "version": described({"enum": [VERSION]}, "Of this format."),
        "limits": table(Limits),
        "state": table(StateSettings),
        "audit": table(AuditSettings, forward=_forward()),
        "validator": {"type": "object", "additionalProperties": _validator(settings)},
        "authenticate": array(table(RuleSettings)),
        "authorize": array(table(GrantSettings, **_GRANT)),
    }
    return {
        "$schema": DRAFT,
        "title": "A policy of useridentity",
        "type": "object",
        "additionalProperties": False,
        "properties": tables,
        "required": ["version", "authenticate"],
    }


def _validator(settings: Mapping[str, type[Any]]) -> Schema:
    other: Schema = {"type": "object", "required": ["type"], "additionalProperties": True}
    other["properties"] = {"type": {**_TEXT, "not": {"enum": list(settings)}}}
    known = [_of_type(name, table(cls)) for name, cls in settings.items()]
    return {"oneOf": [*known, described(other, "Of a type that another package brings.")]}


def _of_type(name: str, made: Schema) -> Schema:
    properties = {"type": {"enum": [name]}, **made["properties"]}
    return {**made, "properties": properties, "required": ["type", *made.get("required", [])]}


def _scope() -> Schema:
    """Attributes by keyword; those within a sequence by their path too, as a dotted key of TOML makes them tables."""
    values: Schema = {"anyOf": [_TEXT, array(_TEXT)]}
    properties: dict[str, Schema] = {}
    for path in ATTRIBUTES:
        properties[path] = values
        sequence, dot, attribute = path.rpartition(".")
        if dot:
            within = properties.setdefault(
                sequence, {"type": "object", "additionalProperties": False, "properties": {}}
            )
            within["properties"][attribute] = values
    return {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": properties}


def _permit() -> Schema:
    words = [*capability_words(), *STORAGE_CLASSES, *OTHER_CLASSES]
    return {"anyOf": [{"enum": words}, {"type": "string", "pattern": r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$"}]}


_GRANT: Mapping[str, Schema] = {
    "permit": array(_permit()),
    "destinations": array({"anyOf": [_TITLE, table(DestinationSettings)]}),
    "scope": _scope(),
}
