"""What README.md and the documents in docs/ say, for tests of what they are about; each goes by its name ("jwt")."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def path_of(document: str) -> Path:
    """Where it is."""
    return ROOT / "README.md" if document == "README" else ROOT / "docs" / f"{document}.md"


def snippets_in(text: str, language: str) -> list[str]:
    """The fenced blocks of `text` in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def snippets_of(document: str, language: str) -> list[str]:
    """The fenced blocks of a document in this language."""
    return snippets_in(path_of(document).read_text(), language)


def toml_of(document: str) -> list[dict[str, Any]]:
    """The policies that a document shows."""
    return [tomllib.loads(snippet) for snippet in snippets_of(document, "toml")]


def run_python_of(document: str, names: dict[str, Any]) -> None:
    """Run what a document shows, in order, with and into these names."""
    for number, snippet in enumerate(snippets_of(document, "python"), 1):
        exec(compile(snippet, f"{document}.md snippet {number}", "exec"), names)
