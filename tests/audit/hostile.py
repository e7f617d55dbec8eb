"""Words that a peer may send in place of names, and records that are full of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

HOSTILE = [
    '"/><Injected UserID="x',
    "]]>&lt;&#0;",
    "a\x00b\x1b[31m\r\nc\x85\u2028",
    "\ud800",
    "\ufffe\uffff",
    "\U0001d518<ñ>'",
    "alice\u202e detpecca\u202c\u2066\u2069",
]
"""Markup, controls, surrogates, what is no character, and words that are read in the other direction."""

WORDS = [*HOSTILE, "\x1b$B;3ED\x1b(B", "P1\\P2^A|B&C", " ", "; event x, association y", "<none>"]
"""Also ISO 2022 escapes, delimiters of DICOM and HL7, blanks, and words of our own."""

OURS = ("event_id", "association", "assurance", "kind", "reason", "address", "head", "journal")
"""Fields that no peer writes."""


def spoiled(value: Any, word: str) -> Any:
    """A record with `word` in each of its strings: in lists and mappings, however deep, but for what is ours."""
    if isinstance(value, str):
        return word
    if isinstance(value, tuple):
        return tuple(spoiled(each, word) for each in value)
    if isinstance(value, Mapping):
        return {key: spoiled(each, word) for key, each in value.items()}
    if is_dataclass(value):
        changed = {each.name: spoiled(getattr(value, each.name), word) for each in fields(value) if each.init}
        return replace(value, **{name: each for name, each in changed.items() if name not in OURS})  # type: ignore[type-var]
    return value
