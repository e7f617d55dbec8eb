"""Times and keys of the state tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from useridentity.validator import Once

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
T0 = NOW.timestamp()


def after(seconds: float) -> datetime:
    """So long after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def once(*key: str, seconds: float = 600.0) -> Once:
    """A key whose credential is good for so long from `NOW`."""
    return Once(key or ("issuer", "one"), after(seconds))
