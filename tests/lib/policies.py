"""Policies of tests: out of a file's text or made in code, everything that is wrong with one, and what it decided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from useridentity import Accepted, ConfigurationError, Decision, Policy, Rejected


def load(folder: Path, text: str) -> Policy:
    """The policy of a file with this text in `folder`."""
    file = folder / "identity.toml"
    file.write_text(text)
    return Policy.load(file)


def problems(folder: Path, text: str) -> list[str]:
    """What is wrong with that file, paths shortened to names."""
    return [each.replace(f"{folder}/", "") for each in _problems(lambda: load(folder, text))]


def problems_in_code(rules: Any, grants: Any = ()) -> list[str]:
    """What is wrong with a policy made of these."""
    return _problems(lambda: Policy(rules, grants))


def _problems(make: Callable[[], Policy]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return list(caught.value.problems)


def accepted(decision: Decision) -> Accepted:
    assert isinstance(decision, Accepted), decision
    return decision


def rejected(decision: Decision) -> Rejected:
    assert isinstance(decision, Rejected), decision
    return decision
