"""A measured figure beside its peer, and how it comes about: ours and the peer's, turn about."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from statistics import median

NOISY = 0.4
"""A spread from which on a ratio says little: two quiet runs of one figure differ by less than half of it."""


PEER_FAILURES = 3
"""Failures of the peer in one turn that are overlooked; more are no accident."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Fields:
        name: what was done, and how often at once.
        ours, peer: medians, in `unit`; no `peer` where nobody else does the like.
        unit: of both, "1/s", "ms" or "us".
        aim: for `ours / peer`, or for `ours` where there is no peer: at least this where higher is
            better, at most this where it is not; None where the figure only informs.
        spread: of what the aim is for, round by round: how far the highest lies above the lowest,
            as a share of the median.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    aim: float | None = None
    higher_is_better: bool = True
    spread: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Ours as a multiple of the peer's."""
        return None if self.peer is None else self.ours / self.peer

    @property
    def reached(self) -> bool | None:
        """Whether the aim was reached; None without one."""
        if self.aim is None:
            return None
        value = self.ours if self.ratio is None else self.ratio
        return value >= self.aim if self.higher_is_better else value <= self.aim

    @property
    def noisy(self) -> bool:
        """Whether the rounds differed so much that another run may say something else."""
        return self.spread > NOISY


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: `rounds` turns of about `seconds` each, or of `share` of the usual count."""

    rounds: int = 7
    seconds: float = 1.5
    share: float = 1.0

    def times(self, count: int) -> int:
        """This effort's share of `count`, at least one."""
        return max(1, round(count * self.share))


QUICK = Effort(rounds=1, seconds=0.05, share=0.02)
"""Shows that a benchmark runs; its figures mean nothing."""

EFFORT: ContextVar[Effort] = ContextVar("effort", default=Effort())  # noqa: B039  frozen


def compare(
    name: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    unit: str,
    *,
    aim: float | None = None,
    higher_is_better: bool = True,
) -> Figure:
    """Measure both in turn, each round begun by the other one, so that whatever else the machine does hits both.

    A failure of ours is raised; the peer, whose failures are not ours to mend, is measured again.
    """
    turns: dict[Callable[[], float], list[float]] = {ours: [], peer: []}
    for number in range(EFFORT.get().rounds):
        for measured in (ours, peer) if number % 2 else (peer, ours):
            turns[measured].append(measured() if measured is ours else _insisting(measured))
    ratios = [a / b for a, b in zip(turns[ours], turns[peer], strict=True)]
    return Figure(name, median(turns[ours]), median(turns[peer]), unit, aim, higher_is_better, spread(ratios))


def _insisting(peer: Callable[[], float]) -> float:
    """Stock pynetdicom's requestor loses a response now and then on a busy machine."""
    for _ in range(PEER_FAILURES):
        try:
            return peer()
        except RuntimeError as error:
            print(f"-- the peer failed, and is measured again: {error}", file=sys.stderr)
    return peer()


def seconds_each(call: Callable[[], object], count: int) -> float:
    """The mean of one call, over this effort's share of `count`."""
    times = EFFORT.get().times(count)
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


def spread(values: list[float]) -> float:
    """How far the highest lies above the lowest, as a share of the median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0
