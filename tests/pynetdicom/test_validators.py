"""Validators that hang, crash or lie, seen from the wire."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lib.pdus import associate_rq, user_identity
from tests.lib.rawpeer import HANG, PduType, RawPeer
from tests.pynetdicom.support import PASSCODE, Acceptor, ask, passcodes, until
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
    passcode_check,
)
from useridentity.pool import WORKERS

Accept = Callable[..., Acceptor]

ALICE = user_identity(1, b"alice")
PROVED_ALICE = user_identity(2, b"alice", PASSCODE)


class Gate:
    """A validator of usernames that answers once the gate is open."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._asked = 0

    def policy(self, *beside: Any, **limits: Any) -> Policy:
        gate = FunctionValidator("gate", 1, self.validate)
        return Policy([Rule([gate, *beside], overlap="first-verifies", weakest="asserted")], limits=Limits(**limits))

    def validate(self, presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        self._asked += 1
        assert self._open.wait(HANG)
        return UsernameValidator().validate(presented, facts, context)

    def wait_for(self, asked: int) -> None:
        until(lambda: self._asked >= asked)

    def open(self) -> None:
        self._open.set()


def slow_and_quick(gate: Gate, **limits: Any) -> Policy:
    """Usernames have to wait at the gate, passcodes are checked at once."""
    return gate.policy(passcode_check(passcodes, plaintext="allow"), **limits)


def test_one_validator_that_hangs_delays_no_other(accept: Accept) -> None:
    gate = Gate()
    acceptor = accept(slow_and_quick(gate), maximum_associations=100)
    with ExitStack() as waiting:
        for _ in range(2 * WORKERS):
            peer = waiting.enter_context(RawPeer(acceptor.port))
            peer.send(associate_rq(ALICE))
        gate.wait_for(WORKERS)
        assert ask(acceptor, PROVED_ALICE).type is PduType.ASSOCIATE_AC
    gate.open()


def test_a_validator_that_hangs_is_answered_with_come_back_later(accept: Accept) -> None:
    gate = Gate()
    acceptor = accept(slow_and_quick(gate, validator_deadline=0.1))
    assert ask(acceptor, ALICE).answer == (2, 2, 1)
    gate.open()
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC


def test_more_than_a_validator_can_take_are_told_of_congestion(accept: Accept) -> None:
    gate = Gate()
    acceptor = accept(gate.policy(max_pending_per_peer=200), maximum_associations=200)
    acceptor.server.driver._pools[id(acceptor.server.driver.policy.rules[0].accept[0])]._backlog = 2
    with ExitStack() as waiting:
        peers = [waiting.enter_context(RawPeer(acceptor.port)) for _ in range(WORKERS + 2)]
        for asked, peer in enumerate(peers, 1):
            peer.send(associate_rq(ALICE))
            gate.wait_for(min(asked, WORKERS))
        until(lambda: len(acceptor.ae._places) == WORKERS + 2)
        until(lambda: ask(acceptor, ALICE).answer == (2, 3, 2))
        gate.open()
        assert [peer.read_pdu().type for peer in peers] == [PduType.ASSOCIATE_AC] * len(peers)


@pytest.mark.parametrize("answer", [None, True, (True, None), "alice"], ids=repr)
@pytest.mark.threat("T11")
def test_a_validator_that_answers_anything_else_lets_nobody_in(accept: Accept, answer: Any) -> None:
    acceptor = accept(Policy([Rule([FunctionValidator("broken", 1, lambda *_: answer)])]))
    assert ask(acceptor, ALICE).answer == (2, 2, 1)


@pytest.mark.parametrize(
    "error", [ValueError("secret"), NotImplementedError(), SystemExit(), KeyboardInterrupt()], ids=repr
)
@pytest.mark.parametrize("cpu_short", [True, False])
def test_a_validator_that_raises_lets_nobody_in(accept: Accept, error: BaseException, cpu_short: bool) -> None:
    def fail(*_: Any) -> Verified:
        raise error

    acceptor = accept(Policy([Rule([FunctionValidator("broken", 1, fail, cpu_short)])]))
    assert ask(acceptor, ALICE).answer == (2, 2, 1)


def test_a_validator_that_answers_for_another_type_lets_nobody_in(accept: Accept) -> None:
    def confuse(presented: Credential | None, facts: Facts, context: CheckContext) -> Verified:
        assert presented
        return UsernameValidator().validate(Credential(1, presented.primary_field), facts, context)

    right, wrong = FunctionValidator("right", 1, confuse), FunctionValidator("wrong", 2, confuse)
    acceptor = accept(Policy([Rule([right, wrong], weakest="asserted")]))
    assert ask(acceptor, ALICE).type is PduType.ASSOCIATE_AC
    assert ask(acceptor, PROVED_ALICE).answer == (2, 2, 1)
