"""What the documents in docs/ say, for tests of what they are about."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent.parent / "docs"


def snippets_of(document: str, language: str) -> list[str]:
    """The fenced blocks of `document`.md in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / f"{document}.md").read_text(), re.DOTALL | re.MULTILINE)


def toml_of(document: str) -> list[dict[str, Any]]:
    """The policies that `document`.md shows."""
    return [tomllib.loads(snippet) for snippet in snippets_of(document, "toml")]
