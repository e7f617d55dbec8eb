"""What an assertion says of its subject."""

from __future__ import annotations

import pytest

from tests.mechanisms.saml.issuer import (
    IDP,
    ROLE,
    SUBJECT_ID,
    Issuer,
    assertion,
    attribute,
    refusal,
    validate,
    validator,
)
from useridentity.identity import Assurance, Kind
from useridentity.mechanisms.saml import Groups
from useridentity.mechanisms.saml.attributes import CLAIMS

CODED = '<hl7:Role xmlns:hl7="urn:hl7-org:v3" xsi:type="hl7:CE" code="46255001" codeSystem="2.16.840.1.113883.6.96"/>'
IDENTIFIER = '<hl7:id xmlns:hl7="urn:hl7-org:v3" xsi:type="hl7:II" root="1.2.3" extension="77"/>'
PROVIDER = CLAIMS["provider_identifier"]
PURPOSE = CLAIMS["purpose_of_use"]
TRANSIENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient"'


def test_the_identity_is_the_issuers_subject_and_names_it(issuer: Issuer) -> None:
    identity = validate(validator(issuer), issuer.sign(assertion(identifier="_x"))).identity
    assert (identity.subject, identity.user_id, identity.issuer) == (f"{IDP}#alice", "alice", IDP)
    assert (identity.assurance, identity.kind, identity.identity_type) == (Assurance.AUTHENTICATED, Kind.PERSON, 4)
    assert (identity.display_name, identity.presented) == ("Alice Archer", "alice")
    assert identity.claims["assertion_id"] == "_x"


@pytest.mark.threat("S6")
def test_no_two_issuers_users_have_the_same_subject(issuer: Issuer) -> None:
    subjects = set()
    for name, user in (("urn:a", "b#c"), ("urn:a#b", "c")):
        acceptor = validator(issuer, issuer=name)
        subjects.add(validate(acceptor, issuer.sign(assertion(issuer=name, name_id=user))).identity.subject)
    assert len(subjects) == 2


def test_the_attributes_of_xspa_and_xua_are_claims(issuer: Issuer) -> None:
    sent = "".join(attribute(source, f"value of {name}") for name, source in CLAIMS.items())
    claims = validate(validator(issuer), issuer.sign(assertion(attributes=sent))).identity.claims
    assert {name: claims[name] for name in CLAIMS} == {name: (f"value of {name}",) for name in CLAIMS}


@pytest.mark.parametrize(
    ("name", "value", "claim", "expected"),
    [
        (ROLE, CODED, "role", "2.16.840.1.113883.6.96|46255001"),
        (PURPOSE, CODED.replace("Role", "PurposeOfUse"), "purpose_of_use", "2.16.840.1.113883.6.96|46255001"),
        (PROVIDER, IDENTIFIER, "provider_identifier", "1.2.3|77"),
    ],
)
def test_hl7_values_of_xua_are_read(issuer: Issuer, name: str, value: str, claim: str, expected: str) -> None:
    octets = issuer.sign(assertion(attributes=attribute(name, value)))
    assert validate(validator(issuer), octets).identity.claims[claim] == (expected,)


def test_an_hl7_code_that_is_the_value_itself_is_read(issuer: Issuer) -> None:
    sent = attribute(ROLE, "").replace(
        "<saml:AttributeValue>", '<saml:AttributeValue xmlns="urn:hl7-org:v3" xsi:type="CE" code="1" codeSystem="9">'
    )
    assert validate(validator(issuer), issuer.sign(assertion(attributes=sent))).identity.claims["role"] == ("9|1",)


def test_an_attribute_may_have_several_values(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(attributes=attribute(ROLE, "radiologist", " referrer ")))
    assert validate(validator(issuer), octets).identity.claims["role"] == ("radiologist", "referrer")


def test_groups_come_by_the_map_only(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(attributes=attribute(ROLE, "radiologist", "admin", CODED)))
    groups = Groups({"radiologist": "radiology", "2.16.840.1.113883.6.96|46255001": "pharmacy"})
    assert validate(validator(issuer), octets).identity.groups == frozenset()
    assert validate(validator(issuer, groups=groups), octets).identity.groups == {"radiology", "pharmacy"}


