"""Every message, and every golden file, has what its table in PS3.15 A.5.3 says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from lxml import etree

from tests.audit import golden, schemas
from tests.audit.samples import USERS, corpus
from tests.audit.tables import TABLES, problems
from useridentity.audit.message import MessageStyle, messages, to_xml
from useridentity.audit.record import User

Element: TypeAlias = etree._Element
GOLDEN = sorted([*golden.FOLDER.glob("message/*.xml"), *golden.FOLDER.glob("identity/*.xml")])


def documents(user: User) -> Iterator[tuple[str, Element]]:
    for name, record in corpus(user).items():
        for message in messages(record, MessageStyle()):
            yield name, etree.fromstring(to_xml(message))


def event_of(document: Element) -> str:
    return str(document.find("EventIdentification/EventID").get("csd-code"))


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_every_message_fulfils_its_table(user: User) -> None:
    seen = set()
    for name, document in documents(user):
        seen.add(event_of(document))
        assert problems(document) == [], name
    assert seen == set(TABLES) - ({"110114"} if user.identity_type is None else set())


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_golden_file_fulfils_its_tables_and_the_schema(path: Path) -> None:
    """Review by machine: a golden file that somebody wrote anew is held against the standard again."""
    found = list(etree.fromstring(f"<all>{path.read_text('utf-8')}</all>"))
    assert found
    for document in found:
        assert problems(document) == []
        for schema in schemas.schemas():
            assert schema.validate(etree.fromstring(etree.tostring(document))), schema.error_log


def test_there_is_a_golden_file_for_every_sort_of_record_and_identity() -> None:
    kinds = {path.stem for path in GOLDEN if path.parent.name == "message"}
    assert kinds == set(corpus())
    assert {path.stem for path in GOLDEN if path.parent.name == "identity"} == {
        f"{name}-{kind}" for name in USERS for kind in ("accepted", "rejected", "stored")
    }


def without(name: str, position: int = 0) -> Any:
    """A fault: the field or element with this name is missing from the element at the path."""

    def remove(element: Element) -> None:
        if name in element.attrib:
            del element.attrib[name]
        else:
            element.remove(element.findall(name)[position])

    return remove


FAULTS: list[tuple[str, str, Any, str]] = [
    ("queried", ".", without("ActiveParticipant", 1), "0 of that responds, should be 1 at least"),
    ("queried", "ParticipantObjectIdentification", without("ParticipantObjectDetail"), "TransferSyntax is M"),
    ("queried", "EventIdentification", lambda e: e.set("EventActionCode", "R"), "EventActionCode is ['R']"),
    ("stored", "ActiveParticipant", lambda e: e.set("UserID", " "), "UserID is M and missing"),
    ("stored", "EventIdentification/EventID", lambda e: e.set("originalText", "Stored"), "EventID is"),
    ("stored", ".", without("ParticipantObjectIdentification", 1), "0 of patient, should be 1 at least"),
    ("stored", "ParticipantObjectIdentification", lambda e: e.set("ParticipantObjectTypeCodeRole", "1"), "Role is"),
    ("stored", "*/ParticipantObjectDescription", lambda e: [e.remove(each) for each in e.findall("SOPClass")], "MC"),
    ("stored", "ActiveParticipant", lambda e: e.set("UserIsRequestor", "true"), "2 participants are the requestor"),
    ("performed", "ActiveParticipant[2]", lambda e: e.set("UserIsRequestor", "false"), "0 participants are the"),
    ("refused", "ActiveParticipant[3]", lambda e: e.set("UserIsRequestor", "true"), "UserIsRequestor is ['true']"),
    ("refused", "ParticipantObjectIdentification", without("ParticipantObjectDetail"), "Alert Description is M"),
    ("accepted", "ActiveParticipant", without("NetworkAccessPointID"), "NetworkAccessPointID is M"),
    ("accepted", "EventIdentification", lambda e: etree.SubElement(e, "PurposeOfUse"), "PurposeOfUse has no row"),
    ("released", "EventIdentification", lambda e: e.set("EventDateTime", "2026-11-22T09:30:00"), "time zone"),
    ("application-started", "ActiveParticipant", without("AlternativeUserID"), "AlternativeUserID is M"),
]


@pytest.mark.parametrize(("name", "where", "spoil", "said"), FAULTS, ids=[each[3] for each in FAULTS])
def test_a_fault_is_found(name: str, where: str, spoil: Any, said: str) -> None:
    """The twin of the tests above: what they look for would be seen, and is not there before."""
    document = next(each for found, each in documents(USERS["passcode"]) if found == name)
    assert problems(document) == []
    element = document if where == "." else document.find(where)
    assert element is not None
    spoil(element)
    assert said in "; ".join(problems(document))
