"""Which studies an identity may reach: a predicate on a study, never a rewriting of identifiers.

```toml
scope = { PatientID = "{claims.cohort}", IssuerOfPatientID = ["HOSP_A", "HOSP_B"] }
```

Attributes are AND-ed, the values of one are OR-ed. Compared are whole values, after character-set decoding, as
PS3.5 6.2 has them for the VR. A value that is missing, empty, longer than any, or has a wildcard never matches, so an
empty claim admits nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType

from useridentity.claim_path import ClaimPath
from useridentity.errors import ConfigurationError
from useridentity.identity import Identity
from useridentity.scope.attributes import ATTRIBUTES, Vr

CLAIM = re.compile(r"\{claims\.(.+)\}")
"""A value that stands for those of a claim, by its path (`ClaimPath`); it is the whole string or none of it."""

NEVER = re.compile(r"[*?\\\ufffd\x00-\x1f\x7f-\x9f]")
"""What a comparable value never holds: PS3.4 C.2.2.2 wildcards, the delimiter of values (PS3.5 6.2), U+FFFD, by which
decoders say that they could not decode, and control characters, escape sequences among them."""

MAX_VALUE = 256
"""Characters of a value that is compared; three component groups of a name have 194 (PS3.5 Table 6.2-1).

Composing takes the square of a run of combining characters, and nobody else's turn comes meanwhile.
"""

SHAPES: Mapping[Vr, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        Vr.UI: (re.compile(r"[0-9.]{1,64}"), "a UID: digits and dots, at most 64"),
        Vr.DA: (re.compile(r"[0-9]{8}"), "one date, YYYYMMDD; ranges are not compared"),
        Vr.AE: (re.compile(r"[\x20-\x7e]{1,16}"), "an AE title, at most 16 characters"),
    }
)
"""What a literal of the VR must look like (PS3.5 Table 6.2-1)."""

PN_GROUPS = 3
"""Component groups of a person name: alphabetic, ideographic, phonetic (PS3.5 6.2.1.2)."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The studies of a grant, before it is known whose.

    Fields:
        terms: for each attribute, by keyword or by the keywords of a path ("ScheduledProcedureStepSequence.Modality"),
            its literal values and "{claims.NAME}".
    """

    terms: Mapping[str, tuple[str, ...]] = field(hash=False)

    @classmethod
    def of(cls, table: object) -> Scope:
        """The scope a policy writes as a table of attributes.

        Raises `ConfigurationError` with everything wrong in it; each problem begins with the attribute.
        """
        if not isinstance(table, Mapping) or not table:
            raise ConfigurationError('should be a table of attributes, such as { PatientID = "{claims.cohort}" }')
        problems: list[str] = []
        terms = {path: _written(path, value, problems) for path, value in _paths(table)}
        if problems:
            raise ConfigurationError(problems)
        return cls(MappingProxyType(terms))

    def bind(self, identity: Identity) -> BoundScope:
        """The scope of `identity`: claims replaced by what they say of it."""
        return BoundScope(
            MappingProxyType({path: _values(path, written, identity) for path, written in self.terms.items()})
        )


@dataclass(frozen=True, slots=True)
class BoundScope:
    """The studies one identity may reach.

    Fields:
        values: for each attribute the values that are admitted, without padding; with none, nothing is.
    """

    values: Mapping[str, frozenset[str]] = field(hash=False)

    def admits(self, study: Mapping[str, str | Sequence[str] | None]) -> bool:
        """Whether a study is in scope, given its values (decoded; several in a sequence) by attribute.

        A worklist item is asked about in the same way, by its own attributes.
        """
        return bool(self.values) and all(self._admits(path, study.get(path)) for path in self.values)

    def contradicts(self, part: Mapping[str, str | Sequence[str] | None]) -> bool:
        """Whether something of a study says of itself that it is out of scope; what it does not say, it may be."""
        stated = {path: value for path, value in part.items() if path in self.values and any(_each(value))}
        return not all(self._admits(path, value) for path, value in stated.items())

    @property
    def reaches_studies(self) -> bool:
        """Whether any study could be in scope."""
        return all(self.values.values()) and not self.is_of_worklists

    @property
    def is_of_worklists(self) -> bool:
        """Whether an attribute is one that only worklist items have, so that no study is ever in scope."""
        return any(ATTRIBUTES[path].worklist for path in self.values)

    @property
    def of_studies(self) -> BoundScope:
        """The attributes that studies have too: what is left of a scope of worklists where something is stored."""
        return BoundScope({path: values for path, values in self.values.items() if not ATTRIBUTES[path].worklist})

    def _admits(self, path: str, value: str | Sequence[str] | None) -> bool:
        attribute, values = ATTRIBUTES[path], list(_each(value))
        if len(values) > 1 and not attribute.multiple:
            return False
        allowed = self.values[path]
        if attribute.vr is Vr.PN:
            return any(_name_matches(each, name) for each in values for name in allowed)
        return any(comparable(attribute.vr, each) in allowed for each in values)


def comparable(vr: Vr, value: str) -> str:
    """`value` as it is compared: without padding, canonically composed; empty where it never matches (PS3.5 6.2)."""
    if len(value) > MAX_VALUE or NEVER.search(value.rstrip("\0")):
        return ""
    stripped = value.strip(" \0")
    return _comparable_name(stripped) if vr is Vr.PN else unicodedata.normalize("NFC", stripped)


def _comparable_name(name: str) -> str:
    """A person name with the padding of each component and empty trailing ones gone (PS3.5 6.2.1)."""
    groups = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in name.split("=")]
    return unicodedata.normalize("NFC", "=".join(groups).rstrip("=")) if len(groups) <= PN_GROUPS else ""


def _name_matches(value: str, allowed: str) -> bool:
    """Whether every component group that `allowed` has is the one that `value` has in its place."""
    groups = comparable(Vr.PN, value).split("=")
    named = allowed.split("=")
    return len(groups) >= len(named) and all(
        not wanted or wanted == group for wanted, group in zip(named, groups, strict=False)
    )


def _each(value: str | Sequence[str] | None) -> Iterable[str]:
    return () if value is None else (value,) if isinstance(value, str) else value


def _paths(table: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    """The attributes of a table; a dotted key of TOML is a table within it."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def attribute_problem(path: str) -> str:
    """Why a scope cannot name this attribute, or path of them; empty where it can."""
    if path in ATTRIBUTES:
        return ""
    close = get_close_matches(path, ATTRIBUTES, 1)
    known = f'did you mean "{close[0]}"?' if close else "docs/scope.md lists them"
    return f"{path}: is no attribute of patients, studies or worklist items; {known}"


