"""What guessing at an account costs, and whom: strangers, and not the user where the user was before."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mechanisms.builders import credential
from tests.state.builders import NOW, after
from tests.state.guesses import DAY, HOME, LIMITS, STRANGER, WARD, fail, guesses, stranger, wrong
from useridentity.mechanisms.username import MAX_USERNAME
from useridentity.state.penalties import MAX_NAME, Address, Penalties, account_of


def test_an_account_is_refused_to_strangers_after_the_free_mistakes(penalties: Penalties) -> None:
    for number in range(LIMITS.account_free):
        fail(penalties, stranger(number), 1, at=number / 100)
    assert not penalties.refuses_account("alice", HOME, NOW)
    fail(penalties, stranger(99), 1, at=1)
    assert penalties.refuses_account("alice", HOME, after(1))
    assert not penalties.refuses_account("bob", HOME, after(1))


@pytest.mark.threat("T28")
def test_strangers_cannot_lock_a_user_out_where_the_user_was_before(penalties: Penalties) -> None:
    penalties.succeeded(WARD, "alice", NOW)
    for number in range(1000):
        fail(penalties, stranger(number), 1, at=1 + number / 1000)
    assert penalties.refuses_account("alice", HOME, after(3))
    assert not penalties.refuses_account("alice", WARD, after(3))


def test_a_source_that_was_good_is_refused_for_its_own_mistakes(penalties: Penalties) -> None:
    penalties.succeeded(WARD, "alice", NOW)
    fail(penalties, WARD, LIMITS.account_free + 1)
    assert penalties.refuses_account("alice", WARD, NOW)
    assert not penalties.refuses_account("alice", HOME, NOW)


def test_success_forgives_what_was_mistyped_at_a_good_source(penalties: Penalties) -> None:
    penalties.succeeded(WARD, "alice", NOW)
    fail(penalties, WARD, LIMITS.account_free)
    penalties.succeeded(WARD, "alice", after(1))
    fail(penalties, WARD, LIMITS.account_free, at=2)
    assert not penalties.refuses_account("alice", WARD, after(2))


def test_success_forgives_strangers_nothing(penalties: Penalties) -> None:
    """Otherwise each time the user logs in the guessers would begin anew."""
    for number in range(LIMITS.account_free + 1):
        fail(penalties, stranger(number), 1, at=number / 100)
    penalties.succeeded(WARD, "alice", NOW)
    assert penalties.refuses_account("alice", HOME, NOW)


def test_a_source_is_good_for_as_long_as_it_is_used_now_and_then(penalties: Penalties) -> None:
    month = LIMITS.good_for
    for at in (0, 0.6 * month, 1.2 * month):
        penalties.succeeded(WARD, "alice", after(at))
    for number in range(100):
        fail(penalties, stranger(number), 1, at=2 * month + number / 100)
    assert not penalties.refuses_account("alice", WARD, after(2 * month + 1))
    for number in range(100):
        fail(penalties, stranger(number), 1, at=4 * month + number / 100)
    assert penalties.refuses_account("alice", WARD, after(4 * month + 1))


def test_a_day_of_guessing_at_one_user_from_many_sources_is_held_to_the_rate_of_forgiveness(
    penalties: Penalties,
) -> None:
    penalties.succeeded(WARD, "alice", NOW)
    sources: list[Address] = [stranger(number) for number in range(1000)]
    through = guesses(penalties, sources, seconds=DAY, step=5, name="alice")
    ramp = LIMITS.account_free + 10
    assert ramp < len(through) <= DAY / LIMITS.account_forgive + ramp
    assert not penalties.refuses_account("alice", WARD, after(DAY))
    assert not penalties.refuses_account("bob", stranger(0), after(DAY))


def test_ten_thousand_guesses_at_once_are_not_more_than_one_when_a_delay_is_over(penalties: Penalties) -> None:
    fail(penalties, STRANGER, LIMITS.account_free + 4)
    start = threading.Barrier(20)

    def guess(_: int) -> int:
        start.wait()
        return sum(not penalties.refuses_account("alice", HOME, after(17)) for _ in range(500))

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(guess, range(20))) == 1


@pytest.mark.parametrize(
    "name", ["ALICE", " alice ", "alice\0", "\uff41lice", "Alice", "al\u00edce", "ALI\u0327CE", "a\u0142ice"]
)
def test_spellings_that_a_directory_takes_for_one_user_are_one_account(name: str) -> None:
    assert account_of(wrong(name=name)) == account_of(wrong(name="alice")) == "alice"
    assert account_of(wrong(name="alicia")) != "alice"


@pytest.mark.parametrize(("name", "other"), [("hana", "\u0127ana"), ("\u306f\u306a", "\u30cf\u30ca")])
def test_strokes_and_the_kind_of_kana_make_no_other_account(name: str, other: str) -> None:
    assert account_of(wrong(name=name)) == account_of(wrong(name=other)) == name
    assert account_of(wrong(name=name[:1])) != name


def test_a_name_that_is_longer_than_any_username_is_not_folded_to_its_end() -> None:
    """Sixteen thousand accents of one kind behind as many of another would stop the process for seconds."""
    folded = account_of(wrong(name="a" * 200))
    assert folded == "a" * 200
    accents = "\u0301" * 16_000 + "\u0316" * 16_000
    assert account_of(wrong(name="a" * MAX_NAME + accents)) == account_of(wrong(name="a" * (MAX_NAME + 1)))
    assert MAX_USERNAME <= MAX_NAME


def test_only_a_passcode_is_for_an_account_and_any_octets_name_one() -> None:
    assert account_of(credential(5, b"token")) is None
    assert account_of(credential(1, b"alice")) is None
    assert account_of(credential(2, b"\xff\xfe", b"x")) == "\ufffd\ufffd"
