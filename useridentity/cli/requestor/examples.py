"""A command's examples, as its help shows them and the tests run them."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

WIDTH = 74
"""Characters of a line in the help of a terminal of 80 columns."""


def epilog(examples: str) -> str:
    """The end of a command's help; long examples go on in the next line, as the shell reads them."""
    return "\n".join(["Examples:", *(f"  {line}" for each in examples.splitlines() for line in _lines(each))])


def _lines(example: str) -> Iterator[str]:
    together = example.replace("-k ", "-k\N{NO-BREAK SPACE}")
    lines = wrap(together, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    yield from " \\\n".join(lines).replace("\N{NO-BREAK SPACE}", " ").splitlines()
