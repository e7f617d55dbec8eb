"""What guessing costs, by a clock of the tests' own: nobody sleeps here."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from tests.mechanisms.builders import credential
from tests.state.builders import NOW, after
from tests.state.guesses import DAY, HOME, LIMITS, STRANGER, WARD, fail, guesses, stranger, wrong
from useridentity.credential import Credential
from useridentity.state import Kind
from useridentity.state.limits import PenaltyLimits
from useridentity.state.penalties import AGAIN, Penalties, source_of

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
