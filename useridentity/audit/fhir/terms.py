"""Code systems and values of FHIR as JSON has them: Coding, CodeableConcept, Identifier."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from useridentity.audit.codes import RFC_3881, Code
from useridentity.audit.message.model import known
from useridentity.audit.message.text import visible

Json = dict[str, Any]

BALP = "https://profiles.ihe.net/ITI/BALP"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
UID = "urn:dicom:uid"
URI = "urn:ietf:rfc:3986"

_SYSTEMS = {"DCM": "http://dicom.nema.org/resources/ontology/DCM", RFC_3881: f"{TERMINOLOGY}/audit-entity-type"}
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


def coding(code: Code) -> Json:
    """A Coding; a scheme that is no URI becomes one of ours."""
    made = {"system": system_uri(code.scheme), "code": _token(code.value), "display": visible(code.meaning)}
    return without_empty(made)


def concept(*codings: Json) -> Json:
    """A CodeableConcept."""
    return {"coding": list(codings)}


def system_uri(scheme: str) -> str:
    """The URI of a coding scheme that DICOM or an administrator names otherwise."""
    if _OID.fullmatch(scheme):
        return f"urn:oid:{scheme}"
    return _SYSTEMS.get(scheme) or uri(scheme) or f"urn:useridentity:scheme:{quote(scheme, safe='')}"


def uri(text: str) -> str:
    """`text` where it is a URI, else nothing."""
    return text if _URI.fullmatch(text) else ""


def identifier(value: str, system: str = "", kind: Json | None = None) -> Json:
    """An Identifier; FHIR has no empty value."""
    return without_empty({"type": kind, "system": system, "value": visible(known(value))})


def detail(name: str, value: str) -> Json:
    """AuditEvent.entity.detail; none where there is nothing to say, which FHIR has no string for."""
    return {"type": visible(name), "valueString": visible(value)}


def without_empty(values: Mapping[str, Any]) -> Json:
    """FHIR knows no empty string, list or object, and takes a string of white space alone for one."""
    return {key: value for key, value in values.items() if value not in ([], {}, None) and not _is_blank(value)}


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def details(pairs: Iterable[tuple[str, str]]) -> list[Json]:
    """Those of the pairs that have a value."""
    return [detail(name, value) for name, value in pairs if not _is_blank(value)]


def _token(value: str) -> str:
    """A FHIR code has no white space but single spaces within."""
    return " ".join(visible(value).split())
