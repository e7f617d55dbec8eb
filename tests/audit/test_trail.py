"""What must be recorded first is, what follows is recorded too, and what is too much is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.audit.builders import filled, locked, record
from useridentity.audit.association import outcome_of
from useridentity.audit.flood import BURST
from useridentity.audit.journal import Journal
from useridentity.audit.record import Kind, Outcome
from useridentity.audit.trail import Trail
from useridentity.errors import Unavailable

REFUSAL = record(kind=Kind.REJECTED, outcome=Outcome.REFUSED, reason="no-rule", studies=(), operation=None)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked journal is given up sooner."""
    monkeypatch.setattr("useridentity.audit.segment.BUSY", 0.05)


def trail_in(folder: Path, on_failure: str = "reject") -> Trail:
    return Trail(Journal(folder / "audit.db", folder / "audit.key"), on_failure)  # type: ignore[arg-type]


@contextmanager
def held(trail: Trail) -> Iterator[Trail]:
    trail.hold()
    try:
        yield trail
    finally:
        trail.let_go()


def kinds(folder: Path) -> list[Kind]:
    with closing(Journal(folder / "audit.db", folder / "audit.key")) as journal:
        return [each.kind for _, each in journal.read(0, 100_000)]


def test_what_must_be_recorded_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    with held(trail_in(tmp_path)) as trail:
        trail.must(record())
        assert kinds(tmp_path) == [Kind.STORED]
        trail.ready()


def test_with_reject_it_raises_where_that_cannot_be(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    with held(trail_in(tmp_path)) as trail:
        trail.must(record())
        with locked(tmp_path):
            with pytest.raises(Unavailable, match="locked"):
                trail.must(record(detail="did not happen"))
            with pytest.raises(Unavailable, match="locked"):
                trail.ready()
            trail.note(record(detail="did happen"))
        trail.must(record())
        details = [each.detail for _, each in trail.journal.read(0, 100)]
    assert "did happen" in details
    assert "did not happen" not in details, "who was told that it cannot be recorded did not go on"


def test_ready_finds_out_by_itself_once_the_last_commit_is_not_news_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is recorded meanwhile, as on an association that sends one long study."""
    with held(trail_in(tmp_path)) as trail:
        trail.must(record())
        with locked(tmp_path):
            trail.ready()
        monkeypatch.setattr("useridentity.audit.journal.PROVED", 0.0)
        trail.ready()
        with locked(tmp_path), pytest.raises(Unavailable, match="locked"):
            trail.ready()
    assert kinds(tmp_path).count(Kind.STORED) == 1, "a probe leaves no record"


def test_with_accept_nobody_waits_and_nothing_is_raised(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    with held(trail_in(tmp_path, "accept")) as trail, locked(tmp_path):
        trail.must(record(detail="did happen"))
        trail.ready()
    assert kinds(tmp_path).count(Kind.STORED) == 2


def test_only_refusals_have_a_quota_and_what_was_suppressed_is_told_at_the_end(tmp_path: Path) -> None:
    with held(trail_in(tmp_path)) as trail:
        for _ in range(BURST + 30):
            trail.note(REFUSAL)
            trail.note(record())
    found = kinds(tmp_path)
    assert found.count(Kind.STORED) == BURST + 30
    assert found.count(Kind.REJECTED) == BURST
    assert found.count(Kind.SUPPRESSED) == 1


def test_it_is_open_as_long_as_anybody_holds_it(tmp_path: Path) -> None:
    trail = trail_in(tmp_path)
    trail.hold()
    trail.hold()
    trail.let_go()
    trail.must(record())
    trail.let_go()
    with pytest.raises(Unavailable, match="closed"):
        trail.must(record())
    with held(trail):
        trail.must(record())
    assert len(kinds(tmp_path)) == 2


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, Outcome.SUCCESS), (0xFF00, Outcome.SUCCESS), (0xFE00, Outcome.SUCCESS), (0x0001, Outcome.SUCCESS),
        (0x0107, Outcome.SUCCESS), (0x0116, Outcome.SUCCESS), (0xB000, Outcome.SUCCESS), (0xB007, Outcome.SUCCESS),
        (0x0124, Outcome.REFUSED), (0x0110, Outcome.FAILED), (0x0122, Outcome.FAILED), (0x0211, Outcome.FAILED),
        (0xA700, Outcome.FAILED), (0xA801, Outcome.FAILED), (0xC000, Outcome.FAILED), (0xCFFF, Outcome.FAILED),
        (None, Outcome.FAILED),
    ],
)  # fmt: skip
def test_a_status_means_what_annex_c_of_the_standard_says(status: int | None, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome
