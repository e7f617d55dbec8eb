"""What no peer's words, and no number of them, can do to audit messages."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.audit import golden, schemas
from tests.audit.golden import DICOM, documents, told
from tests.audit.hostile import HOSTILE, WORDS, spoiled
from tests.audit.samples import JWT, NODE, PASSCODE, corpus, record
from tests.audit.tables import problems
from useridentity.audit.message import MessageStyle, messages, to_xml
from useridentity.audit.message.size import smaller
from useridentity.audit.record import MAX_TEXT, Kind, Operation, Requestor, SopClass, Study, User
from useridentity.audit.transfers import MAX_STUDIES

IHE = MessageStyle(user_name="ihe")

HEADER = 600
"""Octets that RFC 5424 puts before a message, at most: a host name of 255 and a process id of 128 among them."""


def test_a_message_that_is_too_large_loses_what_is_needed_least() -> None:
    sizes = [len(to_xml(each)) for each in smaller(messages(corpus()["stored"], DICOM)[0])]
    assert sizes[0] > sizes[1] == sizes[2] > sizes[3] == sizes[4]
    whole, _, least, *_ = (etree.fromstring(to_xml(each)) for each in smaller(messages(corpus()["queried"], DICOM)[0]))
    assert whole.findtext(".//ParticipantObjectQuery")
    assert not least.findtext(".//ParticipantObjectQuery")
    assert least.xpath("//ParticipantObjectDetail/@type") == ["TransferSyntax", "Truncated"]


def test_of_many_sop_classes_a_short_message_has_the_number_of_all_instances() -> None:
    *_, shortest = smaller(messages(corpus()["stored"], DICOM)[0])
    document = etree.fromstring(to_xml(shortest))
    assert [dict(each.attrib) for each in document.iter("SOPClass")] == [{"NumberOfInstances": "3"}]
    *_, shortest = smaller(messages(corpus()["performed"], DICOM)[0])
    document = etree.fromstring(to_xml(shortest))
    assert document.xpath("//SOPClass/@UID") == ["1.2.840.10008.3.1.2.3.3"]
    assert document.xpath("//MPPS/@UID") == ["1.2.826.0.1.3680043.8.498.21"]


@pytest.mark.parametrize("word", ["x", "<", "\x01"])
@pytest.mark.parametrize("name", ["accepted", "begun-move", "stored", "queried", "performed", "refused"])
def test_no_peer_makes_a_message_longer_than_every_receiver_takes(name: str, word: str) -> None:
    """PS3.15 A.6: 32,768 octets; with all strings and lists as long as a record has them, and still valid."""
    long, uids = word * MAX_TEXT, tuple(f"{number}{word * 60}" for number in range(100))
    study = Study("", long, long, uids[:5], tuple(SopClass(uid, 1, (uid,)) for uid in uids[:5]))
    user = replace(JWT, subject=long, user_id=long, issuer=long, display_name=long, presented=long, actor=long)
    user = replace(user, groups=uids, purposes=uids)
    made = replace(
        corpus(user)[name],
        detail=long,
        requestor=Requestor(long, "10.0.0.7", 1, "none", long),
        studies=tuple(replace(study, study_instance_uid=uid) for uid in uids[:MAX_STUDIES]),
    )
    for message in messages(made, replace(golden.STYLE, purpose_of_use="ihe")):
        *_, shortest = smaller(message)
        assert len(to_xml(shortest)) < 32768 - HEADER
        assert schemas.own("audit-message-ihe").validate(etree.fromstring(to_xml(shortest)))
        assert problems(etree.fromstring(to_xml(replace(shortest, purposes=())))) == []


def test_many_studies_make_several_messages_each_with_the_patient() -> None:
    for count, expected in ((32, 1), (33, 2), (64, 2)):
        studies = tuple(Study(f"1.2.826.0.1.3680043.8.498.{number}", "P1") for number in range(count))
        found = documents(replace(corpus()["begun-move"], studies=studies))
        assert [document.xpath("count(//*[@ParticipantObjectTypeCode='1'])") for document in found] == [1.0] * expected
        uids = [uid for each in found for uid in each.xpath("//*[@ParticipantObjectTypeCode='2']/@ParticipantObjectID")]
        assert uids == [study.study_instance_uid for study in studies]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.threat("F1")
def test_a_peers_words_stay_the_value_of_their_attribute(text: str) -> None:
    """Controls are shown as escapes, markup is markup no longer, and everything else is kept."""
    user = replace(PASSCODE, display_name=text)
    plain = [element.tag for element in documents(corpus()["accepted"])[0].iter()]
    (document,) = documents(corpus(user)["accepted"])
    assert [element.tag for element in document.iter()] == plain
    shown = document.find("ActiveParticipant").get("UserName")
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.threat("F1")
def test_whatever_stands_in_every_field_the_message_is_the_same_but_for_its_words(text: str) -> None:
    """ISO 2022 escapes, delimiters of DICOM and HL7, blanks and our own words among it."""
    for user in (PASSCODE, JWT, NODE):
        for name, made in corpus(user).items():
            wanted, found = documents(made), documents(spoiled(made, text))
            assert [problems(each) for each in wanted] == [[]] * len(wanted), name
            assert [problems(each) for each in found] == [[]] * len(found), name
            for document in found:
                assert all(schema.validate(document) for schema in schemas.schemas()), name
                words = [*document.xpath("//@*"), *document.xpath("//text()")]
                assert all(str(word).isprintable() for word in words), name
                described = EVENT.search(document.findtext("EventIdentification/EventOutcomeDescription"))
                assert described
                assert described[1] == made.event_id


EVENT = re.compile(r"; event ([0-9a-f-]{36})(?:, association (\S+?))?(?:, part (\d+) of (\d+))?$")
"""As docs/audit-messages.md has it for receivers."""


def test_a_peers_words_are_not_taken_for_ours() -> None:
    """In the description, where clauses stand beside each other, and in the list of AE titles (A.5.2.2)."""
    for title, said, titles in (
        ("WS_1", "from WS_1, TLS peer", "AETITLES=WS_1"),
        ("A, TLS peer CN=x", 'from "A, TLS peer CN=x", TLS peer', "AETITLES=A, TLS peer CN=x"),
        ('A", by root', 'from "A\\x22, by root", TLS peer', 'AETITLES=A", by root'),
        ("A;ADMIN", 'from "A;ADMIN", TLS peer', "AETITLES=A\\x3bADMIN"),
    ):
        requestor = replace(corpus()["accepted"].requestor, ae_title=title)
        assert said in told(replace(corpus()["accepted"], requestor=requestor))
        (document,) = documents(replace(corpus()["stored"], requestor=requestor))
        assert document.find("ActiveParticipant").get("AlternativeUserID") == titles
        assert document.find("ActiveParticipant").get("UserID") == title
    for name, said in (("WS_2", "C-MOVE to WS_2 0124H"), ("A, by root", 'C-MOVE to "A, by root" 0124H')):
        refused = corpus()["refused"]
        assert refused.operation
        assert said in told(replace(refused, operation=replace(refused.operation, destination=name)))


def test_patients_without_an_id_are_not_taken_for_one() -> None:
    """Each has a message (ITI-20 3.20.7.1); the same id is the same patient, however the name is written."""
    moved = corpus()["moved"]
    nameless = (Study("1.1", "", "Doe^Jane"), Study("1.2", "", "Roe^Richard"), Study("1.3", "", "Doe^Jane"))
    names = "//*[@ParticipantObjectTypeCode='1']/ParticipantObjectName/text()"
    assert [each.xpath(names) for each in documents(replace(moved, studies=nameless))] == [
        ["Doe^Jane"],
        ["Roe^Richard"],
    ]
    twice = (Study("1.1", "P1", "Doe^Jane"), Study("1.2", "P1", "DOE^JANE=\u5c71\u7530=\u3084\u307e\u3060"))
    assert [each.xpath(names) for each in documents(replace(moved, studies=twice))] == [["Doe^Jane"]]


def test_a_name_with_all_its_groups_is_kept_whole() -> None:
    name = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046"
    (document,) = documents(replace(corpus()["stored"], studies=(Study("1.1", "P1^^^&1.2&ISO|x", name),)))
    patient = document.find("ParticipantObjectIdentification[@ParticipantObjectTypeCode='1']")
    assert (patient.get("ParticipantObjectID"), patient.findtext("ParticipantObjectName")) == ("P1^^^&1.2&ISO|x", name)


_anything = st.text(st.characters(), max_size=40)
_few = st.lists(_anything, max_size=3).map(tuple)


@given(
    user=st.builds(
        User,
        identity_type=st.sampled_from([None, 1, 2, 3, 4, 5, 99]),
        presented=_anything,
        subject=_anything,
        user_id=_anything,
        display_name=_anything,
        issuer=_anything | st.just("https://[::1"),
        assurance=st.sampled_from(["", "unproved", "asserted", "authenticated"]),
        groups=_few,
        purposes=_few,
        actor=_anything,
    ),
    kind=st.sampled_from(Kind),
    studies=st.lists(
        st.builds(
            Study,
            _anything,
            _anything,
            _anything,
            _few,
            st.lists(st.builds(SopClass, _anything, st.just(1))).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    operation=st.none() | st.builds(Operation, _anything, _anything, destination=_anything, identifier=st.binary()),
    detail=_anything,
)
def test_any_record_gives_messages_that_the_schema_admits(
    user: User, kind: Kind, studies: tuple[Study, ...], operation: Operation | None, detail: str
) -> None:
    made = record(kind, 1, user, studies=studies, operation=operation, detail=detail)
    for document in documents(made, IHE):
        for schema in schemas.schemas():
            assert schema.validate(document), schema.error_log
