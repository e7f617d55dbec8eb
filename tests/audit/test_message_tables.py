"""Every message has what its table in PS3.15 A.5.3 makes mandatory, and the values that the table demands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from lxml import etree

from tests.audit.samples import USERS, corpus
from tests.audit.tables import TABLES, Entity, Rows, Table
from useridentity.audit.message import MessageStyle, messages, to_xml
from useridentity.audit.record import User

Element = etree._Element


def value_of(element: Element, name: str) -> str | None:
    """The value of a field, wherever the schema has it: an attribute, a code, a detail or an element's text."""
    name, _, kind = name.partition(":")
    if kind:
        return next((each.get("value") for each in element.findall(name) if each.get("type") == kind), None)
    child = element.find(name)
    if child is None:
        return element.get(name)
    return child.get("csd-code") or child.text


def problems(element: Element, rows: Rows, where: str) -> Iterator[str]:
    """The rows of a table that an element does not fulfil."""
    for name, wanted in rows.items():
        value = value_of(element, name)
        if not value:
            yield f"{where}: {name} is M and missing"
        elif wanted != "M" and value not in wanted:
            yield f"{where}: {name} is {value}, should be one of {sorted(wanted)}"


def entity_problems(elements: list[Element], entities: tuple[Entity, ...], code: str) -> Iterator[str]:
    """Each element belongs to the first entity that it fits; each entity has as many as it may have."""
    found: dict[str, int] = {entity.name: 0 for entity in entities}
    for element in elements:
        codes = {each.get("csd-code") for each in element.findall(code)}
        entity = next((each for each in entities if each.role is None or each.role & codes), None)
        if entity is None:
            yield f"{etree.tostring(element)!r} has no place in the table"
            continue
        found[entity.name] += 1
        yield from problems(element, entity.rows, entity.name)
    for entity in entities:
        if not entity.least <= found[entity.name] <= entity.most:
            yield f"{found[entity.name]} of {entity.name}, should be {entity.least} to {entity.most}"


def table_problems(document: Element, table: Table) -> list[str]:
    return [
        *problems(document[0], table.event, "event"),
        *entity_problems(document.findall("ActiveParticipant"), table.participants, "RoleIDCode"),
        *entity_problems(
            document.findall("ParticipantObjectIdentification"), table.objects, "ParticipantObjectIDTypeCode"
        ),
    ]


def documents(user: User) -> Iterator[tuple[str, Element]]:
    for name, record in corpus(user).items():
        for message in messages(record, MessageStyle()):
            yield name, etree.fromstring(to_xml(message))


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_every_message_fulfils_its_table(user: User) -> None:
    seen = set()
    for name, document in documents(user):
        event = document.find("EventIdentification/EventID").get("csd-code")
        seen.add(event)
        assert table_problems(document, TABLES[event]) == [], name
    assert seen == set(TABLES) - ({"110114"} if user.identity_type is None else set())


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_what_tables_say_in_words_is_fulfilled(user: User) -> None:
    for name, document in documents(user):
        who = document.findall("ActiveParticipant")
        match document.find("EventIdentification/EventID").get("csd-code"):
            case "110114":
                assert who[0].get("NetworkAccessPointTypeCode"), f"{name}: M for the person (Table A.5.3.12-1)"
                assert who[0].get("NetworkAccessPointID"), name
                assert not document.findall("ParticipantObjectIdentification"), "none are needed (A.5.3.12)"
            case "110113":
                performing = {each.get("UserIsRequestor") for each in who[1:]}
                assert performing <= {"false"}, f"{name}: shall be FALSE (Table A.5.3.11-1)"
        for description in document.iter("ParticipantObjectDescription"):
            assert description.find("SOPClass") is not None, f"{name}: MC beside optional fields (Table A.5.2-1)"
        time = datetime.fromisoformat(document[0].get("EventDateTime"))
        assert time.utcoffset() == timedelta(0), f"{name}: shall include the time zone (A.5.2.5)"


def test_a_missing_or_wrong_field_is_found() -> None:
    """The twin of the tests above: what they look for would be seen."""
    (document,) = (each for name, each in documents(USERS["passcode"]) if name == "queried")
    assert table_problems(document, TABLES["110112"]) == []
    document[0].set("EventActionCode", "R")
    del document[1].attrib["UserID"]
    document.remove(document.findall("ActiveParticipant")[1])
    found = document.find("ParticipantObjectIdentification")
    found.remove(found.find("ParticipantObjectDetail"))
    assert len(table_problems(document, TABLES["110112"])) == 4
