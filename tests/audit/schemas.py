"""The schema of audit messages: our own, always, and the standard's where it is at hand."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from lxml import etree

FOLDER = Path(__file__).parent / "schema"
ROOT = Path(__file__).parents[2]
VARIABLE = "DICOM_AUDIT_SCHEMA"
"""Names the file of the standard's schema where it is not beside the repository."""


@cache
def own(name: str = "audit-message") -> etree.RelaxNG:
    """Ours; "audit-message-ihe" is the one with PurposeOfUse."""
    return etree.RelaxNG(etree.parse(str(FOLDER / f"{name}.rng")))


@cache
def _normative() -> etree.RelaxNG | None:
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else ROOT.parent / "shared" / "schema" / "dicom-audit-message-2024c.rng"
    return etree.RelaxNG(etree.parse(str(path))) if path.is_file() else None


def schemas() -> list[etree.RelaxNG]:
    """All that a message must fulfil."""
    found = _normative()
    return [own(), found] if found is not None else [own()]
