"""Names and values of SAML 2.0 documents, and the only place that imports lxml."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

Element = Any
"""An lxml element; lxml carries no annotations."""

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
DS = "http://www.w3.org/2000/09/xmldsig#"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"

ASSERTION = f"{{{SAML}}}Assertion"
RESPONSE = f"{{{SAMLP}}}Response"
SIGNATURE = f"{{{DS}}}Signature"

SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z", re.ASCII)


def children(element: Element, name: str, namespace: str = SAML) -> list[Element]:
    """The child elements of this name."""
    return list(element.iterchildren(f"{{{namespace}}}{name}"))


def child(element: Element, name: str, namespace: str = SAML) -> Element | None:
    """The only child element of this name; None where there is none, or more than one."""
    found = children(element, name, namespace)
    return found[0] if len(found) == 1 else None


def text_of(element: Element | None) -> str:
    """All the text of an element without child elements, trimmed; empty for any other, and for None."""
    if element is None or len(element):
        return ""
    return (element.text or "").strip()


def instant(text: str | None) -> datetime | None:
    """An xs:dateTime in UTC (SAML core 1.3.3), to the microsecond; None where `text` is not one."""
    match = _INSTANT.fullmatch(text or "")
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return whole.replace(microsecond=int((match[2] or "0")[:6].ljust(6, "0")))


def written(moment: datetime) -> str:
    """An instant as SAML writes it, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = [
    "ASSERTION",
    "DS",
    "EXC_C14N",
    "RESPONSE",
    "SAML",
    "SAMLP",
    "SIGNATURE",
    "SUCCESS",
    "XSI",
    "Element",
    "child",
    "children",
    "etree",
    "instant",
    "text_of",
    "written",
]
