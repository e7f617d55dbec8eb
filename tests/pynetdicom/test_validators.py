"""Validators that hang, crash or lie, seen from the wire."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.lib.rawpeer import HANG
from tests.pynetdicom.support import Acceptor, until
from useridentity import (
    CheckContext,
    Credential,
    Facts,
    FunctionValidator,
    Limits,
    Policy,
    Rule,
    UsernameValidator,
    Verified,
)

Accept = Callable[..., Acceptor]


class Gate:
    """A validator of usernames that answers once the gate is open."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._asked = 0

    def policy(self, *beside: Any, **limits: Any) -> Policy:
        gate = FunctionValidator("gate", 1, self.validate)
        return Policy([Rule([gate, *beside])], limits=Limits(**limits))

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        self._asked += 1
        assert self._open.wait(HANG)
        return UsernameValidator().validate(presented, facts, context)

    def wait_for(self, asked: int) -> None:
        until(lambda: self._asked >= asked)

    def open(self) -> None:
        self._open.set()
