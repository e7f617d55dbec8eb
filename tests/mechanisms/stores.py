"""What a passcode store says, whoever keeps its users: alice with the passcode "right", bob with "bob's"."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from useridentity.decision import Reason
from useridentity.errors import Refused, Unavailable
from useridentity.mechanisms.passcode import PasscodeStore


def refusal(store: PasscodeStore, username: str, passcode: bytes) -> str:
    """Why these are refused."""
    with pytest.raises(Refused) as caught:
        store.verify(username, passcode)
    assert caught.value.reason is Reason.CREDENTIAL_INVALID
    return caught.value.detail


def unavailability(store: PasscodeStore, username: str = "alice", passcode: bytes = b"right") -> str:
    """Why that cannot be told."""
    with pytest.raises(Unavailable) as caught:
        store.verify(username, passcode)
    return caught.value.detail


def assert_many_threads_get_each_their_own_answer(store: PasscodeStore, asked: int) -> None:
    """Alice and bob in turn, so often, and every third time a passcode that is wrong."""

    def ask(number: int) -> str:
        username, passcode = (("alice", b"right"), ("bob", b"bob's"))[number % 2]
        if number % 3:
            return store.verify(username, passcode).user_id
        refusal(store, username, b"wrong")
        return username

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(asked))) == ["alice", "bob"] * (asked // 2)
