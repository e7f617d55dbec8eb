"""What comes from elsewhere is shown as it is, but for what a terminal would obey."""

from __future__ import annotations

import pytest

from useridentity.printable import printable


def test_what_shows_as_itself_is_left_alone() -> None:
    assert printable("Ren\u00e9 \u2014 \u7530\u4e2d") == "Ren\u00e9 \u2014 \u7530\u4e2d"
    assert printable("Ren\u00e9".encode()) == "Ren\u00e9"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\n\x1b[2J", "a\\r\\n\\x1b[2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        (b"al\xffice\n", "al\\xffice\\n"),
    ],
)
def test_what_does_not_is_escaped(text: str | bytes, shown: str) -> None:
    assert printable(text) == shown
    assert shown.isprintable()
