"""Who may present an assertion (SAML core 2.4.1.1, profiles 3): its bearer, or the holder of a key."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Literal

from useridentity.errors import Refused
from useridentity.facts import Facts
from useridentity.mechanisms.saml.conditions import Window, wrong
from useridentity.mechanisms.saml.xml import DS, Element, child, children, instant

BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
HOLDER_OF_KEY = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"

Binding = Literal["none", "certificate"]
"""What an assertion must be bound to: nothing, or the requestor's TLS client certificate."""


def check_confirmation(subject: Element, binding: Binding, recipient: str | None, facts: Facts, window: Window) -> None:
    """One SubjectConfirmation must hold; raises `Refused`, saying why none does."""
    problems = []
    for confirmation in children(subject, "SubjectConfirmation"):
        problem = _problem(confirmation, binding, recipient, facts, window)
        if not problem:
            return
        problems.append(problem)
    raise _refused(problems)


def _refused(problems: list[str]) -> Refused:
    return wrong(f"no subject confirmation holds: {'; '.join(dict.fromkeys(problems)) or 'there is none'}")


def _problem(confirmation: Element, binding: Binding, recipient: str | None, facts: Facts, window: Window) -> str:
    """Why this confirmation does not hold; empty where it does."""
    method, data = confirmation.get("Method"), child(confirmation, "SubjectConfirmationData")
    if data is None:
        return "it has no SubjectConfirmationData"
    if method == HOLDER_OF_KEY:
        return _key_problem(data, facts) or _data_problem(data, recipient, facts, window)
    if method == BEARER:
        return _bearer_problem(data, binding) or _data_problem(data, recipient, facts, window)
    return f"method {str(method)[:80]!r} is not accepted"


def _key_problem(data: Element, facts: Facts) -> str:
    if not facts.peer_certificate:
        return "the requestor showed no TLS client certificate"
    held = facts.peer_certificate in _certificates(data)
    return "" if held else "the TLS client certificate is not the one of the assertion"


def _bearer_problem(data: Element, binding: Binding) -> str:
    if binding == "certificate":
        return "anybody may bear it, and binding is certificate"
    complete = "NotOnOrAfter" in data.attrib and "NotBefore" not in data.attrib
    return "" if complete else "a bearer's has NotOnOrAfter and no NotBefore (SAML profiles 4.1.4.2)"


def _data_problem(data: Element, recipient: str | None, facts: Facts, window: Window) -> str:
    if "NotOnOrAfter" in data.attrib:
        end = instant(data.get("NotOnOrAfter"))
        if end is None or window.over(end):
            return "it has expired"
    if "NotBefore" in data.attrib:
        begin = instant(data.get("NotBefore"))
        if begin is None or not window.begun(begin):
            return "it is not valid yet"
    if recipient is not None and data.get("Recipient") != recipient:
        return "it is for another recipient"
    if "Address" in data.attrib and not _is_address(data.get("Address"), facts):
        return "it is for another address"
    return ""


def _is_address(text: str, facts: Facts) -> bool:
    try:
        return ip_address(text) == facts.address
    except ValueError:
        return False


def _certificates(data: Element) -> Iterator[bytes]:
    """The certificates of the key that must be held, DER."""
    for certificate in data.iter(f"{{{DS}}}X509Certificate"):
        try:
            yield base64.b64decode("".join((certificate.text or "").split()), validate=True)
        except (binascii.Error, ValueError):
            continue
