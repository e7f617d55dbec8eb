"""AE titles (PS3.5 Table 6.2-1): up to 16 characters of printable ASCII without a backslash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_AE_TITLE = 16
"""Characters of an AE title."""


def may_be_in_title(text: str) -> bool:
    """Whether an AE title may hold these characters."""
    return text.isascii() and text.isprintable() and "\\" not in text


def title_problem(title: str) -> str:
    """Why this is no AE title; empty where it is one."""
    if len(title) > MAX_AE_TITLE:
        return f"{title!r} is no AE title: it has more than {MAX_AE_TITLE} characters"
    return next(title_problems([title]), "")


def title_problems(patterns: Iterable[str]) -> Iterator[str]:
    """What keeps a pattern, in which `*` stands for any characters, from matching any AE title."""
    for pattern in patterns:
        literal = pattern.replace("*", "")
        if not pattern.strip() or not may_be_in_title(pattern):
            yield f"{pattern!r} is no AE title: printable ASCII without a backslash (PS3.5 Table 6.2-1)"
        elif len(literal) > MAX_AE_TITLE:
            yield f"{pattern!r} has {len(literal)} characters and would never match; AE titles have {MAX_AE_TITLE}"
        elif pattern != pattern.strip():
            yield f"{pattern!r} would never match: AE titles are compared without the spaces around them"
