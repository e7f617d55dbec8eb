"""When, for whom and how often an assertion may be used (SAML core 2.5, 2.7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from useridentity.decision import Reason
from useridentity.errors import Refused
from useridentity.mechanisms.saml.xml import SAML, Element, child, children, instant, text_of

_KNOWN = ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")


@dataclass(frozen=True, slots=True)
class Window:
    """The acceptor's clock and its patience. What is added up is our own: an issuer may write the year 1, or 9999.

    Fields:
        now: aware.
        skew: how far another's clock may be off.
        longest: from IssueInstant to NotOnOrAfter.
    """

    now: datetime
    skew: timedelta
    longest: timedelta

    def begun(self, moment: datetime) -> bool:
        return self.now + self.skew >= moment

    def over(self, moment: datetime) -> bool:
        """Whether a NotOnOrAfter is past; it is an instant at which the thing is no longer valid."""
        return self.now - self.skew >= moment


def check_conditions(assertion: Element, audience: str, window: Window) -> tuple[datetime, datetime]:
    """When the assertion was issued, and when it ends; raises `Refused` where it may not be used, here and now.

    Both ends of the lifetime and an audience are required, which SAML core leaves open.
    """
    conditions = child(assertion, "Conditions")
    if conditions is None:
        raise wrong("no Conditions, so for everybody and for ever")
    if any(each.tag not in [f"{{{SAML}}}{name}" for name in _KNOWN] for each in conditions):
        raise wrong("a condition that is not understood")
    lifetime = _lifetime(assertion, conditions, window)
    _check_audience(conditions, audience)
    return lifetime


def is_single_use(assertion: Element) -> bool:
    """Whether its issuer says so: OneTimeUse (SAML core 2.5.1.5)."""
    conditions = child(assertion, "Conditions")
    return conditions is not None and bool(children(conditions, "OneTimeUse"))


def _lifetime(assertion: Element, conditions: Element, window: Window) -> tuple[datetime, datetime]:
    issued = instant(assertion.get("IssueInstant"))
    begin, end = instant(conditions.get("NotBefore")), instant(conditions.get("NotOnOrAfter"))
    if issued is None or begin is None or end is None:
        raise wrong("IssueInstant, NotBefore and NotOnOrAfter are required, in UTC")
    if not window.begun(issued) or not window.begun(begin):
        raise wrong(f"not valid before {max(issued, begin):%FT%TZ}")
    if window.over(end):
        raise expired(f"ended {end:%FT%TZ}")
    if end - issued > window.longest:
        raise wrong(f"valid for {end - issued}, more than max_lifetime ({window.longest})")
    return issued, end


def _check_audience(conditions: Element, audience: str) -> None:
    """Every restriction must name us: several restrict further (SAML core 2.5.1.4)."""
    restrictions = children(conditions, "AudienceRestriction")
    if not restrictions:
        raise wrong("no AudienceRestriction, so for everybody")
    for restriction in restrictions:
        if audience not in [text_of(each) for each in children(restriction, "Audience")]:
            raise wrong("for another audience")


def check_authentication(
    assertion: Element, contexts: Sequence[str], longest: timedelta | None, window: Window
) -> tuple[datetime | None, str]:
    """When the session at the issuer ends, if that is said, and how the user was authenticated there.

    `contexts` are the AuthnContextClassRef accepted, all where it is empty; `longest` is how long ago
    the user may have been authenticated. Either makes an AuthnStatement required.
    """
    statements = children(assertion, "AuthnStatement")
    if not statements and (contexts or longest is not None):
        raise wrong("no AuthnStatement")
    ends: list[datetime] = []
    names: list[str] = []
    for statement in statements:
        ends.extend(_session_end(statement, window))
        names.append(_context_class(statement, contexts))
        _check_age(statement, longest, window)
    return min(ends, default=None), " ".join(dict.fromkeys(name for name in names if name))


def _session_end(statement: Element, window: Window) -> list[datetime]:
    if "SessionNotOnOrAfter" not in statement.attrib:
        return []
    end = instant(statement.get("SessionNotOnOrAfter"))
    if end is None or window.over(end):
        raise expired("the session at the issuer has ended")
    return [end]


def _context_class(statement: Element, contexts: Sequence[str]) -> str:
    context = child(statement, "AuthnContext")
    name = text_of(child(context, "AuthnContextClassRef")) if context is not None else ""
    if contexts and name not in contexts:
        raise wrong(f"authentication context {name[:80]!r} is not one of authn_contexts")
    return name


def _check_age(statement: Element, longest: timedelta | None, window: Window) -> None:
    authenticated = instant(statement.get("AuthnInstant"))
    if authenticated is None or not window.begun(authenticated):
        raise wrong("AuthnInstant is not in UTC, or in the future")
    if longest is not None and window.over(authenticated + longest):
        raise expired(f"authenticated {authenticated:%FT%TZ}, longer ago than max_authn_age")


def wrong(detail: str) -> Refused:
    return Refused(Reason.CREDENTIAL_INVALID, f"SAML: {detail}")


def expired(detail: str) -> Refused:
    return Refused(Reason.CREDENTIAL_EXPIRED, f"SAML: {detail}")
