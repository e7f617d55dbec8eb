"""Anchors in what a sink has kept: JSON lines, or a log in which the records are among other things."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from useridentity.audit.record import Anchor
from useridentity.errors import ConfigurationError

MARK = '"anchor":'


def read_anchors(path: Path) -> Iterator[Anchor]:
    """The anchors in a file; raises `ConfigurationError` where it cannot be read, or has none."""
    number = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                for anchor in _anchors(line):
                    number += 1
                    yield anchor
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    if not number:
        raise ConfigurationError(f"{path}: has no anchors; give what a JSON lines sink wrote")


def _anchors(line: str) -> Iterator[Anchor]:
    at = line.find(MARK)
    while at >= 0:
        try:
            table: Any = json.JSONDecoder().raw_decode(line, at + len(MARK))[0]
            yield Anchor(str(table["journal"]), int(table["sequence"]), str(table["head"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # cut, or another program's
            pass
        at = line.find(MARK, at + 1)
