"""A validator of tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mechanisms.jwt.issuer import validator
from useridentity.mechanisms.jwt import JwtValidator


@pytest.fixture
def idp(tmp_path: Path) -> JwtValidator:
    """Has all algorithms allowed and one RS256 key."""
    return validator(tmp_path)
