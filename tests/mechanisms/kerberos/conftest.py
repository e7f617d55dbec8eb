"""A hospital for all tests here, and for each a replay cache of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mechanisms.kerberos.hospital import Hospital

# Without the library nothing here can be imported; test_parts.py says so.
collect_ignore_glob = [] if find_spec("gssapi") else ["test_[!p]*.py", "test_principals.py"]


@pytest.fixture
def hospital(shared_hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hospital:
    """The hospital, with the environment of this process set for it and nothing of this machine's own."""
    shared_hospital.settle(monkeypatch, tmp_path)
    return shared_hospital
