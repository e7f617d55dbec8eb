"""Strangers cannot fill the journal: what is more than enough from one source, or from all, is counted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.audit.builders import ALICE, record
from tests.lib.threads import until
from useridentity.audit.flood import (
    BURST,
    FIRST_BURST,
    MAX_NAMED,
    MAX_SOURCES,
    QUIET,
    REFILL,
    TOTAL_BURST,
    TOTAL_REFILL,
    Floods,
    source_of,
)
from useridentity.audit.journal import Journal
from useridentity.audit.record import Kind, Outcome, Record, Requestor, User
from useridentity.audit.trail import Trail

START = 1000.0


def refusal(address: str = "192.0.2.7", reason: str = "no-rule", user: User | None = None) -> Record:
    return record(
        kind=Kind.REJECTED, outcome=Outcome.REFUSED, requestor=Requestor("X", address, 5), reason=reason,
        user=user or User(2, "somebody"), studies=(), operation=None,
    )  # fmt: skip


def admitted(floods: Floods, number: int, *addresses: str, at: float = START) -> int:
    return sum(floods.admits(refusal(address), at) for address in addresses for _ in range(number))


def spent() -> Floods:
    """Somebody has used up the quota of all, from forty addresses and more."""
    floods = Floods()
    admitted(floods, BURST, *(f"10.0.0.{number}" for number in range(TOTAL_BURST // BURST + 5)))
    return floods


@pytest.mark.threat("A6")
def test_a_source_has_some_recorded_each_and_the_rest_counted() -> None:
    floods = Floods()
    assert admitted(floods, BURST + 100, "192.0.2.7") == BURST
    told = list(floods.told())
    assert [(each.kind, each.count, each.reason) for each in told] == [(Kind.SUPPRESSED, 100, "no-rule")]
    assert told[0].requestor == Requestor("X", "192.0.2.7", 0)
    assert told[0].user == User(), "what one of many claimed is not what all did"


@pytest.mark.threat("A6")
def test_refusals_of_nobody_hide_no_guess_at_an_account() -> None:
    """As of connections that are closed at accept, of a source that guessed too often and hammers on."""
    floods = Floods()
    hammering = replace(refusal(reason="penalty"), user=User())
    assert sum(floods.admits(hammering, START) for _ in range(BURST + 100)) == BURST
    assert admitted(floods, BURST + 3, "192.0.2.7") == BURST
    assert [(each.count, each.reason) for each in floods.told()] == [(100, "penalty"), (3, "no-rule")]


def test_nothing_is_told_twice() -> None:
    floods = Floods()
    admitted(floods, BURST + 3, "192.0.2.7")
    assert [each.count for each in floods.told()] == [3]
    assert list(floods.told()) == []


@pytest.mark.threat("A6")
def test_a_flood_that_has_ended_is_told_though_nothing_else_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("useridentity.audit.trail.TOLD_EVERY", 0.01)
    trail = Trail(Journal(tmp_path / "audit.db", tmp_path / "audit.key"))
    trail.hold()
    try:
        for expected in (2 * BURST, 4 * BURST):
            for _ in range(2 * BURST):
                trail.note(refusal())
            until(partial(has_recorded, trail.journal, expected))
    finally:
        trail.let_go()


def has_recorded(journal: Journal, expected: int) -> bool:
    """Whether the journal knows of so many refusals, of each by itself or summed up."""
    found = [each for _, each in journal.read(0, 1000)]
    return sum(each.count if each.kind is Kind.SUPPRESSED else 1 for each in found) == expected


def test_one_source_takes_nothing_from_another() -> None:
    floods = Floods()
    admitted(floods, BURST + 100, "192.0.2.7")
    assert admitted(floods, 1, "192.0.2.8") == 1


def test_what_was_used_up_comes_back_with_time() -> None:
    floods = Floods()
    admitted(floods, BURST, "192.0.2.7")
    assert admitted(floods, 5, "192.0.2.7", at=START + REFILL) == 1


def test_a_clock_set_back_gives_nothing_back() -> None:
    floods = Floods()
    admitted(floods, BURST, "192.0.2.7")
    assert admitted(floods, 5, "192.0.2.7", at=START - 100 * REFILL) == 0


@pytest.mark.threat("A6")
def test_all_sources_together_have_a_quota_too() -> None:
    floods = Floods()
    sources = [f"10.{number // 256}.{number % 256}.1" for number in range(TOTAL_BURST // 10 + 100)]
    assert admitted(floods, 10, *sources) == TOTAL_BURST + len(sources)
    assert admitted(floods, 10, sources[0]) == 0
    assert admitted(floods, 10, sources[0], at=START + TOTAL_REFILL) == 1


@pytest.mark.threat("A6")
def test_who_uses_up_the_quota_of_all_hides_nobody_who_comes_from_elsewhere() -> None:
    floods = spent()
    assert admitted(floods, 10, "10.0.0.1") == 0
    assert [admitted(floods, 10, f"192.0.2.{number}") for number in range(20)] == [1] * 20


def test_the_first_of_very_many_sources_have_a_quota_too() -> None:
    floods = spent()
    assert admitted(floods, 1, *(f"172.16.{n // 256}.{n % 256}" for n in range(2 * FIRST_BURST))) < FIRST_BURST
    assert admitted(floods, 1, "192.0.2.7") == 0


@pytest.mark.parametrize(("quiet", "recorded"), [(QUIET / 2, 0), (QUIET + 1, 1)])
def test_who_was_quiet_for_a_day_is_new_again(quiet: float, recorded: int) -> None:
    floods = Floods()
    admitted(floods, 1, "192.0.2.7")
    others = [f"10.0.0.{number}" for number in range(TOTAL_BURST // BURST + 5)]
    admitted(floods, BURST, *others, at=START + quiet)
    assert admitted(floods, 1, "192.0.2.7", at=START + quiet) == recorded


@pytest.mark.threat("A6")
def test_a_proved_user_has_his_own_quota_and_takes_nothing_from_strangers() -> None:
    floods = spent()
    assert sum(floods.admits(refusal(user=ALICE), START) for _ in range(BURST + 10)) == BURST
    named = [each for each in floods.told() if each.user == ALICE]
    assert [each.count for each in named] == [10]


def test_proved_users_are_named_however_many_strangers_there_are() -> None:
    floods = Floods()
    admitted(floods, BURST + 1, *(f"10.0.{number}.1" for number in range(2 * MAX_NAMED)))
    for _ in range(BURST + 1):
        floods.admits(refusal(user=ALICE), START)
    assert [each.count for each in floods.told() if each.user == ALICE] == [1]


@pytest.mark.threat("A6")
def test_names_that_are_only_asserted_are_counted_by_their_address() -> None:
    def refused(assurance: str) -> int:
        users = [User(1, f"u{n}", f"names:u{n}", f"u{n}", assurance=assurance) for n in range(BURST + 100)]
        floods = Floods()
        return sum(floods.admits(refusal(user=user), START) for user in users)

    assert refused("authenticated") == BURST + 100
    assert refused("asserted") == BURST


def test_of_very_many_sources_only_some_are_named() -> None:
    floods = Floods()
    for number in range(MAX_NAMED + 50):
        admitted(floods, BURST + 1, f"10.0.{number}.1")
    told = list(floods.told())
    assert len(told) <= MAX_NAMED + 1
    assert sum(each.count for each in told) > 50
    assert [each.requestor for each in told if not each.requestor.address] == [Requestor()]


def test_the_sources_that_are_remembered_are_bounded() -> None:
    floods = Floods()
    admitted(floods, 1, *(f"10.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(MAX_SOURCES + 500)))
    assert len(floods._strangers.buckets) == MAX_SOURCES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:ffff::1", True),
        ("2001:db8::1", "2001:db8:1::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("", "", True),
        ("no address", "no address", True),
    ],
)
def test_hosts_of_one_ipv6_site_are_one_source(one: str, other: str, same: bool) -> None:
    assert (source_of(refusal(one)) == source_of(refusal(other))) is same


def test_a_user_who_was_proved_is_a_source_wherever_he_is() -> None:
    assert source_of(refusal("192.0.2.7", user=ALICE)) == source_of(refusal("192.0.2.8", user=ALICE)) == "staff:alice"
