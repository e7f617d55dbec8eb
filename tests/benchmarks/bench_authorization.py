"""What it costs to read every message first and to judge every request: C-STORE of objects of 1 KiB."""

from __future__ import annotations

import time

from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from tests.benchmarks.figure import EFFORT, Figure, compare, spread
from tests.benchmarks.processes import Server, program, run, servers
from tests.lib.commands import COMMAND, LAST, command_set, p_data, request_elements, value
from tests.lib.pdus import CT_IMAGE_STORAGE
from useridentity.dimse import Assembly
from useridentity.permission import Permission
from useridentity.pynetdicom.requests import objection

CONTEXTS = 2
COUNT = 500
JUDGED = 20_000
MICROSECONDS = 1e6
AIM = 40.0
"""Microseconds: a twentieth of what a C-STORE takes over loopback with either acceptor."""


def measure() -> list[Figure]:
    """The request as a whole beside others' acceptors, then the check alone."""
    count = EFFORT.get().times(COUNT)

    def latency(server: Server) -> float:
        return 1000 * run("raw", "store", server.port, count)

    def effort(server: Server) -> float:
        before = server.cpu_time()
        latency(server)
        return 1000 * (server.cpu_time() - before) / count

    with servers(CONTEXTS) as (ours, stock), program("acceptor", "permitting", CONTEXTS) as running:
        permitting = Server(running)
        return [
            compare(
                "C-STORE of 1 KiB, CPU of the acceptor; peer: a policy that permits all",
                lambda: effort(permitting),
                lambda: effort(ours),
                "ms",
                aim=1.1,
                higher_is_better=False,
            ),
            compare(
                "C-STORE of 1 KiB, permitted",
                lambda: latency(permitting),
                lambda: latency(stock),
                "ms",
                aim=1.0,
                higher_is_better=False,
            ),
            _check_alone(),
        ]


def _check_alone() -> Figure:
    """Reading the command set and asking the permission, with nothing around them."""
    times = EFFORT.get().times(JUDGED)
    permission = Permission.of(["echo", "store", "find"])
    assembly = Assembly(lambda message: None)
    command = command_set(request_elements("C-STORE", CT_IMAGE_STORAGE))
    pdus = p_data(value(1, COMMAND | LAST, command)), p_data(value(1, LAST, bytes(1024)))
    request, context = C_STORE(), build_context(CT_IMAGE_STORAGE)
    request.AffectedSOPClassUID = CT_IMAGE_STORAGE
    rounds = []
    for _ in range(EFFORT.get().rounds):
        started = time.perf_counter()
        for _ in range(times):
            for pdu in pdus:
                assembly.add(pdu)
            assert not objection(permission, request, context)
        rounds.append(MICROSECONDS * (time.perf_counter() - started) / times)
    middle = sorted(rounds)[len(rounds) // 2]
    return Figure(
        "C-STORE: reading and judging it", middle, None, "us", AIM, higher_is_better=False, spread=spread(rounds)
    )
