"""What messages are expected to look like: files reviewed field by field. GOLDEN=write makes them anew, for review."""

from __future__ import annotations

import os
from pathlib import Path

from lxml import etree

from useridentity.audit.codes import Code
from useridentity.audit.message import MessageStyle, messages, to_xml
from useridentity.audit.message.model import Source
from useridentity.audit.record import Record

FOLDER = Path(__file__).parent / "golden"
STYLE = MessageStyle(
    Source("pacs.example.org", "St. Example"),
    roles={"radiology": Code("RAD", "99STEXAMPLE", "Radiologist")},
    purposes={"TREAT": Code("TREAT", "2.16.840.1.113883.5.8", "treatment")},
)


DICOM = MessageStyle()


def documents(made: Record, style: MessageStyle = DICOM) -> list[etree._Element]:
    """The messages of a record."""
    return [etree.fromstring(to_xml(message)) for message in messages(made, style)]


def told(made: Record) -> str:
    """What the first message of a record says in words."""
    return str(documents(made)[0].findtext("EventIdentification/EventOutcomeDescription"))


def expected(name: str, made: str) -> str:
    """The content of the golden file."""
    path = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, "utf-8")
    return path.read_text("utf-8")
