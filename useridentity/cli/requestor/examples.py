"""A command's examples, as its help shows them and the tests run them."""

from __future__ import annotations


def epilog(examples: str) -> str:
    """The end of a command's help."""
    return "\n".join(["Examples:", *(f"  {line}" for line in examples.splitlines())])
