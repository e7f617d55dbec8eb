"""Text from elsewhere, made fit to be shown."""

from __future__ import annotations


def printable(text: str | bytes) -> str:
    """`text` with every character escaped that would not show as itself; bytes are read as UTF-8, as far as they are.

    No control character and nothing that changes the direction of writing reaches a terminal or a log as itself.
    """
    read = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in read)
