"""Milliseconds of a C-FIND of 1,000 rows under a scope, beside one without."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.benchmarks.processes import program

ROWS = 1000
COUNT = 3


def measure() -> list[Figure]:
    """When every study has been looked up, and when none has; the peer is the same server without a scope."""
    rows = EFFORT.get().times(ROWS)
    with program("archive", "scoped", rows) as scoped, program("archive", "unscoped", rows) as unscoped:
        ports = int(scoped.line()), int(unscoped.line())
        return [
            _figure("C-FIND of 1,000 rows, scope beside none, warm", ports, COUNT, aim=1.5),
            _figure("C-FIND of 1,000 rows, scope beside none, cold", ports, 0),
        ]


def _figure(name: str, ports: tuple[int, int], more: int, aim: float | None = None) -> Figure:
    def milliseconds(port: int) -> Callable[[], float]:
        return lambda: 1000 * _asked(port, more)

    scoped, unscoped = map(milliseconds, ports)
    return compare(name, scoped, unscoped, "ms", aim=aim, higher_is_better=False)


def _asked(port: int, more: int) -> float:
    """The seconds of the first C-FIND of an association, or the median of so many `more`."""
    with program("finder", port, more) as finder:
        first = float(finder.line())
        return float(finder.line()) if more else first
