"""Ports for what must be told its port before it listens."""

from __future__ import annotations

import os
import random
import socket
from itertools import cycle

PORTS = range(20_000, 30_000)
"""Below those that Linux gives to clients (ip_local_port_range), which could take one before it is listened on."""

WORKERS = 16
"""Processes of pytest-xdist that have ports of their own."""


def _ours() -> cycle[int]:
    """This process' share, in an order that gives none twice and begins where another run's is unlikely to."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    share = PORTS[int(worker) % WORKERS :: WORKERS]
    start = random.randrange(len(share))
    return cycle([*share[start:], *share[:start]])


_PORTS = _ours()


def free_port() -> int:
    """A port that nobody listens on, at any address of IPv4, over TCP or UDP; nor will any client be given it."""
    for port in _PORTS:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                for each in (tcp, udp):
                    each.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("a cycle has no end")
