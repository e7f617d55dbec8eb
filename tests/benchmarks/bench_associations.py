"""Associations a second with a username, and what one costs the acceptor's processor."""

from __future__ import annotations

from functools import partial

from tests.benchmarks.figure import EFFORT, Figure, compare
from tests.benchmarks.processes import Server, run, servers

CLIENTS = (1, 4, 16)
CONTEXTS = (1, 120)


def measure() -> list[Figure]:
    """One to sixteen clients, each associating and releasing all the time."""
    figures = []
    for contexts in CONTEXTS:
        with servers(contexts) as (ours, stock):
            figures += [_rate(ours, stock, clients, contexts) for clients in CLIENTS]
            figures.append(_cost(ours, stock, contexts))
    return figures


def _aim(clients: int, contexts: int) -> float:
    if contexts > 1 or clients == 1:
        return 1.5
    return 1.2 if clients == 16 else 1.0


def _rate(ours: Server, stock: Server, clients: int, contexts: int) -> Figure:
    def rate(server: Server) -> float:
        return run("raw", "rate", server.port, clients, EFFORT.get().seconds)

    name = f"associations, {clients} {'client' if clients == 1 else 'clients'}, {_supported(contexts)}"
    return compare(name, partial(rate, ours), partial(rate, stock), "1/s", aim=_aim(clients, contexts))


def _cost(ours: Server, stock: Server, contexts: int) -> Figure:
    """Processor time instead of the clock's: what remains comparable on a busy machine."""

    def cost(server: Server) -> float:
        before = server.cpu_time()
        count = run("raw", "count", server.port, 4, EFFORT.get().seconds)
        return 1000 * (server.cpu_time() - before) / count

    name = f"processor time of an association, 4 clients, {_supported(contexts)}"
    return compare(name, partial(cost, ours), partial(cost, stock), "ms", aim=1.0, higher_is_better=False)


def _supported(contexts: int) -> str:
    return "1 context" if contexts == 1 else f"{contexts} contexts"
