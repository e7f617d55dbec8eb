"""Our schema of audit messages admits what the standard's admits, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import TypeAlias

import pytest
from lxml import etree

from tests.audit import schemas
from tests.audit.samples import USERS, corpus
from useridentity.audit.message import MessageStyle, messages, to_xml

Element: TypeAlias = etree._Element

ODD_VALUES = (
    "",
    " ",
    "1",
    "27",
    "E",
    " E ",
    "x",
    "true",
    "1.5",
    "-3",
    "2026-11-22",
    "2026-11-22T09:30:00",
    "YWI",
    "YWJj",
)
"""Each is right for one type of attribute or element, and wrong for most."""


def documents() -> Iterator[Element]:
    """Every message of ours, and one with what we never send."""
    for user in USERS.values():
        for record in corpus(user).values():
            for message in messages(record, MessageStyle()):
                yield etree.fromstring(to_xml(message))
    yield etree.fromstring(
        '<AuditMessage><EventIdentification EventDateTime="2026-11-22T09:30:00Z" EventOutcomeIndicator="12">'
        '<EventID csd-code="1" codeSystemName="x" displayName="d" originalText="o"/></EventIdentification>'
        '<ActiveParticipant UserID="u" UserIsRequestor="0" NetworkAccessPointTypeCode="5"><MediaIdentifier>'
        '<MediaType csd-code="1" codeSystemName="x" originalText="o"/></MediaIdentifier></ActiveParticipant>'
        '<AuditSourceIdentification AuditEnterpriseSiteID="s" AuditSourceID="i"><AuditSourceTypeCode csd-code="x" '
        'codeSystemName="c" originalText="o"/><AuditSourceTypeCode csd-code="9"/></AuditSourceIdentification>'
        '<ParticipantObjectIdentification ParticipantObjectID="p" ParticipantObjectDataLifeCycle="15" '
        'ParticipantObjectSensitivity="VIP" ParticipantObjectTypeCode="4" ParticipantObjectTypeCodeRole="26">'
        '<ParticipantObjectIDTypeCode csd-code="1" codeSystemName="x" originalText="o"/><ParticipantObjectName>n'
        '</ParticipantObjectName><ParticipantObjectDescription><MPPS UID="1.2"/><Accession Number="a"/>'
        '<SOPClass NumberOfInstances="0"/><ParticipantObjectContainsStudy><StudyIDs UID="1"/>'
        "</ParticipantObjectContainsStudy><Encrypted>true</Encrypted><Anonymized>0</Anonymized>"
        "</ParticipantObjectDescription></ParticipantObjectIdentification></AuditMessage>"
    )


def mutations(document: Element) -> Iterator[Element]:
    """The document with one thing changed, everywhere in turn."""
    for number, element in enumerate(document.iter()):
        for change in (*attribute_changes(element), *element_changes(element)):
            changed = deepcopy(document)
            change(list(changed.iter())[number])
            yield changed


def attribute_changes(element: Element) -> Iterator[Callable[[Element], object]]:
    for name in dict(element.attrib):
        yield lambda each, name=name: each.attrib.pop(name)  # type: ignore[misc]
        for value in ODD_VALUES:
            yield lambda each, name=name, value=value: each.set(name, value)  # type: ignore[misc]
    for name in ("UID", "csd-code", "displayName", "unknown", "{urn:other}UserID"):
        yield lambda each, name=name: each.set(name, "1")  # type: ignore[misc]


def element_changes(element: Element) -> Iterator[Callable[[Element], object]]:
    yield lambda each: each.append(etree.Element("Unknown"))
    yield lambda each: each.append(deepcopy(each[0])) if len(each) else None
    yield lambda each: each.append(each[0]) if len(each) else None  # the first child becomes the last
    yield lambda each: each.remove(each[0]) if len(each) else None
    yield lambda each: setattr(each, "tag", "{urn:other}" + str(each.tag))
    for text in ODD_VALUES:
        yield lambda each, text=text: setattr(each, "text", text)  # type: ignore[misc]


def different_documents() -> list[Element]:
    """One of each shape is enough to mutate: those of other users have the same."""
    shapes: dict[str, Element] = {}
    for document in documents():
        shapes.setdefault(" ".join(str(element.tag) for element in document.iter()), document)
    return [*sorted(shapes.values(), key=len)[::4], document]


def test_both_schemas_admit_every_message_of_ours() -> None:
    for document in documents():
        for schema in schemas.schemas():
            assert schema.validate(document), schema.error_log


def test_all_schemas_at_hand_judge_mutated_documents_alike() -> None:
    judged = {True: 0, False: 0}
    for document in different_documents():
        for changed in mutations(document):
            verdicts = {schema.validate(changed) for schema in schemas.schemas()}
            assert len(verdicts) == 1, etree.tostring(changed)
            judged[verdicts.pop()] += 1
    assert min(judged.values()) > 500, "the corpus says little"


@pytest.mark.parametrize(
    "document",
    [
        "<Unknown/>",
        "<AuditMessage/>",
        '<AuditMessage xmlns="urn:other"/>',
    ],
)
def test_our_schema_refuses_what_is_no_message(document: str) -> None:
    assert not schemas.own().validate(etree.fromstring(document))
