"""One assertion, read: after its signature was verified, and from the signed bytes only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.facts import Facts
from useridentity.mechanisms.saml.attributes import Values, attributes
from useridentity.mechanisms.saml.conditions import (
    Window,
    check_authentication,
    check_conditions,
    is_single_use,
    wrong,
)
from useridentity.mechanisms.saml.confirmation import Binding, check_confirmation
from useridentity.mechanisms.saml.xml import Element, child, text_of

MAX_NAME = 256
"""Characters of a NameID; SAML core 8.3.7 gives a persistent one as many."""

_ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"


@dataclass(frozen=True, slots=True)
class Expected:
    """What an acceptor asks of assertions; the fields are those of `SamlSettings`."""

    issuer: str
    audience: str
    recipient: str | None
    binding: Binding
    max_lifetime: timedelta
    clock_skew: timedelta
    name_id_formats: Collection[str]
    authn_contexts: Sequence[str]
    max_authn_age: timedelta | None
    attributes: Collection[str]


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an assertion says, once all of it was found right.

    Fields:
        id: unique with its issuer.
        name_id: the subject's name.
        issued: when, by its issuer's clock.
        ends: when the assertion, or the session at its issuer, ends; without clock skew.
        single_use: whether the issuer says so.
        authn_context: how the issuer authenticated the user (AuthnContextClassRef); may be empty.
        attributes: those asked for, by name.
    """

    id: str
    name_id: str
    issued: datetime
    ends: datetime
    single_use: bool
    authn_context: str
    attributes: Mapping[str, Values] = field(repr=False)


def read(element: Element, expected: Expected, facts: Facts) -> Assertion:
    """What the signed `element` says; raises `Refused` where it is not good here, now and for this peer."""
    window = Window(facts.now, expected.clock_skew, expected.max_lifetime)
    if element.get("Version") != "2.0":
        raise wrong("not SAML 2.0")
    check_issuer(child(element, "Issuer"), expected.issuer)
    issued, ends = check_conditions(element, expected.audience, window)
    subject = child(element, "Subject")
    if subject is None:
        raise wrong("no Subject")
    name_id = _name_id(child(subject, "NameID"), expected.name_id_formats)
    check_confirmation(subject, expected.binding, expected.recipient, facts, window)
    session, context = check_authentication(element, expected.authn_contexts, expected.max_authn_age, window)
    return Assertion(
        id=element.get("ID"),
        name_id=name_id,
        issued=issued,
        ends=min(ends, session) if session else ends,
        single_use=is_single_use(element),
        authn_context=context,
        attributes=attributes(element, expected.attributes),
    )


def check_issuer(issuer: Element | None, expected: str) -> None:
    """Raises `Refused` unless `issuer` is an Issuer that names `expected`."""
    if issuer is None or issuer.get("Format", _ENTITY) != _ENTITY or text_of(issuer) != expected:
        raise Refused(Reason.ISSUER_UNKNOWN, "SAML: from another issuer")


def _name_id(element: Element | None, formats: Collection[str]) -> str:
    if element is None:
        raise wrong("no NameID")
    if element.get("Format", UNSPECIFIED) not in formats:
        raise wrong(f"NameID format {element.get('Format', UNSPECIFIED)[:80]!r} is not one of name_id_formats")
    name = text_of(element)
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise wrong(f"a NameID that is empty, longer than {MAX_NAME} characters, or has control characters")
    return name
