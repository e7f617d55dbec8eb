"""Audit messages: the fields of PS3.15 A.5.2, the golden files, and what no peer's words can do to them."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from tests.audit import golden, schemas
from tests.audit.golden import DICOM, documents, told
from tests.audit.samples import JWT, KERBEROS, PASSCODE, SAML, USERNAME, USERS, corpus
from useridentity.audit.codes import LOCAL_SCHEME
from useridentity.audit.message import AuditMessage, MessageSettings, MessageStyle, messages, to_xml
from useridentity.audit.record import Kind, Record, User
from useridentity.decision import Reason
from useridentity.errors import ConfigurationError

IHE = MessageStyle(user_name="ihe")


def indented(made: Record) -> str:
    """The messages of a record, one below the other, as the golden files have them."""
    found = documents(made, golden.STYLE)
    for each in found:
        etree.indent(each)
    return "".join(etree.tostring(each, encoding="unicode") + "\n" for each in found)


def user_of(message: AuditMessage) -> etree._Element:
    """The ActiveParticipant that is the user."""
    position = next(number for number, each in enumerate(message.participants) if each.is_user)
    return etree.fromstring(to_xml(message)).findall("ActiveParticipant")[position]


@pytest.mark.parametrize("name", corpus())
def test_every_sort_of_record_gives_the_message_that_was_reviewed(name: str) -> None:
    made = indented(corpus()[name])
    assert made == golden.expected(f"message/{name}.xml", made)


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("kind", ["accepted", "rejected", "stored"])
def test_every_identity_type_gives_the_message_that_was_reviewed(name: str, kind: str) -> None:
    made = indented(corpus(USERS[name])[kind])
    assert made == golden.expected(f"identity/{name}-{kind}.xml", made)


def test_there_is_a_message_for_every_kind_of_record() -> None:
    assert {made.kind for made in corpus().values()} == set(Kind)


@pytest.mark.parametrize(
    ("user", "user_id", "alternative", "by_dicom", "by_ihe"),
    [
        (USERNAME, "alice@workstations", "workstations:alice", None, None),
        (PASSCODE, "alice@staff", "staff:alice", "Alice Archer", "Alice Archer"),
        (KERBEROS, "alice@EXAMPLE.ORG", "alice@EXAMPLE.ORG", None, None),
        (
            SAML,
            "alice@idp.example.org",
            "https://idp.example.org/saml#alice",
            "Alice Archer",
            "AA<alice@https://idp.example.org/saml>",
        ),
        (
            JWT,
            "248289761001@idp.example.org",
            "https://idp.example.org#248289761001",
            "Alice Archer",
            "dicom:ARCHIVE<248289761001@https://idp.example.org>",
        ),
        (replace(SAML, attributes={}), "alice@idp.example.org", None, None, "<alice@https://idp.example.org/saml>"),
    ],
)
def test_a_user_is_named_by_the_rule_of_dicom_or_of_ihe(
    user: User, user_id: str, alternative: str | None, by_dicom: str | None, by_ihe: str | None
) -> None:
    """PS3.15 A.5.2.1 to A.5.2.3; ITI-40 3.40.4.2 and IUA 3.72.5.1."""
    login = corpus(user)["accepted"]
    dicom, ihe = user_of(messages(login, DICOM)[0]), user_of(messages(login, IHE)[0])
    assert dicom.get("UserID") == ihe.get("UserID") == user_id
    assert alternative in (None, dicom.get("AlternativeUserID"))
    assert by_dicom in (None, dicom.get("UserName"))
    assert ihe.get("UserName") == by_ihe


def test_a_claimed_name_is_sent_as_claimed_and_never_as_proved() -> None:
    user = user_of(messages(corpus()["rejected"], DICOM)[0])
    assert dict(user.attrib) == {
        "UserID": "alice",
        "UserIsRequestor": "true",
        "NetworkAccessPointID": "10.20.0.7",
        "NetworkAccessPointTypeCode": "2",
    }


def test_nobody_is_named_where_a_peer_was_let_in_unproved() -> None:
    unproved = replace(PASSCODE, identity_type=None, assurance="unproved")
    for made in corpus(unproved).values():
        for message in messages(made, DICOM):
            assert not any(each.is_user for each in message.participants)


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_one_participant_at_most_is_the_requestor(user: User) -> None:
    for name, made in corpus(user).items():
        for message in messages(made, DICOM):
            asking = [each for each in message.participants if each.is_requestor]
            # An alert's performing participants shall not be; who starts an application is not known.
            nobody = message.event.value == "110100" or (message.event.value == "110113" and made.association)
            assert len(asking) == (0 if nobody else 1), name


def test_roles_come_from_groups_by_the_configured_map() -> None:
    settings = MessageSettings(roles={"radiology": ("RAD", "99STEXAMPLE", "Radiologist")})
    roles = user_of(messages(corpus()["stored"], settings.style)[0]).findall("RoleIDCode")
    assert [tuple(role.attrib.values()) for role in roles] == [
        ("RAD", "99STEXAMPLE", "Radiologist"),
        ("teaching", LOCAL_SCHEME, "teaching"),
    ]


def test_settings_say_what_is_wrong_with_codes() -> None:
    with pytest.raises(ConfigurationError) as raised:
        MessageSettings(roles={"radiology": ("RAD",)}, source_type=10)
    assert raised.value.problems == (
        'roles.radiology: should be three strings, ["CODE", "SYSTEM", "meaning"]',
        "source_type: 10 should be 1 to 9 (PS3.15 A.5.1.2.1)",
    )


def test_purpose_of_use_is_ihes_extension_and_sent_on_request_only() -> None:
    login = corpus(SAML)["accepted"]
    (plain,) = documents(login)
    assert plain.find(".//PurposeOfUse") is None
    (extended,) = documents(login, replace(golden.STYLE, purpose_of_use="ihe"))
    purpose = extended.find("EventIdentification/PurposeOfUse")
    assert tuple(purpose.attrib.values()) == ("TREAT", "2.16.840.1.113883.5.8", "treatment")
    assert schemas.own("audit-message-ihe").validate(extended)
    assert schemas.own("audit-message-ihe").validate(plain)
    assert not schemas.own().validate(extended)


def test_a_purpose_of_use_keeps_the_system_it_was_stated_in() -> None:
    """An identity has each purpose alone and with its system; it is sent once."""
    words = ("ETREAT", "TREAT", "urn:oid:1.2.3|ETREAT", "urn:oid:1.2.3|TREAT", "research")
    assert golden.STYLE.purpose_codes(words) == [
        ("ETREAT", "urn:oid:1.2.3", "ETREAT"),
        ("TREAT", "2.16.840.1.113883.5.8", "treatment"),
        ("research", LOCAL_SCHEME, "research"),
    ]


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.word)
def test_a_rejection_says_how_serious_it_is(reason: Reason) -> None:
    """Table A.5.2-1: 4 for "invalid password with first retry", 12 for an account that is disabled, else 8."""
    rejected = replace(corpus()["rejected"], reason=reason.word)
    (document,) = documents(rejected)
    wrong = {"credential-invalid", "credential-expired", "replayed", "issuer-unknown"}
    expected = "4" if reason.word in wrong else "12" if reason is Reason.PENALTY else "8"
    assert document.find("EventIdentification").get("EventOutcomeIndicator") == expected
    assert reason.word in document.findtext("EventIdentification/EventOutcomeDescription")


def test_patients_have_a_message_each_with_the_same_event_id() -> None:
    """ITI-20 3.20.7.1."""
    made = corpus()["moved"]
    texts = [document.findtext("EventIdentification/EventOutcomeDescription") for document in documents(made)]
    assert [text.partition("event ")[2] for text in texts] == [
        f"{made.event_id}, association {made.association}, part {part} of 2" for part in (1, 2)
    ]
    assert [d.xpath("string(//*[@ParticipantObjectTypeCode='1']/@ParticipantObjectID)") for d in documents(made)] == [
        "PID1",
        "PID2",
    ]


def test_who_broke_the_glass_is_an_alert_beside_the_login() -> None:
    login, alert = documents(corpus()["accepted-emergency"])
    assert login.xpath("string(//EventTypeCode/@csd-code)") == "110122"
    assert alert.xpath("string(//EventTypeCode/@csd-code)") == "110127"
    logout, ended = documents(corpus()["released-emergency"])
    assert logout.xpath("string(//EventTypeCode/@csd-code)") == "110123"
    assert ended.xpath("string(//EventTypeCode/@csd-code)") == "110138"


def test_a_login_and_a_logout_name_the_machine_and_a_claim_that_was_another() -> None:
    """Their table has no participant for a machine, which other messages have."""
    for name in ("accepted", "rejected", "released", "aborted"):
        assert 'from WS_1, TLS peer "CN=ws1.example.org,O=Radiology"' in told(corpus()[name])
        assert "presented" not in told(corpus()[name])
        assert "actor https://idp.example.org#viewer" in told(corpus(JWT)[name]) or name == "rejected"
    assert "presented mallory" in told(corpus(replace(PASSCODE, presented="mallory"))["accepted"])


def test_the_end_of_an_association_says_by_whom_how_long_and_how_much() -> None:
    assert "released by requestor after 12.5 s, 4 operations, 3 instances, 4.6 KB" in told(corpus()["released"])
    for name, outcome in (("released", "0"), ("aborted", "0"), ("lost", "4")):
        (document,) = documents(corpus()[name])
        assert document[0].get("EventOutcomeIndicator") == outcome


def test_a_refused_move_says_where_to() -> None:
    (document,) = documents(corpus()["refused"])
    (where,) = document.xpath("//ParticipantObjectDetail[@type='Move Destination']/@value")
    assert b64decode(where) == b"WS_2"


@pytest.mark.parametrize(
    ("address", "host", "expected"),
    [
        ("10.0.0.5", "pacs.example.org", ["10.0.0.5"]),
        ("fe80::1", "", ["fe80::1"]),
        ("", "pacs.example.org", ["pacs@example.org"]),
        ("somewhere", "pacs", []),
    ],
)
def test_a_node_is_an_address_or_a_name_at_a_domain_or_not_told(address: str, host: str, expected: list[str]) -> None:
    """Table A.5.3.11-1."""
    made = corpus()["policy-reloaded"]
    (document,) = documents(replace(made, acceptor=replace(made.acceptor, address=address, host=host)))
    assert document.xpath("//@ParticipantObjectID") == expected


def test_accession_numbers_are_kept_where_no_instances_are_known() -> None:
    (document,) = documents(corpus()["begun-store"])
    (number,) = document.xpath("//ParticipantObjectDetail[@type='Accession Number']/@value")
    assert b64decode(number) == b"ACC1"
    (document,) = documents(corpus()["stored"])
    assert document.xpath("//Accession/@Number") == ["ACC1"]


def test_a_message_names_the_event_by_which_a_duplicate_is_known() -> None:
    for made in corpus().values():
        for document in documents(made):
            assert f"event {made.event_id}" in document.findtext("EventIdentification/EventOutcomeDescription")


def test_penalties_and_floods_are_major_only_where_an_account_is_concerned() -> None:
    """Table A.5.2-1 against Table A.5.3.11-1: of an alert, major says that security may have been compromised."""
    made = corpus()
    nobody = replace(made["rejected-penalty"], user=User())
    for told_of, event, outcome in (
        (made["rejected-penalty"], "110114", "12"),
        (nobody, "110113", "8"),
        (made["rejected"], "110114", "4"),
        (made["suppressed"], "110113", "8"),
        (made["refused"], "110113", "8"),
        (made["stored-failed"], "110104", "8"),
        (made["recording-resumed"], "110113", "12"),
    ):
        (document,) = documents(told_of)
        assert document.xpath("string(//EventID/@csd-code)") == event
        assert document[0].get("EventOutcomeIndicator") == outcome


def test_who_acts_for_a_user_is_told_where_the_table_has_no_room_for_him() -> None:
    """Tables A.5.3.6-1 and A.5.3.15-1: two participants, the process and the person."""
    assert "actor" not in told(corpus()["performed"])
    assert "actor https://idp.example.org#viewer" in told(corpus(JWT)["performed"])


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (datetime(2026, 11, 22, 9, 30, 0, 123999, UTC), "2026-11-22T09:30:00.123Z"),
        (datetime(2026, 11, 22, 9, 30, tzinfo=UTC), "2026-11-22T09:30:00.000Z"),
        (datetime(2026, 11, 22, 9, 30, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2026-11-22T03:45:00.000Z"),
        (datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin")), "2026-03-29T01:30:00.000Z"),
        (datetime(2026, 1, 1, 0, 0, 0, 999999, timezone(timedelta(hours=14))), "2025-12-31T10:00:00.999Z"),
    ],
)
def test_a_time_is_told_in_utc_to_the_millisecond_and_never_later_than_it_was(time: datetime, expected: str) -> None:
    (document,) = documents(replace(corpus()["stored"], time=time))
    assert document[0].get("EventDateTime") == expected
