"""What associations cost on which nothing happens."""

from __future__ import annotations

import time
from functools import partial

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.benchmarks.processes import Server, program, servers

ASSOCIATIONS = 50
SETTLED = 0.2  # seconds after which all that opening them started has ended


def measure() -> list[Figure]:
    """Percent of one core that the acceptor uses."""
    with servers(1) as (ours, stock):
        name = f"processor, {ASSOCIATIONS} idle associations"
        return [compare(name, partial(usage, ours), partial(usage, stock), "%", aim=0.5, higher_is_better=False)]


def usage(server: Server) -> float:
    """Percent of a core, over the seconds of a turn."""
    with program("raw", "idle", server.port, ASSOCIATIONS) as clients:
        clients.line()
        time.sleep(SETTLED)
        started, before = time.perf_counter(), server.cpu_time()
        time.sleep(EFFORT.get().seconds)
        return 100 * (server.cpu_time() - before) / (time.perf_counter() - started)
