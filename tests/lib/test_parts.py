"""A missing part is never silently missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import parts


def test_programs_and_modules_are_found_by_name() -> None:
    assert Path(parts.require("sh")).is_file()
    assert Path(parts.require("pynetdicom")).is_file()


def test_a_node_package_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "NODE_PACKAGES", tmp_path)
    (tmp_path / "some-package").mkdir()
    (tmp_path / "some-package" / "package.json").write_text("{}")
    assert parts.require("some-package") == str(tmp_path / "some-package")


def test_a_missing_part_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-part is not installed"):
        parts.require("no-such-part")


def test_a_missing_part_skips_the_test_by_name_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-part is not installed"):
        parts.require("no-such-part")
