"""Seconds of a C-ECHO on an established association."""

from __future__ import annotations

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.benchmarks.processes import run, servers

CONTEXTS = 2
COUNT = 300


def measure() -> list[Figure]:
    """The acceptor alone, then both sides."""
    count = EFFORT.get().times(COUNT)
    with servers(CONTEXTS) as (ours, stock):
        return [
            compare(
                "C-ECHO, raw client",
                lambda: 1000 * run("raw", "echo", ours.port, count),
                lambda: 1000 * run("raw", "echo", stock.port, count),
                "ms",
                aim=1.0,
                higher_is_better=False,
            ),
            compare(
                "C-ECHO, AE to AE",
                lambda: 1000 * run("requestor", "ours", "echo", ours.port, count),
                lambda: 1000 * run("requestor", "stock", "echo", stock.port, count),
                "ms",
                aim=1.0,
                higher_is_better=False,
            ),
        ]
