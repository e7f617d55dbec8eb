"""What guessing costs, by a clock of the tests' own: nobody sleeps here."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from tests.mechanisms.builders import credential
from tests.state.builders import NOW, after
from useridentity.credential import Credential
from useridentity.mechanisms.username import MAX_USERNAME
from useridentity.state import Kind
from useridentity.state.limits import PenaltyLimits
from useridentity.state.penalties import AGAIN, MAX_NAME, Address, Penalties, account_of, source_of

WARD = ip_address("10.1.1.1")
HOME = ip_address("10.1.1.2")
STRANGER = ip_address("203.0.113.9")
DAY = 86_400
LIMITS = PenaltyLimits()


@pytest.fixture
def penalties() -> Penalties:
    return Penalties()


def wrong(number: object = 0, name: str = "alice") -> Credential:
    return credential(2, name.encode(), f"guess {number}".encode())


def fail(penalties: Penalties, address: Address, times: int, *, at: float = 0, name: str = "alice") -> None:
    """So many wrong passcodes, each another one."""
    for number in range(times):
        digest = penalties.digest(wrong((at, number), name))
        penalties.failed(address, account_of(wrong(name=name)), digest, after(at))


def stranger(number: int) -> IPv4Address:
    return IPv4Address("198.18.0.0") + number


def guesses(penalties: Penalties, addresses: list[Address], *, seconds: int, step: int, name: str = "") -> list[int]:
    """When guesses were let through that are tried at every step, from one address after another."""
    through = []
    for turn, at in enumerate(range(0, seconds, step)):
        address, account = addresses[turn % len(addresses)], name or f"user{turn}"
        if penalties.refuses_source(address, after(at)) or penalties.refuses_account(account, address, after(at)):
            continue
        through.append(at)
        penalties.failed(address, account, penalties.digest(wrong(turn, account)), after(at))
    return through


# Sources.


def test_a_source_is_refused_after_the_free_mistakes_and_served_again_after_the_delay(penalties: Penalties) -> None:
    fail(penalties, STRANGER, LIMITS.source_free)
    assert not penalties.refuses_source(STRANGER, NOW)
    fail(penalties, STRANGER, 1, name="bob")
    assert penalties.refuses_source(STRANGER, NOW)
    assert penalties.refuses_source(STRANGER, after(LIMITS.shortest - 0.1))
    assert not penalties.refuses_source(STRANGER, after(LIMITS.shortest))


def test_other_sources_are_served_meanwhile(penalties: Penalties) -> None:
    fail(penalties, STRANGER, 100)
    assert penalties.refuses_source(STRANGER, NOW)
    assert not penalties.refuses_source(WARD, NOW)


def test_each_further_mistake_doubles_the_delay_up_to_the_longest() -> None:
    for beyond, delay in enumerate([2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]):
        penalties = Penalties()
        fail(penalties, STRANGER, LIMITS.source_free + 1 + beyond)
        assert penalties.refuses_source(STRANGER, after(delay - 0.1))
        assert not penalties.refuses_source(STRANGER, after(delay))


def test_a_day_of_guessing_from_one_source_is_held_to_the_rate_of_forgiveness(penalties: Penalties) -> None:
    through = guesses(penalties, [STRANGER], seconds=DAY, step=5)
    ramp = LIMITS.source_free + 10
    assert ramp < len(through) <= DAY / LIMITS.source_forgive + ramp
    assert len([at for at in through if at >= DAY / 2]) == pytest.approx(DAY / 2 / LIMITS.source_forgive, rel=0.05)


def test_debts_are_forgiven_in_time(penalties: Penalties) -> None:
    fail(penalties, STRANGER, LIMITS.source_free + 5)
    later = (LIMITS.source_free + 5) * LIMITS.source_forgive
    fail(penalties, STRANGER, LIMITS.source_free, at=later)
    assert not penalties.refuses_source(STRANGER, after(later))


def test_after_a_delay_one_connection_is_let_through_and_the_next_after_as_long_again(penalties: Penalties) -> None:
    fail(penalties, STRANGER, LIMITS.source_free + 3)
    answers = [penalties.refuses_source(STRANGER, after(at)) for at in (7, 8, 8, 15, 16, 16)]
    assert answers == [True, False, True, True, False, True]


def test_success_forgives_a_source_nothing(penalties: Penalties) -> None:
    """Who has one account could otherwise guess at others for as long as they like."""
    fail(penalties, STRANGER, LIMITS.source_free + 1, name="victim")
    penalties.succeeded(STRANGER, "mallory", NOW)
    assert penalties.refuses_source(STRANGER, NOW)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:1::1", "2001:db8:1:ffff::2"),
    ],
)
def test_addresses_of_one_source_share_its_penalty(penalties: Penalties, one: str, other: str) -> None:
    fail(penalties, ip_address(one), LIMITS.source_free + 1)
    assert penalties.refuses_source(ip_address(other), NOW)


@pytest.mark.parametrize(("one", "other"), [("2001:db8:1::1", "2001:db8:2::1"), ("203.0.113.9", "203.0.113.8")])
def test_addresses_of_different_sources_do_not(penalties: Penalties, one: str, other: str) -> None:
    fail(penalties, ip_address(one), LIMITS.source_free + 1)
    assert penalties.refuses_source(ip_address(one), NOW)
    assert not penalties.refuses_source(ip_address(other), NOW)


def test_what_is_charged_is_named_as_a_network() -> None:
    assert source_of(IPv6Address("2001:db8:1:2:3::4")) == "2001:db8:1::/48"
    assert source_of(IPv6Address("::ffff:10.1.1.1")) == source_of(WARD) == "10.1.1.1"


# The same again.


def test_the_same_wrong_credential_counts_once_however_often_it_comes(penalties: Penalties) -> None:
    """A modality retries with the passcode it was given, all night."""
    for at in range(0, DAY, 60):
        penalties.failed(WARD, "ct1", penalties.digest(wrong(name="ct1")), after(at))
        assert not penalties.refuses_source(WARD, after(at))
        assert not penalties.refuses_account("ct1", WARD, after(at))


def test_its_twin_with_a_new_guess_each_time_is_refused(penalties: Penalties) -> None:
    assert len(guesses(penalties, [WARD], seconds=DAY, step=10, name="ct1")) < DAY / 10 / 50


def test_the_same_wrong_credential_from_many_sources_counts_once_for_its_account(penalties: Penalties) -> None:
    for number in range(100):
        penalties.failed(stranger(number), "alice", penalties.digest(wrong()), NOW)
    assert not penalties.refuses_account("alice", HOME, NOW)


@pytest.mark.parametrize(
    "other",
    [
        credential(2, b"alice", b"guess 1"),
        credential(2, b"alicia", b"guess 0"),
        credential(2, b"aliceg", b"uess 0"),
        credential(5, b"alice", b"guess 0"),
    ],
)
def test_credentials_that_differ_anywhere_are_not_the_same(penalties: Penalties, other: Credential) -> None:
    assert penalties.digest(wrong()) == penalties.digest(wrong())
    assert penalties.digest(other) != penalties.digest(wrong())
    assert penalties.digest(wrong(), "rule 2") != penalties.digest(wrong(), "rule 1")


def test_what_is_remembered_of_a_credential_means_nothing_elsewhere(penalties: Penalties) -> None:
    assert Penalties().digest(wrong()) != penalties.digest(wrong())


def test_a_credential_that_was_just_wrong_need_not_be_checked_again(penalties: Penalties) -> None:
    digest = penalties.digest(wrong())
    assert not penalties.just_failed(WARD, digest, NOW)
    penalties.failed(WARD, "alice", digest, NOW)
    assert penalties.just_failed(WARD, digest, after(AGAIN - 0.1))
    assert not penalties.just_failed(WARD, digest, after(AGAIN))
    assert not penalties.just_failed(HOME, digest, NOW)
    assert not penalties.just_failed(WARD, penalties.digest(wrong(1)), NOW)


def test_what_is_not_certainly_wrong_counts_and_is_checked_again(penalties: Penalties) -> None:
    for number in range(LIMITS.account_free + 1):
        digest = penalties.digest(wrong(number))
        penalties.failed(STRANGER, "alice", digest, NOW, certain=False)
        assert not penalties.just_failed(STRANGER, digest, NOW)
    assert penalties.refuses_account("alice", HOME, NOW)


# Accounts.


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


# Exemptions, and what could go wrong.


def test_exempt_networks_are_neither_counted_nor_refused() -> None:
    limits = PenaltyLimits(exempt=(ip_network("10.0.0.0/8"),))
    penalties = Penalties(limits)
    for at in range(1000):
        fail(penalties, WARD, 1, at=at)
    assert not penalties.refuses_source(WARD, after(1000))
    assert not penalties.refuses_account("alice", STRANGER, after(1000))
    fail(penalties, STRANGER, 100, at=1000)
    assert penalties.refuses_account("alice", STRANGER, after(1000))
    assert not penalties.refuses_account("alice", WARD, after(1000))
    assert not penalties.refuses_account("alice", ip_address("::ffff:10.1.1.1"), after(1000))


def test_a_credential_without_an_account_is_charged_to_its_source(penalties: Penalties) -> None:
    for number in range(LIMITS.source_free + 1):
        penalties.failed(STRANGER, None, penalties.digest(credential(5, b"%d" % number)), NOW)
    assert penalties.refuses_source(STRANGER, NOW)


def test_a_clock_that_was_set_back_makes_nobody_wait_for_as_long(penalties: Penalties) -> None:
    fail(penalties, STRANGER, 100, at=DAY)
    assert penalties.refuses_source(STRANGER, after(DAY))
    assert not penalties.refuses_source(STRANGER, NOW)


def test_a_mistake_before_and_one_after_the_clock_was_set_back_are_two(penalties: Penalties) -> None:
    for at in (7200, 0):
        fail(penalties, WARD, 1, at=at)
        assert not penalties.refuses_source(WARD, after(at + 1))
        assert not penalties.refuses_account("alice", WARD, after(at + 1))


@pytest.mark.threat("T29")
def test_strangers_who_fill_every_table_shut_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    penalties = Penalties()
    for book in (penalties._sources, penalties._accounts, penalties._good):
        monkeypatch.setattr(book._alone, "_capacity", 64)
    monkeypatch.setattr("useridentity.state.penalties.MAX_REMEMBERED", 64)
    penalties.succeeded(WARD, "alice", NOW)
    fail(penalties, STRANGER, 40)
    for number in range(1000):
        fail(penalties, stranger(number), 1, name=f"nobody {number}")
    assert not penalties.refuses_source(WARD, NOW)
    assert not penalties.refuses_account("alice", WARD, NOW)
    assert not penalties.refuses_account("new user", HOME, NOW)
    assert penalties.refuses_source(STRANGER, NOW), "the greatest debts are remembered"
    assert penalties.refuses_account("alice", HOME, NOW)
    assert (
        max(len(penalties._sources._alone._debts[Kind.SOURCE]), len(penalties._accounts._alone._debts[Kind.ACCOUNT]))
        <= 64
    )
    assert len(penalties._wrong._times) <= 64


def test_a_penalty_is_logged_without_the_credential(caplog: pytest.LogCaptureFixture) -> None:
    penalties = Penalties(replace(LIMITS, source_free=2, account_free=1))
    with caplog.at_level(logging.WARNING):
        fail(penalties, STRANGER, 3, name="x\n" + "y" * 100)
    assert [record.getMessage() for record in caplog.records] == [
        f'penalty for="x {"y" * 62}" seconds=2',
        'penalty for="203.0.113.9" seconds=2',
        f'penalty for="x {"y" * 62}" seconds=4',
    ]
