"""What each form of identity adds to the demo: a validator in the policy, and peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One peer: what it sends, in words, and how; `run(port)` returns what it saw, in words."""

    sent: str
    run: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Part:
    """One form of identity.

    Fields:
        attempts: its peers, in the order they come.
        validator: NAME in the policy; empty where there is none.
        settings: the content of `[validator.NAME]`.
    """

    attempts: tuple[Attempt, ...]
    validator: str = ""
    settings: str = ""
