"""What messages are expected to look like: files reviewed field by field. GOLDEN=write makes them anew, for review."""

from __future__ import annotations

import os
from pathlib import Path

from useridentity.audit.codes import Code
from useridentity.audit.message import MessageStyle
from useridentity.audit.message.model import Source

FOLDER = Path(__file__).parent / "golden"
STYLE = MessageStyle(
    Source("pacs.example.org", "St. Example"),
    roles={"radiology": Code("RAD", "99STEXAMPLE", "Radiologist")},
    purposes={"TREAT": Code("TREAT", "2.16.840.1.113883.5.8", "treatment")},
)


def expected(name: str, made: str) -> str:
    """The content of the golden file."""
    path = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, "utf-8")
    return path.read_text("utf-8")