def test_groups_may_come_from_another_attribute(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(attributes=attribute("memberOf", "cn=rad") + attribute(ROLE, "cn=ct")))
    groups = Groups({"cn=rad": "radiology", "cn=ct": "ct"}, "memberOf")
    assert validate(validator(issuer, groups=groups), octets).identity.groups == {"radiology"}


def test_further_attributes_are_claims_where_they_are_asked_for(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(attributes=attribute("urn:x:cohort", "P1", "P2")))
    assert "cohort" not in validate(validator(issuer), octets).identity.claims
    acceptor = validator(issuer, claims={"cohort": "urn:x:cohort"})
    assert validate(acceptor, octets).identity.claims["cohort"] == ("P1", "P2")


def test_an_attribute_of_another_format_is_another_attribute(issuer: Issuer) -> None:
    basic = ' NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:basic"'
    for name_format, there in ((basic, True), (' NameFormat="urn:x"', False)):
        octets = issuer.sign(assertion(attributes=attribute(ROLE, "r", name_format=name_format)))
        assert ("role" in validate(validator(issuer), octets).identity.claims) is there


WRONG = {
    "twice": (attribute(ROLE, "a") + attribute(ROLE, "b"), "twice"),
    "other-content": (attribute(ROLE, "<x><y/></x>"), "neither text"),
    "text-around": (attribute(ROLE, "<x/><x/>"), "neither text"),
    "control-characters": (attribute(SUBJECT_ID, "Alice&#13;Archer"), "control"),
    "bidirectional-override": (attribute(SUBJECT_ID, "Alice\u202e"), "control"),
}


@pytest.mark.parametrize(("attributes", "why"), WRONG.values(), ids=WRONG)
def test_an_attribute_that_cannot_be_read_in_one_way_is_refused(issuer: Issuer, attributes: str, why: str) -> None:
    assert validate(validator(issuer), issuer.sign(assertion()))
    assert why in refusal(validator(issuer), issuer.sign(assertion(attributes=attributes))).detail


def test_attributes_that_nobody_asked_for_are_not_looked_at(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(attributes=attribute("x", "<x><y/></x>") + attribute("x", "&#13;")))
    assert validate(validator(issuer), octets)


@pytest.mark.parametrize("name_id", ["", "a" * 257, "a&#10;b", "a\u200bb", "<x/>"])
def test_a_name_that_people_cannot_read_is_refused(issuer: Issuer, name_id: str) -> None:
    assert validate(validator(issuer), issuer.sign(assertion(name_id="a" * 256)))
    assert refusal(validator(issuer), issuer.sign(assertion(name_id=name_id)))


def test_a_subject_without_a_name_is_refused(issuer: Issuer) -> None:
    nameless = assertion().replace("<saml:NameID>alice</saml:NameID>", "")
    assert validate(validator(issuer), issuer.sign(assertion()))
    assert "no NameID" in refusal(validator(issuer), issuer.sign(nameless)).detail


def test_a_name_that_changes_each_time_is_refused_unless_it_is_allowed(issuer: Issuer) -> None:
    octets = issuer.sign(assertion(name_format=f' Format="{TRANSIENT}'))
    assert validate(validator(issuer, name_id_formats=(TRANSIENT[:-1],)), octets)
    assert "name_id_formats" in refusal(validator(issuer), octets).detail


def test_purposes_of_use_are_known_by_code_alone_and_with_its_system(issuer: Issuer) -> None:
    sent = attribute(PURPOSE, CODED.replace("Role", "PurposeOfUse"))
    purposes = validate(validator(issuer), issuer.sign(assertion(attributes=sent))).identity.purposes
    assert purposes == {"46255001", "2.16.840.1.113883.6.96|46255001"}
    plain = attribute(PURPOSE, "TREATMENT")
    assert validate(validator(issuer), issuer.sign(assertion(attributes=plain))).identity.purposes == {"TREATMENT"}
    assert validate(validator(issuer), issuer.sign(assertion())).identity.purposes == frozenset()