def _written(path: str, value: object, problems: list[str]) -> tuple[str, ...]:
    if problem := attribute_problem(path):
        problems.append(problem)
        return ()
    values = value if isinstance(value, list | tuple) else [value]
    wrong = [what for each in values if (what := _problem(ATTRIBUTES[path].vr, each))] or (
        [] if values else ["is an empty list, so nobody would reach anything; name a value"]
    )
    problems.extend(f"{path}: {what}" for what in wrong)
    return tuple(str(each) for each in values)


def _problem(vr: Vr, value: object) -> str:
    """What is wrong with a literal; empty where nothing is."""
    if not isinstance(value, str):
        return f"{value!r} should be a string, or a list of them"
    if "{" in value or "}" in value:
        return _problem_of_claim(value)
    if len(value) > MAX_VALUE:
        return f"has {len(value)} characters and would never match; at most {MAX_VALUE} are compared"
    if NEVER.search(value):
        return f"{value!r} has a wildcard, backslash or control character; whole values are compared, write them out"
    if not comparable(vr, value).strip("=^"):
        return f"{value!r} is empty, which matches nothing"
    shape, words = SHAPES.get(vr, (None, ""))
    return f"{value!r} should be {words}" if shape and not shape.fullmatch(value.strip()) else ""


def _problem_of_claim(value: str) -> str:
    claim = CLAIM.fullmatch(value)
    if claim is None:
        return f'{value!r} should be a value, or a claim alone: "{{claims.NAME}}"'
    try:
        ClaimPath.read(claim[1])
    except ConfigurationError as error:
        return str(error)
    return ""


def _values(path: str, written: Iterable[str], identity: Identity) -> frozenset[str]:
    said = (each for text in written for each in _said(text, identity.claims))
    return frozenset(value for each in said if (value := comparable(ATTRIBUTES[path].vr, each)).strip("=^"))


def _said(text: str, claims: Mapping[str, object]) -> Iterable[str]:
    """A literal itself, or the strings of the claim it stands for."""
    claim = CLAIM.fullmatch(text)
    return ClaimPath.read(claim[1]).strings(claims) if claim else (text,)
