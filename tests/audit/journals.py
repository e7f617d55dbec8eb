"""What tests ask of a journal: what it holds, whether it is sound, and what is said where nothing can be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.audit.builders import opened, record
from useridentity.audit.journal import ANCHOR_RECORDS, Journal
from useridentity.audit.mark import mark_of
from useridentity.audit.record import Anchor, Kind, Record
from useridentity.audit.verify import Report, verify
from useridentity.decision import Reason
from useridentity.errors import Unavailable

SMALL = 100_000  # bytes of a file that a test fills
HANG = 60.0  # seconds; ten times what a process here needs
ROOT = Path(__file__).parents[2]


def kinds(journal: Journal) -> list[Kind]:
    return [each.kind for _, each in journal.read(0, 100_000)]


def refusal(journal: Journal) -> str:
    """What is said where a record cannot be kept."""
    with pytest.raises(Unavailable) as caught:
        journal.append(record(), wait=True)
    assert caught.value.reason is Reason.AUDIT_UNAVAILABLE
    with pytest.raises(Unavailable, match=r"."):
        journal.ready()
    return caught.value.detail


def verified(folder: Path, *anchors: Anchor) -> Report:
    return verify(folder / "audit.db", folder / "audit.key", anchors)


def findings(folder: Path, *anchors: Anchor) -> list[tuple[int, int, str]]:
    """From which record to which, and in a few words what."""
    return [(each.first, each.last, each.what.partition(":")[0]) for each in verified(folder, *anchors).findings]


def is_sound(folder: Path) -> bool:
    report = verified(folder)
    assert report.findings == []
    return report.is_sound


def mark_in(folder: Path) -> Path:
    return mark_of(folder / "audit.db", folder / "audit.key")


def rotated(folder: Path, **settings: Any) -> list[Record]:
    """What a journal of several files holds, written by a process that was started three times."""
    written = []
    for start in range(3):
        with opened(folder, rotate_bytes=SMALL, **settings) as journal:
            for number in range(ANCHOR_RECORDS):
                written.append(record(number + start * ANCHOR_RECORDS))
                journal.append(written[-1], wait=number % 100 == 99)
    return written
