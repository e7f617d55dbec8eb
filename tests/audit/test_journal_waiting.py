"""Whoever waits for a record is told the truth, however slow the disk is."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.audit.builders import opened, record
from useridentity.audit import journal as module
from useridentity.audit.segment import Segment
from useridentity.audit.verify import verify
from useridentity.errors import Unavailable

HANG = 60.0  # seconds; ten times what a journal here needs


def test_what_nobody_waits_for_any_more_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was told that there is no record has done nothing; what has happened is written though it takes long."""
    gone = threading.Event()
    append = Segment.append

    def slow(*args: Any) -> Any:
        assert gone.wait(HANG)
        return append(*args)

    with opened(tmp_path) as journal:
        journal.append(record(detail="in time"), wait=True)
        monkeypatch.setattr(Segment, "append", slow)
        monkeypatch.setattr(module, "WAIT", 0.2)
        journal.append(record(detail="has happened"), wait=False)
        with pytest.raises(Unavailable, match="nothing was written"):
            journal.append(record(detail="never was"), wait=True)
        gone.set()
    with opened(tmp_path) as journal:
        assert [each.detail for _, each in journal.read(0, 10)] == ["in time", "has happened"]
    assert verify(tmp_path / "audit.db", tmp_path / "audit.key").is_sound
