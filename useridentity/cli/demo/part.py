"""What each form of identity adds to the demo: a validator in the policy, and peers."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One peer: what it sends, in words, and how; `run(port)` returns what it saw, in words; `tls`: which port."""

    sent: str
    run: Callable[[int], str]
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One form of identity.

    Fields:
        attempts: its peers, in the order they come.
        validator: NAME in the policy; empty where there is none.
        settings: the content of `[validator.NAME]`, and of further ones.
        rules: `[[authenticate]]` tables of its own, before the one for everybody.
        tls: what the archive needs to listen by TLS as well; None where that is not wanted.
    """

    attempts: tuple[Attempt, ...]
    validator: str = ""
    settings: str = ""
    rules: str = ""
    tls: ssl.SSLContext | None = None
