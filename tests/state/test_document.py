"""What docs/state.md shows can be loaded, and what it lists is what there is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tests.lib.documents import path_of, snippets_of
from useridentity.errors import ConfigurationError
from useridentity.policy import Policy
from useridentity.state.limits import PenaltyLimits
from useridentity.state.redis import COMMANDS
from useridentity.state.redis_url import OPTIONS

DOCUMENT = path_of("state").read_text()
SNIPPETS = snippets_of("state", "toml")
REST = '\n[validator.names]\ntype = "username"\n\n[[authenticate]]\naccept = ["names"]\n'


def load(folder: Path, snippet: str) -> Policy:
    (folder / "policy.toml").write_text("version = 1\n" + snippet + REST)
    return Policy.load(folder / "policy.toml")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_load(snippet: str, tmp_path: Path) -> None:
    load(tmp_path, snippet)


def test_the_penalties_shown_are_the_defaults_and_all_there_are(tmp_path: Path) -> None:
    shown = load(tmp_path, SNIPPETS[1]).limits.penalty
    default = PenaltyLimits()
    names = [each.name for each in fields(PenaltyLimits)]
    assert [name for name in names if getattr(shown, name) != getattr(default, name)] == ["exempt"]
    assert all(f"{name} = " in SNIPPETS[1] for name in names)


def test_one_delay_for_all_is_possible(tmp_path: Path) -> None:
    assert load(tmp_path, '[limits.penalty]\nshortest = "10m"\nlongest = "10m"\n').limits.penalty.shortest == 600


def test_options_and_commands_are_listed() -> None:
    assert all(f"`{option}=" in DOCUMENT for option in OPTIONS)
    assert COMMANDS in DOCUMENT


@pytest.mark.parametrize(
    ("snippet", "said"),
    [
        ('[state]\nurl = "postgres://x"\n', "3: state.url: is no place for state"),
        ('[state]\nurl = "sqlite:missing/state.db"\n', "3: state.url: "),
        ('[state]\nurll = "memory:"\n', "3: state.urll: unknown key"),
        ("[limits.penalty]\nsource_free = 0\n", "3: limits.penalty.source_free: 0 should be a whole number, 1 or more"),
        ('[limits.penalty]\nexempt = ["10.1.1.1/8"]\n', "3: limits.penalty.exempt[0]: "),
        (
            '[limits.penalty]\nshortest = "10m"\nlongest = "1s"\n',
            "2: limits.penalty: shortest is 600 s and longest 1 s; delays double from one to the other",
        ),
    ],
)
def test_mistakes_are_said_with_line_and_key(snippet: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load(tmp_path, snippet)
    assert said in str(wrong.value)
