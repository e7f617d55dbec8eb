"""Tokens kept until shortly before their end, and fetched once however many ask."""

from __future__ import annotations

import threading

import pytest

from useridentity.errors import CredentialUnavailable
from useridentity.mechanisms.jwt.token_cache import MAX_TOKENS, RENEW_BEFORE, Issued, TokenCache

HANG = 20.0  # seconds


class Endpoint:
    """Issues t1, t2, ... that live for `life` seconds, by a clock that moves when told to."""

    def __init__(self, life: float = 300) -> None:
        self.now = 1000.0
        self.life = life
        self.issued = 0
        self.failure: BaseException | None = None
        self.cache = TokenCache(lambda: self.now)

    def fetch(self) -> Issued:
        if self.failure:
            raise self.failure
        self.issued += 1
        return Issued(b"t%d" % self.issued, self.now, self.now + self.life)

    def token(self, key: bytes = b"key") -> bytes:
        return self.cache.token(key, self.fetch)


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    endpoint = Endpoint()
    assert [endpoint.token() for _ in range(3)] == [b"t1"] * 3
    endpoint.now += 300 - RENEW_BEFORE - 1
    assert endpoint.token() == b"t1"
    endpoint.now += 1
    assert endpoint.token() == b"t2"


def test_a_short_token_is_used_for_most_of_its_life() -> None:
    endpoint = Endpoint(life=40)
    endpoint.token()
    endpoint.now += 29
    assert endpoint.token() == b"t1"
    endpoint.now += 1
    assert endpoint.token() == b"t2"


def test_a_token_without_a_lifetime_is_used_once() -> None:
    endpoint = Endpoint(life=0)
    assert [endpoint.token(), endpoint.token()] == [b"t1", b"t2"]


def test_each_key_has_its_own_token() -> None:
    endpoint = Endpoint()
    assert [endpoint.token(b"a"), endpoint.token(b"b"), endpoint.token(b"a")] == [b"t1", b"t2", b"t1"]


def test_a_token_that_is_due_serves_while_it_cannot_be_renewed() -> None:
    endpoint = Endpoint()
    endpoint.token()
    endpoint.failure = CredentialUnavailable("down")
    endpoint.now += 299
    assert endpoint.token() == b"t1"
    endpoint.now += 1
    with pytest.raises(CredentialUnavailable, match="down"):
        endpoint.token()


def test_a_failure_is_not_remembered() -> None:
    endpoint = Endpoint()
    endpoint.failure = CredentialUnavailable("down")
    with pytest.raises(CredentialUnavailable):
        endpoint.token()
    assert endpoint.cache._issued == {}
    endpoint.failure = None
    assert endpoint.token() == b"t1"


def test_whatever_ends_a_fetch_leaves_room_for_the_next() -> None:
    endpoint = Endpoint()
    endpoint.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        endpoint.token()
    endpoint.failure = None
    assert endpoint.token() == b"t1"


@pytest.mark.parametrize("fails", [False, True])
def test_many_threads_cause_one_fetch_and_share_what_comes_of_it(fails: bool) -> None:
    go, arrived = threading.Event(), threading.Barrier(17)
    fetches: list[int] = []
    outcomes: list[object] = []
    cache = TokenCache()

    def fetch() -> Issued:
        fetches.append(1)
        assert go.wait(HANG)
        if fails:
            raise CredentialUnavailable("down")
        return Issued(b"token", 0, float("inf"))

    def ask() -> None:
        arrived.wait(HANG)
        try:
            outcomes.append(cache.token(b"key", fetch))
        except CredentialUnavailable as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    arrived.wait(HANG)
    go.set()
    for thread in threads:
        thread.join(HANG)
    assert outcomes == ["down" if fails else b"token"] * 16
    if not fails:  # who comes after a failure tries again
        assert len(fetches) == 1


def test_tokens_kept_are_bounded_and_the_ended_go_first() -> None:
    endpoint = Endpoint()
    for each in range(MAX_TOKENS // 2):
        endpoint.token(b"early %d" % each)
    endpoint.now += 300
    endpoint.token(b"live")
    for each in range(MAX_TOKENS - 1):
        endpoint.token(b"late %d" % each)
    issued = endpoint.issued
    assert endpoint.token(b"live") == b"t%d" % (MAX_TOKENS // 2 + 1)
    endpoint.token(b"one more")
    endpoint.token(b"live")
    assert endpoint.issued == issued + 2, "the oldest went"
