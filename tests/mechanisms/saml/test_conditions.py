"""When, for whom and how often an assertion may be used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.mechanisms.saml.issuer import (
    AUDIENCE,
    AUTHENTICATION,
    IDP,
    LASTING,
    NOW,
    Issuer,
    assertion,
    at,
    audience,
    confirmation,
    refusal,
    validate,
    validator,
)
from useridentity.decision import Reason
from useridentity.validator import Once

OURS = audience(AUDIENCE)
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"

WRONG = {
    "no-conditions": ({"conditions": ""}, "no Conditions"),
    "no-begin": ({"begins": None}, "NotBefore and NotOnOrAfter are required"),
    "no-end": ({"ends": None}, "NotBefore and NotOnOrAfter are required"),
    "not-begun": ({"begins": 120}, "not valid before"),
    "issued-later": ({"issued": 120}, "not valid before"),
    "issued-in-local-time": ({"issued": at(0).replace("Z", "+01:00")}, "in UTC"),
    "no-such-day": ({"issued": "2026-02-30T00:00:00Z"}, "schemas"),
    "too-long": ({"ends": 3601}, "max_lifetime"),
    "for-nobody": ({"restriction": ""}, "no AudienceRestriction"),
    "for-another": ({"restriction": audience("urn:dicom:OTHER")}, "another audience"),
    "for-a-longer-name": ({"restriction": audience(AUDIENCE + "2")}, "another audience"),
    "for-us-and-for-another-only": ({"restriction": OURS + audience("urn:dicom:OTHER")}, "another audience"),
    "unknown-condition": (
        {"restriction": OURS + '<saml:Condition xmlns:x="urn:x" xsi:type="x:Moon"/>'},
        "schemas",  # an abstract type that nobody defined
    ),
    "single-use-by-another-name": (
        {"restriction": OURS + '<saml:Condition xsi:type="saml:OneTimeUseType"/>'},
        "not understood",  # valid by the schema; who looks for saml:OneTimeUse would miss it
    ),
    "another-issuer": ({"issuer": "https://other.example.org"}, "another issuer"),
    "issuer-of-another-format": (
        {"issuer": IDP + '</saml:Issuer><saml:Issuer Format="urn:x">'},
        "schemas",
    ),
    "saml-1": ({"version": "1.1"}, "not SAML 2.0"),
}


@pytest.mark.parametrize(("change", "why"), WRONG.values(), ids=WRONG)
@pytest.mark.threat("S7")
def test_an_assertion_is_refused_where_its_conditions_do_not_hold(
    issuer: Issuer, change: dict[str, Any], why: str
) -> None:
    acceptor = validator(issuer)
    assert validate(acceptor, issuer.sign(assertion())).identity.user_id == "alice"
    refused = refusal(acceptor, issuer.sign(assertion(**change)))
    assert refused.reason is (Reason.ISSUER_UNKNOWN if why == "another issuer" else Reason.CREDENTIAL_INVALID)
    assert why in refused.detail


def test_an_issuer_with_a_format_that_is_no_entity_is_another_issuer(issuer: Issuer) -> None:
    acceptor = validator(issuer)
    entity = 'Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity"'
    good, bad = assertion().replace("<saml:Issuer>", f"<saml:Issuer {entity}>"), 'Format="urn:x"'
    assert validate(acceptor, issuer.sign(good))
    assert "another issuer" in refusal(acceptor, issuer.sign(good.replace(entity, bad))).detail


def test_an_assertion_ends_and_the_clock_may_be_off_by_the_skew(issuer: Issuer) -> None:
    octets, acceptor = issuer.sign(assertion(ends=300)), validator(issuer, clock_skew=60.0)
    assert validate(acceptor, octets, now=NOW + timedelta(seconds=359))
    refused = refusal(acceptor, octets, now=NOW + timedelta(seconds=360))
    assert refused.reason is Reason.CREDENTIAL_EXPIRED


def test_an_assertion_begins_and_the_clock_may_be_off_by_the_skew(issuer: Issuer) -> None:
    octets, acceptor = issuer.sign(assertion(begins=0)), validator(issuer, clock_skew=60.0)
    assert validate(acceptor, octets, now=NOW - timedelta(seconds=60))
    assert "not valid before" in refusal(acceptor, octets, now=NOW - timedelta(seconds=61)).detail


def test_the_identity_ends_with_the_assertion(issuer: Issuer) -> None:
    verified = validate(validator(issuer, clock_skew=10.0), issuer.sign(assertion(ends=300)))
    assert verified.expires_at == verified.identity.expires_at == NOW + timedelta(seconds=310)


def test_the_identity_ends_with_the_session_at_the_issuer_where_that_is_sooner(issuer: Issuer) -> None:
    session = AUTHENTICATION.replace("AuthnInstant", f'SessionNotOnOrAfter="{at(100)}" AuthnInstant')
    octets, acceptor = issuer.sign(assertion(authentication=session)), validator(issuer, clock_skew=10.0)
    assert validate(acceptor, octets).expires_at == NOW + timedelta(seconds=110)
    refused = refusal(acceptor, octets, now=NOW + timedelta(seconds=110))
    assert refused.reason is Reason.CREDENTIAL_EXPIRED


FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"


def between(begin: str, end: str) -> list[str]:
    """Assertions that begin, or the confirmation or session of which ends, at an instant."""
    conditions = f'<saml:Conditions NotBefore="{begin}" NotOnOrAfter="{at(LASTING)}">{OURS}</saml:Conditions>'
    session = AUTHENTICATION.replace("AuthnInstant", f'SessionNotOnOrAfter="{end}" AuthnInstant')
    ending = confirmation(attributes=f'NotOnOrAfter="{end}"')
    return [assertion(conditions=conditions), assertion(authentication=session), assertion(confirmations=ending)]


def test_the_first_and_the_last_instant_there_are_stand_for_always_and_never(issuer: Issuer) -> None:
    """.NET writes its least and its greatest DateTime so; a clock skew beyond them there is no date."""
    acceptor = validator(issuer)
    for always in between(FIRST, LAST):
        assert validate(acceptor, issuer.sign(always)).expires_at == NOW + timedelta(seconds=LASTING + 60)
    for never in between(LAST, FIRST):
        refusal(acceptor, issuer.sign(never))


def test_several_audiences_of_one_restriction_are_alternatives(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(restriction=audience("urn:dicom:OTHER", AUDIENCE) + OURS))
    assert validate(validator(issuer), octets)


def test_a_proxy_restriction_concerns_only_issuers(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(restriction=OURS + '<saml:ProxyRestriction Count="0"/>'))
    assert validate(validator(issuer), octets)


def test_an_assertion_serves_several_associations_by_default(issuer: Issuer) -> None:
    assert validate(validator(issuer), issuer.sign(assertion())).once == ()


@pytest.mark.parametrize(
    ("reuse", "condition"), [("never", ""), ("until-expiry", "<saml:OneTimeUse/>"), ("never", "<saml:OneTimeUse/>")]
)
def test_an_assertion_serves_once_where_acceptor_or_issuer_says_so(issuer: Issuer, reuse: str, condition: str) -> None:
    octets = issuer.sign(assertion(identifier="_x", restriction=OURS + condition))
    verified = validate(validator(issuer, reuse=reuse, clock_skew=10.0), octets)
    assert verified.once == (Once(("saml", IDP, "_x"), NOW + timedelta(seconds=LASTING + 10), NOW),)


def test_the_way_the_user_logged_in_can_be_asked_for(issuer: Issuer) -> None:
    acceptor = validator(issuer, authn_contexts=(PASSWORD,))
    assert validate(acceptor, issuer.sign(assertion())).identity.claims["authn_context"] == PASSWORD
    other = AUTHENTICATION.replace("PasswordProtectedTransport", "PreviousSession")
    assert "authn_contexts" in refusal(acceptor, issuer.sign(assertion(authentication=other))).detail
    assert "no AuthnStatement" in refusal(acceptor, issuer.sign(assertion(authentication=""))).detail


def test_how_long_ago_the_user_logged_in_can_be_limited(issuer: Issuer) -> None:
    octets, acceptor = issuer.sign(assertion()), validator(issuer, max_authn_age=100.0, clock_skew=10.0)
    assert validate(acceptor, octets, now=NOW + timedelta(seconds=49))
    refused = refusal(acceptor, octets, now=NOW + timedelta(seconds=50))
    assert refused.reason is Reason.CREDENTIAL_EXPIRED


def test_nobody_has_logged_in_tomorrow(issuer: Issuer) -> None:
    later = AUTHENTICATION.replace(at(-60), at(300))
    assert validate(validator(issuer), issuer.sign(assertion()))
    assert "future" in refusal(validator(issuer), issuer.sign(assertion(authentication=later))).detail


def test_an_assertion_about_nobody_is_refused(issuer: Issuer) -> None:
    nobody = assertion().replace(confirmation(), "")
    subject = nobody[nobody.index("<saml:Subject>") : nobody.index("<saml:Conditions")]
    assert validate(validator(issuer), issuer.sign(assertion()))
    assert "no Subject" in refusal(validator(issuer), issuer.sign(nobody.replace(subject, ""))).detail
