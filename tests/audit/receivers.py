"""Receivers that a test writes itself: what they do on a connection, well or badly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from tests.audit.forwarding import HANG
from tests.lib.certificates import Pair
from useridentity.tls import server_context

SOON = 0.3
"""Seconds in which a sink has to give up; those that are patient wait for as long as a test may hang."""

PAUSE = SOON / 30
DONE = threading.Event()
"""A test is done with its receiver; what is still on its way to that keeps a connection open."""

Act = Callable[[socket.socket], object]
"""What a receiver does on a connection."""


@contextmanager
def serving(serve: Act, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a listener that serves one connection after the other, until the block ends."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        DONE.clear()
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set():
                accepted, _ = listener.accept()
                with accepted, suppress(OSError):
                    accepted.settimeout(HANG)
                    serve(accepted)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            DONE.set()
            socket.create_connection(listener.getsockname()[:2], HANG).close()
            thread.join(HANG)


def in_turn(*connections: Sequence[Act]) -> Act:
    """On each connection its acts, one after the other; the last ones again on all that follow."""
    left = list(connections)

    def serve(accepted: socket.socket) -> None:
        for act in left.pop(0) if len(left) > 1 else left[0]:
            act(accepted)

    return serve


def over_tls(server: Pair, *acts: Act) -> Act:
    """The acts, within TLS."""
    context = server_context(*server)

    def serve(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True) as connection:
            for act in acts:
                act(connection)

    return serve


def says(octets: bytes) -> Act:
    return lambda accepted: accepted.sendall(octets)


def drips(octets: bytes) -> Act:
    """Says them an octet at a time, and the last of them again until nobody listens."""

    def drip(accepted: socket.socket) -> None:
        position = 0
        while not DONE.wait(PAUSE):
            accepted.sendall(octets[position : position + 1])
            position = min(position + 1, len(octets) - 1)

    return drip


def drinks(accepted: socket.socket) -> None:
    """Reads a few octets at a time."""
    while not DONE.wait(PAUSE) and accepted.recv(10):
        pass


def waits(_accepted: socket.socket) -> None:
    """Neither reads nor says anything."""
    DONE.wait(HANG)
