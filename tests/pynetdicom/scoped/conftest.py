"""The archive that most requests under a scope are made to."""

from __future__ import annotations

import pytest

from tests.pynetdicom.scoped.index import Index
from tests.pynetdicom.scoped.rows import study


@pytest.fixture
def index() -> Index:
    """Three studies, the second of which is somebody else's."""
    return Index([study(1, "P1"), study(2, "P2"), study(3, "P1")])
